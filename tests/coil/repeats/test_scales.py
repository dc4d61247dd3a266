"""Lengths of a search follow the lane; periods follow the plan and its rolls."""

import math

import numpy as np
import pytest

from utils.coil.plan import CoilPlan, RepeatSettings, Roll
from utils.coil.repeats.scales import scales_of
from utils.errors import InputError

SMALL, LARGE = Roll("small", 60.0, 80.0), Roll("large", 1400.0, 1500.0, 2.0)


@pytest.mark.parametrize(
    ("plan", "shortest", "longest"),
    [
        (CoilPlan(), 300.0, 7500.0),
        (CoilPlan(repeats=RepeatSettings(lane=120.0, window=80_000.0)), 600.0, 10_000.0),
        (CoilPlan(unit="mm", rolls=(SMALL, LARGE)), 0.97 * math.pi * 60, 1.03 * math.pi * 3000),
        (CoilPlan(unit="px", rolls=(SMALL, LARGE)), 300.0, 7500.0),
        (CoilPlan(unit="mm", rolls=(SMALL,), repeats=RepeatSettings(shortest=500.0, longest=900.0)), 500.0, 900.0),
    ],
)
def test_periods_that_are_tried(plan, shortest, longest):
    scales = scales_of(plan)
    assert (scales.shortest, scales.longest) == pytest.approx((shortest, longest))


def test_longest_below_shortest_is_refused_in_one_line():
    with pytest.raises(InputError, match=r"coil\.yaml: repeats: periods from 900 to 500 mm"):
        scales_of(CoilPlan(unit="mm", repeats=RepeatSettings(shortest=900.0, longest=500.0)))


def test_densities_of_a_mark_are_densities():
    scales = scales_of(CoilPlan())
    grid = np.arange(-2000.0, 2000.0, 0.25)
    for turns in (1.0, 10.0):
        spread = scales.spread(np.full(1, turns), np.ones(1))
        assert np.exp(scales.log_along(grid, spread)).sum() * 0.25 == pytest.approx(1.0, abs=1e-3)
        assert np.exp(scales.log_across(grid, np.full(1, 1000 * turns))).sum() * 0.25 == pytest.approx(1.0, abs=1e-3)

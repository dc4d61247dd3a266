"""Half, a third and twice the step are told from the right one."""

import math
from dataclasses import replace

import numpy as np
import pytest

from utils.coil.plan import CoilPlan
from utils.coil.repeats.scales import scales_of
from utils.coil.repeats.series import Points, Series, crowd, divided, extend, local_periods, refine, split

SCALES = scales_of(CoilPlan(unit="mm"))
LOG_RANGE = math.log(math.log(SCALES.longest / SCALES.shortest))


def points_of(along, across=None, classes=None):
    along = np.asarray(along, float)
    across = np.full(len(along), 100.0) if across is None else np.asarray(across, float)
    classes = np.zeros(len(along), np.int64) if classes is None else np.asarray(classes)
    return Points(along, across, classes, np.full(len(along), math.log(1e-6)), np.ones(len(along), bool))


@pytest.mark.parametrize("divisor", [1, 2, 3, 5])
def test_marks_in_between_divide_the_step(divisor):
    points = points_of(np.arange(40) * 1000.0)
    chosen = np.arange(0, 40, divisor)
    series = Series(chosen, np.arange(len(chosen)), -10.0)
    assert divided(series, points, SCALES) == divisor
    finer = refine(series, points, SCALES, divisor)
    assert finer.period(points) == pytest.approx(1000.0)
    assert len(finer.marks) == finer.count == divisor * (len(chosen) - 1) + 1


@pytest.mark.parametrize("stride", [2, 3])
def test_a_step_at_which_most_turns_are_empty_is_made_longer(stride):
    points = points_of(np.arange(30) * 1000.0)
    found = split(Series(np.arange(30), np.arange(30) * stride, -10.0), points, SCALES, LOG_RANGE)
    assert [one.turns.tolist() for one in found] == [list(range(30))]


@pytest.mark.parametrize(
    ("across", "classes", "fits", "parts"),
    [
        (0.0, 0, None, 1),
        (12.0, 0, None, 2),
        (0.0, 1, None, 2),
        (0.0, 0, [False, True, False, False], 2),
        (0.0, 0, [True, True, False, False], 1),
    ],
)
def test_every_second_turn_is_another_mark_where_it_differs(across, classes, fits, parts):
    rng = np.random.default_rng(0)
    odd = np.arange(40) % 2
    points = points_of(np.arange(40) * 1000.0, 100 + odd * across + rng.normal(size=40), odd * classes)
    series = Series(np.arange(40), np.arange(40), -10.0)
    assert len(split(series, points, SCALES, LOG_RANGE, fits)) == parts


def test_step_is_made_no_longer_than_the_longest():
    points = points_of(np.arange(30) * 3000.0)
    series = Series(np.arange(30), np.arange(30) * 3, -10.0)  # a step of 1000 mm, of which every third is seen
    short = replace(SCALES, longest=2000.0)
    assert split(series, points, SCALES, LOG_RANGE)[0].count == 30
    assert split(series, points, short, LOG_RANGE)[0].count == 88


@pytest.mark.parametrize(
    ("others", "width", "odds"),
    [
        (12, 30.0, (0.0, 0.0)),  # they lie beside the line as densely as on it
        (0, 1.0, (0.0, 0.0)),
        (12, 5.0, (5.0, 9.0)),  # on the line alone: a scratch
    ],
)
def test_others_on_the_line_speak_for_a_scratch_where_none_are_beside_it(others, width, odds):
    # The series is as long as the strip, so nothing beyond its ends tells how dense others lie.
    rng = np.random.default_rng(0)
    marks = np.arange(12) * 400.0 + 100.0
    number = int(others * width / (2 * 0.12 * SCALES.lane)) if width > 10 else others
    along = np.concatenate([marks, rng.uniform(100.0, 4500.0, number)])
    across = np.concatenate([np.full(12, 100.0), 100.0 + rng.uniform(-width, width, number)])
    order = np.argsort(along)
    points = points_of(along[order], across[order])
    series = Series(np.flatnonzero(order < 12), np.arange(12), -10.0)
    assert odds[0] <= crowd(series, points, SCALES) <= odds[1]


def test_series_is_extended_over_missed_marks_to_its_ends_and_no_farther():
    turns = np.array([0, 1, 4, 5, 6, 7, 9, 12, 40])
    points = points_of(turns * 1000.0)
    series = extend(Series(np.array([2, 3, 4]), np.array([0, 1, 2]), -10.0), points, SCALES)
    assert series.marks.tolist() == list(range(8))
    assert series.turns.tolist() == turns[:8].tolist()


def test_local_period_leaves_out_the_link_itself():
    along = np.array([0.0, 10.0, 20.0, 33.0, 43.0, 53.0])
    assert local_periods(along, np.arange(6))[2] == 10.0

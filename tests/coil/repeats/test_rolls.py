"""Rolls are ranked by how well the period fits the diameters that they may have."""

import math

import pytest

from utils.coil.plan import Roll
from utils.coil.repeats.rolls import rank_rolls

WORK, BACKUP = Roll("work", 600.0, 700.0), Roll("backup", 1400.0, 1500.0)


@pytest.mark.parametrize(
    ("diameter", "rolls", "expected"),
    [
        (650.0, (WORK, BACKUP), ["work"]),
        (1490.0, (WORK, BACKUP), ["backup"]),
        (1000.0, (WORK, BACKUP), []),
        (650.0, (Roll("wide", 500.0, 900.0), Roll("narrow", 640.0, 660.0)), ["narrow", "wide"]),
        (700.0, (Roll("exact", 700.0, 700.0), Roll("range", 690.0, 710.0)), ["exact", "range"]),
        (705.0, (WORK, Roll("other", 701.0, 720.0)), ["other", "work"]),
        (650.0, (), []),
        (650.0, (Roll("a", 600.0, 700.0), Roll("b", 600.0, 700.0)), ["a", "b"]),
    ],
)
def test_likeliest_roll_is_first(diameter, rolls, expected):
    found = rank_rolls(math.pi * diameter, 1.0, rolls)
    assert [one.name for one in found] == expected
    assert sum(one.probability for one in found) == pytest.approx(1.0 if found else 0.0)


def test_elongation_makes_the_step_longer():
    found = rank_rolls(math.pi * 650.0 * 1.25, 1.0, (Roll("early", 640.0, 660.0, 1.25), Roll("late", 640.0, 660.0)))
    assert [(one.name, round(one.diameter)) for one in found] == [("early", 650)]


def test_doubtful_period_leaves_both_of_two_near_rolls():
    near = (Roll("a", 650.0, 650.0), Roll("b", 663.0, 663.0))
    sure, doubtful = (rank_rolls(math.pi * 651.0, error, near) for error in (1.0, 60.0))
    assert sure[0].name == doubtful[0].name == "a"
    assert sure[0].probability > 0.99 > doubtful[0].probability

"""Series that a stretch without marks has cut are one again; those of other rolls and places are not."""

import numpy as np
import pytest

from utils.coil.plan import CoilPlan
from utils.coil.repeats import find_repeats
from utils.coil.repeats.parts import joined
from utils.coil.repeats.scales import scales_of
from utils.coil.repeats.series import Points, Series

PLAN = CoilPlan(unit="mm")
SCALES = scales_of(PLAN)


def two(begin=40_000.0, step=1000.0, across=500.0, count=20):
    """Lay 20 marks of a step of 1 m from the head on, and others behind or beside them; two series."""
    first, second = np.arange(20) * 1000.0, begin + np.arange(count) * step
    along = np.concatenate([first, second])
    order = np.argsort(along, kind="stable")
    back = np.argsort(order)
    places = np.concatenate([np.full(20, 500.0), np.full(count, across)])
    none = np.zeros(len(along))
    points = Points(along[order], places[order], none.astype(np.int64), none, none == 0)
    return (
        points,
        Series(back[:20], np.arange(20), -3.0),
        Series(back[20:], np.arange(count), -3.0),
    )


@pytest.mark.parametrize(
    ("changes", "turn"),
    [
        ({}, 40),  # 21 m after the last of the first
        ({"begin": 40_020.0}, 40),  # slip adds up
        ({"across": 515.0}, 40),  # the strip weaves
        ({"step": 1002.0}, 40),  # and gets longer
        ({"begin": 20_000.0}, 20),  # no turn is missed
        ({"across": 560.0}, None),  # another place
        ({"step": 1020.0}, None),  # another roll
        ({"begin": 10_500.0}, None),  # beside the first: another mark of the roll
        ({"begin": 80_000.0}, None),  # farther apart than both are long
    ],
)
def test_parts_are_one_series_or_two(changes, turn):
    points, first, second = two(**changes)
    series = joined(first, second, points, SCALES)
    if turn is None:
        assert series is None
        return
    assert series.turns.tolist() == [*range(20), *range(turn, turn + 20)]
    np.testing.assert_array_equal(points.along[series.marks], np.sort(points.along))
    assert joined(second, first, points, SCALES) is None


def test_a_series_with_a_stretch_without_marks_is_one_row():
    turns = np.concatenate([np.arange(25), np.arange(45, 70)])
    rng = np.random.default_rng(3)
    along = turns * 1500.0 + np.cumsum(rng.normal(size=len(turns)) * 3)
    found = find_repeats(along, np.full(len(turns), 700.0), ["dent"] * len(turns), 120_000.0, PLAN)
    (row,) = found.table.to_dict("records")
    assert (row["hits"], row["turns"]) == (50, 70)
    assert row["period"] == pytest.approx(1500, abs=2)
    assert (found.numbers == 1).all()

"""Series are found with their right step, chance and dirt are not taken for several, and tables keep the contract."""

import math
from dataclasses import replace

import numpy as np
import pytest

from tests.coil.repeats.drawn import clutter, coil, marks, plan
from utils.coil.plan import CoilPlan, RepeatSettings, Roll
from utils.coil.repeats import find_repeats
from utils.coil.tables import REPEAT_COLUMNS


def found(drawn, a_plan=None):
    return find_repeats(drawn.along, drawn.across, drawn.names, drawn.length, a_plan or plan())


def of_points(points, a_plan=None, length=600_000.0):
    names = np.full(len(points), "a")
    return find_repeats(points[:, 0], points[:, 1], names, length, a_plan or plan())


@pytest.mark.parametrize(
    ("kind", "missed", "per_m", "number", "seed"),
    [
        ("mark", 0.0, 2.0, 1, 1),
        ("mark", 0.5, 0.5, 1, 3),
        ("mark", 0.5, 2.0, 1, 4),
        ("mark", 0.7, 2.0, 1, 5),
        ("mark", 0.5, 2.0, 3, 6),
        ("pair", 0.5, 2.0, 1, 7),
    ],
)
def test_series_are_found_with_their_period_and_no_other(kind, missed, per_m, number, seed):
    drawn = coil(seed, number=number, missed=missed, per_m=per_m, kind=kind, turns=(80, 200))
    result = found(drawn)
    spots = 2 if kind == "pair" else 1
    assert len(result.table) == number * spots
    for truth in drawn.series:
        near = result.table[np.abs(result.table["across"] - truth["across"]) < 40]
        right = near[np.abs(near["period"] / truth["period"] - 1) < 0.01]
        assert len(right) == spots
        assert right["class_name"].eq("mark").all()
        assert right["hits"].sum() > 0.9 * truth["hits"]
    # Of the defects that are said to belong to a series, hardly any is clutter.
    assert (drawn.names[result.numbers > 0] == "mark").mean() > 0.9
    assert np.bincount(result.numbers)[1:].tolist() == pytest.approx(result.table["hits"].tolist(), abs=3)


def test_onset_and_end_lie_within_the_coil():
    rng = np.random.default_rng(0)
    points = np.concatenate([clutter(rng), marks(rng, 1500.0, 700.0, 200_000.0, 100, 0.5)])
    table = of_points(points).table
    assert len(table) == 1
    assert table["onset"][0] == pytest.approx(200_000, abs=5 * 1500)
    assert table["end"][0] == pytest.approx(350_000, abs=5 * 1500)
    assert table["turns"][0] == pytest.approx(100, abs=10)


@pytest.mark.parametrize("seed", range(2))
def test_clutter_alone_has_no_series(seed):
    rng = np.random.default_rng(seed)
    result = of_points(clutter(rng, per_m=2.0, edges=0.6, bursts=8, scratches=15))
    assert len(result.table) == 0
    assert not result.numbers.any()
    assert tuple(result.table.columns) == REPEAT_COLUMNS


@pytest.mark.parametrize("step", [130.0, 800.0])
def test_dirt_at_every_frame_is_one_series_at_most(step):
    rng = np.random.default_rng(1)
    along = np.arange(0.0, 150_000.0, step)
    dirt = np.column_stack([along, np.full(len(along), 640.0)]) + rng.normal(size=(len(along), 2)) * 0.5
    points = np.concatenate([clutter(rng, length=150_000.0, per_m=1.0), dirt[rng.random(len(dirt)) < 0.9]])
    table = of_points(points, length=150_000.0).table
    assert len(table) == (0 if step < 290 else 1)
    assert np.abs(table["period"] / step - 1).lt(0.01).all()


def test_series_that_keeps_its_place_in_the_frame_is_left_out():
    rng = np.random.default_rng(1)
    roll = marks(rng, 810.0, 300.0, 1000.0, 80, 0.3)
    for step, left in ((800.0, 1), (400.0, 1), (1600.0, 1), (770.0, 2)):
        dirt = np.column_stack([np.arange(0.0, 80_000.0, step), np.full(math.ceil(80_000 / step), 900.0)])
        points = np.concatenate([roll, dirt + rng.normal(size=dirt.shape)])
        names = ["a"] * len(points)
        result = find_repeats(points[:, 0], points[:, 1], names, 80_000.0, plan(), frame=800.0)
        assert len(result.table) == left
        assert result.numbers[: len(roll)].all()


def test_a_mark_in_several_parts_is_one_series():
    rng = np.random.default_rng(2)
    whole = marks(rng, 2000.0, 500.0, 100_000.0, 150, 0.3)
    points = np.concatenate([clutter(rng), whole, whole[::2] + np.array([14.0, 9.0])])
    result = of_points(points)
    assert len(result.table) == 1
    assert (result.numbers > 0).sum() > 0.95 * 1.5 * len(whole)


def test_opposite_marks_have_the_step_of_the_roll():
    drawn = coil(31, kind="opposite", missed=0.4, turns=(60, 120))
    period = drawn.series[0]["period"]
    diameter = period / math.pi
    roll = Roll("R", 0.97 * diameter, 1.03 * diameter)
    table = found(drawn, plan((roll,))).table
    assert (np.abs(table["period"] / period - 1) < 0.01).all()
    assert table["roll"].tolist() == ["R", "R"]


def test_rolls_that_differ_by_two_percent_are_told_apart():
    right = 0
    for seed in range(2):
        drawn = coil(50 + seed, turns=(60, 120), per_m=0.5)
        diameter = drawn.series[0]["period"] / math.pi / 1.2
        rolls = tuple(
            Roll(name, 0.995 * size, 1.005 * size, 1.2)
            for name, size in (("smaller", diameter / 1.02), ("right", diameter), ("larger", diameter * 1.02))
        )
        table = found(drawn, plan(rolls)).table
        right += table["roll"].tolist() == ["right"]
        assert table["diameter"][0] == pytest.approx(diameter, rel=0.005)
    assert right == 2


def test_pixels_scale_with_the_lane_and_name_no_roll():
    drawn = coil(4, turns=(80, 200))
    factor = 2.5  # pixels in a millimetre
    settings = RepeatSettings(lane=60 * factor, window=60_000 * factor)
    in_px = replace(plan((Roll("R", 10.0, 3000.0),)), unit="px", repeats=settings)
    table = find_repeats(drawn.along * factor, drawn.across * factor, drawn.names, 600_000 * factor, in_px).table
    assert table["period"][0] / factor == pytest.approx(drawn.series[0]["period"], rel=0.01)
    assert table["roll"].tolist() == [""]
    assert np.isnan(table["diameter"][0])


@pytest.mark.parametrize(
    ("along", "across"),
    [
        ([], []),
        ([1.0], [2.0]),
        ([5.0] * 8, [1.0] * 8),
        ([np.nan, 1.0, 2.0, np.inf, 900.0, 1800.0], [1.0, np.nan, 3.0, 4.0, 5.0, 5.0]),
        ([-1000.0, -500.0, 0.0, 500.0, 1000.0], [0.0] * 5),
    ],
)
def test_few_and_unknown_places_are_no_series(along, across):
    result = find_repeats(np.array(along), np.array(across), ["a"] * len(along), 2000.0, CoilPlan())
    assert len(result.table) == 0
    assert result.numbers.tolist() == [0] * len(along)


def test_unknown_places_beside_a_series_do_no_harm():
    rng = np.random.default_rng(3)
    points = marks(rng, 1000.0, 300.0, 10_000.0, 60, 0.2)
    spoiled = np.concatenate([points, [[np.nan, 300.0], [20_500.0, np.nan]]])
    result = of_points(spoiled, length=100_000.0)
    assert result.table["hits"].tolist() == [len(points)]
    assert result.numbers.tolist() == [1] * len(points) + [0, 0]

"""Defects that belong together are one entry; those of an even background are none."""

import numpy as np
import pandas as pd
import pytest

from utils.coil.grouping import group
from utils.coil.plan import CoilPlan
from utils.coil.tables import GROUP_COLUMNS

WIDTH, LENGTH = 1200.0, 300_000.0
PLAN = CoilPlan(unit="mm", width=WIDTH, join=5.0)


def defects_of(along, across, length=10.0, width=8.0, class_name="pit", **more):
    along, across, length, width = np.broadcast_arrays(np.asarray(along, float), across, length, width)
    table = pd.DataFrame(
        {
            "along0": along,
            "along1": along + length,
            "across0": across,
            "across1": across + width,
            "artefact": 0,
            "repeat": 0,
        }
    )
    return table.assign(class_name=class_name, area=100.0, **more)


def background(random, number, classes=("pit", "scale")):
    """Draw defects evenly along the strip, most of them at its edges, some long."""
    edge = np.minimum(random.exponential(40, number), WIDTH - 10)
    across = np.where(random.random(number) < 0.5, edge, random.uniform(0, WIDTH - 10, number))
    length = np.minimum(random.lognormal(2.5, 1, number), 500)
    return defects_of(random.uniform(0, LENGTH - 600, number), across, length, 8.0, random.choice(classes, number))


def found_in(parts, length=LENGTH, plan=PLAN):
    table = pd.concat(parts, ignore_index=True)
    groups, numbers = group(table, plan, length)
    assert tuple(groups.columns) == GROUP_COLUMNS
    assert groups["group"].tolist() == list(range(1, len(groups) + 1))
    for row in groups.itertuples():
        own = table[numbers == row.group]
        assert len(own) == row.defects
        assert (own["along0"].min(), own["along1"].max()) == (row.along0, row.along1)
        assert (own["across0"].min(), own["across1"].max()) == (row.across0, row.across1)
    return groups, numbers


@pytest.mark.parametrize("number", [0, 30, 300])
def test_scratch_in_parts_is_one_entry(number):
    random = np.random.default_rng(number)
    begin = 40_000 + np.cumsum(random.uniform(500, 700, 12))
    parts = defects_of(begin, 500 + np.arange(12) * 0.8, 450.0, 3.0, "scratch")
    groups, numbers = found_in([background(random, number), parts])
    assert list(groups["kind"]) == ["scratch"]
    assert (numbers[number:] == 1).all()
    assert not groups["to_tail"].any()


def test_two_scratches_side_by_side_are_two():
    begin = 40_000 + np.arange(8) * 600.0
    groups, _ = found_in([defects_of(begin, across, 450.0, 3.0, "scratch") for across in (500, 540)])
    assert groups["defects"].tolist() == [8, 8]


@pytest.mark.parametrize("number", [20, 200, 1000])
def test_dense_patch_is_one_entry(number):
    random = np.random.default_rng(number)
    patch = defects_of(random.uniform(90_000, 90_800, 60), random.uniform(300, 700, 60))
    groups, numbers = found_in([background(random, number), patch])
    assert list(groups["kind"]) == ["patch"]
    assert (numbers[number:] == 1).mean() >= 0.9
    assert (numbers[:number] == 1).mean() <= 0.05
    assert groups["across0"][0] + 60 >= 300
    assert not groups["to_tail"][0]


@pytest.mark.parametrize(
    ("begin", "end", "to_tail"), [(0.6, 1.0, True), (0.2, 0.5, False), (0.0, 0.3, False), (0.97, 1.0, True)]
)
@pytest.mark.parametrize("number", [0, 100])
def test_stretch_with_onset_and_end(begin, end, to_tail, number):
    random = np.random.default_rng(number)
    along = random.uniform(begin * LENGTH, end * LENGTH - 20, 150)
    groups, numbers = found_in([background(random, number), defects_of(along, random.uniform(0, 1100, 150))])
    assert len(groups) == 1
    row = groups.iloc[0]
    assert row["kind"] == "stretch"
    assert (row["class_name"], row["to_tail"]) == ("pit", to_tail)
    assert row["along0"] == pytest.approx(begin * LENGTH, abs=0.02 * LENGTH)
    assert row["along1"] == pytest.approx(end * LENGTH, abs=0.02 * LENGTH)
    assert (numbers[number:] > 0).mean() >= 0.95


def test_even_background_has_no_groups():
    found = 0
    for seed in range(30):
        random = np.random.default_rng([1, seed])
        found += len(found_in([background(random, int(random.choice([5, 40, 300, 1200])))])[0])
    assert found <= 2  # 0.01 a coil for patches and stretches each, and a few chance lines of scratches


def test_static_and_repeating_marks_are_in_no_group():
    random = np.random.default_rng(2)
    patch = defects_of(random.uniform(90_000, 90_800, 60), random.uniform(300, 700, 60))
    for name in ("artefact", "repeat"):
        groups, numbers = found_in([background(random, 50), patch.assign(**{name: 1})])
        assert groups.empty
        assert not numbers.any()


@pytest.mark.parametrize("number", [0, 1, 2])
def test_few_defects_make_no_group(number):
    groups, numbers = group(defects_of(np.arange(number) * 10.0, 5.0), CoilPlan(), 100.0)
    assert groups.empty
    assert len(numbers) == number

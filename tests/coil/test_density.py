"""Counts along and across are those of going through the defects one by one."""

import numpy as np
import pandas as pd
import pytest

from utils.coil.density import defects_along, lateral_profile, stretch_length
from utils.coil.plan import CoilPlan


def drawn(number, length, width):
    random = np.random.default_rng(number)
    along, across = random.uniform(0, length, number), random.uniform(0, width, number)
    return pd.DataFrame(
        {
            "along0": along,
            "along1": np.minimum(along + random.exponential(length / 20, number), length),
            "across0": across,
            "across1": np.minimum(across + random.exponential(width / 20, number), width),
            "area": random.uniform(1, 9, number),
            "class_name": random.choice(["a", "b"], number),
            "artefact": random.integers(0, 8, number) // 7,
        }
    )


def check(table, defects, axis):
    own = defects[defects["artefact"] == 0]
    low, high = own[f"{axis}0"], own[f"{axis}1"]
    middle = (low + high) / 2
    for k, row in table.iterrows():
        last = k == len(table) - 1
        inside = (row["begin"] <= middle) & ((middle < row["end"]) | last)
        assert row["defects"] == inside.sum()
        assert row["area"] == pytest.approx(own["area"][inside].sum())
        assert row["touched"] == ((low < row["end"]) & (high > row["begin"])).sum()
        for name in own["class_name"].unique():
            assert row[f"of {name}"] == (inside & (own["class_name"] == name)).sum()


@pytest.mark.parametrize("number", [0, 1, 50])
@pytest.mark.parametrize(("unit", "length"), [("mm", 95_000.0), ("mm", 3_000.0), ("px", 21_500.0)])
def test_counts_along_the_strip(number, unit, length):
    plan = CoilPlan(unit=unit)
    defects = drawn(number, length, 1000)
    table = defects_along(defects, length, plan)
    assert table["begin"][0] == 0
    assert table["end"].iloc[-1] == length
    assert (table["begin"][1:].to_numpy() == table["end"][:-1].to_numpy()).all()
    check(table, defects, "along")


@pytest.mark.parametrize(
    ("unit", "length", "step"),
    [("mm", 600_000, 10_000), ("mm", 50, 10_000), ("px", 21_504, 500), ("px", 6000, 100), ("px", 61, 2), ("px", 3, 1)],
)
def test_stretches_are_ten_metres_or_a_round_number_of_pixels(unit, length, step):
    assert stretch_length(length, CoilPlan(unit=unit)) == step


@pytest.mark.parametrize("lanes", [1, 24])
@pytest.mark.parametrize(("left", "right"), [(0, 1000), (200, 900)])
def test_profile_across_the_strip(lanes, left, right):
    defects = drawn(60, 50_000, 1000)
    table = lateral_profile(defects, left, right, lanes)
    assert len(table) == lanes
    assert table["defects"].sum() == (defects["artefact"] == 0).sum()  # also those beyond the edges
    if (left, right) == (0, 1000):
        check(table, defects, "across")

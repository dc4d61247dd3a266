"""An earlier map is laid on this one whichever way the coil was turned and rolled; what does not fit is said so."""

import numpy as np
import pandas as pd
import pytest

from utils.coil.against import register
from utils.coil.plan import CoilPlan

WIDTH = 1200.0
PLAN = CoilPlan(unit="mm", width=WIDTH)


def strip(random, number, length):
    """Draw the defects of a strip: most at the edges, a quarter of them in a burst."""
    along = random.uniform(0, length, number)
    along[: number // 4] = random.uniform(0.1, 0.9) * length + random.exponential(0.02 * length, number // 4)
    along = np.clip(along, 0, length)
    edge = np.minimum(random.exponential(20, number), WIDTH - 1)
    across = np.where(random.random(number) < 0.3, edge, WIDTH - edge)
    across = np.where(random.random(number) < 0.5, random.uniform(0, WIDTH, number), across)
    return pd.DataFrame(
        {
            "along0": along,
            "along1": along + random.lognormal(3, 1, number),
            "across0": across,
            "across1": across + random.uniform(3, 15, number),
            "class_name": random.choice(["a", "b", "c"], number),
            "artefact": 0,
        }
    )


def rolled(random, before, length, elongation, turned, mirrored, kept, new, shift=0.0, drift=0.003, noise=8.0):
    """Draw the next stage: some defects gone, others new, the rest moved; ``true`` is the row before, from 1."""
    old = np.flatnonzero(random.random(len(before)) < kept)
    table = before.iloc[old]
    middle, half = (
        (table["along0"] + table["along1"]).to_numpy() / 2,
        (table["along1"] - table["along0"]).to_numpy() / 2,
    )
    off = drift * length * elongation / 2 * np.sin(2 * np.pi * (1.3 * middle / length + random.random()))
    along = elongation * middle + off
    along = (elongation * length - along if turned else along) + shift + random.normal(0, noise, len(old))
    across = (table["across0"] + table["across1"]).to_numpy() / 2
    across = (WIDTH - across if mirrored else across) + random.normal(0, 5, len(old)) - 8
    wide = (table["across1"] - table["across0"]).to_numpy() / 2
    moved = {
        "along0": along - half * elongation,
        "along1": along + half * elongation,
        "across0": across - wide,
        "across1": across + wide,
    }
    table = table.assign(true=old + 1, **moved)
    table = pd.concat([table, strip(random, new, elongation * length).assign(true=0)])
    return table.sort_values("along0").reset_index(drop=True)


@pytest.mark.parametrize(
    ("number", "elongation", "turned", "mirrored", "kept", "new", "shift"),
    [
        (30, 1.0, False, True, 0.8, 10, 0),
        (60, 1.0, True, True, 0.7, 30, 0),
        (100, 1.7, True, False, 0.6, 60, -3000),
        (150, 2.6, False, True, 0.6, 90, 0),
        (150, 4.8, True, True, 0.7, 100, 0),
        pytest.param(400, 1.3, True, False, 0.5, 400, 9000, marks=pytest.mark.slow),
    ],
)
def test_earlier_map_is_found(number, elongation, turned, mirrored, kept, new, shift):
    random = np.random.default_rng(number)
    length = 200_000.0
    before = strip(random, number, length)
    now = rolled(random, before, length, elongation, turned, mirrored, kept, new, shift)
    found = register(now, before, PLAN)
    assert (found.reversed, found.mirrored) == (turned, mirrored)
    assert found.elongation == pytest.approx(elongation, rel=5e-3)
    assert found.shift == pytest.approx(shift + turned * elongation * length, abs=0.006 * elongation * length)
    assert found.significance <= 1e-3
    old = now["true"].to_numpy() > 0
    right = found.numbers == now["true"].to_numpy()
    assert right[old].mean() >= 0.8
    assert right[~old].mean() >= 0.97
    assert f"{(found.numbers > 0).sum()} of {len(now)} defects were there already" in found.text
    assert ("reversed head to tail" in found.text) == turned


def test_same_map_lies_on_itself():
    random = np.random.default_rng(0)
    table = strip(random, 80, 100_000).assign(defect=np.arange(501, 581))
    found = register(table, table, PLAN)
    assert (found.reversed, found.mirrored) == (False, False)
    assert (found.elongation, found.shift, found.drift) == pytest.approx((1, 0, 0), abs=1e-6)
    assert found.numbers.tolist() == list(range(501, 581))


@pytest.mark.parametrize("number", [8, 30, pytest.param(150, marks=pytest.mark.slow)])
def test_maps_with_nothing_in_common_are_said_so(number):
    for seed in range(3):
        random = np.random.default_rng([number, seed])
        found = register(strip(random, number, 130_000), strip(random, 2 * number, 100_000), PLAN)
        assert (found.reversed, found.elongation, found.shift) == (None, None, None)
        assert not found.numbers.any()
        assert "cannot be told" in found.text


@pytest.mark.parametrize("number", [0, 5])
def test_too_few_defects_tell_nothing(number):
    table = strip(np.random.default_rng(0), 40, 100_000)
    for now, before in ((table, table[:number]), (table[:number], table)):
        found = register(now, before, PLAN)
        assert found.reversed is None
        assert found.text.endswith("a map has fewer than 6 defects.")
        assert found.numbers.tolist() == [0] * len(now)


def test_strip_that_looks_the_same_from_both_sides_is_said_so():
    random = np.random.default_rng(1)
    half = strip(random, 40, 100_000)
    other = half.assign(along0=100_000 - half["along1"], along1=100_000 - half["along0"])
    table = pd.concat([half, other], ignore_index=True)
    found = register(table, table, PLAN)
    assert found.reversed is None
    assert "two ways round" in found.text


def test_static_marks_and_other_names_of_classes_do_not_matter():
    random = np.random.default_rng(2)
    before = strip(random, 80, 100_000)
    now = rolled(random, before, 100_000, 1.2, True, False, 0.8, 20)
    dirt = strip(random, 60, 120_000).assign(artefact=1, true=0)
    now = pd.concat([now, dirt], ignore_index=True)
    found = register(now, before.assign(class_name=before["class_name"] + " of another line"), PLAN)
    assert found.reversed is True
    assert not found.numbers[-60:].any()
    assert (found.numbers[:-60] == now["true"][:-60]).mean() >= 0.9


def test_repeating_marks_do_not_shift_the_map_by_a_turn():
    random = np.random.default_rng(3)
    length, step = 100_000.0, 2000.0
    before = strip(random, 60, length).assign(repeat=0)
    marks = strip(random, 45, length).assign(across0=400.0, across1=420.0, class_name="a", repeat=1)
    marks["along0"] = np.arange(45) * step + 3000
    marks["along1"] = marks["along0"] + 500  # larger than anything else
    before = pd.concat([before, marks], ignore_index=True)
    now = rolled(random, before, length, 1.0, False, False, 0.9, 10, drift=0).assign(
        repeat=lambda t: t["repeat"].fillna(0)
    )
    found = register(now, before, PLAN)
    assert found.shift == pytest.approx(0, abs=step / 4)


def test_without_a_scale_no_metre_is_printed():
    random = np.random.default_rng(4)
    before = strip(random, 80, 100_000)
    now = rolled(random, before, 100_000, 1.5, False, False, 0.8, 10)
    now[["across0", "across1"]] *= 0.5  # another camera
    now[["along0", "along1"]] *= 0.5
    found = register(now, before, CoilPlan())
    assert found.elongation == pytest.approx(0.75, rel=0.01)
    assert " px" in found.text
    assert " m" not in found.text.replace(" map", "")

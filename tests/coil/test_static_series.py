"""Marks at one place of the image are lens or light; marks that wander through it, or go by turns, are a roll's."""

import numpy as np
import pandas as pd
import pytest

from utils.coil.plan import Camera, CoilPlan
from utils.coil.repeats import Repeats
from utils.coil.static_series import static_series
from utils.coil.tables import ARTEFACT_COLUMNS, REPEAT_COLUMNS

FRAME = 1000


def coil(period, count=20, first=130.0, jitter=0.0, slip=0.0, seen=1.0, axis="y", seed=1):
    """Draw a series along the strip."""
    random = np.random.default_rng(seed)
    along = first + period * np.arange(count) + np.cumsum(random.normal(0, slip, count))
    along = along[random.random(count) < seen]
    return tables(along + random.normal(0, jitter, len(along)), axis)


def dirt(places, frames=30, seen=0.5, jitter=2.0, seed=1, every=1):
    """Draw dirt at places of the image, each seen in a share of the images."""
    random = np.random.default_rng(seed)
    shown = [
        FRAME * k + place + random.normal(0, jitter)
        for k in range(0, frames, every)
        for place in places
        if random.random() < seen
    ]
    return tables(np.sort(shown), "y")


def tables(along, axis):
    number = (along // FRAME).astype(int)
    frames = int(number.max()) + 2
    names = [f"{k}.png" for k in range(frames)]
    width, height = (400, FRAME) if axis == "y" else (FRAME, 400)
    table = pd.DataFrame(
        {
            "image": names,
            "camera": "3",
            "begin": np.arange(frames) * float(FRAME),
            "width_px": width,
            "height_px": height,
        }
    )
    low = along - number * FRAME
    x, y = (np.full(len(along), 50.0), low) if axis == "y" else (low, np.full(len(along), 50.0))
    marks = pd.DataFrame(
        {
            "image": [names[k] for k in number],
            "camera": "3",
            "x": x - 4,
            "y": y - 4,
            "width": 8,
            "height": 8,
            "area": 64,
            "along0": along - 4,
            "along1": along + 4,
        }
    )
    return marks, table


def found(made, period, axis="y"):
    marks, frames = made
    series = pd.DataFrame([{"repeat": 4, "period": period}]).reindex(columns=list(REPEAT_COLUMNS))
    plan = CoilPlan(cameras={"": Camera(along=axis)})
    return static_series(marks, Repeats(series, np.full(len(marks), 4)), frames, plan)


@pytest.mark.parametrize(
    ("made", "static"),
    [
        ({"period": 1000}, True),
        ({"period": 1000, "jitter": 12}, True),
        ({"period": 2000}, True),
        ({"period": 500}, True),
        ({"period": 1001, "count": 30}, True),
        ({"period": 870}, False),
        ({"period": 1010, "count": 30}, False),
        ({"period": 333.3, "count": 30}, False),
        ({"period": 2610, "count": 7}, False),
        ({"period": 1000, "axis": "x"}, True),
        ({"period": 870, "axis": "x"}, False),
        # One and a half frames: two places in turn, and none in every third image.
        ({"period": 1500}, False),
        ({"period": 1500, "slip": 1}, False),
        ({"period": 1500, "seen": 0.6, "jitter": 3}, False),
        ({"period": 1499.5, "seen": 0.6, "slip": 1}, False),
        ({"period": 2500, "count": 12, "slip": 2}, False),
        # A step of whole images is dirt in any case: on real plates loose boxes of dirt walk like this.
        ({"period": 1000, "count": 30, "slip": 3}, True),
        ({"period": 2000, "slip": 3}, True),
    ],
)
def test_series_with_the_step_of_the_images(made, static):
    axis = made.get("axis", "y")
    marks, frames = coil(**made)
    table = found((marks, frames), made["period"], axis)
    assert list(table.columns) == [*ARTEFACT_COLUMNS, "repeat"]
    assert table["repeat"].tolist() == [4] * static
    if static:
        assert (table.loc[0, "camera"], table.loc[0, "frames"]) == ("3", marks["image"].nunique())


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    ("places", "seen", "every", "period"),
    [((400,), 0.5, 1, 1000), ((400,), 0.25, 1, 1000), ((200, 700), 0.6, 1, 500), ((400,), 0.9, 2, 2000)],
)
def test_dirt_that_comes_and_goes(places, seen, every, period, seed):
    assert len(found(dirt(places, 40, seen, 2.0, seed, every), period)) == 1


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("period", [1500, 1501, 1498])
def test_a_roll_of_one_and_a_half_frames_is_no_dirt(period, seed):
    assert found(coil(period, 19, seen=0.6, slip=1.0, jitter=0.5, seed=seed), period).empty


def test_defects_of_no_series_are_nothing():
    marks, frames = coil(1000)
    none = Repeats(pd.DataFrame(columns=list(REPEAT_COLUMNS)), np.zeros(len(marks), int))
    assert static_series(marks, none, frames, CoilPlan()).empty

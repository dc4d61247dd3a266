"""Marks at one place of the image are lens or light; marks that wander through it are a roll's."""

import numpy as np
import pandas as pd
import pytest

from utils.coil.plan import Camera, CoilPlan
from utils.coil.static_series import static_series
from utils.coil.tables import ARTEFACT_COLUMNS

FRAME = 1000


def coil(period, count=20, first=130.0, jitter=0.0, axis="y"):
    random = np.random.default_rng(1)
    along = first + period * np.arange(count) + random.normal(0, jitter, count)
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
    x, y = (np.full(count, 50.0), low) if axis == "y" else (low, np.full(count, 50.0))
    marks = pd.DataFrame(
        {"image": [names[k] for k in number], "camera": "3", "x": x, "y": y, "width": 8, "height": 8, "along0": along}
    )
    return marks, table


@pytest.mark.parametrize(
    ("made", "static"),
    [
        ({"period": 1000}, True),
        ({"period": 1000, "jitter": 12}, True),
        ({"period": 2000}, True),
        ({"period": 500}, True),
        ({"period": 1001, "count": 30}, True),  # as good as the step of the images
        ({"period": 870}, False),
        ({"period": 1010, "count": 30}, False),
        ({"period": 333.3, "count": 30}, False),
        ({"period": 2610, "count": 7}, False),
        ({"period": 1000, "axis": "x"}, True),
        ({"period": 870, "axis": "x"}, False),
    ],
)
def test_series_with_the_step_of_the_images(made, static):
    marks, frames = coil(**made)
    plan = CoilPlan(cameras={"": Camera(along=made.get("axis", "y"))})
    found = static_series(marks, np.full(len(marks), 4), frames, plan)
    assert list(found.columns) == [*ARTEFACT_COLUMNS, "repeat"]
    assert found["repeat"].tolist() == [4] * static
    if static:
        assert (found.loc[0, "camera"], found.loc[0, "frames"]) == ("3", marks["image"].nunique())


def test_defects_of_no_series_are_nothing():
    marks, frames = coil(1000)
    assert static_series(marks, np.zeros(len(marks), int), frames, CoilPlan()).empty

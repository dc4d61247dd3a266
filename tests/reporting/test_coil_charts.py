"""Profiles of a coil: what is counted where."""

import re

import pandas as pd
import pytest

from tests.coil.drawn import coil, table
from utils.coil.plan import CoilPlan
from utils.coil.tables import LIGHT_COLUMNS
from utils.reporting.coil_charts import charts
from utils.reporting.coil_map import class_order


def of(made):
    return charts(made, class_order(made))


def bars(path: str) -> list[tuple[float, float, float]]:
    """Read the bars of a path: left, right and height in parts of the chart."""
    found = re.findall(r"M([\d.]+) ([\d.]+)V([\d.]+)H([\d.]+)V[\d.]+Z", path)
    return [(float(x0) / 1000, float(x1) / 1000, (float(y0) - float(y1)) / 1000) for x0, y0, y1, x1 in found]


def test_defects_are_counted_per_ten_metres_and_stacked():
    along, across = of(coil("3*dent@12+1:5; hole@15:600; gap@100-150"))
    assert along.title == "Defects per 10 m along the strip"
    dent, hole = along.series
    assert (dent.name, hole.name) == ("dent", "hole")
    assert bars(dent.path) == [(0.01, 0.02, 0.75)]
    assert bars(hole.path) == [(0.01, 0.02, 0.25)]
    assert hole.path.split()[1].startswith("250")  # stands on the dents
    assert along.gaps == [(10.0, 5.0)]
    assert along.x_ticks[:2] == [(0.0, "0 m"), (20.0, "200")]
    assert [text for _, text in along.y_ticks] == ["0", "1", "2", "3", "4"]
    assert across.title == "Defects across the strip, in lanes of 50 mm from the left edge"
    assert bars(across.series[0].path) == [(0, pytest.approx(50 / 1200, abs=1e-3), 1)]


@pytest.mark.parametrize(
    ("plan", "length", "title"),
    [
        (CoilPlan(unit="mm", width=1200), 8000.0, "Defects per 0.5 m along the strip"),
        (CoilPlan(), 327_680.0, "Defects per 5,000 px along the strip"),
        (CoilPlan(unit="mm", width=1200), 1e6, "Defects per 10 m along the strip"),
    ],
)
def test_step_fits_the_length(plan, length, title):
    assert of(coil("dent@1:5", plan, length))[0].title == title


def test_static_marks_are_not_counted_and_none_is_no_error():
    for words in ("dent@5:5 art", ""):
        along, across = of(coil(words))
        assert (along.series, across.series) == ([], [])


def test_all_but_seven_classes_are_one():
    along = of(coil("; ".join(f"{9 - k}*c{k}@{10 * k + 1}+0.1:5" for k in range(9))))[0]
    assert [line.name for line in along.series] == [f"c{k}" for k in range(7)] + ["2 other classes"]


def test_brightness_is_a_line_that_breaks_where_nothing_was_seen():
    at = [0.0, 1e5, 2e5, 3e5, 9e5, 1e6]
    light = table(LIGHT_COLUMNS, [{"axis": "along", "camera": "1", "at": x, "grey": 255.0 * x / 1e6} for x in at])
    more = table(LIGHT_COLUMNS, [{"axis": "across", "camera": camera, "at": 6e2, "grey": 51.0} for camera in "12"])
    made = coil("", light=pd.concat([light, more]))
    _, _, along, across = of(made)
    assert along.series[0].path == "M0 1000L100 900L200 800L300 700M900 100L1000 0"
    assert along.series[0].line
    assert [line.name for line in across.series] == ["camera 1", "camera 2"]
    assert across.series[1].path == "M500 800"

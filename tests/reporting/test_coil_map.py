"""The map of a coil as a picture: where each defect is drawn, rows, gaps, and pages."""

import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tests.coil.drawn import coil, frames
from utils.coil.plan import CoilPlan
from utils.reporting.coil_map import (
    DPI,
    HATCH,
    PAGE,
    STEEL,
    bare,
    class_order,
    draw_map,
    lay_out,
    map_pages,
    map_png,
    nice_step,
    row_scale,
    spelled,
)
from utils.reporting.overlays import class_colour


def places(picture: np.ndarray, shade: tuple[int, int, int]) -> np.ndarray:
    return np.argwhere((picture == shade).all(axis=2))


def test_defect_lies_where_it_is_on_the_strip():
    made = coil("hole@123:300 l4000 w60")
    picture = draw_map(made)
    strip = lay_out(made.length, 0, 1200, 1000)
    row, into = divmod(123_000, strip.per_row)
    found = places(picture, class_colour(0))
    # The legend below shows the colour too.
    found = found[found[:, 0] < strip.rows * (strip.row_height + strip.between)]
    top = float(strip.top(int(row)))
    assert found[:, 1].min() == pytest.approx(strip.label + into * strip.scale, abs=1.5)
    assert found[:, 1].max() == pytest.approx(strip.label + (into + 4000) * strip.scale, abs=2.5)
    assert top + 300 * strip.scale - 5 <= found[:, 0].mean() <= top + 360 * strip.scale + 5


def test_what_goes_over_the_end_of_a_row_goes_on_in_the_next():
    strip = lay_out(1_000_000, 0, 1200, 1000)
    assert strip.per_row % 10_000 == 0  # rows of whole tens of metres
    end = np.array([strip.per_row * 2.5])
    boxes = strip.boxes([np.array([strip.per_row * 0.5]), end, np.array([0.0]), np.array([1200.0])])
    widths = (boxes[:, 2] - boxes[:, 0]) / (strip.per_row * strip.scale)
    assert widths == pytest.approx([0.5, 1, 0.5], abs=0.01)
    assert (np.diff(boxes[:, 1]) > strip.row_height).all()


def test_strip_is_grey_and_what_is_not_seen_is_hatched():
    made = coil("gap@0-1000")
    assert len(places(draw_map(made), STEEL)) == 0
    assert len(places(draw_map(made), HATCH)) > 10_000
    assert len(places(draw_map(coil("")), STEEL)) > 100_000


def test_what_one_camera_does_not_show_is_hatched_over_its_part_of_the_width():
    shown = frames(size=100_000.0, width=600.0)
    both = pd.concat([shown.assign(camera="1"), shown.assign(camera="2", left=600.0, right=1200.0)], ignore_index=True)
    picture = draw_map(coil("gap:2@0-1000", frames=both))
    steel, hatched = places(picture, STEEL), places(picture, HATCH)
    assert len(steel) > 50_000
    assert len(hatched) > 5_000


def test_static_marks_are_not_drawn():
    assert (draw_map(coil("hole@123:300 art; dent@5:5 art")) != class_colour(0)).any(axis=2).mean() > 0.99


@pytest.mark.parametrize(
    ("length", "width"), [(1e6, 1200.0), (1e7, 1200.0), (8000.0, 3000.0), (500.0, 3000.0), (1.0, 1.0), (1e8, 600.0)]
)
def test_proportions_are_true_and_the_picture_has_a_sensible_size(length, width):
    strip = lay_out(length, 0, width, 1000)
    assert strip.row_height == pytest.approx(width * strip.scale)
    assert strip.rows * strip.per_row >= length * (1 - 1e-9)
    assert (strip.rows - 1) * strip.per_row < length
    assert strip.row_height >= 1
    assert strip.rows * (strip.row_height + strip.between) < 160 * DPI


@pytest.mark.parametrize(("length", "height"), [(1000.0, 100), (100.0, 100), (5.0, 100), (1e5, 1000)])
def test_rows_fill_the_height_as_well_as_they_can(length, height):
    def high(rows: int) -> float:
        return rows * (rows * 200 / length * 4 + 5)

    scale = row_scale(length, 4.0, 200.0, height, 5.0, 0.0)
    rows = scale * length / 200
    if rows < 1:  # a strip so short that one row would be too high
        assert 4 * scale + 5 == pytest.approx(height)
    else:
        assert rows == pytest.approx(round(rows))
        assert high(round(rows)) <= height < high(round(rows) + 1)


def test_pictures_are_png_and_the_pages_hold_all_of_the_map():
    made = coil("20*hole@1+400:300", length=10_000_000.0)
    whole = Image.open(io.BytesIO(map_png(made)))
    pages = [Image.open(io.BytesIO(data)) for data in map_pages(made)]
    assert len(pages) > 1
    assert sum(page.height for page in pages) == whole.height
    assert max(page.height for page in pages) <= PAGE * DPI
    assert {page.width for page in pages} == {whole.width}
    assert len(map_png(made)) < 200_000


def test_more_classes_than_a_legend_holds_and_names_that_no_font_has():
    made = coil("; ".join(f"class{k}@{10 + k}:5" for k in range(40)) + "; 欠陥@5:5; $a_b$@6:6")
    made.defects["class_name"] = [*made.defects["class_name"][:-1], "\u202ex"]
    assert draw_map(made).shape[0] > 200


def test_map_of_nothing_is_a_strip_without_defects():
    empty = coil("", CoilPlan(), 1000.0, frames=frames(0))
    assert draw_map(empty).dtype == np.uint8


def test_classes_are_in_the_order_of_numbers_then_of_letters():
    made = coil("10@1:1; 2@2:1; pits@3:1; cracks@4:1")
    assert class_order(made) == ["2", "10", "cracks", "pits"]


@pytest.mark.parametrize(
    ("span", "parts", "step"), [(1234, 8, 200), (100, 10, 10), (101, 10, 20), (1, 4, 0.5), (0.03, 10, 0.005)]
)
def test_nice_step(span, parts, step):
    assert nice_step(span, parts) == pytest.approx(step)


def test_numbers_and_names_are_written_for_a_reader():
    assert [bare(value) for value in (0.0, 70.0, 0.25, 12000.0)] == ["0", "70", "0.25", "12,000"]
    assert spelled("a\udcff\u202eb") == "a\\udcff\\u202eb"

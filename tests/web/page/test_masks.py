"""Pixels of a brush and of a threshold, and their run-length code, against plain loops."""

import numpy as np
import pytest

from utils.data import rle

pytest.importorskip("playwright.sync_api", reason="no playwright: pip install playwright")

HEIGHT, WIDTH = 30, 50


@pytest.fixture(scope="module")
def masks(desk, browser):
    view = browser.new_page()
    view.goto(desk.url)
    yield lambda body, value: view.evaluate(
        f"async (v) => {{ const m = await import('/page/modules/masks.js'); {body} }}", value
    )
    view.close()


def brushed(points: list[tuple[float, float]], diameter: float) -> np.ndarray:
    """Mark the pixels whose centre is within half a diameter of a line, and those under the points."""
    found = np.zeros((HEIGHT, WIDTH), bool)
    for (ax, ay), (bx, by) in zip([points[0], *points[:-1]], points, strict=True):
        for y in range(HEIGHT):
            for x in range(WIDTH):
                line = np.array([bx - ax, by - ay])
                to = np.array([x + 0.5 - ax, y + 0.5 - ay])
                share = np.clip(to @ line / (line @ line or 1), 0, 1)
                found[y, x] |= np.hypot(*(to - share * line)) <= max(diameter / 2, 0.5)
        if 0 <= by < HEIGHT and 0 <= bx < WIDTH:
            found[int(by), int(bx)] = True
    return found


@pytest.mark.parametrize(
    ("points", "diameter"),
    [
        ([(10.2, 10.7)], 1),
        ([(10.2, 10.7)], 6),
        ([(5, 5), (30, 20)], 4),
        ([(5, 5), (30, 20), (8, 25)], 7.5),
        ([(-10, 5), (60, 5)], 5),
        ([(49.9, 29.9)], 9),
        ([(20, -3), (25, 40)], 3),
    ],
)
def test_brush_marks_what_lies_under_it(masks, points, diameter):
    code = masks(
        "const b = m.brushed(v[0], v[1], v[3], v[2]); return b ? m.encode(b, v[2]) : '';",
        [points, diameter, HEIGHT, WIDTH],
    )
    assert np.array_equal(rle.decode(code, HEIGHT, WIDTH).astype(bool), brushed(points, diameter))


def test_brush_outside_of_the_image_marks_nothing(masks):
    assert masks("return m.brushed([[-50, -50]], 10, 50, 30);", None) is None


def test_code_of_a_box_joins_what_goes_on_in_the_next_column(masks):
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[25:, 3] = mask[:4, 4] = mask[7, 9] = 1
    given = {"box": {"x": 2, "y": 0, "width": 10, "height": HEIGHT}, "mask": mask[:, 2:12].ravel().tolist()}
    assert masks("return m.encode(v[0], v[1]);", [given, HEIGHT]) == rle.encode(mask)


def test_threshold_splits_levels(masks):
    above, below = masks("const s = m.split(v, 0.5); return [[...s.above], [...s.below]];", [0, 127, 128, 255])
    assert (above, below) == ([0, 0, 1, 1], [1, 1, 0, 0])

"""Brush, eraser, polygon and threshold within a box: what is painted is what is kept, pixel by pixel."""

import numpy as np
import pytest

from tests.web.page.conftest import count_rows, drag, on_screen, pixels_are_there, rows, send, strip, until
from utils.data import rle

pytest.importorskip("playwright.sync_api", reason="no playwright: pip install playwright")


def masks(page) -> dict[int, np.ndarray]:
    """Ask the server for the corrected defects of the image in sight, by number."""
    told = page.evaluate(
        """async () => { const query = new URLSearchParams(location.search);
            const answer = await fetch(`desk/v1/visits/${query.get("visit")}/images/${query.get("image")}`);
            const image = await answer.json();
            return [image.height, image.width, (image.review || image).defects.map((one) => [one.number, one.rle])]; }"""
    )
    height, width, defects = told
    return {number: rle.decode(code, height, width).astype(bool) for number, code in defects}


def sent(page) -> None:
    """Wait until the server has everything."""
    until(page, "return sessionStorage.getItem('steel-outbox') === '[]'")


def test_brush_paints_a_new_defect_the_eraser_cuts_it_and_undo_takes_both_back(page):
    send(page, a_png=strip((20, 10, 30, 20, 240), seed=201))
    page.keyboard.press("b")
    page.keyboard.press("2")
    drag(page, (120, 30), (180, 30))
    count_rows(page, 2)
    assert rows(page)[1][1:] == ["dark", rows(page)[1][2], "painted"]
    sent(page)
    painted = masks(page)[2]
    ys, xs = np.nonzero(painted)
    assert abs(ys.mean() - 29.5) < 1  # the middle of row 29.5 and 30.5 of a line at 30
    assert (abs(xs.min() - 114), abs(xs.max() - 185)) <= (2, 2)
    assert 11 <= painted[:, 150].sum() <= 13  # the brush has 12 pixels
    page.keyboard.press("e")
    drag(page, (150, 10), (150, 50))
    sent(page)
    cut = masks(page)[2]
    assert not cut[:, 147:153].any()
    assert cut[:, 130].any()
    page.keyboard.press("a")  # picks the first, not the one under the eraser
    drag(page, (130, 10), (130, 50))
    sent(page)
    assert not masks(page)[2][:, 128:132].any()
    for _ in range(4):
        page.keyboard.press("z")
    count_rows(page, 1)


@pytest.mark.slow  # a browser loads the page anew
def test_stroke_that_begins_on_a_defect_belongs_to_it(page):
    send(page, a_png=strip((20, 10, 30, 20, 240), seed=202))
    before = masks(page)[1].sum()
    page.keyboard.press("b")
    page.keyboard.press("1")
    drag(page, (40, 20), (90, 20))
    sent(page)
    assert list(masks(page)) == [1]
    assert masks(page)[1].sum() > before + 300


@pytest.mark.slow  # a browser loads the page anew
def test_polygon_is_closed_by_enter(page):
    send(page, a_png=strip((20, 10, 30, 20, 240), seed=203))
    page.locator("#comment").fill("a field that has the focus")
    page.get_by_role("button", name="Polygon").click()  # Enter would press it again
    for corner in ((100, 10), (150, 10), (150, 50), (100, 50)):
        page.mouse.click(*on_screen(page, *corner))
    page.keyboard.press("Enter")
    count_rows(page, 2)
    sent(page)
    assert abs(int(masks(page)[2].sum()) - 50 * 40) < 200


def test_threshold_within_a_box_makes_the_mask_there_alone(page):
    # 199 is just below the threshold of the weights: its probability is 0.38.
    send(page, a_png=strip((20, 10, 30, 20, 240), (100, 10, 20, 20, 199), (200, 10, 20, 20, 199), seed=204))
    count_rows(page, 1)
    page.keyboard.press("t")
    drag(page, (90, 5), (130, 40))
    page.locator("#box-threshold").wait_for()
    page.locator("#box-threshold").evaluate("(one) => { one.value = 0.3; one.dispatchEvent(new Event('input')); }")
    page.locator("#box-apply").click()
    count_rows(page, 2)
    sent(page)
    assert masks(page)[2].sum() == 400
    assert masks(page)[2][10:30, 100:120].all()
    page.keyboard.press("z")
    count_rows(page, 1)


@pytest.mark.slow  # a browser loads the page anew
def test_finger_paints_and_two_fingers_move_the_picture(desk, open_page):
    page = open_page(desk.url, viewport={"width": 820, "height": 1180}, has_touch=True)
    send(page, a_png=strip((20, 10, 30, 20, 240), seed=205))
    page.locator('[data-tool="brush"]').tap()
    devtools = page.context.new_cdp_session(page)

    def touch(kind: str, *points: tuple[float, float]) -> None:
        at = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(points)]
        devtools.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": at})

    start, end = on_screen(page, 150, 30), on_screen(page, 200, 30)
    touch("touchStart", start)
    touch("touchMove", ((start[0] + end[0]) / 2, start[1]))
    touch("touchMove", end)
    touch("touchEnd")
    count_rows(page, 2)
    sent(page)
    scale = page.locator("#scale").inner_text()
    x, y = on_screen(page, 200, 32)
    touch("touchStart", (x - 20, y), (x + 20, y))
    for spread in (40, 60, 80):
        touch("touchMove", (x - spread, y), (x + spread, y))
    touch("touchEnd")
    until(page, "return document.querySelector('#scale').textContent !== value", scale)
    count_rows(page, 2)  # nothing was painted by it


@pytest.mark.slow  # a frame of 12 million pixels
def test_frame_of_a_line_camera_is_looked_at_by_tiles_and_painted(page):
    send(page, a_png=strip((8000, 300, 40, 30, 240), (100, 100, 60, 60, 240), size=(1024, 12000), seed=206))
    count_rows(page, 2)
    assert page.evaluate("performance.getEntriesByType('resource').some((one) => one.name.includes('image_files/'))")
    page.locator("#rows tr").nth(1).click()
    pixels_are_there(page)
    page.keyboard.press("b")
    drag(page, (8100, 310), (8120, 310))
    count_rows(page, 3)
    sent(page)
    ys, xs = np.nonzero(masks(page)[3])
    assert abs(xs.mean() - 8110) < 2
    assert abs(ys.mean() - 309.5) < 2

"""Beside the image: its labels, or what other weights find; both move together."""

import os

import pytest

from tests.web.page.conftest import VIEWER, count_rows, pixels_are_there, send, settled, strip, until

SHOTS = os.environ.get("SHOTS")  # file for a picture of the page

pytest.importorskip("playwright.sync_api", reason="no playwright: pip install playwright")


def test_labels_lie_beside_and_move_together(page):
    page.click("#start-folder")
    page.get_by_role("button", name="f0.png").click()
    settled(page, 1)
    page.keyboard.press("Escape")
    page.wait_for_selector(".thumb.shown")
    pixels_are_there(page)
    page.locator("#beside").select_option("truth")
    page.locator("#second-caption", has_text="labels").wait_for()
    until(
        page,
        f"{VIEWER} return v.second.viewer.world.getItemAt(0)?.getFullyLoaded() && v.second.layer.shapes.length === 1",
    )
    count_rows(page, 1)
    centres = f"{VIEWER} const [first, second] = [v.first, v.second].map((one) => one.viewer.viewport.getCenter().x);"
    before = page.evaluate(f"async () => {{ {centres} return first; }}")
    page.locator("#rows tr").first.click()
    until(page, f"{centres} return first < value - 0.01 && Math.abs(first - second) < 1e-3", before)


def test_the_heat_map_colours_what_the_network_is_sure_of(page):
    send(page, f_png=strip((20, 10, 30, 20, 240)))
    red = (
        f"{VIEWER} const l = v.first.layer, f = l.frame(), d = devicePixelRatio; const copy = new OffscreenCanvas(l.canvas.width,"
        " l.canvas.height).getContext('2d', { willReadFrequently: true }); copy.drawImage(l.canvas, 0, 0);"
        " const at = (x, y) => [...copy.getImageData(d * (f.x + x * f.scale), d * (f.y + y * f.scale), 1, 1).data];"
        " const [hot, cold] = [at(35, 20), at(200, 40)];"
    )
    page.uncheck("#overlay")
    until(page, f"{red} return hot[3] === 0;")
    page.check("#heat")
    until(page, f"{red} return hot[3] > 120 && cold[3] < 20;")
    if SHOTS:
        page.screenshot(path=SHOTS)
    page.uncheck("#heat")
    until(page, f"{red} return hot[3] === 0;")

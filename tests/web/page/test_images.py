"""Beside the image: its labels, or what other weights find; both move together."""

import pytest

from tests.web.page.conftest import VIEWER, count_rows, pixels_are_there, settled, until

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

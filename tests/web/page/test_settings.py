"""Sliders of the thresholds and areas decide all images anew, without the network."""

import pytest

from tests.web.page.conftest import count_rows, download, rows, send, slide, strip, until

pytest.importorskip("playwright.sync_api", reason="no playwright: pip install playwright")

TWO = strip((20, 10, 30, 20, 240), (200, 30, 10, 10, 200), (300, 20, 40, 30, 3))


def test_probability_and_areas_decide_anew_at_once_and_everywhere(page, desk):
    send(page, a_png=TWO, b_png=strip((10, 10, 20, 20, 200)))
    count_rows(page, 3)
    seen = len(desk.red.batches)
    slide(page, "Threshold: bright", 0.7)  # 200 has 0.62
    count_rows(page, 2)
    page.locator("#progress", has_text="2 images, 1 defective").wait_for()
    page.get_by_role("button", name="High threshold and areas: dark").click()
    slide(page, "Smallest area, px: dark", 120)  # of 200 steps: about 6,000 pixels
    count_rows(page, 1)
    assert page.locator("#classes [data-index='1'] .more-limits output").nth(1).inner_text() == "6,000"
    page.get_by_role("button", name="Reset").click()
    count_rows(page, 3)
    page.locator("#progress", has_text="2 images, 2 defective").wait_for()
    page.get_by_role("button", name="High threshold and areas: bright").click()
    slide(page, "High threshold: bright", 0.9)
    count_rows(page, 2)
    assert [row[1] for row in rows(page)] == ["bright", "dark"]
    assert len(desk.red.batches) == seen


@pytest.mark.slow  # a browser loads the page anew
def test_downloads_follow_the_sliders(page):
    send(page, a_png=TWO)
    slide(page, "Threshold: bright", 0.7)
    count_rows(page, 2)
    lines = download(page, "defects.csv").decode().splitlines()
    assert len(lines) == 3
    assert download(page, "masks.zip")[:2] == b"PK"


@pytest.mark.slow  # a browser loads the page anew
def test_classes_and_overlay_are_switched_off_in_the_picture(desk, open_page):
    page = open_page(desk.url, quiet=False)  # Chromium remarks on pixels that are read back
    send(page, a_png=TWO)
    drawn = """const v = await import(new URL('page/modules/viewer.js', document.baseURI)); v.first.layer.draw();
        const c = v.first.layer.canvas, d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;
        let n = 0; for (let i = 3; i < d.length; i += 4) n += d[i] > 0; return n;"""
    whole = until(page, drawn)
    page.get_by_role("checkbox", name="bright").uncheck()
    assert 0 < until(page, drawn) < whole
    page.keyboard.press("o")
    assert page.evaluate(f"(async () => {{ {drawn} }})()") == 0
    page.keyboard.press("o")
    page.get_by_role("checkbox", name="bright").check()
    assert until(page, drawn) == whole


@pytest.mark.slow  # a browser loads the page anew
def test_settings_that_cannot_be_kept_say_why(desk, open_page):
    page = open_page(desk.url, quiet=False)  # the browser complains of the refusal
    send(page, a_png=TWO)
    page.click("#results-menu > button")
    page.get_by_role("button", name="Keep these settings").click()
    page.locator("#notices .notice", has_text="weights").wait_for()


def test_what_is_known_of_the_weights_is_told_in_numbers(page):
    send(page, a_png=strip(seed=401))
    page.click("#more-menu > button")
    page.click("#about")
    assert page.locator("#about-text").inner_text().endswith("mean dice 0.9474, images 366")

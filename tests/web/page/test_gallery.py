"""The list of images: filters, orders and keys, and only what is in sight."""

import re

import pytest

from tests.web.page.conftest import at_rest, listed, send, settled, shows, strip, until, upload

pytest.importorskip("playwright.sync_api", reason="no playwright: pip install playwright")


def test_list_is_filtered_sorted_and_walked_through_by_keys(page):
    send(
        page,
        a_png=strip(seed=1),
        b_png=strip((100, 5, 50, 40, 3)),
        c_png=strip((20, 10, 30, 20, 240), (300, 20, 10, 10, 3)),
    )
    page.locator("#sort").select_option("area")
    listed(page, "b.png", "c.png", "a.png")
    page.locator("#filter").select_option("class:bright")
    listed(page, "c.png")
    page.locator("#filter").select_option("verdict:clean")
    listed(page, "a.png")
    until(page, "return location.search.includes('verdict=clean')")
    page.locator("#filter").select_option("verdict:defective")
    listed(page, "b.png", "c.png")
    page.locator("#image-name").click()
    page.locator(".thumb", has_text="b.png").click()
    shows(page, "b.png")
    page.keyboard.press("n")
    shows(page, "c.png")
    page.keyboard.press("ArrowLeft")
    shows(page, "b.png")
    page.locator("#place", has_text="1 / 2").wait_for()
    page.locator("#filter").focus()
    page.locator("#filter").select_option("all")
    listed(page, "b.png", "c.png", "a.png")
    page.keyboard.press("n")  # is not for the field of the filter any more
    shows(page, "c.png")
    page.keyboard.press("f")
    page.keyboard.type("A.P")
    listed(page, "a.png")


@pytest.mark.slow  # a browser loads the page anew
def test_small_pictures_have_outlines(page):
    send(page, a_png=strip((100, 5, 50, 40, 3)))
    colours = until(
        page,
        """const image = document.querySelector('.thumb img');
        if (!image?.complete || !image.naturalWidth) return null;
        const canvas = Object.assign(document.createElement('canvas'), {width: image.naturalWidth, height: image.naturalHeight});
        canvas.getContext('2d').drawImage(image, 0, 0);
        const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
        let blue = 0;
        for (let i = 0; i < data.length; i += 4) blue += data[i + 2] > data[i] + 40;
        return blue;""",
    )
    assert colours > 50


def test_next_image_is_found_though_the_list_does_not_know_of_it_yet(page):
    """The answer about the list may be older than the news of an image, and nobody waits for the next one."""
    old: list[str] = []

    def late(route):
        if not old:
            old.append(route.fetch().text())
        if old[0]:
            route.fulfill(body=old[0], content_type="application/json")
        else:
            route.continue_()

    send(page, a_png=strip(seed=51))
    at_rest(page)
    page.route(re.compile(r"/images\?"), late)
    page.locator("#sort").select_option("name")  # the list is fetched, and stays at that
    until(page, "return document.querySelectorAll('.thumb').length === 1")
    upload(page, {"b.png": strip(seed=52)})
    settled(page, 2)
    assert page.locator(".thumb").count() == 1
    old[0] = ""
    page.keyboard.press("n")
    shows(page, "b.png")

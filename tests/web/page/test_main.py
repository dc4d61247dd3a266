"""A visit is an address: reload, back, another tab and a restarted server find it; nobody is shut out by what they see with."""

import re
import time
from pathlib import Path

import pytest

from tests.web.page.conftest import (
    at_rest,
    count_rows,
    names,
    on_screen,
    pixels_are_there,
    rows,
    send,
    serving,
    settled,
    shows,
    slide,
    strip,
    until,
    upload,
)

pytest.importorskip("playwright.sync_api", reason="no playwright: pip install playwright")

AXE = (Path(__file__).parent / "axe-core-4.14.1" / "axe.min.js").read_text("utf-8")
TWO = strip((20, 10, 30, 20, 240), (200, 30, 10, 10, 215), (300, 20, 40, 30, 3))


def test_reload_another_tab_and_back_find_image_thresholds_and_position(page):
    send(page, a_png=TWO, b_png=strip((100, 20, 30, 30, 200)))
    slide(page, "Threshold: bright", 0.9)
    page.locator("#rows tr").nth(2).click()
    until(page, "return location.hash.startsWith('#at=')")
    at_rest(page)
    address, scale = page.evaluate("[location.href, document.querySelector('#scale').textContent]")
    page.reload()
    page.wait_for_selector(".thumb.shown")
    pixels_are_there(page)
    until(page, "return location.href === value", address)
    page.locator("#scale", has_text=scale).wait_for()
    assert page.get_by_role("slider", name="Threshold: bright", exact=True).input_value() == "0.9"
    tab = page.context.new_page()
    tab.goto(address)
    tab.wait_for_selector(".thumb.shown")
    pixels_are_there(tab)
    assert tab.locator("#image-name").inner_text() == "a.png"
    tab.close()
    page.wait_for_timeout(900)
    page.keyboard.press("n")
    shows(page, "b.png")
    page.go_back()
    shows(page, "a.png")


@pytest.mark.slow  # starts two servers
def test_restarted_server_is_found_again_by_itself_with_the_visit_and_its_review(open_page, tmp_path):
    flags = {"weights_dir": tmp_path, "save": tmp_path / "kept"}
    with serving(**flags) as served:
        page = open_page(served.url, quiet=False)
        port = served.running.port
        assert page.locator("#kept").inner_text() == "kept"
        send(page, a_png=TWO)
        page.keyboard.press("x")
        page.locator("#rows tr.is-rejected").wait_for()
    page.get_by_text("Connection lost").wait_for()
    page.keyboard.press("x")  # of the next defect, while nobody listens
    with serving(port=port, **flags):
        page.locator("#connection:empty").wait_for(state="attached")
        page.locator("#rows tr.is-rejected").nth(1).wait_for()
        upload(page, {"b.png": strip()})
        settled(page, 2)
        page.reload()
        page.locator("#rows tr.is-rejected").nth(1).wait_for()
        page.click("#visits")
        assert page.locator("#visit-list tbody tr").count() == 1


@pytest.mark.slow  # a browser loads the page anew
def test_visits_are_listed_searched_titled_and_deleted(page):
    send(page, a_png=TWO)
    page.click("#visits")
    page.get_by_role("button", name="Title and strip").click()
    page.get_by_role("textbox", name="Title", exact=True).fill("Night shift, 4711")
    page.locator("#meta-form [name=coil_id]").fill("C-4711")
    page.get_by_role("button", name="Save").click()
    page.locator("#visit-title", has_text="Night shift, 4711").wait_for()
    page.click("#visits")
    with page.expect_response(lambda answer: "coil=C-4711" in answer.url):
        page.fill("#visit-coil", "C-4711")
    until(page, "return document.querySelectorAll('#visit-list tbody tr').length === 1")
    assert "Night shift, 4711" in page.locator("#visit-list tbody tr").inner_text()
    page.locator("#visit-list").get_by_role("button", name="Delete").click()
    page.locator("#visit-list").get_by_role("button", name="Really delete?").click()
    page.get_by_role("heading", name="Drop images here").wait_for()
    assert "visit=" not in page.url


@pytest.mark.parametrize(
    ("width", "height", "size"),
    [
        (1366, 768, (300, 300)),
        pytest.param(1366, 768, (64, 400), marks=pytest.mark.slow),
        pytest.param(1920, 1080, (300, 300), marks=pytest.mark.slow),
        pytest.param(1920, 1080, (64, 400), marks=pytest.mark.slow),
    ],
)
def test_picture_and_controls_fit_one_screen(desk, open_page, width, height, size):
    page = open_page(desk.url, viewport={"width": width, "height": height})
    send(page, a_png=strip((20, 10, 30, 20, 240), size=size))
    assert page.evaluate("[document.documentElement.scrollHeight, document.documentElement.scrollWidth]") == [
        height,
        width,
    ]
    for part in (
        "#picture",
        "#rows tr",
        "#classes input[type=range]",
        '[data-do="done"]',
        "#thumbs .thumb",
        "#comment",
    ):
        box = page.locator(part).first.bounding_box()
        assert box["y"] >= 0, part
        assert box["y"] + box["height"] <= height, part
    high = page.locator("#picture").bounding_box()["height"]
    assert high > (0.6 if size == (300, 300) else 0.3) * height


@pytest.mark.parametrize("scheme", ["light", pytest.param("dark", marks=pytest.mark.slow)])
def test_axe_finds_nothing_serious(desk, open_page, scheme):
    page = open_page(desk.url, color_scheme=scheme)
    page.evaluate(AXE)

    def check(where: str) -> None:
        found = page.evaluate("axe.run().then((found) => found.violations)")
        told = [
            (one["id"], one["impact"], [node["html"][:90] for node in one["nodes"]][:3])
            for one in found
            if one["impact"] in ("serious", "critical")
        ]
        assert told == [], where

    check("first page")
    upload(page, {"a.png": TWO, "b.pdf": b"%PDF"})
    settled(page, 1)
    page.wait_for_selector(".thumb.shown")
    count_rows(page, 3)
    page.keyboard.press("x")
    page.keyboard.press("b")
    page.click(".unfold >> nth=0")
    check("desk")
    page.click("#more-menu > button")
    check("menu")
    page.keyboard.press("Escape")
    page.click("#visits")
    page.locator("#visit-list tbody tr").first.wait_for()
    check("visits")


@pytest.mark.slow  # a browser loads the page anew
def test_keyboard_alone_reaches_everything_and_the_focus_is_seen(page):
    send(page, a_png=TWO, b_png=strip())
    seen, faint = set(), []
    for _ in range(70):
        page.keyboard.press("Tab")
        told = page.evaluate(
            """() => { const one = document.activeElement, style = getComputedStyle(one);
                const box = one.closest("label") || one;
                return [one.id || one.dataset.do || one.dataset.tool || one.dataset.judge || one.tagName,
                    style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 1]; }"""
        )
        seen.add(told[0])
        if told[0] != "BODY" and not told[1]:
            faint.append(told[0])
    wanted = {
        "visits",
        "weights",
        "filter",
        "sort",
        "words",
        "thumbs",
        "previous",
        "next",
        "fit",
        "brush",
        "done",
        "clean",
    }
    wanted |= {"unsure", "queue", "comment", "accept", "reject", "overlay", "opacity"}
    assert wanted - seen == set()
    assert faint == []


@pytest.mark.slow  # a browser loads the page anew
def test_phone_scrolls_down_alone_and_fingers_find_their_targets(desk, open_page):
    page = open_page(desk.url, viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    send(page, a_png=TWO, b_png=strip())
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    small = page.evaluate(
        """[...document.querySelectorAll("button, select, a.button")].filter((one) => one.offsetParent)
            .map((one) => [one.textContent.trim() || one.id || one.title, one.getBoundingClientRect()])
            .filter(([, box]) => box.height < 30 || box.width < 30).map(([name]) => name)"""
    )
    assert small == []
    page.locator('[data-do="next"]').tap()
    shows(page, "b.png")


@pytest.mark.slow  # a browser loads the page anew
def test_print_has_all_rows_and_no_controls(page):
    blocks = [(10 * k, 10, 5, 5, 240) for k in range(35)]
    send(page, a_png=strip(*blocks))
    count_rows(page, 35)
    page.emulate_media(media="print")
    box = page.locator(".table-box")
    assert box.evaluate("one => one.scrollHeight - one.clientHeight") == 0
    assert page.locator(".tool-bar").is_hidden()
    assert page.evaluate("getComputedStyle(document.body).printColorAdjust") == "exact"


@pytest.mark.slow  # a browser loads the page anew
def test_sample_strips_are_in_no_count_and_no_download(page):
    send(page, a_png=TWO)
    page.evaluate(
        "fetch('desk/v1/visits/' + new URLSearchParams(location.search).get('visit') + '/samples', {method: 'POST'})"
    )
    until(page, "return document.querySelectorAll('.thumb').length >= 6")
    assert page.locator("#progress").inner_text() == "1 image, 1 defective"
    assert "drawn example" in page.locator(".thumb").nth(1).inner_text()
    assert names(page)[0] == "a.png"


@pytest.mark.slow  # a browser loads the page anew
def test_picture_of_the_screen_is_where_the_image_says(page):
    send(page, a_png=TWO)
    x, y = on_screen(page, 35, 20)
    page.mouse.click(x, y)
    page.locator("#rows tr.picked").wait_for()
    assert page.locator("#rows tr.picked td").first.inner_text() == "1"
    assert [row[1:3] for row in rows(page)] == [["bright", "600"], ["bright", "100"], ["dark", "1,200"]]


def test_image_that_is_done_before_the_news_are_heard_is_shown(page):
    def late(route):
        time.sleep(1)  # meanwhile the image is inspected
        route.continue_()

    page.route(re.compile(r"/events"), late)
    send(page, a_png=TWO)
    count_rows(page, 3)

"""Accept, reject, correct and mark, by keys; nothing is lost, and two people see each other's work."""

import re

import pytest

from tests.web.page.conftest import (
    LATE,
    count_rows,
    download,
    drag,
    listed,
    names,
    rows,
    send,
    serving,
    shows,
    strip,
    until,
)

pytest.importorskip("playwright.sync_api", reason="no playwright: pip install playwright")


def three(seed: int) -> bytes:
    """Draw a strip of its own with three defects: reviews belong to an image's bytes."""
    return strip((20, 10, 30, 20, 240), (200, 30, 10, 10, 215), (300, 20, 40, 30, 3), seed=seed)


def review(page) -> dict:
    """Ask the server what it knows of the image in sight."""
    return page.evaluate(
        """async () => { const query = new URLSearchParams(location.search);
            const answer = await fetch(`desk/v1/visits/${query.get("visit")}/images/${query.get("image")}`);
            return (await answer.json()).review; }"""
    )


def saved(page, state: str) -> dict:
    """Wait until the server says so, and the page has heard that it does."""
    for _ in range(LATE // 50):
        found = review(page)
        heard = page.evaluate("(sessionStorage.getItem('steel-outbox') || '[]') === '[]'")
        if heard and found and found["state"] == state:
            return found
        page.wait_for_timeout(50)
    raise AssertionError(found)


def test_one_key_rejects_a_false_alarm_and_goes_to_the_next_defect(page):
    send(page, a_png=three(101))
    page.keyboard.press("x")
    page.keyboard.press("a")
    page.keyboard.press("x")
    told = saved(page, "done")
    assert [one["review"] for one in told["defects"]] == ["rejected", "accepted", "rejected"]
    assert page.locator("#defects-title").inner_text() == "Defects (1)"
    assert [row.get_attribute("class").split()[0] for row in page.locator("#rows tr").all()] == [
        "is-rejected",
        "is-accepted",
        "is-rejected",
    ]
    assert page.locator("#verdict").inner_text() == "✗ defective: bright"
    page.keyboard.press("z")
    assert saved(page, "open")["defects"][2]["review"] is None


def test_image_fetched_before_a_review_and_come_after_it_takes_nothing_back(page):
    send(page, a_png=three(117))
    actions, images = [], []
    page.route(re.compile(r"/review$"), lambda route: actions.append(route))
    page.route(re.compile(r"/images/\d+$"), lambda route: images.append(route) or route.continue_())
    page.keyboard.press("x")
    modules = "const { tell, state } = await import(new URL('page/modules/state.js', document.baseURI));"
    page.evaluate(
        f"""async () => {{ {modules}
            const before = state.image;
            tell('news-image', {{ key: state.key, status: 'done' }});
            while (state.image === before) await new Promise((go) => setTimeout(go, 20)); }}"""
    )
    assert images
    assert page.locator("#defects-title").inner_text() == "Defects (2)"
    assert page.locator("#rows tr").first.get_attribute("class").split()[0] == "is-rejected"
    [action] = actions
    action.continue_()
    assert saved(page, "open")["defects"][0]["review"] == "rejected"


@pytest.mark.slow  # a browser loads the page anew
def test_class_is_changed_and_the_image_is_marked_and_remarked(page):
    send(page, a_png=three(102), b_png=three(103), c_png=three(104))
    page.keyboard.press("j")
    page.keyboard.press("2")
    until(page, "return document.querySelector('#rows tr td:nth-child(2)').textContent === 'dark'")
    page.keyboard.press("m")
    page.keyboard.type("scale, not a scratch")
    page.keyboard.press("Escape")
    told = saved(page, "open")
    until(page, "return document.querySelectorAll('#history li').length === 2")
    assert told["defects"][0]["class_id"] == 2
    assert review(page)["comment"] == "scale, not a scratch"
    page.keyboard.press("Enter")
    shows(page, "b.png")
    page.keyboard.press("c")
    shows(page, "c.png")
    page.keyboard.press("u")
    page.locator("#reviewed", has_text="3 of 3 reviewed").wait_for()
    page.keyboard.press("p")
    shows(page, "b.png")
    assert saved(page, "clean")["defects"][0]["review"] == "rejected"
    assert page.locator(".thumb .badge").count() == 3
    assert page.locator("#verdict").inner_text() == "✓ clean"
    assert page.locator(".thumb.shown .verdict").inner_text() == "✓ clean"


@pytest.mark.slow  # a browser loads the page anew
def test_name_of_the_reviewer_is_kept_and_said(page):
    send(page, a_png=three(105))
    page.click("#more-menu > button")
    page.fill("#who", "Ann Other")
    page.keyboard.press("Escape")
    page.locator("#image-name").click()
    page.keyboard.press("x")
    page.locator("#history", has_text="Ann Other · rejected").wait_for()
    page.reload()
    until(page, "return document.querySelector('#who').value === value", "Ann Other")


@pytest.mark.slow  # reviews two images
def test_list_and_its_filters_follow_defects_that_are_rejected_one_by_one(page):
    send(page, a_png=three(120), b_png=three(121))
    page.locator("#sort").select_option("name")
    page.locator(".thumb", has_text="a.png").click()
    shows(page, "a.png")
    count_rows(page, 3)
    for _ in range(3):
        page.keyboard.press("x")
    saved(page, "open")
    page.keyboard.press("n")
    shows(page, "b.png")
    page.locator(".thumb", has_text="a.png").locator(".verdict", has_text="✓ clean").wait_for()
    page.locator("#progress", has_text="2 images, 1 defective").wait_for()
    page.locator("#filter").select_option("verdict:clean")
    listed(page, "a.png")
    page.locator("#filter").select_option("class:bright")
    listed(page, "b.png")


@pytest.mark.slow  # a browser loads the page anew
def test_choosing_a_queue_goes_to_its_first_image(page):
    send(page, a_png=three(122), b_png=three(123), c_png=three(124))
    page.locator("#queue").select_option("new")
    page.locator("#left", has_text="3 left").wait_for()
    shows(page, "a.png")
    page.keyboard.press("n")
    shows(page, "b.png")
    page.locator("#queue").select_option("gallery")
    page.locator("#queue").select_option("new")
    shows(page, "a.png")


def test_two_people_in_a_queue_get_two_images_and_are_told_when_the_other_has_the_last(page, open_page):
    send(page, a_png=three(130), b_png=three(131))
    other = open_page(page.url)
    for one in (page, other):
        one.locator("#queue").select_option("new")
        one.locator("#left", has_text="2 left").wait_for()
    shows(page, "a.png")
    shows(other, "b.png")
    page.keyboard.press("Enter")
    page.get_by_text("A colleague has the last image of this queue.").wait_for()
    other.keyboard.press("Enter")
    other.get_by_text("Nothing is left in this queue.").wait_for()
    page.reload()
    until(page, "return document.querySelector('#queue').value === 'new'")


@pytest.mark.slow  # a server of its own
def test_people_name_classes_that_the_weights_do_not_know(tmp_path, open_page):
    with serving(weights_dir=tmp_path, class_names=("crack", "pit")) as served:
        page = open_page(served.url)
        send(page, a_png=three(132))
        assert page.locator("#classes .class-name").all_inner_texts() == ["bright", "dark", "crack", "pit"]
        page.keyboard.press("j")
        page.keyboard.press("4")
        until(page, "return document.querySelector('#rows tr td:nth-child(2)').textContent === 'pit'")
        page.keyboard.press("0")
        page.keyboard.press("b")
        page.keyboard.press("3")
        drag(page, (120, 30), (160, 30))
        count_rows(page, 4)
        until(page, "return sessionStorage.getItem('steel-outbox') === '[]'")
        assert review(page)["found"] == ["bright", "dark", "crack", "pit"]
        assert [row[1] for row in rows(page)] == ["pit", "bright", "dark", "crack"]
        page.locator("#filter").select_option("class:crack")
        listed(page, "a.png")
        page.context.close()  # or it asks the server that has gone


def test_two_people_see_each_other_s_work(page, open_page):
    send(page, a_png=three(106))
    other = open_page(page.url)
    count_rows(other, 3)
    page.keyboard.press("x")
    other.locator("#rows tr.is-rejected").wait_for()
    other.keyboard.press("j")
    other.keyboard.press("a")
    page.locator("#rows tr.is-accepted").wait_for()


def test_queue_leads_through_what_is_proposed_ng_and_says_what_is_left(page):
    send(page, a_png=three(107), b_png=strip(seed=108), c_png=three(109), d_png=three(110))
    page.locator("#queue").select_option("ng")
    page.locator("#left", has_text="left").wait_for()
    seen = set()
    for _ in range(3):
        seen.add(page.locator("#image-name").inner_text())
        before = page.locator("#left").inner_text()
        page.keyboard.press("Enter")
        until(page, "return document.querySelector('#left').textContent !== value", before)
        if len(seen) < 3:
            until(page, "return !value.includes(document.querySelector('#image-name').textContent)", sorted(seen))
    page.get_by_text("Nothing is left in this queue.").wait_for()
    assert len(seen) == 3
    assert "b.png" not in seen
    page.locator("#filter").select_option("review:open")
    until(page, "return document.querySelectorAll('.thumb').length === 1")
    assert names(page) == ["b.png"]


@pytest.mark.slow  # a browser loads the page anew
def test_actions_wait_while_the_server_cannot_be_reached_and_a_reload_keeps_them(desk, open_page):
    page = open_page(desk.url, quiet=False)
    send(page, a_png=three(111))
    page.context.set_offline(True)
    page.keyboard.press("x")
    page.keyboard.press("x")
    page.locator("#rows tr.is-rejected").nth(1).wait_for()  # seen, while nobody knows of it
    page.context.set_offline(False)
    until(page, "return sessionStorage.getItem('steel-outbox') === '[]'")
    assert [one["review"] for one in review(page)["defects"]] == ["rejected", "rejected", None]


@pytest.mark.slow  # a browser loads the page anew
def test_report_and_corrected_table_say_what_was_reviewed(page):
    send(page, a_png=three(112), b_png=three(113))
    page.keyboard.press("x")
    page.keyboard.press("x")
    page.keyboard.press("x")
    saved(page, "open")
    table = download(page, "results.csv").decode()
    assert "a.png" in table
    report = download(page, "report.html").decode()
    assert "a.png" in report or "b.png" in report
    assert download(page, "report.pdf")[:5] == b"%PDF-"
    assert [row[0] for row in rows(page)] == ["1", "2", "3"]

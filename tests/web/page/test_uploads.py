"""Files on their way: any number, folders, archives, more while it runs, refusals that can be closed."""

import io
import re
import zipfile

import pytest

from tests.web.page.conftest import listed, pixels_are_there, send, settled, strip, upload

pytest.importorskip("playwright.sync_api", reason="no playwright: pip install playwright")


def test_more_files_than_fit_into_a_request_come_while_others_are_inspected(page, desk):
    desk.red.go.clear()
    page.evaluate(
        """window.told = []; new MutationObserver(() => window.told.push(document.querySelector('#progress').innerText))
            .observe(document.querySelector('#progress'), {childList: true, subtree: true})"""
    )
    upload(page, {f"a{k:02}.png": strip((20, 10, 30, 20, 240), seed=k) for k in range(40)})
    page.locator("#progress", has_text="of 40").wait_for()
    upload(page, {f"b{k:02}.png": strip(seed=k) for k in range(25)})
    page.locator("#progress", has_text="of 65").wait_for()
    totals = {int(found[1]) for text in page.evaluate("window.told") if (found := re.search(r"of (\d+)", text))}
    assert totals - {40, 65} == set()  # never more, and those that are still to come from the start
    desk.red.go.set()
    settled(page, 65)
    assert page.locator("#progress").inner_text() == "65 images, 40 defective"
    page.locator("#gallery-count", has_text="65").wait_for()  # the list is told of later
    assert page.evaluate("document.querySelectorAll('.thumb').length") < 40  # those in sight alone


def test_what_cannot_be_inspected_is_named_with_the_reason_and_closed(page):
    upload(page, {"a.png": strip((20, 10, 30, 20, 240)), "b.pdf": b"%PDF-1.4", "c.png": b""})
    box = page.locator(".refusals")
    box.locator("li").nth(1).wait_for()
    assert box.locator("strong").first.inner_text() == "2 files were not inspected"
    told = sorted(box.locator("li").all_inner_texts())
    assert told[0] == "b.pdf: The file is a PDF; send JPEG, PNG, BMP, TIFF or WebP."
    assert told[1].startswith("c.png: ")
    settled(page, 1)
    box.get_by_role("button", name="Close").click()
    assert box.count() == 0


@pytest.mark.slow  # a browser loads the page anew
def test_archive_and_folder_are_unpacked_with_their_paths(page, tmp_path):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("coil/one.png", strip(seed=1))
        archive.writestr("coil/notes.txt", "no image")
    upload(page, {"day.zip": packed.getvalue()})
    settled(page, 1)
    page.locator(".refusals li", has_text="coil/notes.txt").wait_for()
    (tmp_path / "shift" / "deep").mkdir(parents=True)
    (tmp_path / "shift" / "deep" / "two.png").write_bytes(strip(seed=2))
    (tmp_path / "shift" / "three.txt").write_text("no image, and not meant")
    page.set_input_files("#directory-input", tmp_path / "shift")
    settled(page, 2)
    listed(page, "coil/one.png", "shift/deep/two.png")
    assert page.locator(".refusals li").count() == 1


@pytest.mark.slow  # a browser loads the page anew
def test_work_stops_and_goes_on(page, desk):
    send(page, first_png=strip((20, 10, 30, 20, 240)))
    desk.red.go.clear()
    upload(page, {f"{k}.png": strip(seed=k) for k in range(12)})
    page.locator("#progress", has_text="of 13").wait_for()
    page.locator("#gallery-count", has_text="13").wait_for()
    page.get_by_role("button", name="Stop").click()
    desk.red.go.set()
    page.locator("#progress", has_text="stopped").wait_for()
    page.get_by_role("button", name="Go on").click()
    settled(page, 13)


@pytest.mark.slow  # a browser loads the page anew
def test_folder_of_the_server_is_searched_and_inspected(page):
    page.click("#start-folder")
    page.locator("#folder-count", has_text="5 images").wait_for()
    page.fill("#folder-words", "F3")
    page.locator("#folder-count", has_text="1 image").wait_for()
    page.get_by_role("button", name="Inspect 1 image").click()
    settled(page, 1)
    page.wait_for_selector(".thumb.shown")
    pixels_are_there(page)
    listed(page, "f3.png")

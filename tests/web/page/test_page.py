"""The page in headless Chromium, as somebody uses it."""

import csv
import io
import tempfile
import time
import zipfile
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from playwright.sync_api import TimeoutError as TookTooLong

from tests.web.page.bright import strip

pytest.importorskip("playwright.sync_api", reason="no playwright: pip install playwright")

TWO = strip((20, 10, 30, 20, 240), (200, 30, 10, 10, 215), (300, 20, 40, 30, 10))  # two pits and a crack
ONE = strip((100, 5, 50, 40, 5), size=(60, 300))  # a crack
CLEAN = strip()
LATE = 60_000  # milliseconds: a busy machine is not the page's fault


@pytest.fixture(scope="module")
def running(serve, write_dataset, tmp_path_factory):
    return serve(write_dataset(tmp_path_factory.mktemp("browse") / "data", count=5))


@pytest.fixture
def page(running, browser):
    """A page of its own visit, open and ready, that must not ask anybody else for anything, nor complain."""
    view = browser.new_page(viewport={"width": 1366, "height": 900}, accept_downloads=True)
    view.set_default_timeout(LATE)
    complaints, asked = [], []
    view.on(
        "console",
        lambda message: complaints.append((message.text, message.location["url"])) if message.type == "error" else None,
    )
    view.on("pageerror", lambda error: complaints.append(str(error)))
    view.on("request", lambda request: asked.append(request.url))
    view.goto(running.url)
    view.wait_for_selector(".wb-thumb >> nth=5")  # the samples
    pictures_are_there(view)  # a picture that is asked for and forgotten meanwhile by "clear" is answered with 404
    yield view
    elsewhere = [url for url in asked if not url.startswith((running.url, "data:", "blob:"))]
    view.close()
    assert elsewhere == []
    assert complaints == []


def pictures_are_there(page) -> None:
    """Wait until every picture of the page is decoded."""
    page.wait_for_function(
        "[...document.querySelectorAll('.wb img')].every(i => i.complete && i.naturalWidth > 0)", timeout=LATE
    )


def send(page, **files: bytes) -> None:
    """Start anew with these files."""
    page.click('[data-do="clear"]')
    page.wait_for_selector('[data-part="empty"]:visible')
    upload(page, {name.replace("_", "."): data for name, data in files.items()})
    page.wait_for_selector(f".wb-thumb >> nth={len(files) - 1}")
    page.wait_for_function("n => document.querySelectorAll('.wb-thumb').length === n", arg=len(files))


def upload(page, files: dict[str, bytes]) -> None:
    page.get_by_role("tab", name="Upload").click()
    sent = [{"name": name, "mimeType": "application/octet-stream", "buffer": data} for name, data in files.items()]
    page.locator("#files input[type=file]").set_input_files(sent)


def rows(page) -> list[list[str]]:
    return [row.locator("td").all_inner_texts() for row in page.locator(".wb-found tbody tr").all()]


def names(page) -> list[str]:
    return page.locator(".wb-thumb .wb-name").all_inner_texts()


def name_shown(page) -> str:
    return page.locator(".wb-bar .wb-name").inner_text()


def shows(page, name: str) -> None:
    page.wait_for_function("name => document.querySelector('.wb-bar .wb-name').textContent === name", arg=name)


def slide(page, name: str, value: float) -> None:
    """Move a slider as a hand does: while it moves, and when it is let go."""
    page.get_by_label(name).evaluate(
        """(slider, value) => {
            slider.value = value;
            slider.dispatchEvent(new Event("input", {bubbles: true}));
            slider.dispatchEvent(new Event("change", {bubbles: true}));
        }""",
        value,
    )


def test_samples_are_inspected_at_once_and_the_ground_truth_lies_beside(page):
    assert name_shown(page) == "sample-1-patches.jpg"
    assert len(names(page)) == 6
    assert page.locator('[data-part="truthcaption"]').inner_text() == "ground truthpatches"
    assert page.locator('[data-part="truthsheet"] .wb-outline').count() == 1
    pictures_are_there(page)  # the strip twice, its layers, six small ones
    assert page.locator('[data-part="sheet"] .wb-picture').evaluate("i => [i.naturalWidth, i.naturalHeight]") == [
        1600,
        256,
    ]
    assert "numpy on paper" in page.locator(".top").inner_text()
    page.get_by_role("button", name="clean", exact=True).click()
    shows(page, "sample-6-clean.jpg")
    assert page.locator('[data-part="truthcaption"]').inner_text() == "ground truth: no defect"


def test_upload_is_drawn_described_and_gone_from_the_disk(page):
    send(page, a_png=TWO, b_png=CLEAN)
    shows(page, "a.png")
    assert page.locator(".wb-bar .wb-verdict").inner_text() == "✗ defective: pits, cracks"
    assert rows(page) == [
        ["1", "pits", "600", "20, 10, 30, 20", "94.1 %"],
        ["2", "pits", "100", "200, 30, 10, 10", "84.3 %"],
        ["3", "cracks", "1,200", "300, 20, 40, 30", "96.1 %"],
    ]
    assert page.locator('[data-part="sheet"] .wb-fill').count() == 2
    page.locator(".wb-thumb").nth(1).click()
    shows(page, "b.png")
    assert page.locator(".wb-bar .wb-verdict").inner_text() == "✓ clean"
    assert page.locator('[data-part="truthside"]').is_hidden()
    left = [path for place in Path(tempfile.gettempdir()).glob("steel-inspector-*") for path in place.rglob("*")]
    assert [path for path in left if path.is_file()] == []


@pytest.mark.slow  # a browser loads the page anew
def test_classes_overlay_and_opacity_change_the_picture_without_the_server(page, running):
    send(page, a_png=TWO)
    calls = running.inspector.calls
    pits = page.locator('.wb-layer[data-kind="pits"]').first
    assert pits.is_visible()
    page.get_by_label("pits", exact=True).uncheck()
    assert pits.is_hidden()
    assert page.locator('.wb-layer[data-kind="cracks"]').first.is_visible()
    page.get_by_label("pits", exact=True).check()
    page.keyboard.press("o")
    assert page.locator(".wb-layer:visible").count() == 0
    page.keyboard.press("o")
    assert page.locator(".wb-layer:visible").count() == 4

    def colour() -> np.ndarray:
        """Of the crack's middle, as it is on the screen: 10 of 255 before anything is drawn on it."""
        box = page.locator('[data-part="sheet"]').bounding_box()
        shot = cv2.imdecode(np.frombuffer(page.screenshot(), np.uint8), cv2.IMREAD_COLOR_RGB)
        return shot[int(box["y"] + box["height"] * 35 / 64), int(box["x"] + box["width"] * 320 / 400)].astype(int)

    faint = colour()
    slide(page, "opacity of the fill", 100)
    assert np.abs(colour() - (86, 180, 233)).max() <= 2  # the second class's colour
    assert np.abs(faint - (0.75 * 10 + 0.25 * np.array([86, 180, 233]))).max() <= 3
    assert running.inspector.calls == calls


@pytest.mark.slow  # a browser loads the page anew
def test_threshold_decides_anew_at_once_and_everywhere_without_the_network(page, running):
    send(page, a_png=TWO, b_png=strip((10, 10, 20, 20, 215)))
    calls = running.inspector.calls
    slide(page, "threshold of pits", 0.9)  # 215 / 255 is 0.84
    page.wait_for_function("document.querySelectorAll('.wb-found tbody tr').length === 2")
    assert [row[1] for row in rows(page)] == ["pits", "cracks"]
    page.wait_for_function("document.querySelectorAll('.wb-thumb .wb-clean').length === 1")
    assert page.locator(".wb-thumb .wb-verdict").all_inner_texts() == ["✗ defective: pits, cracks", "✓ clean"]
    page.click('[data-do="reset"]')
    page.wait_for_function("document.querySelectorAll('.wb-found tbody tr').length === 3")
    page.wait_for_function("document.querySelectorAll('.wb-thumb .wb-clean').length === 0")
    assert running.inspector.calls == calls


def test_defect_is_picked_in_the_table_and_in_the_picture(page):
    send(page, a_png=TWO)
    page.locator(".wb-found tbody tr").nth(1).click()
    frame, box = (page.locator(place).first.bounding_box() for place in (".wb-frame", "rect.wb-picked"))
    middle = [box["x"] + box["width"] / 2 - frame["x"], box["y"] + box["height"] / 2 - frame["y"]]
    assert np.allclose(middle, [frame["width"] / 2, frame["height"] / 2], atol=3)
    assert box["height"] > 0.4 * frame["height"]  # ten of 64 rows before
    page.keyboard.press("0")
    assert page.locator('[data-part="scale"]').inner_text() == "1.0x"
    page.locator('rect[data-number="2"]').click()
    assert page.locator("tr.wb-picked").inner_text().split()[:2] == ["3", "cracks"]
    page.locator(".wb-found tbody tr").first.focus()
    page.keyboard.press("Enter")
    assert page.locator("tr.wb-picked").inner_text().split()[0] == "1"


@pytest.mark.slow  # a browser loads the page anew
def test_gallery_is_filtered_sorted_and_walked_through_by_keys(page):
    send(page, a_png=CLEAN, b_png=ONE, c_png=TWO)
    page.get_by_label("sort by").select_option("area")
    assert names(page) == ["b.png", "c.png", "a.png"]
    page.get_by_label("sort by").select_option("probability")
    assert names(page) == ["b.png", "c.png", "a.png"]
    page.get_by_label("filter by class").select_option(label="with pits")
    assert names(page) == ["c.png"]
    page.get_by_label("filter by class").select_option(label="clean")
    assert names(page) == ["a.png"]
    page.get_by_label("filter by class").select_option(label="defective")
    page.locator("h1").click()  # away from the list, in which letters choose
    page.keyboard.press("n")
    shows(page, "b.png")
    page.keyboard.press("ArrowRight")
    shows(page, "c.png")
    page.keyboard.press("p")
    shows(page, "b.png")
    assert page.locator('[data-part="place"]').inner_text() == "1 / 2"


@pytest.mark.slow  # a browser loads the page anew
def test_images_with_a_class_are_sorted_by_the_probability_of_that_class(page):
    faint = strip((20, 10, 30, 20, 212), (200, 20, 30, 30, 2))  # a faint pit beside a sure crack
    send(page, a_png=faint, b_png=strip((20, 10, 30, 20, 240)))
    page.get_by_label("sort by").select_option("probability")
    assert names(page) == ["a.png", "b.png"]
    page.get_by_label("filter by class").select_option(label="with pits")
    assert names(page) == ["b.png", "a.png"]


@pytest.mark.slow  # a browser loads the page anew
def test_defect_of_the_table_can_be_picked_after_the_picture_was_dragged(page):
    send(page, a_png=TWO)
    page.locator('[data-do="in"]').click()
    box = page.locator(".wb-frame").first.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 60, y, steps=3)
    page.mouse.up()
    assert page.locator("tr.wb-picked").count() == 0
    page.locator("tr[data-number]").nth(2).click()
    assert page.locator("tr.wb-picked").inner_text().split()[0] == "3"


def test_results_are_downloaded(page):
    send(page, a_png=TWO, b_png=CLEAN)

    def fetch(name: str) -> bytes:
        with page.expect_download() as coming:
            page.get_by_role("link", name=name).click()
        assert coming.value.suggested_filename == name
        return Path(coming.value.path()).read_bytes()

    table = list(csv.DictReader(io.StringIO(fetch("defects.csv").decode())))
    assert [(row["image"], row["name"], row["area_px"]) for row in table] == [
        ("a.png", "pits", "600"),
        ("a.png", "pits", "100"),
        ("a.png", "cracks", "1200"),
    ]
    submission = list(csv.DictReader(io.StringIO(fetch("submission.csv").decode())))
    assert [row["ImageId_ClassId"] for row in submission] == ["a.png_1", "a.png_2", "b.png_1", "b.png_2"]
    assert [bool(row["EncodedPixels"]) for row in submission] == [True, True, False, False]
    with zipfile.ZipFile(io.BytesIO(fetch("masks.zip"))) as packed:
        assert packed.testzip() is None
        mask = cv2.imdecode(np.frombuffer(packed.read("masks/a.png"), np.uint8), cv2.IMREAD_UNCHANGED)
    assert np.bincount(mask.ravel()).tolist() == [64 * 400 - 1900, 700, 1200]
    with zipfile.ZipFile(io.BytesIO(fetch("overlays.zip"))) as packed:
        assert packed.namelist() == ["overlays/a.png", "overlays/b.png"]


def test_bad_files_are_refused_in_plain_words_and_the_good_ones_inspected(page):
    whole = cv2.imencode(".jpg", np.full((64, 400), 128, np.uint8))[1].tobytes()
    header = b"IHDR" + (30_000).to_bytes(4, "big") * 2 + b"\x08\0\0\0\0"
    huge = b"\x89PNG\r\n\x1a\n\0\0\0\r" + header + zlib.crc32(header).to_bytes(4, "big") + b"\0\0\0\0IDAT"
    page.click('[data-do="clear"]')
    good = {f"{number}.png": strip((10 + number, 10, 20, 20, 240)) for number in range(16)}
    bad = {
        "order.pdf": b"%PDF-1.7 nothing",
        "empty.png": b"",
        "huge.png": huge,
        "<img src=x onerror=alert(1)>.jpg": whole[:300],
    }
    upload(page, good | bad)
    page.wait_for_function("document.querySelectorAll('.wb-thumb').length === 16")
    page.wait_for_function("document.querySelectorAll('.wb-refused li').length === 4")
    said = dict(line.split(": ", 1) for line in page.locator(".wb-refused li").all_inner_texts())
    assert set(said) == set(bad)
    assert "PDF" in said["order.pdf"]
    assert "empty" in said["empty.png"]
    assert "cut it into parts" in said["huge.png"]
    assert (
        "cut off" in said["<img src=x onerror=alert(1)>.jpg"] or "damaged" in said["<img src=x onerror=alert(1)>.jpg"]
    )
    assert page.locator(".wb-refused p").inner_text() == "4 files were not inspected"


def search(page, words: str, found: str) -> None:
    """Write into the search field, again if need be: Gradio puts the old text back when another action ends meanwhile."""
    for last in (False, False, True):
        field = page.locator("#words textarea, #words input")
        field.click()
        field.press("Control+A")
        field.press("Backspace")
        field.press_sequentially(words)
        try:
            page.wait_for_function(f"document.querySelector('#found').innerText.trim() === '{found}'", timeout=15_000)
            return
        except TookTooLong:
            if last:
                raise


@pytest.mark.slow  # a browser loads the page anew
def test_folder_is_browsed_with_its_labels(page):
    page.get_by_role("tab", name="Folder").click()
    page.click('[data-do="clear"]')
    page.wait_for_selector('[data-part="empty"]:visible')
    search(page, "003", "1 image")
    page.get_by_label("Image", exact=True).click()
    page.get_by_role("option", name="003.png").click()
    shows(page, "003.png")
    assert page.locator('[data-part="truthcaption"]').inner_text() == "ground truthpits"
    search(page, "", "5 images")
    page.locator("#more").click()
    page.wait_for_function("document.querySelectorAll('.wb-thumb').length === 5")


@pytest.mark.slow  # a browser loads the page anew
def test_other_weights_are_chosen_and_inspect_anew(page):
    send(page, a_png=TWO)
    page.get_by_label("Weights").click()
    page.get_by_role("option", name="broken").click()
    page.get_by_text("damaged; fetch it again").wait_for()
    page.wait_for_function("document.querySelector('#weights input').value === 'bright'")
    page.get_by_label("Weights").click()
    page.get_by_role("option", name="second").click()
    page.wait_for_function("document.querySelector('.top h1 + p').innerText.startsWith('second')")
    page.wait_for_function("document.querySelectorAll('.wb-found tbody tr').length === 3")
    page.get_by_text("About these weights").click()
    page.get_by_text("Knows bright from dark.").wait_for()
    assert page.get_by_role("cell", name="0.9000").first.is_visible()


@pytest.mark.slow
def test_page_fits_its_screens(page):
    send(page, a_png=TWO, b_png=CLEAN)
    for width, height in [(1366, 768), (1920, 1080)]:
        page.set_viewport_size({"width": width, "height": height})
        assert page.evaluate("document.documentElement.scrollWidth") <= width, "the page scrolls sideways"
        frame = page.locator(".wb-frame").first.bounding_box()
        assert frame["width"] > 0.9 * width
        assert frame["y"] + frame["height"] < height, "the strip is not in sight"


@pytest.mark.slow  # a browser loads the page anew
def test_visit_is_left_when_its_page_is_closed(running, browser):
    actions = running.app.state.page.actions
    before = {visit.token for visit in actions.visits.all()}
    view = browser.new_page()
    view.goto(running.url, timeout=LATE)
    view.wait_for_selector(".wb-thumb", timeout=LATE)
    (visit,) = [visit for visit in actions.visits.all() if visit.token not in before]
    assert not visit.left
    view.close()
    until = time.monotonic() + 60
    while not visit.left:
        assert time.monotonic() < until
        time.sleep(0.1)


@pytest.mark.slow  # a browser loads the page anew
def test_server_ends_while_a_page_is_open_and_leaves_nothing_behind(serve, browser):
    own = serve()
    view = browser.new_page()
    view.goto(own.url, timeout=LATE)
    view.wait_for_selector(".wb-thumb", timeout=LATE)
    places = list(Path(tempfile.gettempdir()).glob("steel-inspector-*"))
    own.stop()
    assert len(list(Path(tempfile.gettempdir()).glob("steel-inspector-*"))) < len(places)
    view.close()

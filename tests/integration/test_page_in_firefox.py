"""The page in Firefox: what Chromium does in the other tests, Firefox does too."""

import time

import pytest

from tests.web.page.conftest import serving, strip
from tests.web.page.firefox import PROGRAM, firefox

pytestmark = [
    pytest.mark.slow,  # another browser is started
    pytest.mark.skipif(PROGRAM is None, reason="no Firefox: apt-get install firefox-esr"),
]
ROWS = "return [...document.querySelectorAll('#rows tr')].map((row) => row.cells[1].textContent)"
COUNT = "return document.querySelectorAll('#rows tr').length === arguments[0]"
IMAGE = """const query = new URLSearchParams(location.search);
    const answer = await fetch(`desk/v1/visits/${query.get("visit")}/images/${query.get("image")}`);
    const image = await answer.json();"""
SCALE = "parseFloat(document.querySelector('#scale').textContent)"  # 1: the whole image
KEPT = "if (sessionStorage.getItem('steel-outbox') !== '[]') return false;"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with firefox(tmp_path_factory.mktemp("firefox") / "profile") as found:
        yield found


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    with serving(weights_dir=tmp_path_factory.mktemp("weights")) as served:
        yield served.url


@pytest.fixture
def looking(browser, address, tmp_path, request):
    """The page with two strips of this test alone; at the end it must not have complained."""
    seed = sum(request.node.name.encode())
    blocks = ((20, 10, 30, 20, 240), (200, 30, 10, 10, 200), (300, 20, 40, 30, 3))
    (tmp_path / "a.png").write_bytes(strip(*blocks, seed=seed))
    (tmp_path / "b.png").write_bytes(strip(seed=seed + 1))
    browser.open(address)
    browser.give("#file-input", tmp_path / "a.png", tmp_path / "b.png")
    browser.until("return document.querySelector('#progress').textContent.trim().startsWith('2 images')")
    browser.until("return document.querySelector('#image-name').textContent.includes('a.png')")
    browser.until(f"return {SCALE} > 0")
    yield browser
    assert browser.run("return window.complaints") == []


def on_screen(browser, x, y):
    """Return where a pixel of the image, 400 by 64, lies in the window: it is in the middle, as large as can be."""
    body = """const box = document.querySelector('#first').getBoundingClientRect();
        const scale = Math.min(box.width / 400, box.height / 64);
        return [box.left + box.width / 2 + (arguments[0] - 200) * scale,
            box.top + box.height / 2 + (arguments[1] - 32) * scale];"""
    return tuple(browser.run(body, x, y))


def test_files_are_inspected_and_sliders_decide_anew(looking):
    looking.until(COUNT, 3)
    assert looking.run(ROWS) == ["bright", "bright", "dark"]
    looking.run(
        """const slider = document.querySelector('input[type=range][aria-label="Threshold: bright"]');
        slider.value = 0.9; for (const name of ["input", "change"]) slider.dispatchEvent(new Event(name, {bubbles: true}));"""
    )
    looking.until(COUNT, 2)


def test_keys_judge_and_a_reload_finds_the_review(looking):
    looking.until(COUNT, 3)
    for key in "xax":
        looking.press(key)
    state = looking.until(f"{KEPT} {IMAGE} return image.review?.state === 'done' && image.review.defects")
    assert [one["review"] for one in state] == ["rejected", "accepted", "rejected"]
    address = looking.run("return location.href")
    looking.ask("WebDriver:Refresh")
    looking.until(COUNT, 3)
    assert looking.run("return location.href") == address
    looking.run("window.complaints = []")
    assert looking.run("return document.querySelectorAll('#rows tr.is-rejected').length") == 2


def test_a_brush_paints_what_is_kept(looking):
    looking.until(COUNT, 3)
    looking.press("b")
    looking.press("2")
    looking.drag(*(on_screen(looking, x, 50) for x in (90, 110, 130, 150)))
    looking.until(COUNT, 4)
    defects = looking.until(f"{KEPT} {IMAGE} return image.review?.defects?.length === 4 && image.review.defects")
    assert looking.run(ROWS)[3] == "dark"
    box = defects[3]["box"]
    assert abs(box["x"] - 84) <= 3
    assert abs(box["width"] - 72) <= 3
    looking.press("z")
    looking.until(COUNT, 3)


def test_the_picture_zooms_and_leafing_changes_the_address(looking):
    looking.until(COUNT, 3)
    time.sleep(1)  # while a picture opens it is shown whole
    before = looking.run(f"return {SCALE}")
    looking.press("+")
    looking.until(f"return {SCALE} > arguments[0] * 1.2", before)
    first = looking.run("return location.search")
    time.sleep(1)  # whoever leafs through more quickly makes no steps of the history
    looking.press("n")
    looking.until("return document.querySelector('#image-name').textContent.includes('b.png')")
    assert looking.run("return location.search") != first
    looking.ask("WebDriver:Back")
    looking.until("return document.querySelector('#image-name').textContent.includes('a.png')")

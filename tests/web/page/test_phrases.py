"""The page in four languages: no phrase is missing, and the longest still fits."""

import io
import json
import re
import zipfile

import cv2
import numpy as np
import pytest

from tests.web.page.conftest import settled, strip, upload
from tests.web.red import about
from utils.desk import archives, familiarity, visits
from utils.errors import InputError
from utils.inference.inspected import Refused
from utils.inspection import batching, decoding
from utils.inspection.upload import Upload
from utils.web import limits
from utils.web.static_page import FOLDER

pytest.importorskip("playwright.sync_api", reason="no playwright: pip install playwright")

PHRASES = {path.stem: json.loads(path.read_text("utf-8")) for path in (FOLDER / "languages").glob("*.json")}
FORMS = {"en": {"one", "other"}, "de": {"one", "other"}, "ru": {"one", "few", "many", "other"}, "zh": {"other"}}


def values(phrase: str | dict[str, str]) -> set[str]:
    """Return the names in braces of a phrase, in all of its forms."""
    texts = [phrase] if isinstance(phrase, str) else phrase.values()
    return {name for text in texts for name in re.findall(r"{(\w+)}", text)}


@pytest.mark.parametrize("name", ["de", "ru", "zh"])
def test_language_has_every_phrase_with_its_values(name):
    english = PHRASES["en"]
    assert set(PHRASES[name]) == set(english)
    assert [key for key in english if values(PHRASES[name][key]) != values(english[key])] == []
    for phrase in PHRASES[name].values():
        assert isinstance(phrase, str) or set(phrase) == FORMS[name]


def test_every_phrase_of_the_page_is_there():
    page = (FOLDER / "index.html").read_text("utf-8")
    code = "".join(path.read_text("utf-8") for path in (FOLDER / "modules").glob("*.js"))
    used = set(re.findall(r'data-(?:t|label|placeholder|hint)="(\w+)"', page)) | set(re.findall(r'\bt\("(\w+)"', code))
    whole = {name for name in used if not name.endswith("_")}  # the others are the beginnings of names
    assert whole - set(PHRASES["en"]) == set()


def matching(text: str) -> list[str]:
    """Return the keys of the phrases that what the server says is told by, as ``reason`` of phrases.js finds them."""
    found = []
    for key, phrase in PHRASES["en"].items():
        if key.startswith("reason_"):
            pattern = "(.+?)".join(map(re.escape, re.split(r"{\w+}", phrase)))
            found += [key] if re.fullmatch(pattern, text, re.DOTALL) else []
    return found


def png(array: np.ndarray) -> bytes:
    return cv2.imencode(".png", array)[1].tobytes()


def refusal(data: bytes, most_pixels: int = 10**6, depth: decoding.BitDepth = decoding.UNKNOWN) -> str:
    opened = decoding.open_upload(Upload("a.png", data), most_pixels)
    answer = opened if isinstance(opened, Refused) else decoding.unpack(opened, 3, depth)
    assert isinstance(answer, Refused)
    return answer.reason


def raised(work, *values) -> str:
    with pytest.raises(InputError) as error:
        list(work(*values) or [])
    return str(error.value)


def zipped(content: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.png", content)
    return packed.getvalue()


def doubt(threshold: float) -> str | None:
    known = about(label_names=("bright", "dark"), label_thresholds=(threshold, threshold))
    return known.doubt(np.array([0.7, 0.1], np.float32), ())


GREY = png(np.full((9, 9), 100, np.uint8))
NOISE = png(np.random.default_rng(0).integers(0, 255, (99, 99), np.uint8))
REASONS = {
    "empty": lambda: refusal(b""),
    "truncated": lambda: refusal(NOISE[: len(NOISE) // 2]),
    "damaged": lambda: decoding.DAMAGED,
    "too_slow": lambda: decoding.TOO_SLOW,
    "out_of_memory": lambda: decoding.OUT_OF_MEMORY,
    "too_many_pixels": lambda: refusal(png(np.zeros((200, 300), np.uint8)), 5000),
    "not_an_image": lambda: refusal(b"text"),
    "pdf": lambda: refusal(b"%PDF-1.4"),
    "svg": lambda: refusal(b"<svg/>"),
    "gif": lambda: refusal(b"GIF89a"),
    "bits": lambda: refusal(png(np.full((9, 9), 60000, np.uint16)), depth=decoding.BitDepth(12)),
    "not_finite": lambda: batching.NOT_FINITE,
    "archive_damaged": lambda: raised(archives.unpack, zipped(GREY)[:40], 10**6),
    "archive_files": lambda: raised(archives.unpack, archives.ENTRY * (archives.MOST_FILES + 1), 10**6),
    "archive_large": lambda: raised(archives.unpack, zipped(GREY), 0),
    "archive_grows": lambda: next(archives.unpack(zipped(bytes(2 * archives.FREE_BYTES)), 10**9))[1],
    "too_large": lambda: next(archives.unpack(zipped(GREY), 10))[1],
    "busy": lambda: str(batching.Busy(3)),
    "closing": lambda: limits.closing_problem().message.replace("10 s", "3 s"),
    "title": lambda: raised(visits.check_title, "x" * 999) + ".",
    "meta": lambda: raised(visits.check_meta, {"coil_id": "x" * 999}) + ".",
    "doubt_gate": lambda: doubt(0.9),
    "doubt_pixels": lambda: doubt(0.5),
    "unlike_one": lambda: familiarity.TOLD,
    "unlike": lambda: f"3 of the images: {familiarity.TOLD}",
}


@pytest.mark.parametrize("name", REASONS)
def test_what_the_server_says_is_a_phrase(name):
    assert matching(REASONS[name]())[-1:] == [f"reason_{name}"]


def test_phrases_of_what_the_server_says_stand_in_its_code():
    code = "".join(path.read_text("utf-8") for path in (FOLDER.parents[1]).rglob("*.py"))
    code += (FOLDER / "modules/api.js").read_text("utf-8")
    plain = re.sub(r'"\s*\n\s*f?"', "", code)
    texts = [phrase for key, phrase in PHRASES["en"].items() if key.startswith("reason_") and key[7:] not in REASONS]
    assert [text for text in texts if not re.search(r".+?".join(map(re.escape, re.split(r"{\w+}", text))), plain)] == []


@pytest.mark.slow  # a browser loads the page anew
def test_refusals_and_numbers_are_told_in_the_language(desk, open_page):
    page = open_page(desk.url, locale="de-DE")
    upload(page, {"leer.png": b"", "a.png": strip((20, 10, 30, 20, 240), size=(64, 2000))})
    settled(page, 1, "Bild")
    page.locator(".refusals", has_text="leer.png: Die Datei ist leer (0 Byte)").wait_for()
    assert page.locator("#classes output").first.inner_text() == "0,50"


@pytest.mark.parametrize(
    ("locale", "name", "title"), [("de-AT", "de", "Bilder hier ablegen"), ("fr-FR", "en", "Drop images here")]
)
def test_language_follows_the_browser(desk, open_page, locale, name, title):
    page = open_page(desk.url, locale=locale)
    page.get_by_role("heading", name=title).wait_for()
    assert page.evaluate("document.documentElement.lang") == name


@pytest.mark.slow  # a browser loads the page anew
def test_language_is_chosen_and_kept(page):
    page.click("#more-menu > button")
    page.select_option("#language", "zh")
    page.get_by_role("heading", name="将图像拖放到此处").wait_for()
    page.reload()
    page.get_by_role("heading", name="将图像拖放到此处").wait_for()


@pytest.mark.slow  # opens the page four times
@pytest.mark.parametrize("locale", ["en-US", "de-DE", "ru-RU", "zh-CN"])
def test_no_text_is_cut_off_at_1366(desk, open_page, locale):
    page = open_page(desk.url, locale=locale)
    upload(page, {"a.png": strip((20, 10, 30, 20, 240), size=(300, 300))})
    page.wait_for_selector(".thumb.shown")
    page.keyboard.press("b")
    cut = page.evaluate(
        """[...document.querySelectorAll("button, label > span, h2, th, .note, a.button, #verdict")]
            .filter((one) => one.offsetParent && !one.closest("dialog, .menu-list, .unseen") && one.textContent.trim())
            .filter((one) => one.scrollWidth > one.clientWidth + 1 && getComputedStyle(one).display !== "inline")
            .map((one) => one.textContent.trim())"""
    )
    assert cut == []
    outside = page.evaluate(
        """[...document.querySelectorAll(".bar button, .bar select, .status > *, .top button")].filter((one) => one.offsetParent)
            .filter((one) => one.getBoundingClientRect().right > innerWidth + 1).map((one) => one.textContent)"""
    )
    assert outside == []
    assert page.evaluate("document.documentElement.scrollHeight") == 768

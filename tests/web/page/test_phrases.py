"""The page in four languages: no phrase is missing, and the longest still fits."""

import json
import re

import pytest

from tests.web.page.conftest import strip, upload
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

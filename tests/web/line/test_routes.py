"""The live page in a browser: frames, sinks and alarms are there, in the reader's language, on a phone too; silence is told."""

import re

import pytest

from tests.line.conftest import BrightInspector, eventually, jpeg
from utils.line.address import Address
from utils.line.rules import Rules
from utils.line.service import Service, Settings
from utils.line.sources.push import PushSource
from utils.line.sources.source import SourceOptions
from utils.line.spool import Spool
from utils.web.line.serving import PAGE, LineServer

requests = pytest.importorskip("requests", reason="needs requirements-line.txt")
LATE = 60_000  # milliseconds: a busy machine is not the page's fault


def words():
    text = (PAGE / "words.js").read_text("utf-8")
    found = {}
    for language, block in re.findall(r"^  (\w\w): \{\n(.*?)^  \},", text, re.M | re.S):
        found[language] = dict(re.findall(r'(\w+): "([^"]*)"', block))
    return found


def test_every_language_has_every_word_of_the_page():
    found = words()
    assert set(found) == {"en", "de", "ru", "zh"}
    assert all(set(one) == set(found["en"]) and all(one.values()) for one in found.values())
    assert all(("{n}" in one[key]) == ("{n}" in found["en"][key]) for one in found.values() for key in one)
    code = (PAGE / "line.js").read_text("utf-8") + (PAGE / "index.html").read_text("utf-8")
    used = set(re.findall(r'\bt\("(\w+)"', code)) | set(re.findall(r'data-t="(\w+)"', code))
    conditions = {"running", "starved", "overloaded", "paused", "stopping", "fault"}
    assert used | conditions <= set(found["en"])


@pytest.fixture
def line(tmp_path):
    with Spool(tmp_path, ["nobody"]) as spool:
        service = Service(BrightInspector(), spool, Rules(), Settings(stale=60, drain=1))
        push = PushSource(Address.parse("push://", "-source"), SourceOptions())
        service.add_source(push)
        server = LineServer(("127.0.0.1", 0), service, push, "mill <b>2</b>", max_mb=1)
        server.start()
        service.start()

        def sent(name, data):
            try:
                return requests.post(
                    f"{server.address}/api/v1/line/frames", data=data, params={"name": name}, timeout=20
                )
            except requests.ConnectionError:
                return None

        assert eventually(lambda: sent("good.jpg", jpeg(40)), 30)
        sent("bad.jpg", jpeg(200))
        sent("half.jpg", jpeg(60)[:200])
        yield server
        service.stop()
        server.close()


@pytest.mark.parametrize(("locale", "width"), [("en", 1366), ("de", 390)])
def test_page_shows_frames_and_fits(browser, line, locale, width):
    context = browser.new_context(viewport={"width": width, "height": 768}, locale=locale)
    context.set_default_timeout(LATE)
    page, errors = context.new_page(), []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(line.address)
    page.wait_for_selector("#last li.NG")
    assert page.text_content("#line") == "mill <b>2</b>"
    said = words()[locale]
    assert page.text_content("#condition") == said["running"]
    assert [item.text_content().split()[0] for item in page.query_selector_all("#last li p:first-of-type")][1:] == [
        "NG",
        "OK",
    ]
    assert said["no_verdict"] in page.text_content("#ng")
    assert said["none_ng"] != page.text_content("#ng")
    assert page.is_visible("#no-sinks")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.wait_for_function(
        "[...document.querySelectorAll('#last img')].every((one) => one.complete && one.naturalWidth)"
    )
    context.set_offline(True)
    page.wait_for_selector("#condition.gone")
    assert said["old"] in page.text_content("#reason")
    assert errors == []
    context.close()

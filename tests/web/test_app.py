"""The page on the server that ``Serve.py`` runs: behind its guard, with a token, within its limits."""

import os
import time

import pytest

from config import ServeConfig
from tests.web.red import Red, make_application, pixels, png, running
from utils.web.page import mount

pytest.importorskip("playwright.sync_api", reason="no playwright: pip install playwright")

TOKEN = "a-token-of-many-letters"
LATE = 60_000  # milliseconds


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    red = Red()
    coil = tmp_path_factory.mktemp("coil")
    (coil / "coil.html").write_text("<title>Coil 4711</title>")
    config = ServeConfig(
        weights_dir=tmp_path_factory.mktemp("none"),
        token=TOKEN,
        max_mb=1,
        save=tmp_path_factory.mktemp("kept"),
        coil=coil,
    )
    application = make_application(red, config)
    mount(application.app, application.inspector, config)
    with running(application, red) as server:
        server.kept = config.save
        until = time.monotonic() + 120
        while application.app.state.page.made is None:
            assert time.monotonic() < until
            time.sleep(0.05)
        yield server


@pytest.fixture
def view(server, browser):
    context = browser.new_context(http_credentials={"username": "anybody", "password": TOKEN})
    page = context.new_page()
    page.set_default_timeout(LATE)
    page.goto(server.address)
    page.wait_for_selector(".wb-thumb >> nth=5")
    page.get_by_role("tab", name="Upload").click()
    yield page
    context.close()


def upload(view, **files: bytes) -> None:
    sent = [{"name": name.replace("_", "."), "mimeType": "image/png", "buffer": data} for name, data in files.items()]
    view.locator("#files input[type=file]").set_input_files(sent)


def test_page_asks_for_the_token(server, browser):
    context = browser.new_context()
    for path in ("/", "/config", "/gradio_api/upload", "/page/x/thumb/1.jpg", "/coil", "/coil/", "/coil/defects.csv"):
        assert context.request.get(server.address + path).status == 401
    context.close()


def test_page_leads_to_the_coil(server, view):
    view.get_by_role("link", name="Map of the coil").click()
    view.wait_for_url("**/coil/")
    assert view.title() == "Coil 4711"


def test_page_works_with_the_token_and_uploads_are_kept_where_they_are_to_be(server, view):
    bright = pixels(0, (40, 90)) + 100
    bright[10:20, 10:30] = 250
    upload(view, a_png=png(bright), b_pdf=b"%PDF")
    view.wait_for_function("document.querySelector('.wb-bar .wb-name').textContent === 'a.png'")
    assert view.locator(".wb-bar .wb-verdict").inner_text() == "✗ defective: bright"
    view.wait_for_function("[...document.querySelectorAll('.wb img')].every(i => i.complete && i.naturalWidth > 0)")
    assert view.locator(".wb-refused li").inner_text().startswith("b.pdf: The file is a PDF")
    kept = [path for path in server.kept.rglob("*") if path.is_file()]
    assert sorted(path.name for path in kept) == ["0.png", "1.bin", "answer.json"]


def test_too_much_at_once_is_said_in_plain_words_and_less_goes_through(view):
    upload(view, a_png=os.urandom(700_000), b_png=os.urandom(700_000))
    view.get_by_text(
        "These files have 1.4 MB together, and at most 1.0 MB are taken at once; send them in parts."
    ).wait_for()
    upload(view, c_png=png(pixels(100, (20, 20))))
    view.wait_for_function("document.querySelector('.wb-bar .wb-name').textContent === 'c.png'")


@pytest.mark.slow
def test_server_that_stops_does_not_wait_for_open_pages(server, view):
    began = time.monotonic()
    server.stop()
    server.thread.join(20)
    assert not server.thread.is_alive()
    assert time.monotonic() - began < 15

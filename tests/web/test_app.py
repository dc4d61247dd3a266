"""The page on the server that ``Serve.py`` runs: behind its guard, with a token, at a path behind a proxy."""

import time

import pytest

from config import ServeConfig
from tests.web.red import Red, make_application, pixels, png, running
from utils.web.coil import coil_routes
from utils.web.desk.mounting import mount_desk
from utils.web.static_page import page_routes

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
    app, api = application.app, application.api
    mount_desk(app, application.inspector, config, api.limits, application.traffic, api.count)
    app.include_router(page_routes())
    app.include_router(coil_routes(coil))
    with running(application, red) as server:
        server.kept = config.save
        yield server


@pytest.fixture
def view(server, browser):
    context = browser.new_context(http_credentials={"username": "anybody", "password": TOKEN}, locale="en-US")
    page = context.new_page()
    page.set_default_timeout(LATE)
    page.goto(server.address)
    page.get_by_role("heading", name="Drop images here").wait_for()
    yield page
    context.close()


def test_page_asks_for_the_token(server, browser):
    context = browser.new_context()
    for path in ("/", "/page/modules/main.js", "/desk/v1/visits", "/coil", "/coil/", "/coil/defects.csv"):
        assert context.request.get(server.address + path).status == 401
    context.close()


def test_page_leads_to_the_coil(server, view):
    view.get_by_role("link", name="Coil map").click()
    view.wait_for_url("**/coil/")
    assert view.title() == "Coil 4711"


def test_page_works_with_the_token_and_images_are_kept_where_they_are_to_be(server, view):
    bright = pixels(0, (40, 90)) + 100
    bright[10:20, 10:30] = 250
    files = {"a.png": png(bright), "b.pdf": b"%PDF", "c.png": bytes(1_300_000)}
    view.set_input_files(
        "#file-input", [{"name": name, "mimeType": "image/png", "buffer": data} for name, data in files.items()]
    )
    view.locator("#image-name", has_text="a.png").wait_for()
    assert view.locator("#verdict").inner_text() == "✗ defective: bright"
    view.locator(".refusals li", has_text="b.pdf: The file is a PDF").wait_for()
    view.locator(".refusals li", has_text="c.png: ").wait_for()
    assert [path.suffix for path in (server.kept / "images").rglob("*") if path.is_file()] == [".png"]
    assert (server.kept / "desk.sqlite").is_file()


@pytest.mark.slow
def test_server_that_stops_does_not_wait_for_open_pages(server, view):
    began = time.monotonic()
    server.stop()
    server.thread.join(20)
    assert not server.thread.is_alive()
    assert time.monotonic() - began < 15

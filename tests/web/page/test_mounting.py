"""What the server answers before the page is made, when it cannot be made, and what it never answers."""

import time

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from starlette.responses import PlainTextResponse

from config import ServeConfig
from tests.web.page.bright import Bright, strip
from utils.errors import InputError
from utils.inspection.upload import Upload
from utils.web.page import mount
from utils.web.page.mounting import Page, PageApp, PageRoute

CLOSED = [
    "/docs",
    "/openapi.json",
    "/login",
    "/monitoring",
    "/gradio_api/file=/etc/passwd",
    "/gradio_api/file=../../config.py",
    "/gradio_api/proxy=http://169.254.169.254/",
    "/gradio_api/vibe-edit",
    "/gradio_api/run/predict",
    "/gradio_api/call/v2/decide",
    "/gradio_api/component_server",
    "/gradio_api/openapi.json",
    "/custom_component/x/client/component/index.js",
]


def served(page_app: PageApp) -> TestClient:
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    @app.get("/healthz")
    def health() -> str:
        return "alive"

    app.router.routes.append(PageRoute("/", page_app))
    return TestClient(app)


def test_browser_waits_while_the_page_is_made():
    client = served(PageApp())
    assert 'http-equiv="refresh"' in client.get("/").text
    assert client.get("/config").status_code == 503


@pytest.mark.parametrize("path", CLOSED)
def test_address_that_the_page_has_no_use_for_does_not_exist(path):
    page_app = PageApp()
    page_app.inside = PlainTextResponse("inside")
    client = served(page_app)
    assert client.get("/").text == "inside"
    for method in ("GET", "POST"):
        assert client.request(method, path).status_code == 404
    assert client.post("/healthz").status_code == 405  # the API's own, as without a page


def test_answers_let_a_browser_load_nothing_from_elsewhere():
    page_app = PageApp()
    page_app.inside = PlainTextResponse("inside")
    policy = served(page_app).get("/").headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "http" not in policy


def test_server_goes_on_without_a_page_that_cannot_be_made(caplog):
    def make():
        raise RuntimeError("no strips today")

    page_app = PageApp()
    page = Page(make, page_app, 1000, 3)
    app = FastAPI(lifespan=lambda app: page.running())
    app.router.routes.append(PageRoute("/", page_app))
    with TestClient(app) as client:
        until = time.monotonic() + 60
        while page.made is None:
            assert time.monotonic() < until
            time.sleep(0.02)
        answer = client.get("/")
    assert answer.status_code == 500
    assert "no strips" not in answer.text
    assert "no strips today" in caplog.text


def test_folder_without_images_is_said_before_anything_is_served(tmp_path):
    with pytest.raises(InputError, match="holds no image files"):
        mount(FastAPI(), Bright(), ServeConfig(dir=tmp_path))


def test_uploads_are_kept_only_where_they_are_to_be(tmp_path, other_weights):
    from utils.web.page import _keeper

    inspector = Bright()
    uploads = [Upload("../a.png", strip((10, 10, 20, 20, 240))), Upload("b.pdf", b"%PDF")]
    _keeper(tmp_path)(inspector.about, list(zip(uploads, inspector.inspect(uploads), strict=True)))
    kept = sorted(path.name for path in tmp_path.rglob("*") if path.is_file())
    assert kept == ["0.png", "1.bin", "answer.json"]

"""Whatever is sent to the server, API and page, gets an answer that is not an error of ours, and the next one is served."""

import io
import json
import time

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from config import ServeConfig
from tests.fuzz.damage import damaged
from tests.web.red import Red, form, make_application, pixels, png, post, running
from utils.web.page import mount

pytestmark = pytest.mark.slow
SEEDS = st.integers(0, 2**32 - 1)
CASES = settings(
    max_examples=200, deadline=None, database=None, print_blob=True, suppress_health_check=list(HealthCheck)
)
GOOD = png(pixels(250))


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    red, config = Red(), ServeConfig(weights_dir=tmp_path_factory.mktemp("weights"), max_seconds=10)
    application = make_application(red, config)
    mount(application.app, application.inspector, config)
    with running(application, red) as made:
        until = time.monotonic() + 120
        while application.app.state.page.made is None and time.monotonic() < until:
            time.sleep(0.05)
        assert application.app.state.page.made
        yield made


@pytest.fixture(autouse=True)
def _still_well(server):
    yield
    status, _, body = server.send(post(form([("good.png", GOOD)])))
    assert (status, json.loads(body)["images"][0]["verdict"]) == (200, "defective")
    places, traffic = server.application.places, server.application.traffic
    until = time.monotonic() + 10
    while (places.requests or places._page or traffic.bytes) and time.monotonic() < until:
        time.sleep(0.02)
    assert (places.requests, dict(places._page), traffic.bytes, traffic.accepted) == (0, {}, 0, 0)


def check(server, request: bytes, program: bool = True) -> int:
    """Send a request whose end is the end of what is sent; returns the status."""
    status, _, body = server.send(request)
    assert status < 500 or status == 503, body[:500]
    if program and status >= 400:
        error = json.loads(body)["error"]
        assert error["message"].endswith(".")
        assert "Traceback" not in error["message"]
    return status


@pytest.mark.parametrize("path", ["/api/v1/inspect", "/gradio_api/upload"])
def test_a_damaged_form_is_answered(server, path):
    field = "images" if path.startswith("/api") else "files"
    whole = form([("a.png", GOOD), ("b.png", GOOD)], field=field)
    statuses = set()

    @CASES
    @given(SEEDS)
    def send(seed):
        request = post(damaged(whole, seed), "Connection: close", path=path)
        statuses.add(check(server, request, path.startswith("/api")))

    send()
    assert {200, 400} <= statuses


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "TIFF"])
def test_a_damaged_image_is_answered(server, kind):
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (16, 24, 3), dtype=np.uint8)).save(file, kind)

    @CASES
    @given(SEEDS)
    def send(seed):
        # A bug of ours has the code "failed" also where the other image is answered.
        request = post(form([("a", damaged(file.getvalue(), seed)), ("good.png", GOOD)]), "Connection: close")
        status, _, body = server.send(request)
        first, second = json.loads(body)["images"]
        assert (status, second["verdict"]) == (200, "defective")
        assert first["error"] is None or first["error"]["code"] != "failed"

    send()


ADDRESSES = st.one_of(
    st.sampled_from(["/", "/config", "/api/v1/model", "/api/v1/inspect", "/readyz", "/gradio_api/queue/join"]),
    st.lists(
        st.sampled_from(
            ["api", "v1", "inspect", "gradio_api", "upload", "file=", "..", "%2e%2e", "assets", "static", "page", "picture",
             "1.jpg", "%00", "%ff", "queue", "data", "theme.css", "a" * 300, "é", "\\", "etc", "passwd", ";", "//"]
        ),
        max_size=6,
    ).map(lambda parts: "/" + "/".join(parts)),
    st.text(st.characters(min_codepoint=33, max_codepoint=255), max_size=40).map(lambda text: f"/{text}"),
)  # fmt: skip


def test_any_address_and_method_is_answered(server):
    @CASES
    @given(
        st.sampled_from(["GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD", "PATCH", "TRACE"]),
        ADDRESSES,
        st.text(st.characters(min_codepoint=33, max_codepoint=255, exclude_characters="#"), max_size=20),
    )
    def send(method, path, query):
        if method == "GET" and path.startswith(("/gradio_api/heartbeat/", "/gradio_api/upload_progress")):
            return  # streams that stay open
        request = f"{method} {path}?{query} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode("latin-1")
        check(server, request, program=False)

    send()


VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(["path", "meta", "url", "data"]), inner)
    ),
    max_leaves=8,
)


def test_any_event_of_the_page_is_answered(server):
    @CASES
    @given(
        st.fixed_dictionaries(
            {},
            optional={
                "data": VALUES,
                "fn_index": st.one_of(st.integers(-3, 30), VALUES),
                "session_hash": st.one_of(st.text(max_size=6), VALUES),
                "event_data": VALUES,
                "trigger_id": VALUES,
            },
        )
    )
    def send(event):
        body = json.dumps(event).encode()
        head = f"POST /gradio_api/queue/join HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: {len(body)}"
        check(server, f"{head}\r\nContent-Type: application/json\r\n\r\n".encode() + body, program=False)

    send()

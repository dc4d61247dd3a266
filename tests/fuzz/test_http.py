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
from utils.web.desk.mounting import mount_desk
from utils.web.static_page import page_routes

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
    app, api = application.app, application.api
    mount_desk(app, application.inspector, config, api.limits, application.traffic, api.count)
    app.include_router(page_routes())
    with running(application, red) as made:
        head = "POST /desk/v1/visits HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
        made.visit = json.loads(made.send(head.encode())[2])["id"]
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


@pytest.mark.parametrize("path", ["/api/v1/inspect", "/desk/v1/visits/VISIT/images"])
def test_a_damaged_form_is_answered(server, path):
    program, path = path.startswith("/api"), path.replace("VISIT", server.visit)
    whole = form([("a.png", GOOD), ("b.png", GOOD)]) if program else form([("a.png", GOOD)], field="image")
    statuses = set()

    @CASES
    @given(SEEDS)
    def send(seed):
        request = post(damaged(whole, seed), "Connection: close", path=path)
        statuses.add(check(server, request))

    send()
    assert {200 if program else 202, 400} <= statuses


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
    st.sampled_from(["/", "/config", "/api/v1/model", "/api/v1/inspect", "/readyz", "/desk/v1/visits"]),
    st.lists(
        st.sampled_from(
            ["api", "v1", "inspect", "desk", "visits", "images", "..", "%2e%2e", "modules", "vendor", "page", "download",
             "thumb.jpg", "%00", "%ff", "1", "next", "main.js", "a" * 300, "é", "\\", "etc", "passwd", ";", "//"]
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
        request = f"{method} {path}?{query} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode("latin-1")
        check(server, request, program=False)

    send()


VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["id", "kind", "defect", "class_id", "polygon", "threshold"]), inner),
    ),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("method", "path", "names"),
    [
        ("POST", "visits", ["title", "weights", "meta"]),
        ("PATCH", "visits/VISIT", ["title", "weights", "compare", "decision", "meta"]),
        ("POST", "visits/VISIT/folder", ["words", "names"]),
        ("POST", "visits/VISIT/images/1/review", ["who", "actions"]),
        ("POST", "visits/VISIT/keep_settings", ["name"]),
    ],
)
def test_any_json_of_the_page_is_answered(server, method, path, names):
    @CASES
    @given(st.one_of(st.dictionaries(st.sampled_from([*names, "else"]), VALUES), VALUES))
    def send(sent):
        body = json.dumps(sent).encode()
        head = f"{method} /desk/v1/{path.replace('VISIT', server.visit)} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        check(server, head.encode() + body)

    send()

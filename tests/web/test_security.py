"""What people and programs with bad manners send to a real socket, and the answer that each gets."""

import asyncio
import contextlib
import gzip
import io
import json
import socket
import struct
import time
import zlib

import numpy as np
import pytest
from PIL import Image
from starlette.requests import Request
from starlette.responses import StreamingResponse

from config import ServeConfig
from tests.web.red import Red, form, make_application, pixels, png, post, read_answer, running
from utils.web import security
from utils.web import server as server_module

TOKEN = "a-token-of-some-length"
GOOD = png(pixels(250))


@pytest.fixture(scope="module")
def server():
    """Takes little, but gives a request the time that ``Serve.py`` does: a slow machine is no fault."""
    red = Red()
    flags = ServeConfig(max_images=4, max_mb=1, max_pixels=1_000_000, queue=8)
    with running(make_application(red, flags), red) as made:
        yield made


@pytest.fixture
def hasty():
    """Gives a request little time."""
    red = Red()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(server_module, "HEAD_SECONDS", 0.5)
        with running(make_application(red, ServeConfig(max_seconds=1)), red) as made:
            yield made


@pytest.fixture(scope="module")
def patient():
    """Takes large images, too."""
    red = Red()
    with running(make_application(red, ServeConfig()), red) as made:
        yield made


@pytest.fixture(scope="module")
def guarded():
    red = Red()
    with running(make_application(red, ServeConfig(token=TOKEN)), red) as made:
        yield made


@pytest.fixture(autouse=True)
def _still_well(server):
    """Whatever was sent, the next one gets its answer, and nothing is left behind."""
    yield
    status, _, body = server.send(post(form([("good.png", GOOD)])))
    assert (status, json.loads(body)["images"][0]["verdict"]) == (200, "defective")
    assert_empty(server.application)


def assert_empty(application) -> None:
    """Nothing is under way, now or after a while."""
    traffic, places, inspector = application.traffic, application.places, application.inspector
    deadline = time.monotonic() + 60
    while (places.requests or traffic.bytes or inspector.inside) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert (traffic.bytes, traffic.accepted, len(traffic.reading), inspector.inside) == (0, 0, 0, 0)


def png_of(width: int, height: int, packed: bytes) -> bytes:
    """A PNG whose header promises any size."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def text_bomb() -> bytes:
    """A PNG of one pixel whose compressed comment is 200 MB long."""
    comment = b"zTXt" + b"Comment\0\0" + zlib.compress(bytes(200_000_000), 9)
    whole = png_of(1, 1, zlib.compress(b"\0\0"))
    chunk = struct.pack(">I", len(comment) - 4) + comment + struct.pack(">I", zlib.crc32(comment))
    return whole[:33] + chunk + whole[33:]


def jpeg_of_scans() -> bytes:
    """A progressive JPEG that repeats its last scan a thousand times."""
    packed = io.BytesIO()
    Image.fromarray(np.zeros((16, 16), np.uint8)).save(packed, "JPEG", progressive=True)
    data = packed.getvalue()
    scan = data[data.rindex(b"\xff\xda") : -2]
    return data[:-2] + scan * 1000 + data[-2:]


def mpo_of_scans() -> bytes:
    """The same with a table of several pictures, for which Pillow has another name than JPEG."""
    packed = io.BytesIO()
    black = Image.fromarray(np.zeros((16, 16), np.uint8))
    black.save(packed, "MPO", save_all=True, append_images=[black], progressive=True)
    data = packed.getvalue()
    end = data.index(b"\xff\xd9")
    return data[:end] + data[data.rindex(b"\xff\xda", 0, end) : end] * 3000 + data[end:]


def tiff_with_wrong_offsets() -> bytes:
    packed = io.BytesIO()
    Image.fromarray(np.zeros((16, 16), np.uint8)).save(packed, "TIFF")
    data = bytearray(packed.getvalue())
    data[4:8] = struct.pack("<I", 2**31)
    return bytes(data)


def webp() -> bytes:
    content = b"WEBPVP8L" + struct.pack("<IBI", 5, 0x2F, 16_382 | 16_382 << 14) + bytes(9)
    return b"RIFF" + struct.pack("<I", len(content)) + content


ONE = post(form([("a.png", GOOD)]))
MANY_HEADERS = "\r\n".join(f"X-{k}: {'y' * 90}" for k in range(1000))
HOSTILE = {
    # images that are none, or more than they seem
    "a bomb: a PNG of 30,000 x 30,000 pixels in 1 kB": (post(form([("a.png", png_of(30_000, 30_000, b"x"))])), 413, "too_many_pixels"),
    "a bomb: a PNG of 60,000 x 60,000 pixels": (post(form([("a.png", png_of(60_000, 60_000, b"x"))])), 413, "too_many_pixels"),
    "a line of 100,000 pixels, of which the network makes 32": (post(form([("a.png", png_of(100_000, 1, zlib.compress(bytes(100_001))))])), 413, "too_many_pixels"),
    "a bomb: a comment of 200 MB": (post(form([("a.png", text_bomb())])), 422, "damaged"),
    "a bomb: a JPEG of 1,000 scans": (post(form([("a.jpg", jpeg_of_scans())])), 413, "too_many_scans"),
    "a bomb: an MPO of 3,000 scans": (post(form([("a.jpg", mpo_of_scans())])), 413, "too_many_scans"),
    "no pixels at all": (post(form([("a.png", png_of(0, 0, b""))])), 415, "not_an_image"),
    "a TIFF that points outside of itself": (post(form([("a.tif", tiff_with_wrong_offsets())])), 415, "not_an_image"),
    "a program named .jpg": (post(form([("a.jpg", b"\x7fELF" + bytes(500))])), 415, "not_an_image"),
    "a PDF": (post(form([("a.pdf", b"%PDF-1.7\n")])), 415, "not_an_image"),
    "an SVG": (post(form([("a.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>")])), 415, "not_an_image"),
    "a bomb: a WebP of 16,383 x 16,383 pixels": (post(form([("a.webp", webp())])), 413, "too_many_pixels"),
    "PostScript, which PIL would give to another program": (post(form([("a.eps", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")])), 415, "not_an_image"),
    "0 bytes": (post(form([("a.jpg", b"")])), 422, "empty"),
    "half of an image": (post(form([("a.png", png(np.random.default_rng(0).integers(0, 256, (90, 90, 3), dtype=np.uint8))[:9000])])), 422, "truncated"),
    # names
    "no name": (post(form([("a.png", GOOD)]).replace(b'; filename="a.png"', b"")), 422, "unknown_field"),
    "another field": (post(form([("a.png", GOOD)], field="path")), 422, "unknown_field"),
    # forms
    "more images than allowed": (post(form([("a.png", GOOD)] * 5)), 413, "too_many_images"),
    "100,000 empty parts": (post(form([("", b"")] * 8_000)), 413, "too_many_images"),
    "no form": (ONE.replace(b"multipart/form-data; boundary=xyz", b"application/json"), 415, "not_multipart"),
    "a form without a boundary": (ONE.replace(b"; boundary=xyz", b""), 400, "malformed"),
    "another boundary than announced": (ONE.replace(b"boundary=xyz", b"boundary=abc"), 400, "malformed"),
    "a boundary of 1,000 letters": (ONE.replace(b"boundary=xyz", b"boundary=" + b"x" * 1000), 400, "malformed"),
    "a form that ends in the middle": (post(form([("a.png", GOOD)])[:-30]), 400, "malformed"),
    "an empty form": (post(b"--xyz--\r\n"), 422, "no_images"),
    "nothing": (post(b""), 400, "malformed"),
    "a part with a header of 100 kB": (post(form([("a" * 100_000, GOOD)])), 400, "malformed"),
    "a packed body": (post(gzip.compress(form([("a.png", GOOD)])), "Content-Encoding: gzip"), 400, "malformed"),
    # sizes
    "2 MB where 1 is allowed": (post(form([("a.png", bytes(2_000_000))])), 413, "too_many_bytes"),
    "a promise of 10 GB": (post(b"", length=10**10), 413, "too_many_bytes"),
    "a length that is no number": (post(b"").replace(b"Content-Length: 0", b"Content-Length: many"), 400, "malformed"),
    "a negative length": (post(b"").replace(b"Content-Length: 0", b"Content-Length: -5"), 400, "malformed"),
    "two lengths": (post(b"", "Content-Length: 7"), 400, "malformed"),
    "a length and chunks at once": (post(b"0\r\n\r\n", "Transfer-Encoding: chunked"), 400, "malformed"),
    "an address of 100 kB": (b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 431, "too_long_head"),
    "1,000 headers": (f"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n{MANY_HEADERS}\r\n\r\n".encode(), 431, "too_long_head"),
    # addresses and methods
    "a path that climbs": (b"GET /../../etc/passwd HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 404, "not_found"),
    "a path that climbs, in disguise": (b"GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 404, "not_found"),
    "another method": (b"DELETE /api/v1/inspect HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 405, "wrong_method"),
    "TRACE": (b"TRACE /api/v1/model HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 405, "wrong_method"),
    "an unknown kind of overlay": (post(form([("a.png", GOOD)]), path="/api/v1/inspect?overlay=../../x"), 422, "wrong_value"),
    "no HTTP at all": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(40) + b"\r\n\r\n", 400, "malformed"),
    "a header with a line break in it": (b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX: a\rb\r\n\r\n", 400, "malformed"),
    # origins
    "a page of another site": (post(form([("a.png", GOOD)]), "Origin: https://evil.example.com"), 403, "foreign_origin"),
    "a page from a file": (post(form([("a.png", GOOD)]), "Origin: null"), 403, "foreign_origin"),
    "a name that an attacker leads here": (b"GET /api/v1/model HTTP/1.1\r\nHost: evil.example.com\r\n\r\n", 421, "wrong_host"),
    "a name that looks like ours": (b"GET /api/v1/model HTTP/1.1\r\nHost: 127.0.0.1.evil.example.com\r\n\r\n", 421, "wrong_host"),
    "a web socket": (b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x\r\nOrigin: https://evil.example.com\r\n\r\n", 403, "foreign_origin"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_request_gets_a_clear_answer(server, name):
    request, status, code = HOSTILE[name]
    start = time.monotonic()
    got, _, body = server.send(request)
    assert got == status, body[:300]
    error = json.loads(body)["error"]
    assert error["code"] == code
    assert error["message"].endswith(".")
    for secret in ("Traceback", "/work", "site-packages", "Error"):
        assert secret not in error["message"]
    assert time.monotonic() - start < 60


@pytest.mark.parametrize(
    ("header", "code"),
    [
        ("X-Nothing: 1", "no_token"),
        ("Authorization: Bearer wrong", "wrong_token"),
        (f"Authorization: Bearer {TOKEN}x", "wrong_token"),
        (f"Authorization: Bearer {TOKEN[:-1]}", "wrong_token"),
        ("Authorization: Bearer", "wrong_token"),
        ("Authorization: Bearer \xff\xfe", "wrong_token"),
        (f"Authorization: Basic {TOKEN}", "wrong_token"),
        ("Authorization: Basic eDphLXRva2VuLW9mLXNvbWUtbGVuZ3Ro", "wrong_token"),  # right, but not for programs
        (f"Cookie: token={TOKEN}", "no_token"),
    ],
)
def test_without_the_token_nothing_is_told(guarded, header, code):
    for request in (post(form([("a.png", GOOD)]), header), _get("/api/v1/model", header), _get("/metrics", header)):
        status, headers, body = guarded.send(request)
        assert (status, json.loads(body)["error"]["code"]) == (401, code)
        assert headers["www-authenticate"] == "Bearer"


def test_with_the_token_everything_is(guarded):
    header = f"Authorization: Bearer {TOKEN}"
    assert guarded.send(post(form([("a.png", GOOD)]), header))[0] == 200
    assert guarded.send(_get("/api/v1/model", header))[0] == 200
    assert guarded.send(_get("/healthz"))[0] == 200


def test_pages_ask_for_the_token_as_a_password(guarded):
    status, headers, _ = guarded.send(_get("/"))
    assert (status, headers["www-authenticate"].split()[0]) == (401, "Basic")
    status, _, _ = guarded.send(_get("/made-up", "Authorization: Basic eDphLXRva2VuLW9mLXNvbWUtbGVuZ3Ro"))
    assert status == 404


@pytest.mark.parametrize(
    "name", ["../../../etc/passwd", "..\\..\\win.ini", "/etc/shadow", "C:\\x", "\x00\x07", "..", ""]
)
def test_names_that_climb_are_only_names(server, name):
    status, _, body = server.send(post(form([(name, GOOD)])))
    shown = json.loads(body)["images"][0]["name"]
    assert status == 200
    assert shown in ("passwd", "win.ini", "shadow", "x", "image 1")


def test_a_long_name_is_cut(server):
    _, _, body = server.send(post(form([("a" * 4000, GOOD)])))
    assert json.loads(body)["images"][0]["name"] == "a" * 255


def test_a_head_that_comes_slowly_is_cut_off(hasty):
    status, _, body = hasty.send(b"GET /healthz HTTP/1.1\r\n", *[b"X: y\r\n"] * 12, pause=0.1)
    assert (status, json.loads(body)["error"]["code"]) == (408, "timeout")


def test_a_connection_that_says_nothing_is_closed(hasty):
    status, _, _ = hasty.send(timeout=60)
    assert status == 408


def test_a_body_that_comes_slowly_is_cut_off(hasty):
    head, _, body = ONE.partition(b"\r\n\r\n")
    pieces = [body[at : at + 8] for at in range(0, len(body), 8)]
    status, headers, body = hasty.send(head + b"\r\n\r\n", *pieces[:9], pause=0.2)
    assert (status, json.loads(body)["error"]["code"]) == (408, "timeout")
    assert headers["connection"] == "close"


def test_a_body_that_never_ends_is_cut_off(server):
    head = post(b"").replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
    chunk = b"10000\r\n" + bytes(0x10000) + b"\r\n"
    start = form([("a.png", b"")])[:-9]
    status, _, body = server.send(head, b"%x\r\n" % len(start) + start + b"\r\n", *[chunk] * 40)
    assert (status, json.loads(body)["error"]["code"]) == (413, "too_many_bytes")


def test_a_client_that_hangs_up_leaves_nothing_behind(server):
    for cut in (20, 200, len(ONE)):
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            connection.sendall(ONE[:cut])


def test_requests_in_one_go_are_answered_in_their_order(server):
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        connection.sendall(post(form([("first.png", GOOD)])) + post(form([("second.png", GOOD)]), "Connection: close"))
        data = b""
        while part := connection.recv(65536):
            data += part
    assert data.count(b"HTTP/1.1 200") == 2
    assert data.index(b"first.png") < data.index(b"second.png")


def test_a_thousand_connections_that_say_nothing_keep_nobody_out(server):
    held = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(300)]
    assert server.send(ONE)[0] == 200
    for connection in held:
        connection.close()


def test_too_many_requests_at_once_are_told_to_come_back(server):
    places, most = server.application.places, server.application.places.most_requests
    places.most_requests = 0
    try:
        status, headers, body = server.send(ONE)
        assert server.send(_get("/healthz"))[0] == 200
        assert server.send(_get("/readyz"))[0] == 503
        assert server.send(_get("/made-up"))[0] == 404  # the page has places of its own
    finally:
        places.most_requests = most
    assert (status, json.loads(body)["error"]["code"], headers["retry-after"]) == (503, "busy", "1")


@pytest.fixture(scope="module")
def streaming():
    """A server whose page has streams that never end, and uploads that are read to their end."""
    red = Red()
    application = make_application(red, ServeConfig())

    @application.app.get("/desk/v1/visits/{visit}/events")
    def beat(visit: str) -> StreamingResponse:
        async def forever():
            while True:
                yield b"data: ALIVE\n\n"
                await asyncio.sleep(0.05)

        return StreamingResponse(forever(), media_type="text/event-stream")

    @application.app.post("/desk/v1/visits/1/images")
    async def upload(request: Request) -> int:
        return len(await request.body())

    with running(application, red) as made:
        yield made


def test_open_pages_shut_nobody_out_of_the_api(streaming):
    with contextlib.ExitStack() as held:
        answers = []
        for number in range(140):
            one = held.enter_context(socket.create_connection(("127.0.0.1", streaming.port), timeout=20))
            one.sendall(_get(f"/desk/v1/visits/{number}/events"))
            answers.append(one.recv(20))
        assert {answer[:12] for answer in answers[:128]} == {b"HTTP/1.1 200"}
        assert {answer[:12] for answer in answers[128:]} == {b"HTTP/1.1 503"}
        assert streaming.send(ONE)[0] == 200
        assert streaming.send(_get("/readyz"))[0] == 200
        assert streaming.send(post(b"abc", path="/desk/v1/visits/1/images"))[0] == 200
    deadline = time.monotonic() + 60
    while streaming.application.places._streams and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not streaming.application.places._streams


def test_uploads_of_the_page_that_never_end_shut_nobody_out_and_are_ended(streaming, monkeypatch):
    monkeypatch.setattr(security, "SILENT_SECONDS", 1.0)
    with contextlib.ExitStack() as held:
        sent = [
            held.enter_context(socket.create_connection(("127.0.0.1", streaming.port), timeout=20)) for _ in range(140)
        ]
        for one in sent:
            one.sendall(post(b"abc", path="/desk/v1/visits/1/images", length=1000))
        assert streaming.send(ONE)[0] == 200
        statuses = {read_answer(one)[0] for one in sent}
    assert statuses == {408, 503}


def test_bodies_that_fill_the_memory_are_told_to_come_back(server):
    traffic = server.application.traffic
    traffic.bytes += traffic.most_bytes
    try:
        status, headers, _ = server.send(ONE)
    finally:
        traffic.bytes -= traffic.most_bytes
    assert (status, headers["retry-after"]) == (503, "1")


def test_every_answer_has_the_headers_that_protect(server):
    for request in (ONE, _get("/healthz"), _get("/made-up"), _get("/api/v1/model", "Origin: https://evil.example.com")):
        _, headers, _ = server.send(request)
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "SAMEORIGIN"
        assert len(headers["x-request-id"]) == 16
        assert "server" not in headers
        assert "access-control-allow-origin" not in headers


def _get(path: str, *headers: str) -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: 127.0.0.1", *headers, "", ""]).encode("latin-1")


def test_a_bad_neighbour_in_a_batch_harms_nobody(server):
    files = [("a.png", GOOD), ("b.png", png_of(30_000, 30_000, b"x")), ("c.png", png(pixels(13))), ("d.png", GOOD)]
    status, _, body = server.send(post(form(files)))
    images = json.loads(body)["images"]
    assert status == 200
    assert [image["verdict"] for image in images] == ["defective", None, None, "defective"]
    assert [images[k]["error"]["code"] for k in (1, 2)] == ["too_many_pixels", "failed"]


def test_answer_is_read_whole_when_it_is_large(patient):
    noise = np.random.default_rng(1).integers(0, 256, (300, 300, 3), dtype=np.uint8)
    with socket.create_connection(("127.0.0.1", patient.port), timeout=60) as connection:
        connection.sendall(post(form([("noise.png", png(noise))]), path="/api/v1/inspect?overlay=png"))
        time.sleep(0.5)
        status, _, body = read_answer(connection)
    assert status == 200
    assert len(json.loads(body)["images"][0]["defects"]) > 1000
    assert_empty(patient.application)

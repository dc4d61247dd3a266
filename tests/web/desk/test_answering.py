"""Whatever somebody sends to the desk, the answer is short and right, and the next one gets its own."""

import io
import json
import threading
import time
import zipfile

import pytest

from config import ServeConfig
from tests.web.red import Red, form, make_application, png, running
from tests.web.red import pixels as drawn
from utils.web.desk.answering import LONGEST_JSON
from utils.web.desk.mounting import mount_desk

GOOD = png(drawn(250))
TOKEN = "a-word-of-sixteen-letters"


def start(**flags):
    red = Red()
    config = ServeConfig(**flags)
    application = make_application(red, config)
    api = application.api
    mount_desk(application.app, application.inspector, config, api.limits, application.traffic, api.count)
    return running(application, red)


@pytest.fixture(scope="module")
def server():
    with start(max_mb=1, max_pixels=1_000_000, max_seconds=5) as made:
        yield made


def asked(method, path, body=b"", *headers, kind="application/json"):
    lines = [
        f"{method} /desk/v1/{path} HTTP/1.1",
        *([] if any(header.lower().startswith("host:") for header in headers) else ["Host: 127.0.0.1"]),
        *([f"Content-Type: {kind}"] if body else []),
        f"Content-Length: {len(body)}",
        *headers,
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def sent(server, *words, **more):
    status, headers, body = server.send(asked(*words, **more))
    told = json.loads(body) if headers.get("content-type") == "application/json" else body
    return status, told


@pytest.fixture
def visit(server):
    status, told = sent(server, "POST", "visits", b"{}")
    assert status == 201
    yield told["id"]
    # Whatever was sent, an image still goes through.
    status, told = sent(server, "POST", f"visits/{told['id']}/images", one(GOOD), kind=FORM)
    assert (status, told["refused"]) == (202, [])
    traffic, places = server.application.traffic, server.application.places
    assert (traffic.bytes, places.requests) == (0, 0)


FORM = "multipart/form-data; boundary=xyz"


def one(data, name="a.png", field="image"):
    return form([(name, data)], field)


def fields(*pairs):
    texts = [
        f'--xyz\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode() for name, value in pairs
    ]
    return b"".join(texts) + one(GOOD)


def zipped(files):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return packed.getvalue()


JSON = "application/json"
HOSTILE = [
    ("GET", "visits/none", b"", JSON, 404, "no_visit"),
    ("GET", "visits/..%2f..%2fetc", b"", JSON, 404, None),
    ("GET", "visits/V?trace=1", b"", JSON, 422, "unknown_parameter"),
    ("GET", "visits?limit=100000", b"", JSON, 422, "wrong_value"),
    ("GET", "visits?limit=-1", b"", JSON, 422, "wrong_value"),
    ("GET", "visits?limit=1&limit=2", b"", JSON, 422, "wrong_value"),
    ("GET", "visits?day=yesterday", b"", JSON, 422, "wrong_value"),
    ("GET", "visits?day=9999-12-31", b"", JSON, 422, "wrong_value"),
    ("GET", "visits?day=0001-01-01", b"", JSON, 422, "wrong_value"),
    ("GET", "visits/V/images?sort=key;drop%20table%20images", b"", JSON, 422, "wrong_value"),
    ("GET", "visits/V/images?words=%27%20OR%201%3D1%20--", b"", JSON, 200, None),
    ("GET", "visits/V/images/1%20OR%201", b"", JSON, 404, "not_found"),
    ("GET", "visits/V/images/999", b"", JSON, 404, "not_found"),
    ("GET", "visits/V/images/999/thumb.jpg", b"", JSON, 404, "not_found"),
    ("GET", "visits/V/images/1/tiles/99999999/0_0.jpg", b"", JSON, 404, "not_found"),
    ("GET", "visits/V/images/1/tiles/1/0_-1.jpg", b"", JSON, 404, "not_found"),
    ("GET", "visits/V/download/..%2Fdesk.sqlite", b"", JSON, 404, "not_found"),
    ("GET", "visits/V/download/desk.sqlite", b"", JSON, 404, "not_found"),
    ("GET", "visits/none/events", b"", JSON, 404, "no_visit"),
    ("PUT", "visits/V", b"{}", JSON, 405, "wrong_method"),
    ("POST", "visits", b"{", JSON, 400, "malformed"),
    ("POST", "visits", b'{"title": NaN}', JSON, 400, "malformed"),
    ("POST", "visits", b"[" * 100_000, JSON, 400, "malformed"),
    ("POST", "visits", b"[]", JSON, 422, "wrong_value"),
    ("POST", "visits", b"{}", "text/plain", 415, "not_json"),
    ("POST", "visits", b'{"path": "/etc"}', JSON, 422, "wrong_value"),
    ("POST", "visits", b'{"title": "a\\nb"}', JSON, 422, "wrong_value"),
    ("POST", "visits", json.dumps({"title": "x" * 201}).encode(), JSON, 422, "wrong_value"),
    ("POST", "visits", b'{"weights": "../../etc/passwd"}', JSON, 422, "wrong_value"),
    ("POST", "visits", b'{"meta": {"a b": 1}}', JSON, 422, "wrong_value"),
    ("POST", "visits", b'{"meta": {"a": [1]}}', JSON, 422, "wrong_value"),
    ("POST", "visits", json.dumps({"meta": {f"f{k}": k for k in range(33)}}).encode(), JSON, 422, "wrong_value"),
    ("PATCH", "visits/V", b'{"decision": [{"threshold": 2}, {}]}', JSON, 422, "wrong_value"),
    ("PATCH", "visits/V", b'{"decision": [{"threshold": true}, {}]}', JSON, 422, "wrong_value"),
    ("PATCH", "visits/V", b'{"decision": [{}]}', JSON, 422, "wrong_value"),
    ("PATCH", "visits/V", b'{"decision": [{"min_area": 9, "max_area": 3}, {}]}', JSON, 422, "wrong_value"),
    ("PATCH", "visits/V", b'{"decision": [{"min_area": 1.5}, {}]}', JSON, 422, "wrong_value"),
    *(
        ("PATCH", "visits/V", f'{{"decision": [{{"{name}": {number}}}, {{}}]}}'.encode(), JSON, 422, "wrong_value")
        for name in ("threshold", "high_threshold", "min_area", "max_area")
        for number in ("1" + "0" * 400, "1e999", "-1")
    ),
    ("PATCH", "visits/V", b'{"decision": [{"colour": 1}, {}]}', JSON, 422, "wrong_value"),
    ("POST", "visits/V/images", b"{}", JSON, 415, "not_multipart"),
    ("POST", "visits/V/images", one(GOOD, field="images"), FORM, 422, "unknown_field"),
    ("POST", "visits/V/images", form([("a.png", GOOD), ("b.png", GOOD)], "image"), FORM, 413, "too_many_images"),
    ("POST", "visits/V/images", fields(("path", "a/b.png"), ("path", "c.png")), FORM, 422, "unknown_field"),
    ("POST", "visits/V/images", fields(("where", "a")), FORM, 422, "unknown_field"),
    ("POST", "visits/V/images", fields(("meta.coil_id", "x" * 2001)), FORM, 413, "too_many_bytes"),
    ("POST", "visits/V/images", fields(("meta.coil_id", "x" * 300)), FORM, 422, "wrong_value"),
    ("POST", "visits/V/images", fields(*((f"meta.f{k}", "1") for k in range(40))), FORM, 422, "wrong_value"),
    ("POST", "visits/V/images", one(GOOD)[:-20], FORM, 400, "malformed"),
    ("POST", "visits/none/images", one(GOOD), FORM, 404, "no_visit"),
    ("POST", "visits/V/folder", b'{"names": "a"}', JSON, 422, "wrong_value"),
    ("POST", "visits/V/folder", b'{"names": ["../../etc/passwd"]}', JSON, 202, None),
    ("POST", "visits/V/images/1/review", b'{"who": "Ann", "actions": []}', JSON, 404, "not_found"),
    ("GET", "visits/V/next?queue=all", b"", JSON, 422, "wrong_value"),
    ("POST", "visits/V/keep_settings", b'{"name": "../x"}', JSON, 422, "wrong_value"),
]


@pytest.mark.parametrize(("method", "path", "body", "kind", "status", "code"), HOSTILE)
def test_hostile_requests_get_a_plain_answer(server, visit, method, path, body, kind, status, code):
    answer, told = sent(server, method, path.replace("V", visit, 1), body, kind=kind)
    assert answer == status, told
    if code is not None:
        assert told["error"]["code"] == code
        assert set(told["error"]) == {"code", "message", "id"}
        assert len(told["error"]["message"]) < 300
        assert "/tmp" not in told["error"]["message"]


def test_json_is_bounded(server, visit, monkeypatch):
    monkeypatch.setattr("utils.web.desk.answering.LONGEST_JSON", 1000)
    answer, told = sent(server, "POST", "visits", json.dumps({"title": "x" * 1000}).encode())
    assert (answer, told["error"]["code"]) == (413, "too_many_bytes")
    assert LONGEST_JSON < 64 * 2**20


@pytest.mark.parametrize(
    ("name", "data", "added", "refused"),
    [
        ("a.pdf", b"%PDF-1.7\n", [], "PDF"),
        ("a.png", GOOD[:20], [], "damaged"),
        ("a.png", b"", [], "empty"),
        ("a.zip", b"PK\x03\x04 nothing", [], "damaged"),
        ("a.zip", zipped({"x/1.png": GOOD, "x/notes.txt": b"words"}), ["x/1.png"], "no image"),
        ("a.zip", zipped({"../../../etc/evil.png": GOOD}), ["etc/evil.png"], None),
        ("a.zip", zipped({"inner.zip": zipped({"a.png": GOOD})}), [], "ZIP"),
        ("a.zip", zipped({"bomb.png": bytes(50_000_000)}), [], "more than"),
    ],
)
def test_files_are_taken_or_refused_with_their_reason(server, visit, name, data, added, refused):
    status, told = sent(server, "POST", f"visits/{visit}/images", one(data, name), kind=FORM)
    assert status == 202
    assert [entry["name"] for entry in told["added"]] == added
    assert len(told["refused"]) == (refused is not None)
    if refused:
        assert refused.lower() in told["refused"][0]["reason"].lower()


@pytest.mark.parametrize(
    "headers", [("Origin: https://evil.example",), ("Host: evil.example",), ("Origin: null",)], ids=lambda one: one[0]
)
def test_other_pages_may_not_call(server, visit, headers):
    for method, path in (("POST", "visits"), ("GET", f"visits/{visit}"), ("DELETE", f"visits/{visit}")):
        assert sent(server, method, path, b"", *headers)[0] in (403, 421)
    assert sent(server, "GET", f"visits/{visit}")[0] == 200


def test_token_is_asked_for_on_every_route():
    with start(token=TOKEN) as server:
        for method, path in [
            ("POST", "visits"),
            ("GET", "visits"),
            ("GET", "visits/V"),
            ("GET", "visits/V/events"),
            ("GET", "visits/V/images/1/thumb.jpg"),
            ("GET", "visits/V/download/report.pdf"),
            ("GET", "about"),
            ("GET", "folder"),
            ("PATCH", "visits/V"),
            ("DELETE", "visits/V"),
            ("POST", "visits/V/images"),
            ("POST", "visits/V/folder"),
            ("POST", "visits/V/samples"),
            ("POST", "visits/V/stop"),
            ("POST", "visits/V/go"),
            ("GET", "visits/V/images"),
            ("DELETE", "visits/V/images/1"),
            ("GET", "visits/V/images/1/tiles/0/0_0.jpg"),
            ("GET", "visits/V/images/1/probability"),
            ("POST", "visits/V/keep_settings"),
            ("GET", "visits/V/session"),
            ("GET", "visits/V/next"),
            ("POST", "visits/V/images/1/review"),
        ]:
            assert sent(server, method, path)[0] == 401
        assert sent(server, "POST", "visits", b"{}", f"Authorization: Bearer {TOKEN}")[0] == 201


def test_every_answer_has_the_headers_of_all(server, visit):
    for path in (f"visits/{visit}", f"visits/{visit}/images/1/thumb.jpg", "visits/none"):
        _, headers, _ = server.send(asked("GET", path))
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "SAMEORIGIN"


def test_events_come_and_end_with_the_visit(server, visit):
    _, other = sent(server, "POST", "visits", b"{}")
    got: list[bytes] = []

    def listen() -> None:
        got.append(server.send(asked("GET", f"visits/{other['id']}/events", b"", "Connection: close"))[2])

    thread = threading.Thread(target=listen)
    thread.start()
    time.sleep(0.5)  # the stream is open before there is news
    sent(server, "POST", f"visits/{other['id']}/images", one(GOOD), kind=FORM)
    for _ in range(100):
        _, told = sent(server, "GET", f"visits/{other['id']}")
        if told["counts"]["done"]:
            break
    sent(server, "DELETE", f"visits/{other['id']}")
    thread.join(20)
    assert b"event: visit" in got[0]
    assert b"event: gone" in got[0]


def test_nothing_is_lost_where_nothing_can_be_kept(server, visit):
    database = server.application.app.state.desk.database
    for connection in (database._plain, database._safe):
        connection.execute("PRAGMA query_only=ON")
    try:
        status, headers, body = server.send(asked("PATCH", f"visits/{visit}", b'{"title": "x"}'))
    finally:
        for connection in (database._plain, database._safe):
            connection.execute("PRAGMA query_only=OFF")
    assert (status, json.loads(body)["error"]["code"]) == (503, "cannot_keep")
    assert headers["retry-after"] == "10"  # a page and a program send it again
    assert sent(server, "PATCH", f"visits/{visit}", b'{"title": "x"}')[1]["title"] == "x"

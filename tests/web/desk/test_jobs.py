"""Jobs of programs: begun, asked about, called back; and never a call to an address that nobody allowed."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from config import ServeConfig
from tests.web.red import Red, form, make_application, png, running
from tests.web.red import pixels as drawn
from utils.web.desk.mounting import mount_desk


class Told(BaseHTTPRequestHandler):
    """Remembers what it is told; the first call fails."""

    calls: list[dict]

    def do_POST(self):
        content = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.calls.append(content)
        self.send_response(500 if len(self.server.calls) == 1 else 204)
        self.end_headers()

    def log_message(self, *words):
        pass


@pytest.fixture(scope="module")
def plant():
    """The program that is told."""
    server = HTTPServer(("127.0.0.1", 0), Told)
    server.calls = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def site(plant, tmp_path_factory):
    return f"http://127.0.0.1:{plant.server_address[1]}"


@pytest.fixture(scope="module")
def server(site, tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    for number, value in enumerate((250, 100, 5)):
        (folder / f"strip{number}.png").write_bytes(png(drawn(value)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("utils.desk.jobs.LOOK_SECONDS", 0.05)
        patch.setattr("utils.desk.jobs.TRIES", (0.0, 0.1, 0.1))
        red = Red()
        config = ServeConfig(dir=folder, callbacks=(site,))
        application = make_application(red, config)
        api = application.api
        mount_desk(application.app, application.inspector, config, api.limits, application.traffic, api.count)
        with running(application, red) as made:
            yield made


def ask(server, method, path, body=b"", kind="application/json"):
    head = f"{method} /api/v1/jobs{path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n"
    head += f"Content-Type: {kind}\r\n" if body else ""
    status, headers, body = server.send((head + "Connection: close\r\n\r\n").encode() + body)
    if headers.get("transfer-encoding") == "chunked":
        body = b"".join(body.split(b"\r\n")[1::2])
    return status, headers, body


def begin(server, **sent):
    status, _, body = ask(server, "POST", "", json.dumps(sent).encode())
    return status, json.loads(body)


def done(server, job):
    until = time.monotonic() + 60
    while time.monotonic() < until:
        told = json.loads(ask(server, "GET", f"/{job}")[2])
        if told["state"] == "done":
            return told
        time.sleep(0.02)
    raise AssertionError(told)


def test_a_folder_is_a_job_whose_end_is_told(server, plant, site):
    status, job = begin(server, words="strip", meta={"coil_id": "A7"}, callback=f"{site}/done")
    assert (status, job["meta"]) == (202, {"coil_id": "A7"})
    assert done(server, job["id"])["counts"]["done"] == 3
    lines = [json.loads(line) for line in ask(server, "GET", f"/{job['id']}/results")[2].splitlines()]
    assert [(one["name"], one["classes"]) for one in lines] == [
        ("strip0.png", ["bright"]),
        ("strip1.png", []),
        ("strip2.png", ["dark"]),
    ]
    assert lines[0]["defects"][0]["rle"] == "1 64"
    until = time.monotonic() + 60
    while len(plant.calls) < 2 and time.monotonic() < until:  # again after the first one failed
        time.sleep(0.02)
    assert [(call["id"], call["state"]) for call in plant.calls] == [(job["id"], "done")] * 2


def test_images_that_follow_are_awaited(server):
    _, job = begin(server, expected=2, decision=[{"min_area": 65}, {}])
    for name in ("a.png", "b.png"):
        assert json.loads(ask(server, "GET", f"/{job['id']}")[2])["state"] == "running"
        body = form([(name, png(drawn(250, (8, 8 if name == "a.png" else 9))))], "image")
        assert ask(server, "POST", f"/{job['id']}/images", body, "multipart/form-data; boundary=xyz")[0] == 202
    assert done(server, job["id"])["counts"]["defective"] == 1


@pytest.mark.parametrize(
    ("sent", "word"),
    [
        ({"callback": "http://169.254.169.254/latest"}, "callback"),
        ({"callback": "http://127.0.0.1:1@evil.example/"}, "callback"),
        ({"callback": "file:///etc/passwd"}, "callback"),
        ({"callback": 3}, "callback"),
        ({"callback": "http://127.0.0.1\r\nX: y"}, "callback"),
        ({"expected": 0}, "expected"),
        ({"names": "strip0.png"}, "names"),
        ({"path": "/etc"}, "unknown"),
        ({"weights": "../x"}, "weights"),
    ],
)
def test_what_is_no_job_is_refused(server, sent, word):
    status, told = begin(server, **sent)
    assert status == 422
    assert word in told["error"]["message"]


def test_a_job_that_is_not_there(server):
    for path in ("/none", "/none/results", "/..%2fx"):
        assert ask(server, "GET", path)[0] == 404

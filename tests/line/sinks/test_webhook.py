"""Webhooks against a local server that fails, hangs, redirects and restarts."""

import base64
import contextlib
import dataclasses
import hashlib
import hmac
import http.server
import json
import sys
import threading
import time

import pytest

pytest.importorskip("requests")

from utils.errors import InputError
from utils.line.event import from_json
from utils.line.forwarding import Forwarder
from utils.line.sinks.sink import SinkError
from utils.line.sinks.webhook import signature
from utils.line.spool import Spool

SECRET = "whsec_" + base64.b64encode(b"0123456789abcdef01234567").decode()


class Receiver:
    """A server that answers by a plan, one entry a request, then with 204."""

    def __init__(self, port=0):
        self.requests = []
        self.plan = []
        self.connections = set()
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.connections.add(self.client_address)
                step = receiver.plan.pop(0) if receiver.plan else 204
                if step == "hang":
                    time.sleep(1.0)
                    return
                if step == "reset":
                    self.close_connection = True
                    return
                receiver.requests.append((self.path, dict(self.headers), body))
                self.send_response(step)
                if step == 307:
                    self.send_header("Location", f"http://127.0.0.1:{receiver.port}/elsewhere?token=hidden")
                if step == 200:
                    self.send_header("Transfer-Encoding", "chunked")
                    self.end_headers()
                    for _ in range(2000):  # an answer that nobody asked for
                        self.wfile.write(b"1000\r\n" + b"x" * 0x1000 + b"\r\n")
                    return
                self.send_header("Content-Length", "0")
                self.end_headers()

            def handle(self):
                with contextlib.suppress(OSError):
                    super().handle()

            def log_message(self, *words):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        self._thread = threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()

    @property
    def events(self):
        bodies = [json.loads(body) for _, _, body in self.requests]
        return [from_json(json.dumps(event)) for body in bodies for event in body.get("events", [])]


@pytest.fixture
def receiver():
    started = Receiver()
    yield started
    started.stop()


@pytest.fixture
def hook(receiver, make_sink, tmp_path):
    """Make an open sink that posts to the receiver."""
    (tmp_path / "secret").write_text(SECRET + "\n")

    def make(query="", **options):
        url = f"http://127.0.0.1:{receiver.port}/hook?secret_file={tmp_path}/secret{query}"
        sink = make_sink(url, **{"timeout": 20.0} | options)
        sink.open()
        return sink

    return make


def test_post_is_signed_as_standard_webhooks_says(hook, receiver, frames):
    hook().send(frames(3))
    path, headers, body = receiver.requests[0]
    assert path == "/hook"
    assert headers["Content-Type"] == "application/json"
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    digest = hmac.new(b"0123456789abcdef01234567", signed, hashlib.sha256).digest()
    assert headers["webhook-signature"] == "v1," + base64.b64encode(digest).decode()
    assert abs(int(headers["webhook-timestamp"]) - time.time()) < 60
    assert receiver.events == [event for _, event in frames(3)]


def test_signature_is_that_of_the_specification():
    # The example of standardwebhooks.com.
    key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    found = signature(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert found == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_many_events_go_in_batches_over_one_connection(hook, receiver, frames):
    hook().send(frames(256))
    assert [len(json.loads(body)["events"]) for _, _, body in receiver.requests] == [100, 100, 56]
    assert len(receiver.connections) == 1


def test_single_events_have_their_own_id(hook, receiver, frames):
    hook("&batch=1").send(frames(3))
    assert [headers["webhook-id"] for _, headers, _ in receiver.requests] == [event.id for _, event in frames(3)]


def test_failed_batch_is_sent_again_under_the_same_id(hook, receiver, frames):
    sink = hook("&batch=10")
    receiver.plan = [204, 500]
    with pytest.raises(SinkError, match=r"^answers 500$"):
        sink.send(frames(30))
    sink.open()
    sink.send(frames(30))
    ids = [headers["webhook-id"] for _, headers, _ in receiver.requests]
    assert len(ids) == 4
    assert ids[1] == ids[2]  # the refused one; the first is not sent again
    assert len(set(ids)) == 3


@pytest.mark.parametrize(
    ("step", "word"),
    [
        ("hang", "hangs: no answer in time"),
        ("reset", "the connection has ended"),
        (401, "answers 401; is the secret"),
        (404, "answers 404"),
        (413, "answers 413"),
        (429, "answers 429"),
        (503, "answers 503"),
        (307, r"a redirect to 127\.0\.0\.1:\d+/elsewhere; give the right address"),
    ],
)
def test_trouble_is_one_line_and_the_events_wait(step, word, hook, receiver, frames):
    sink = hook(timeout=0.6 if step == "hang" else 20.0)
    receiver.plan = [step]
    with pytest.raises(SinkError, match=word) as told:
        sink.send(frames(1))
    assert "\n" not in str(told.value)
    assert "hidden" not in str(told.value)
    assert all(path == "/hook" for path, _, _ in receiver.requests)  # no redirect was followed
    sink.open()
    sink.send(frames(1))
    assert receiver.events[-1] == frames(1)[0][1]


def test_receiver_that_takes_less_gets_less(hook, receiver, frames):
    receiver.plan = [413, 413]
    hook().send(frames(100))
    assert [len(json.loads(body)["events"]) for _, _, body in receiver.requests[2:]] == [25, 25, 25, 25]


def test_endless_answer_is_left(hook, receiver, frames):
    receiver.plan = [200, 200]
    sink = hook()
    sink.send(frames(1))
    sink.send(frames(2))
    assert len(receiver.events) == 2


def test_dead_receiver_is_one_line(make_sink, free_port, frames, monkeypatch):
    monkeypatch.setenv("STEEL_WEBHOOK_SECRET", SECRET)
    sink = make_sink(f"http://127.0.0.1:{free_port()}/")
    sink.open()
    with pytest.raises(SinkError, match=r"^connection refused$"):
        sink.send(frames(1))


def test_state_is_posted_now_and_then_and_when_it_changes(hook, receiver, running):
    sink = hook("&state=60")
    for condition in ("running", "running", "starved", "starved"):
        sink.heartbeat(dataclasses.replace(running, condition=condition))
    sink.close()
    states = [json.loads(body)["state"] for _, _, body in receiver.requests]
    assert [(state["condition"], state["healthy"]) for state in states] == [
        ("running", True),
        ("starved", False),
        ("offline", False),
    ]


def test_receiver_that_restarts_gets_everything(receiver, hook, frames, tmp_path, running, until):
    sink = hook("&batch=7", timeout=0.6)
    with Spool(tmp_path / "spool", [sink.name]) as spool:
        forwarder = Forwarder(spool, sink, lambda: running, heartbeat=0.1, first_wait=0.02, longest_wait=0.05)
        forwarder.start()
        events = frames(60)
        for number, event in events:
            spool.append(event)
            if number == 20:
                until(lambda: receiver.events)
                receiver.plan = [500, "reset", "hang", 307, 503]
            if number == 40:
                until(lambda: not receiver.plan)
                receiver.stop()
        until(lambda: forwarder.state.error == "connection refused")
        second = Receiver(receiver.port)
        until(lambda: forwarder.state.depth == 0)
        forwarder.drain(1)
        assert forwarder.join(60)
        second.stop()
    first = {}
    for event in [*receiver.events, *second.events]:
        first.setdefault(event.id, event)
    assert list(first.values()) == [event for _, event in events]  # all, in order, once each


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("http://host/x", "no secret to sign with"),
        ("http:///x?secret_file={file}", "expected http://HOST"),
        ("http://me@host/x?secret_file={file}", "without a user"),
        ("http://host/x?secret_file={file}&batch=0", "batch=0"),
        ("http://host/x?secret_file={file}&retries=3", "no setting retries"),
        ("http://host/x?secret_file={short}", "5 bytes"),
        ("http://host/x?secret_file={broken}", "no base64"),
    ],
)
def test_address_that_makes_no_sense_is_one_line(url, word, make_sink, tmp_path):
    files = {"file": SECRET, "short": "short", "broken": "whsec_%%%"}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=r"^-sinks ") as told:
        make_sink(url.format(**{name: tmp_path / name for name in files}))
    assert word in str(told.value)


def test_missing_library_says_how_to_get_it(make_sink, monkeypatch):
    monkeypatch.setitem(sys.modules, "requests", None)
    with pytest.raises(InputError, match=r"requests.* requirements-line\.txt$"):
        make_sink("http://host")

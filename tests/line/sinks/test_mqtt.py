"""MQTT against a real broker: acknowledged, ordered, retained state, orders, users and TLS."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("paho.mqtt.client")

from utils.errors import InputError
from utils.line.event import FrameEvent, LineDefect, from_json
from utils.line.forwarding import Forwarder
from utils.line.sinks.mqtt import within
from utils.line.sinks.sink import SinkError
from utils.line.spool import Spool

ROOT = Path(__file__).resolve().parents[3]


def test_events_come_in_order_before_send_returns(mosquitto, listen, make_sink, frames, coil, until):
    broker = mosquitto()
    listener = listen(broker.port)
    sink = make_sink(f"mqtt://127.0.0.1:{broker.port}/plant/hall 2")
    sink.open()
    events = frames(300)
    sink.send(events)
    sink.send([(1000, coil)])
    until(lambda: listener.payloads("plant/hall 2/L3/coil"))
    came = [from_json(payload) for payload in listener.payloads("plant/hall 2/L3/frame")]
    assert came == [event for _, event in events]
    assert [from_json(payload) for payload in listener.payloads("plant/hall 2/L3/coil")] == [coil]


def test_state_is_retained_and_the_broker_says_when_the_service_is_away(mosquitto, listen, make_sink, running, until):
    broker = mosquitto()
    sink = make_sink(f"mqtt://127.0.0.1:{broker.port}", state=lambda: running)
    sink.open()
    sink.heartbeat(running)
    late = listen(broker.port)  # who comes later gets it all the same
    topic, payload, retained = until(lambda: late.messages)[0]
    state = json.loads(payload)
    assert (topic, retained) == ("steel/L3/state", True)
    assert (state["condition"], state["healthy"], state["ok"]) == ("running", True, 5)
    # The socket ends as with a killed process.
    os.close(os.dup(sink._connection._client._sock.fileno()))
    sink._connection._client._sock.close()
    until(lambda: len(late.messages) > 1)
    state = json.loads(late.messages[-1][1])
    assert (state["condition"], state["healthy"]) == ("offline", False)


def test_goodbye_is_said_before_the_end(mosquitto, listen, make_sink, until):
    broker = mosquitto()
    listener = listen(broker.port)
    sink = make_sink(f"mqtt://127.0.0.1:{broker.port}")
    sink.open()
    sink.close()
    until(lambda: len(listener.messages) > 1)
    assert json.loads(listener.messages[-1][1])["condition"] == "offline"


@pytest.mark.parametrize(
    ("payload", "word"),
    [
        (b"", "no JSON"),
        (b"{", "no JSON"),
        (b"\xff\xfe", "no JSON"),
        (b"[" * 900, "no JSON"),
        (b"[]", "expected"),
        (b"null", "expected"),
        (b'{"order": 5}', "expected"),
        (b'{"order": "stop"}', "pause, resume or coil"),
        (b'{"order": "coil"}', "coil_id is missing"),
        (b'{"order": "coil", "coil_id": 5}', "coil_id"),
        (b'{"order": "coil", "coil_id": "../../etc"}', "coil_id"),
        (b'{"order": "pause", "coil_id": "A"}', "goes with"),
        (b'{"order": "pause", "now": true}', "no field"),
        (b'{"order": "pause", "id": 5}', "id"),
        (b'{"order": "pause"}' + b" " * 2000, "bytes"),
    ],
)
def test_malformed_order_is_counted_and_answered(payload, word, make_sink):
    taken = []
    sink = make_sink("mqtt://127.0.0.1", order=taken.append)
    sink._received("steel/L3/order", payload, False)
    assert (taken, sink.orders.counts) == ([], {"refused": 1})
    assert word in sink._answers[0]["error"]


def test_orders_are_done_counted_and_answered(mosquitto, listen, make_sink, running, until):
    broker = mosquitto()
    listener = listen(broker.port)
    taken = []
    listener.client.publish("steel/L3/order", b'{"order": "pause"}', qos=1, retain=True).wait_for_publish(5)
    sink = make_sink(f"mqtt://127.0.0.1:{broker.port}", order=taken.append)
    sink.open()
    for text in (b'{"order": "coil", "coil_id": "B 12", "id": "7"}', b"nonsense", b'{"order": "resume"}'):
        listener.client.publish("steel/L3/order", text, qos=1)
    until(lambda: sink.orders.counts.total() == 4)
    assert [(order.kind, order.coil_id) for order in taken] == [("coil", "B 12"), ("resume", None)]
    sink.heartbeat(running)
    answers = [json.loads(one) for one in until(lambda: listener.payloads("steel/L3/order/answer"))]
    until(lambda: len(listener.payloads("steel/L3/order/answer")) == 4)
    answers = [json.loads(one) for one in listener.payloads("steel/L3/order/answer")]
    assert [answer["ok"] for answer in answers] == [False, True, False, True]
    assert answers[1]["id"] == "7"
    assert json.loads(listener.payloads("steel/L3/state")[-1])["orders"] == {"taken": 2, "refused": 2}


def test_dead_broker_is_one_line(make_sink, free_port):
    sink = make_sink(f"mqtt://127.0.0.1:{free_port()}")
    with pytest.raises(SinkError, match=r"^broker 127\.0\.0\.1:\d+: Connection refused$"):
        sink.open()


def test_broker_that_dies_between_is_one_line_and_the_next_one_gets_all(mosquitto, listen, make_sink, frames, until):
    broker = mosquitto()
    sink = make_sink(f"mqtt://127.0.0.1:{broker.port}", timeout=2.0)
    sink.open()
    broker.stop()
    with pytest.raises(SinkError):
        sink.send(frames(5))
    broker.start()
    listener = listen(broker.port, "steel/L3/frame")
    sink.open()
    sink.send(frames(5))
    until(lambda: len(listener.messages) == 5)


def test_slow_broker_gets_on(mosquitto, listen, make_sink, frames, until, monkeypatch):
    broker = mosquitto()
    listener = listen(broker.port, "steel/L3/frame")
    sink = make_sink(f"mqtt://127.0.0.1:{broker.port}")
    sink.open()
    publish = type(sink._connection).publish
    portions = []

    def slow(connection, messages, timeout):
        portions.append(len(messages))
        if len(portions) == 3:
            raise SinkError("has not acknowledged")
        publish(connection, messages, timeout)

    monkeypatch.setattr(type(sink._connection), "publish", slow)
    with pytest.raises(SinkError):
        sink.send(frames(50))
    sink.send(frames(50))
    assert portions == [20, 20, 10, 10]
    until(lambda: len(listener.messages) == 50)


def test_broker_that_refuses_an_event_keeps_it_in_the_spool(mosquitto, make_sink, frames, tmp_path):
    (tmp_path / "acl").write_text("topic read #\ntopic write steel/L3/state\n")
    broker = mosquitto("allow_anonymous true", f"acl_file {tmp_path}/acl")
    sink = make_sink(f"mqtt://127.0.0.1:{broker.port}")
    sink.open()
    with pytest.raises(SinkError, match=r"refuses: Not authorized"):
        sink.send(frames(1))


@pytest.mark.parametrize("version", [3, 5])
def test_user_and_password_come_from_a_file(version, mosquitto, make_sink, frames, tmp_path, listen, until, caplog):
    secrets = tmp_path / "users"
    subprocess.run(["mosquitto_passwd", "-c", "-b", secrets, "line3", "hidden-word"], check=True, capture_output=True)
    secrets.chmod(0o644)
    broker = mosquitto("allow_anonymous false", f"password_file {secrets}")
    (tmp_path / "password").write_text("hidden-word\n")
    sink = make_sink(f"mqtt://line3@127.0.0.1:{broker.port}?password_file={tmp_path}/password&version={version}")
    listener = listen(broker.port, "steel/L3/frame", user="line3", password="hidden-word")
    sink.open()
    sink.send(frames(1))
    until(lambda: listener.messages)
    (tmp_path / "password").write_text("wrong-word")
    wrong = make_sink(f"mqtt://line3@127.0.0.1:{broker.port}?password_file={tmp_path}/password&version={version}")
    with pytest.raises(SinkError, match=r"refuses the connection") as told:
        wrong.open()
    for text in (sink.name, repr(sink._settings), str(told.value), caplog.text):
        assert "word" not in text.replace("password", "")


def test_tls_checks_the_certificate(mosquitto, make_sink, frames, tmp_path, listen, until):
    def openssl(*words):
        subprocess.run(["openssl", *words], check=True, capture_output=True, cwd=tmp_path)

    openssl(
        *("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out", "cert.pem", "-days", "2"),
        *("-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"),
    )
    (tmp_path / "key.pem").chmod(0o644)
    files = (f"certfile {tmp_path}/cert.pem", f"keyfile {tmp_path}/key.pem")
    broker = mosquitto(*files, "allow_anonymous true")
    sink = make_sink(f"mqtts://127.0.0.1:{broker.port}?ca={tmp_path}/cert.pem")
    sink.open()
    sink.send(frames(3))
    stranger = make_sink(f"mqtts://127.0.0.1:{broker.port}")
    with pytest.raises(SinkError, match=r"TLS: self[- ]signed certificate"):
        stranger.open()


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("mqtt:///topic", "no host"),
        ("mqtt://broker/a/#", "no +"),
        ("mqtt://u:p@broker/", "no password in an address"),
        ("mqtt://broker?passwordfile=x", "no setting passwordfile"),
        ("mqtt://broker?password_file=/nowhere/at/all", "No such file"),
        ("mqtt://broker?profile=xml", "json or sparkplug"),
        ("mqtt://broker?version=4", "3.1.1"),
        ("mqtts://broker?ca=/nowhere", "ca=/nowhere"),
        ("mqtts://broker?key={here}", "key without cert"),
        ("mqtt://broker?ca={here}", "use mqtts"),
    ],
)
def test_address_that_makes_no_sense_is_one_line(url, word, make_sink):
    with pytest.raises(InputError, match=r"^-sinks ") as told:
        make_sink(url.format(here=__file__))
    assert word in str(told.value)
    assert "\n" not in str(told.value)


def test_missing_library_says_how_to_get_it(make_sink, monkeypatch):
    monkeypatch.setitem(sys.modules, "paho.mqtt.client", None)
    with pytest.raises(InputError, match=r"paho-mqtt.* requirements-line\.txt$"):
        make_sink("mqtt://broker")


def test_too_large_event_loses_its_last_defects_and_says_so(frame):
    event = frame(1, "NG", defects=tuple(LineDefect("pit", n, (n, 0, 1, 1), 0.5) for n in range(500)))
    assert within(event.to_json(), None) == event.to_json().encode()
    payload = within(event.to_json(), 5000)
    assert 4900 < len(payload) <= 5000
    found = json.loads(payload)
    assert found["defects_left_out"] + len(found["defects"]) == 500
    assert isinstance(from_json(payload), FrameEvent)
    assert from_json(payload).verdict == "NG"


def forward(folder, port, first, count):
    """Fill a spool and send it on, as the service does; runs in a process of its own."""
    from tests.line.sinks.conftest import frame
    from utils.line.sinks.registry import sink_of
    from utils.line.sinks.sink import SinkOptions
    from utils.line.state import LineState

    sink = sink_of(f"mqtt://127.0.0.1:{port}", SinkOptions(line="L3", timeout=2.0))
    spool = Spool(Path(folder), [sink.name])
    forwarder = Forwarder(spool, sink, LineState, heartbeat=0.2, first_wait=0.05, longest_wait=0.2)
    forwarder.start()
    for number in range(int(first), int(first) + int(count)):
        spool.append(frame(number))
        print(number, flush=True)
        time.sleep(0.002)
    forwarder.drain(20)
    forwarder.join(25)
    spool.close()


def start(folder, port, first, count):
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from tests.line.sinks.test_mqtt import forward; forward(*sys.argv[1:])"
    words = [str(folder), str(port), str(first), str(count)]
    return subprocess.Popen([sys.executable, "-c", code, *words], cwd=ROOT, stdout=subprocess.PIPE, text=True)


def events_lost_and_doubled(broker, listener, tmp_path, kills, until):
    """Kill the service and the broker again and again; return the events, in the order in which they came."""
    written = 0
    for kill in range(kills):
        process = start(tmp_path / "spool", broker.port, written + 1, 100_000)
        goal = written + 40 + 13 * kill
        for line in process.stdout:
            written = int(line)
            if kill == 1 and written == goal - 20:
                broker.stop()
            if written >= goal:
                break
        process.send_signal(signal.SIGKILL)
        # What it had written when it was killed, also without saying so.
        written = max([written, *(int(line) for line in process.stdout.read().split())])
        process.wait(10)
        if kill == 1:
            broker.start()
    last = start(tmp_path / "spool", broker.port, written + 1, 20)
    assert last.wait(60) == 0
    written += 20
    until(lambda: len({from_json(one).seq for one in listener.payloads("steel/L3/frame")}) >= written)
    return written, [from_json(payload) for payload in listener.payloads("steel/L3/frame")]


@pytest.mark.slow
def test_killed_service_and_dead_broker_lose_nothing(mosquitto, listen, tmp_path, until):
    broker = mosquitto()
    listener = listen(broker.port, "steel/L3/frame")
    written, came = events_lost_and_doubled(broker, listener, tmp_path, 4, until)
    first = list(dict.fromkeys(event.frame for event in came))
    assert first == [f"{number:06}.jpg" for number in range(1, written + 1)]  # all, once each, in order


def test_dead_broker_loses_nothing(mosquitto, listen, make_sink, tmp_path, until, frames, running):
    broker = mosquitto()
    sink = make_sink(f"mqtt://127.0.0.1:{broker.port}", timeout=1.0, state=lambda: running)
    with Spool(tmp_path / "spool", [sink.name]) as spool:
        forwarder = Forwarder(spool, sink, lambda: running, heartbeat=0.1, first_wait=0.05, longest_wait=0.1)
        forwarder.start()
        listener = listen(broker.port, "steel/L3/frame")
        for number, event in frames(60):
            spool.append(event)
            if number == 20:
                until(lambda: len(listener.messages) >= 10)
                broker.stop()
            if number == 40:
                until(lambda: not forwarder.state.ok)
                broker.start()
        until(lambda: forwarder.state.depth == 0)
        until(lambda: len({payload for _, payload, _ in listener.messages}) == 60)
        forwarder.drain(30)
        assert forwarder.join(60)
    names = [from_json(payload).frame for _, payload, _ in listener.messages]
    assert list(dict.fromkeys(names)) == [event.frame for _, event in frames(60)]

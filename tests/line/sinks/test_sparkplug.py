"""Sparkplug B against a real broker: birth, death, numbers, rebirth, a primary host."""

import dataclasses
import json
import sys
import time

import pytest

pytest.importorskip("paho.mqtt.client")
pytest.importorskip("pysparkplug")

import pysparkplug

from utils.errors import InputError
from utils.line.event import AlarmEvent, from_json, utc
from utils.line.sinks.sink import SinkError
from utils.line.sinks.sparkplug import METRICS, values_of

NODE = "spBv1.0/steel/{}/L3"


def decoded(listener):
    """Return what came: kind, device, and the payload as pysparkplug reads it."""
    found = []
    for topic, payload, _ in listener.messages:
        _, _, kind, _, *device = topic.split("/")
        reader = {"NBIRTH": "NBirth", "DBIRTH": "DBirth", "NDATA": "NData", "DDATA": "DData", "NDEATH": "NDeath"}[kind]
        found.append((kind, device[0] if device else "", getattr(pysparkplug, reader).decode(payload)))
    return found


def values(payload):
    return {metric.name: metric.value for metric in payload.metrics}


@pytest.fixture
def node(mosquitto, listen, make_sink, running):
    """A broker, a host that listens, and an open sink."""
    broker = mosquitto()
    listener = listen(broker.port, "spBv1.0/steel/+/L3/#", 1)
    taken = []
    sink = make_sink(
        f"mqtt://127.0.0.1:{broker.port}?profile=sparkplug", state=lambda: running, order=taken.append, timeout=2.0
    )
    sink.taken = taken
    sink.open()
    return sink, listener


def test_birth_comes_first_and_every_message_is_numbered(node, frames, coil, until, running):
    sink, listener = node
    sink.send(frames(300))
    sink.send([(1000, coil)])
    sink.heartbeat(running)
    until(lambda: len(listener.messages) == 305)
    found = decoded(listener)
    assert [(kind, device) for kind, device, _ in found[:5]] == [
        ("NBIRTH", ""),
        ("DBIRTH", "frame"),
        ("DBIRTH", "coil"),
        ("DBIRTH", "alarm"),
        ("DDATA", "frame"),
    ]
    assert [payload.seq for _, _, payload in found] == [number % 256 for number in range(305)]
    birth = values(found[0][2])
    assert (birth["bdSeq"], birth["Node Control/Rebirth"], birth["State/condition"]) == (0, False, "running")
    assert values(found[1][2])["verdict"] == "NO_VERDICT"  # not OK before the first frame


def test_data_holds_the_event(node, frames, coil, until):
    sink, listener = node
    events = [*frames(3), (1000, coil)]
    sink.send(events)
    until(lambda: len(listener.messages) == 8)
    found = decoded(listener)[4:]
    assert [from_json(values(payload)["event"]) for _, _, payload in found] == [event for _, event in events]
    ng = values(found[0][2])
    assert (ng["verdict"], ng["defects"], ng["largest_class"], ng["largest_area_px"]) == ("NG", 2, "crack", 4000)
    assert (ng["coil_id"], ng["position_m"], ng["seq"]) == ("A4711", 0.25, 1)
    assert values(found[3][2])["reason"] == "holes"
    assert all(metric.is_historical for metric in found[0][2].metrics)  # taken long ago


def test_new_frame_is_no_history(node, frame, until):
    sink, listener = node
    sink.send([(1, frame(1, time=utc(time.time())))])
    until(lambda: len(listener.messages) == 5)
    assert not any(metric.is_historical for metric in decoded(listener)[4][2].metrics)


def test_death_names_its_birth(node, until):
    sink, listener = node
    until(lambda: len(listener.messages) == 4)
    sink._connection._client._sock.close()  # as when the process is killed
    until(lambda: listener.messages[-1][0] == NODE.format("NDEATH"))
    sink.open()
    until(lambda: len(listener.messages) == 9)
    sink.close()
    until(lambda: len(listener.messages) == 10)
    found = decoded(listener)
    assert [kind for kind, _, _ in found if kind.startswith("N")] == ["NBIRTH", "NDEATH", "NBIRTH", "NDEATH"]
    assert values(found[0][2])["bdSeq"] == found[4][2].bd_seq_metric.value == 0
    assert values(found[5][2])["bdSeq"] == found[9][2].bd_seq_metric.value == 1
    assert found[5][2].seq == 0


def command(listener, sink, *metrics):
    made = [pysparkplug.Metric(1, *metric) for metric in metrics]
    listener.client.publish(NODE.format("NCMD"), pysparkplug.NCmd(1, made).encode(include_dtypes=True), qos=1)


def test_host_asks_for_another_birth(node, until, running, frames):
    sink, listener = node
    sink.send(frames(2))
    listener.client.unsubscribe("spBv1.0/steel/+/L3/#")
    listener.client.subscribe([(NODE.format(kind), 1) for kind in ("NBIRTH", "NDATA")])
    command(listener, sink, ("Node Control/Rebirth", pysparkplug.DataType.BOOLEAN, True))
    until(sink._rebirth.is_set)
    sink.heartbeat(running)
    until(lambda: len([topic for topic, _, _ in listener.messages if topic == NODE.format("NBIRTH")]) == 2)
    assert decoded(listener)[-1][2].seq == 0


def test_orders_come_as_a_metric_and_nonsense_is_counted(node, until):
    sink, listener = node
    text = pysparkplug.DataType.STRING
    command(listener, sink, ("Node Control/Order", text, '{"order": "coil", "coil_id": "B7"}'))
    command(listener, sink, ("Node Control/Order", text, "stop it"))
    command(listener, sink, ("Something else", text, '{"order": "pause"}'))
    listener.client.publish(NODE.format("NCMD"), b"\xff\x00 no protobuf", qos=1)
    until(lambda: sink.orders.counts.total() == 4)
    assert [order.coil_id for order in sink.taken] == ["B7"]
    assert sink.orders.counts == {"taken": 1, "refused": 3}


def test_state_is_told_when_it_changes(node, until, running):
    sink, listener = node
    sink.heartbeat(running)
    sink.heartbeat(dataclasses.replace(running, condition="starved"))
    until(lambda: len(listener.messages) == 5)
    kind, _, payload = decoded(listener)[-1]
    assert (kind, values(payload)) == ("NDATA", {"State/condition": "starved", "State/healthy": False})


def test_events_wait_for_the_primary_host(mosquitto, listen, make_sink, frames, until):
    broker = mosquitto()
    host = listen(broker.port, "spBv1.0/steel/#")
    sink = make_sink(f"mqtt://127.0.0.1:{broker.port}?profile=sparkplug&host=scada", timeout=0.5)
    with pytest.raises(SinkError, match=r"primary host scada is not there"):
        sink.open()
    assert host.messages == []

    def say(text):
        host.client.publish("spBv1.0/STATE/scada", text, qos=1, retain=True).wait_for_publish(5)

    say(json.dumps({"online": True, "timestamp": 1}))
    sink.open()
    sink.send(frames(1))
    say(b"nonsense")  # changes nothing
    say(json.dumps({"online": False, "timestamp": 2}))
    until(lambda: not sink._host_is_there.is_set())
    with pytest.raises(SinkError, match=r"primary host"):
        sink.send(frames(1))
    until(lambda: any("NDEATH" in topic for topic, _, _ in host.messages))


def test_dead_broker_keeps_the_events(mosquitto, make_sink, frames):
    broker = mosquitto()
    sink = make_sink(f"mqtt://127.0.0.1:{broker.port}?profile=sparkplug", timeout=1.0)
    sink.open()
    broker.stop()
    with pytest.raises(SinkError):
        sink.send(frames(5))


def test_every_field_that_a_birth_names_is_one_of_an_event(frame, coil):
    alarm = AlarmEvent(
        id="ef" * 16, time="2026-03-01T12:10:00Z", source="folder://in", name="brightness", message="dark"
    )
    for event in (frame(1, "NG"), coil, alarm):
        found = values_of(event)
        assert set(METRICS[event.kind]) == set(found)


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("mqtt://broker/topic?profile=sparkplug", "topics of its own"),
        ("mqtt://broker?profile=sparkplug&group=a/b", "without /"),
        ("mqtt://broker?profile=sparkplug&largest=5", "no setting largest"),
    ],
)
def test_address_that_makes_no_sense_is_one_line(url, word, make_sink):
    with pytest.raises(InputError, match=r"^-sinks ") as told:
        make_sink(url)
    assert word in str(told.value)


def test_missing_library_says_how_to_get_it(make_sink, monkeypatch):
    monkeypatch.setitem(sys.modules, "pysparkplug", None)
    with pytest.raises(InputError, match=r"pysparkplug.* requirements-line\.txt$"):
        make_sink("mqtt://broker?profile=sparkplug")

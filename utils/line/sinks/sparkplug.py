"""Sparkplug B 3.0 over MQTT: births, deaths, numbered messages, rebirth on request, a host that has to be there.

The payloads come from pysparkplug. Its own client is not used: it needs paho-mqtt 1, sends last wills with QoS 0 where
the specification demands 1, and leaves the device out of the topics of a device's data.

Data goes with QoS 0, as the specification demands. To know that the broker has it, the sink asks it after each batch to
confirm a subscription: a broker takes in order what comes on one connection.
"""

import hashlib
import json
import logging
import threading
import time
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from utils.line.event import CoilEvent, Event, FrameEvent
from utils.line.extras import extra
from utils.line.sinks.mqtt_connection import SETTINGS, BrokerConnection, BrokerSettings, Message
from utils.line.sinks.received_orders import Orders
from utils.line.sinks.sink import AT_ONCE, Address, Sink, SinkError, SinkOptions
from utils.line.state import LineState

GROUP = "steel"
LATE = 10.0  # seconds after which a frame is told as history, which must not overwrite what a host shows as now
PORTION = 50  # events between two questions to the broker
DEVICES = ("frame", "coil", "alarm")
REBIRTH, ORDER, BIRTHS = "Node Control/Rebirth", "Node Control/Order", "bdSeq"

# Name of a metric -> kind in Sparkplug. A host knows them from the birth.
_TEXTS = ("id", "time", "source", "verdict", "reason", "coil_id", "event")
METRICS: dict[str, dict[str, str]] = {
    "frame": dict.fromkeys((*_TEXTS, "frame", "camera", "side", "model", "thresholds"), "STRING")
    | {
        "seq": "INT64",
        "position_m": "DOUBLE",
        "defects": "INT32",
        "largest_class": "STRING",
        "largest_area_px": "INT64",
    },
    "coil": dict.fromkeys((*_TEXTS, "grade", "start", "end"), "STRING")
    | {"seq": "INT64", "frames": "INT64", "ng": "INT64"},
    "alarm": dict.fromkeys(("id", "time", "source", "name", "message", "coil_id", "event"), "STRING")
    | {"seq": "INT64"},
}
_STATE = {
    "condition": "STRING", "healthy": "BOOLEAN", "reason": "STRING", "frames": "INT64", "ok": "INT64", "ng": "INT64",
    "no_verdict": "INT64", "shed": "INT64", "refused": "INT64", "lost": "INT64", "depth": "INT64", "last_frame": "STRING",
    "rate": "DOUBLE", "p99_ms": "DOUBLE", "coil_id": "STRING",
}  # fmt: skip

log = logging.getLogger("steel.line")


def make(address: Address, options: SinkOptions) -> Sink:
    """Return the sink of ``mqtt://...?profile=sparkplug``; raises ``InputError`` for an address that makes no sense."""
    extra(address, "pysparkplug")
    address.only("profile", "group", "node", "host", *SETTINGS)
    if address.url_path.strip("/"):
        raise address.error("Sparkplug has topics of its own; use group=NAME and node=NAME")
    names = {
        "group": address.query.get("group", GROUP),
        "node": address.query.get("node", options.line),
        "host": address.query.get("host", "-"),
    }
    for setting, name in names.items():
        if not name or any(sign in name for sign in "/+#\x00"):
            raise address.error(f"{setting}={name}: a name without / + #")
    word = hashlib.sha256(f"{address.text} {names['group']}".encode()).hexdigest()[:6]
    settings = BrokerSettings.of(address, f"steel-{names['node']}-sparkplug-{word}")
    # Another sink may send JSON to the same broker, and the spool tells sinks by their names.
    name = f"{address.text}?profile=sparkplug"
    return SparkplugSink(name, names["group"], names["node"], address.query.get("host"), settings, options)


class SparkplugSink:
    """An edge node with the devices ``frame``, ``coil`` and ``alarm``.

    Args:
        name: of the sink.
        group: of Sparkplug.
        node: name of the edge node.
        host: primary host application: without it events wait; None: they do not.
        settings: of the broker.
        options: of the service.
    """

    gather = AT_ONCE

    def __init__(
        self, name: str, group: str, node: str, host: str | None, settings: BrokerSettings, options: SinkOptions
    ) -> None:
        self.name = name
        self.orders = Orders(name, options)
        self._group, self._node, self._host = group, node, host
        self._settings, self._options = settings, options
        self._connection: BrokerConnection | None = None
        self._seq = 0
        self._births = -1  # connections so far; modulo 256 it is bdSeq
        self._rebirth = threading.Event()
        self._host_is_there = threading.Event()
        self._last: dict[str, dict[str, Any]] = {
            device: {"verdict": "NO_VERDICT"} if device != "alarm" else {} for device in DEVICES
        }
        self._told: dict[str, Any] = {}
        self._accepted = 0  # place in the spool up to which the broker has everything

    def open(self) -> None:
        """Connect, wait for the host where there is one, and send the births; raises ``SinkError``."""
        self._let_go()
        until = time.monotonic() + self._options.timeout
        self._births += 1
        self._host_is_there.clear()
        will = Message(self._topic("NDEATH"), self._death())
        self._connection = BrokerConnection(self._settings, will, self._received)
        host_topic = [f"spBv1.0/STATE/{self._host}"] if self._host else []
        try:
            self._connection.connect([self._topic("NCMD"), *host_topic], self._options.timeout)
            if self._host and not self._host_is_there.wait(max(0.0, min(2.0, until - time.monotonic()))):
                raise SinkError(f"the primary host {self._host} is not there")
            self._give_birth(self._options.state())
        except SinkError:
            self._let_go()
            raise

    def send(self, events: Sequence[tuple[int, Event]]) -> None:
        """Publish; returns when the broker has all of them; raises ``SinkError``."""
        connection = self._ready()
        until = time.monotonic() + self._options.timeout
        waiting = [(seq, event) for seq, event in events if seq > self._accepted]
        for first in range(0, len(waiting), PORTION):
            portion = waiting[first : first + PORTION]
            connection.publish([self._data(event) for _, event in portion], until - time.monotonic())
            connection.confirm([self._topic("NCMD")], until - time.monotonic())
            self._accepted = portion[-1][0]

    def _data(self, event: Event) -> Message:
        values = values_of(event)
        self._last[event.kind] = values
        at = _milliseconds(event.time)
        late = time.time() - at / 1000 > LATE
        payload = self._payload("DData", self._metrics(METRICS[event.kind], values, at, late))
        return Message(self._topic("DDATA", event.kind), payload, qos=0)

    def heartbeat(self, state: LineState) -> None:
        """Publish what has changed of the state; raises ``SinkError``."""
        connection = self._ready()
        values = self._state_values(state)
        changed = {name: value for name, value in values.items() if self._told.get(name, self) != value}
        self._told = values
        if changed:
            kinds = {f"State/{name}": _STATE[name] for name in changed}
            shown = {f"State/{name}": value for name, value in changed.items()}
            payload = self._payload("NData", self._metrics(kinds, shown, _now()))
            connection.publish([Message(self._topic("NDATA"), payload, qos=0)], self._options.timeout)

    def close(self) -> None:
        """Publish the death, as the specification demands before a goodbye, and disconnect."""
        self._say_death()
        self._let_go()

    def _ready(self) -> BrokerConnection:
        """Return the connection, after a rebirth that the host asked for; raises ``SinkError``."""
        if self._connection is None:
            raise SinkError("not connected")
        self._connection.check()
        if self._host and not self._host_is_there.is_set():
            # The specification: without its primary host an edge node disconnects, and keeps its data.
            self._say_death()
            self._let_go()
            raise SinkError(f"the primary host {self._host} is not there")
        if self._rebirth.is_set():
            self._rebirth.clear()
            self._give_birth(self._options.state())
        return self._connection

    def _give_birth(self, state: LineState) -> None:
        self._seq = 0
        now = _now()
        values = self._state_values(state)
        self._told = values
        kinds = {BIRTHS: "INT64", REBIRTH: "BOOLEAN", ORDER: "STRING"}
        shown = {BIRTHS: self._births % 256, REBIRTH: False, ORDER: ""}
        kinds |= {f"State/{name}": kind for name, kind in _STATE.items()}
        shown |= {f"State/{name}": value for name, value in values.items()}
        birth = self._payload("NBirth", self._metrics(kinds, shown, now))
        messages = [Message(self._topic("NBIRTH"), birth, qos=0)]
        for device in DEVICES:
            payload = self._payload("DBirth", self._metrics(METRICS[device], self._last[device], now))
            messages.append(Message(self._topic("DBIRTH", device), payload, qos=0))
        assert self._connection is not None
        self._connection.publish(messages, self._options.timeout)

    def _received(self, topic: str, payload: bytes, retained: bool) -> None:
        if topic == f"spBv1.0/STATE/{self._host}":
            self._read_host(payload)
            return
        import pysparkplug

        try:
            metrics = {metric.name: metric.value for metric in pysparkplug.NCmd.decode(payload).metrics}
        except Exception:  # whatever a library says about bytes of strangers
            self.orders.take(b"", retained)
            return
        if metrics.pop(REBIRTH, False) is True and not retained:
            self._rebirth.set()
        for name, value in metrics.items():
            known = name == ORDER and isinstance(value, str)
            self.orders.take(str(value).encode() if known else b"", retained)

    def _read_host(self, payload: bytes) -> None:
        try:
            online = json.loads(payload)["online"] is True
        except (ValueError, TypeError, KeyError, RecursionError):
            log.warning("%s: STATE of the host %s cannot be read", self.name, self._host)
            return
        if online:
            self._host_is_there.set()
        else:
            self._host_is_there.clear()

    def _state_values(self, state: LineState) -> dict[str, Any]:
        found = state.as_dict()
        return {name: found[name] for name in _STATE}

    def _payload(self, kind: str, metrics: list[Any]) -> bytes:
        """Encode a message, with the next number."""
        import pysparkplug

        payload: bytes = getattr(pysparkplug, kind)(_now(), self._seq, metrics).encode(include_dtypes=True)
        self._seq = (self._seq + 1) % 256
        return payload

    def _metrics(self, kinds: dict[str, str], values: dict[str, Any], at: int, late: bool = False) -> list[Any]:
        import pysparkplug

        return [
            pysparkplug.Metric(at, name, pysparkplug.DataType[kind], values.get(name), is_historical=late)
            for name, kind in kinds.items()
        ]

    def _death(self) -> bytes:
        import pysparkplug

        metric = pysparkplug.Metric(_now(), BIRTHS, pysparkplug.DataType.INT64, self._births % 256)
        payload: bytes = pysparkplug.NDeath(_now(), metric).encode()
        return payload

    def _say_death(self) -> None:
        if self._connection is not None:
            try:
                self._connection.publish(
                    [Message(self._topic("NDEATH"), self._death())], min(2.0, self._options.timeout)
                )
            except SinkError as error:
                log.info("%s: no goodbye: %s", self.name, error)

    def _topic(self, kind: str, device: str = "") -> str:
        return "/".join(["spBv1.0", self._group, kind, self._node, *([device] if device else [])])

    def _let_go(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def values_of(event: Event) -> dict[str, Any]:
    """Return the metrics of an event by their names; ``event`` is all of it as JSON."""
    names = METRICS[event.kind]
    values = {name: getattr(event, name) for name in names if hasattr(event, name)} | {"event": event.to_json()}
    if isinstance(event, FrameEvent):
        largest = max(event.defects, key=lambda defect: defect.area_px, default=None)
        values["defects"] = len(event.defects)
        values["largest_class"] = largest.class_name if largest else None
        values["largest_area_px"] = largest.area_px if largest else None
    if isinstance(event, CoilEvent):
        values |= {
            "reason": "; ".join(event.reasons) or None,
            "frames": event.counts.get("frames"),
            "ng": event.counts.get("ng"),
        }
    return values


def _now() -> int:
    return int(time.time() * 1000)


def _milliseconds(text: str) -> int:
    try:
        return int(datetime.fromisoformat(text).timestamp() * 1000)
    except (ValueError, OverflowError):
        return _now()

"""MQTT: an event is acknowledged to the spool when the broker has acknowledged it, and the state is a retained message."""

import hashlib
import json
import logging
import re
import threading
import time
from collections.abc import Sequence
from typing import Any

from utils.line.event import Event, utc
from utils.line.sinks import sparkplug
from utils.line.sinks.mqtt_connection import SETTINGS, BrokerConnection, BrokerSettings, Message
from utils.line.sinks.received_orders import Orders
from utils.line.sinks.sink import AT_ONCE, Address, Sink, SinkError, SinkOptions
from utils.line.state import LineState

ROOT = "steel"  # of the topics where the address has none
OFFLINE = {"condition": "offline", "healthy": False}
PORTION = 20  # events under way at once, as many as brokers allow by default
HEADER = 1024  # bytes of a packet beside its payload, at most

log = logging.getLogger("steel.line")


def make(address: Address, options: SinkOptions) -> Sink:
    """Return the sink of ``mqtt://`` and ``mqtts://``; raises ``InputError`` for an address that makes no sense."""
    profile = address.query.get("profile", "json")
    if profile == "sparkplug":
        return sparkplug.make(address, options)
    if profile != "json":
        raise address.error(f"profile={profile}; expected json or sparkplug")
    address.only("profile", "largest", *SETTINGS)
    root = address.url_path.strip("/") or ROOT
    if re.search(r"[+#\x00]", address.path):
        raise address.error("a topic has no + and no #")
    topic = f"{root}/{topic_part(options.line)}"
    client = f"steel-{options.line}-{hashlib.sha256(address.text.encode()).hexdigest()[:6]}"
    largest = int(address.number("largest", 0, 0, 2**28))
    return MqttSink(address.text, topic, BrokerSettings.of(address, client), options, largest)


def topic_part(name: str) -> str:
    """Return a name as one level of a topic."""
    return re.sub(r"[/+#\x00]", "_", name) or "line"


def within(text: str, largest: int | None) -> bytes:
    """Return an event as bytes; defects are left out of it, last first, where the broker does not take so many.

    ``defects_left_out`` in it is their number.
    """
    payload = text.encode()
    if not largest or len(payload) <= largest:
        return payload
    found = json.loads(text)
    defects = found.get("defects") or []
    low, high = 0, len(defects)  # the most that fit lies between
    while low < high:
        middle = (low + high + 1) // 2
        fits = len(_cut(found, defects, middle)) <= largest
        low, high = (middle, high) if fits else (low, middle - 1)
    return _cut(found, defects, low)


def _cut(found: dict[str, Any], defects: Sequence[Any], kept: int) -> bytes:
    shorter = found | {"defects": defects[:kept], "defects_left_out": len(defects) - kept}
    return json.dumps(shorter, ensure_ascii=False).encode()


class MqttSink:
    """Events as JSON below ``ROOT/LINE``: ``frame``, ``coil``, ``alarm``, ``state``, ``order`` and ``order/answer``.

    Args:
        name: of the sink.
        topic: ``ROOT/LINE``.
        settings: of the broker.
        options: of the service.
        largest: bytes of a packet that a receiver takes; 0: what the broker says.
    """

    gather = AT_ONCE

    def __init__(self, name: str, topic: str, settings: BrokerSettings, options: SinkOptions, largest: int) -> None:
        self.name = name
        self.topic = topic
        self.orders = Orders(name, options)
        self._settings, self._options, self._largest = settings, options, largest
        self._connection: BrokerConnection | None = None
        self._answers: list[dict[str, Any]] = []
        self._lock = threading.Lock()
        self._accepted = 0  # place in the spool up to which the broker has everything

    def open(self) -> None:
        """Connect; raises ``SinkError``."""
        self._let_go()
        will = Message(f"{self.topic}/state", self._state(OFFLINE), retain=True)
        connection = BrokerConnection(self._settings, will, self._received)
        self._connection = connection
        try:
            connection.connect([f"{self.topic}/order"], self._options.timeout)
            self.heartbeat(self._options.state())  # takes the place of an older last will
        except SinkError:
            self._let_go()
            raise

    def send(self, events: Sequence[tuple[int, Event]]) -> None:
        """Publish; returns when the broker has acknowledged all of them; raises ``SinkError``."""
        connection = self._open_connection()
        until = time.monotonic() + self._options.timeout
        largest = self._largest or connection.largest
        room = largest - HEADER if largest else None
        waiting = [(seq, event) for seq, event in events if seq > self._accepted]
        # In portions, so that a slow broker gets on: what it has acknowledged it is not sent again after an error.
        for first in range(0, len(waiting), PORTION):
            portion = waiting[first : first + PORTION]
            messages = [Message(f"{self.topic}/{event.kind}", within(event.to_json(), room)) for _, event in portion]
            connection.publish(messages, until - time.monotonic())
            self._accepted = portion[-1][0]

    def heartbeat(self, state: LineState) -> None:
        """Publish the state, retained, and the answers to orders; raises ``SinkError``."""
        with self._lock:
            answers, self._answers = self._answers, []
        payload = self._state(state.as_dict())
        messages = [Message(f"{self.topic}/state", payload, retain=True)]
        messages += [Message(f"{self.topic}/order/answer", json.dumps(answer).encode()) for answer in answers]
        self._open_connection().publish(messages, self._options.timeout)

    def close(self) -> None:
        """Publish that the service is away, and disconnect."""
        if self._connection is not None:
            try:
                will = Message(f"{self.topic}/state", self._state(OFFLINE), retain=True)
                self._connection.publish([will], min(2.0, self._options.timeout))
            except SinkError as error:
                log.info("%s: no goodbye: %s", self.name, error)
        self._let_go()

    def _state(self, values: dict[str, Any]) -> bytes:
        shown = {"schema": "1", "kind": "state", "time": utc(time.time()), "line": self._options.line}
        orders = {"taken": self.orders.counts["taken"], "refused": self.orders.counts["refused"]}
        return json.dumps(shown | values | {"orders": orders}).encode()

    def _received(self, topic: str, payload: bytes, retained: bool) -> None:
        answer = self.orders.take(payload, retained)
        with self._lock:
            self._answers = [*self._answers[-99:], answer]  # a flood of orders must not fill the memory

    def _open_connection(self) -> BrokerConnection:
        if self._connection is None:
            raise SinkError("not connected")
        self._connection.check()
        return self._connection

    def _let_go(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

"""A connection believes the broker's acknowledgements alone, however long it lives."""

from types import SimpleNamespace

import pytest

pytest.importorskip("paho.mqtt.client")

from utils.line.sinks.mqtt_connection import BrokerConnection, BrokerSettings, Message
from utils.line.sinks.sink import SinkError


class Client:
    """What the library does without a broker: it numbers messages by 16 bits, and says when one of QoS 0 was written."""

    def __init__(self, connection):
        self._connection, self._number = connection, 0

    def _next(self):
        self._number = self._number % 65_535 + 1
        return self._number

    def publish(self, topic, payload, qos, retain):
        number = self._next()
        if qos == 0:
            self._connection._on_publish(self, None, number, SimpleNamespace(is_failure=False), None)
        return SimpleNamespace(rc=0, mid=number)

    def subscribe(self, topics):
        return 0, self._next()


def test_what_the_broker_has_not_confirmed_is_not_confirmed_after_many_messages():
    connection = BrokerConnection(BrokerSettings("127.0.0.1", 1883, "c", None, None, None, 5), Message("t", b""))
    connection._client = Client(connection)
    for _ in range(70):
        connection.publish([Message("t", b"", qos=0)] * 1000, 1.0)
    with pytest.raises(SinkError, match="has not acknowledged"):
        connection.confirm(["t"], 0.01)

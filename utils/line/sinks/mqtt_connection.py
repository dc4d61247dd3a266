"""One connection to an MQTT broker that knows when the broker has what was published."""

import logging
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from utils.line.extras import extra
from utils.line.sinks.credentials import file_of, secret, tls
from utils.line.sinks.sink import Address, SinkError

SETTINGS = ("password_file", "ca", "cert", "key", "client", "version")
KEEP_ALIVE = 10  # seconds: the broker sends the last will one and a half times that after the machine went dark
LOOPBACK = ("127.0.0.1", "::1", "localhost")

log = logging.getLogger("steel.line")


@dataclass(frozen=True)
class Message:
    """What is published on a topic."""

    topic: str
    payload: bytes
    qos: int = 1
    retain: bool = False


@dataclass(frozen=True)
class BrokerSettings:
    """How to reach a broker.

    Attributes:
        host: of the broker.
        port: of it.
        client: name by which the broker knows this connection; a second one of the same name ends the first.
        user: None: anonymous.
        password: None: none.
        tls: None: not encrypted.
        version: of MQTT: 5, or 3 for 3.1.1, where a broker cannot say that it refuses a message.
    """

    host: str
    port: int
    client: str
    user: str | None
    password: str | None
    tls: ssl.SSLContext | None
    version: int

    def __repr__(self) -> str:
        """Leave the password out, so that no log has it."""
        return f"BrokerSettings({self.host}:{self.port}, {self.client}, {self.user})"

    @classmethod
    def of(cls, address: Address, client: str) -> "BrokerSettings":
        """Read them from an address.

        Args:
            address: ``mqtt://`` or ``mqtts://``.
            client: name of the connection where the address has none.

        Raises:
            InputError: the address makes no sense, or a file that it names cannot be used.
        """
        extra(address, "paho.mqtt.client")
        if not address.host:
            raise address.error(f"no host; expected {address.scheme}://HOST/TOPIC")
        encrypted = address.scheme == "mqtts"
        password = secret(address, "password_file", "STEEL_MQTT_PASSWORD")
        if password is not None and address.user is None:
            if "password_file" in address.query:
                raise address.error(f"a password without a user; {address.scheme}://USER@HOST/TOPIC")
            password = None  # the variable may be there for another sink
        if not encrypted:
            for name in ("ca", "cert", "key"):
                if file_of(address, name):
                    raise address.error(f"{name} without encryption; use mqtts://")
            if password is not None and address.host not in LOOPBACK:
                log.warning("%s: the password goes over the network as it is; use mqtts://", address.text)
        version = int(address.number("version", 5, 3, 5))
        if version == 4:
            raise address.error("version=4; expected 3 (which is MQTT 3.1.1) or 5")
        return cls(
            address.host,
            address.port or (8883 if encrypted else 1883),
            address.query.get("client") or client,
            address.user,
            password,
            tls(address) if encrypted else None,
            version,
        )


class BrokerConnection:
    """A connection that is used until its first error; then make another one.

    The library of MQTT runs a thread of its own for it. It keeps nothing over a kill, so the spool stays the only place
    of what has not been acknowledged.

    Args:
        settings: how to reach the broker.
        will: what the broker publishes when this connection ends without a goodbye.
        received: is called with topic, payload and whether it is an old retained message, in the library's thread.
    """

    def __init__(
        self, settings: BrokerSettings, will: Message, received: Callable[[str, bytes, bool], None] | None = None
    ) -> None:
        import paho.mqtt.client as paho
        from paho.mqtt.enums import CallbackAPIVersion

        self._settings, self._received = settings, received
        self._news = threading.Condition()
        self._acknowledged: set[int] = set()
        self._refused: dict[int, str] = {}
        self._connected = False
        self._ended: str | None = None
        self.largest: int | None = None
        protocol = paho.MQTTv5 if settings.version == 5 else paho.MQTTv311
        clean = {} if settings.version == 5 else {"clean_session": True}
        # With its own reconnecting the library would send old messages behind the back of the spool.
        self._client = paho.Client(
            CallbackAPIVersion.VERSION2, settings.client, protocol=protocol, reconnect_on_failure=False, **clean
        )
        if settings.user is not None:
            self._client.username_pw_set(settings.user, settings.password)
        if settings.tls is not None:
            self._client.tls_set_context(settings.tls)
        self._client.will_set(will.topic, will.payload, will.qos, will.retain)
        self._client.on_connect = self._on_connect
        self._client.on_connect_fail = lambda *_: self._end("the connection could not be opened")
        self._client.on_disconnect = self._on_disconnect
        self._client.on_publish = self._on_publish
        self._client.on_subscribe = self._on_subscribe
        self._client.on_message = self._on_message

    def connect(self, topics: Sequence[str], timeout: float) -> None:
        """Connect and subscribe, each topic with QoS 1.

        Args:
            topics: to listen to.
            timeout: seconds for all of it.

        Raises:
            SinkError: the broker is not there, or refuses.
        """
        until = time.monotonic() + timeout
        host, port = self._settings.host, self._settings.port
        self._client.connect_timeout = max(0.1, timeout)
        extra_words: dict[str, Any] = {"clean_start": True} if self._settings.version == 5 else {}
        try:
            self._client.connect(host, port, keepalive=KEEP_ALIVE, **extra_words)
        except (OSError, ValueError) as error:
            raise SinkError(f"broker {host}:{port}: {_why(error)}") from None
        self._client.loop_start()
        with self._news:
            self._news.wait_for(lambda: self._connected or self._ended is not None, until - time.monotonic())
            self._check("does not answer" if not self._connected else None)
        if topics:
            self.confirm(topics, until - time.monotonic())

    def confirm(self, topics: Sequence[str], timeout: float) -> None:
        """Subscribe, also once more to what is subscribed already, and wait for the broker's answer.

        A broker takes what comes on a connection in order: it has all that was published before.

        Raises:
            SinkError: the connection has ended, or the time is up.
        """
        code, number = self._client.subscribe([(topic, 1) for topic in topics])
        if code != 0 or number is None:
            self._end("the connection has ended")
        self._wait([number or 0], timeout)

    def publish(self, messages: Sequence[Message], timeout: float) -> None:
        """Publish, and return when the broker has acknowledged everything of QoS 1.

        Args:
            messages: in order.
            timeout: seconds for all of them.

        Raises:
            SinkError: the connection has ended, the broker refuses a message, or the time is up.
        """
        numbers = []
        for message in messages:
            info = self._client.publish(message.topic, message.payload, message.qos, message.retain)
            if info.rc != 0:
                self._end("the connection has ended")
                break
            if message.qos:
                numbers.append(info.mid)
        self._wait(numbers, timeout)

    def _wait(self, numbers: Sequence[int], timeout: float) -> None:
        def done() -> bool:
            return self._ended is not None or bool(self._refused) or self._acknowledged.issuperset(numbers)

        with self._news:
            in_time = self._news.wait_for(done, max(0.0, timeout))
            if self._refused:
                raise SinkError(f"broker {self._settings.host} refuses: {next(iter(self._refused.values()))}")
            if not self._acknowledged.issuperset(numbers):
                self._check(None if in_time else f"has not acknowledged within {timeout:.0f} s")
            # Those of QoS 0 too, which nobody waits for: numbers begin anew after 65535, and an old one would count.
            self._acknowledged.clear()

    def check(self) -> None:
        """Raise ``SinkError`` where the connection has ended."""
        with self._news:
            self._check(None)

    def _check(self, otherwise: str | None) -> None:
        why = self._ended or otherwise
        if why is not None:
            raise SinkError(f"broker {self._settings.host}:{self._settings.port}: {why}")

    def close(self) -> None:
        """Say goodbye, so that the broker does not publish the will, and end the library's thread."""
        self._client.disconnect()
        self._client.loop_stop()

    def _end(self, why: str) -> None:
        with self._news:
            self._ended = self._ended or why
            self._news.notify_all()

    def _on_connect(self, client: Any, data: Any, flags: Any, reason: Any, properties: Any) -> None:
        if reason.is_failure:
            self._end(f"refuses the connection: {reason}")
            return
        with self._news:
            self._connected = True
            self.largest = getattr(properties, "MaximumPacketSize", None)
            self._news.notify_all()

    def _on_disconnect(self, client: Any, data: Any, flags: Any, reason: Any, properties: Any) -> None:
        self._end(f"the connection has ended ({reason})")

    def _on_publish(self, client: Any, data: Any, number: int, reason: Any, properties: Any) -> None:
        with self._news:
            if reason.is_failure:
                self._refused[number] = str(reason)
            else:
                self._acknowledged.add(number)
            self._news.notify_all()

    def _on_subscribe(self, client: Any, data: Any, number: int, reasons: Any, properties: Any) -> None:
        with self._news:
            failed = [str(reason) for reason in reasons if reason.is_failure]
            if failed:
                self._refused[number] = f"to let us listen: {failed[0]}"
            else:
                self._acknowledged.add(number)
            self._news.notify_all()

    def _on_message(self, client: Any, data: Any, message: Any) -> None:
        if self._received is not None:
            self._received(message.topic, message.payload, message.retain)


def _why(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return f"TLS: {getattr(error, 'verify_message', None) or error.reason or error}"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__

"""Events to send, free ports, and a real MQTT broker, for the tests of sinks."""

import logging
import shutil
import socket
import subprocess
import time

import pytest

from utils.line.event import CoilEvent, FrameEvent, LineDefect, event_id
from utils.line.sinks.registry import sink_of
from utils.line.sinks.sink import SinkOptions
from utils.line.state import LineState

MOSQUITTO = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
DEFECTS = (LineDefect("pit", 90, (1, 2, 30, 4), 0.75), LineDefect("crack", 4000, (100, 20, 300, 40), 0.9))


def frame(number, verdict="OK", **changes):
    """Make the event of a frame."""
    values = {"coil_id": "A4711", "position_m": number / 4, "reason": None if verdict == "OK" else "a rule"}
    values |= {"defects": DEFECTS if verdict == "NG" else (), "model": "ab" * 32, "thresholds": "cd" * 32}
    name = f"{number:06}.jpg"
    values |= {"id": event_id("folder://in", name), "time": "2026-03-01T12:00:00.123Z", "seq": number}
    return FrameEvent(source="folder://in", frame=name, verdict=verdict, **values | changes)


@pytest.fixture(name="frame")
def frame_fixture():
    return frame


@pytest.fixture
def frames():
    """Make events of so many frames, with their places in the spool: OK, NG and NO_VERDICT by turns."""

    def made(count, first=1):
        return [
            (number, frame(number, ("OK", "NG", "NO_VERDICT")[number % 3])) for number in range(first, first + count)
        ]

    return made


@pytest.fixture
def coil():
    values = {"counts": {"frames": 9, "ng": 3}, "start": "2026-03-01T12:00:00Z", "end": "2026-03-01T12:09:00Z"}
    return CoilEvent(
        id=event_id("folder://in", "coil A4711"),
        time="2026-03-01T12:10:00Z",
        source="folder://in",
        coil_id="A4711",
        verdict="NG",
        seq=1000,
        grade="hold",
        reasons=("holes",),
        **values,
    )


@pytest.fixture(scope="session")
def running():
    return LineState(condition="running", frames=7, ok=5, ng=2, rate=33.0)


@pytest.fixture
def make_sink():
    """Make a sink of an address, and close it at the end."""
    made = []

    def make(url, **options):
        sink = sink_of(url, SinkOptions(**{"line": "L3", "classes": ("pit", "crack"), "timeout": 5.0} | options))
        made.append(sink)
        return sink

    yield make
    for sink in made:
        sink.close()


@pytest.fixture
def logged():
    """Note what the log of the service gets, as (logger, line); pytest's own fixture also notes what is kept from it."""
    lines = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: lines.append((record.name, record.getMessage()))
    logging.getLogger().addHandler(handler)
    yield lines
    logging.getLogger().removeHandler(handler)


def free_port():
    """Return a port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


@pytest.fixture(name="free_port")
def free_port_fixture():
    return free_port


def until(condition, seconds=60.0):
    """Wait until a condition holds, for long on a busy machine, and return what it gives."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.01)
    return found


@pytest.fixture(name="until")
def until_fixture():
    return until


class Mosquitto:
    """A broker that is started and killed."""

    def __init__(self, folder, port, *lines):
        self.port = port
        self._file = folder / f"mosquitto-{port}.conf"
        fixed = [f"listener {port} 127.0.0.1", "persistence true", f"persistence_location {folder}/", "user root"]
        self._file.write_text("\n".join([*fixed, *(lines or ["allow_anonymous true"])]) + "\n")
        self._process = None
        self.start()

    def start(self):
        """Start, and wait until it listens."""
        self._process = subprocess.Popen(
            [MOSQUITTO, "-c", self._file], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

        def listens():
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", self.port)) == 0

        until(listens)

    def stop(self):
        """End it; it writes down what it has for receivers that are away."""
        self._process.terminate()
        self._process.wait(60)


@pytest.fixture
def mosquitto(tmp_path):
    """Start brokers with lines of their configuration; by default everybody may come."""
    if MOSQUITTO is None:
        pytest.skip("mosquitto is not installed: apt-get install mosquitto")
    started = []

    def start(*lines):
        started.append(Mosquitto(tmp_path, free_port(), *lines))
        return started[-1]

    yield start
    for broker in started:
        broker.stop()


class Listener:
    """A receiver of MQTT that notes what comes: topic, payload, whether it was retained.

    The broker keeps for it what comes while it is away, as a plant's receiver asks for.
    """

    def __init__(self, port, topic="#", qos=1, user=None, password=None):
        import paho.mqtt.client as paho
        from paho.mqtt.enums import CallbackAPIVersion

        self.messages = []
        self._subscribed = []
        name = f"receiver-{free_port()}"
        self.client = paho.Client(CallbackAPIVersion.VERSION2, name, clean_session=False, protocol=paho.MQTTv311)
        if user:
            self.client.username_pw_set(user, password)
        self.client.on_connect = lambda client, *rest: client.subscribe(topic, qos)
        self.client.on_subscribe = lambda *rest: self._subscribed.append(1)
        self.client.on_message = lambda client, data, one: self.messages.append((one.topic, one.payload, one.retain))
        self.client.reconnect_delay_set(1, 1)
        self.client.connect("127.0.0.1", port, keepalive=10)
        self.client.loop_start()
        until(lambda: self._subscribed)

    def payloads(self, topic):
        """Return what came on a topic."""
        return [payload for name, payload, _ in self.messages if name == topic]

    def close(self):
        self.client.disconnect()
        self.client.loop_stop()


@pytest.fixture
def listen():
    """Make receivers, and close them at the end."""
    made = []

    def start(port, *words, **more):
        made.append(Listener(port, *words, **more))
        return made[-1]

    yield start
    for one in made:
        one.close()

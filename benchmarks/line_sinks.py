"""Sinks of a line against real receivers on the loopback: events lost or doubled, latency, what controllers see together.

Broker, service and receiver share the same cores. The service is the spool and the thread of a sink, as Watch_line.py
has them, without cameras and without a network. A receiver drops doubles by the id of the event.

    python benchmarks/line_sinks.py
    python benchmarks/line_sinks.py -what kills -kills 20 -dead_s 60
    python benchmarks/line_sinks.py -what modbus -samples 100000
"""

import itertools
import json
import os
import resource
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from machine import facts, write_rows

from config import flag
from utils.cli import DONE, parse, run
from utils.errors import InputError
from utils.line.event import FrameEvent, LineDefect, event_id, from_json, utc
from utils.line.forwarding import Forwarder
from utils.line.sinks.registry import sink_of
from utils.line.sinks.sink import SinkOptions
from utils.line.spool import Spool
from utils.line.state import LineState

PACKAGES = ("paho-mqtt", "pymodbus", "asyncua", "python-snap7", "requests")
STATE = LineState(condition="running")
TOPIC = "steel/line/frame"
COLUMNS = (
    *("what", "events", "rate", "kills", "dead_s", "lost", "doubled_by_id", "sent_twice", "out_of_order"),
    *("p50_ms", "p99_ms", "samples", "together", "torn", "cpu_ms_per_event"),
)


@dataclass(frozen=True, kw_only=True)
class LineSinksConfig:
    """What this benchmark does."""

    what: tuple[str, ...] = flag(
        "latency: event to MQTT message; kills: of service and broker; modbus: coils read together; cost: processor time",
        ("latency", "kills", "modbus", "cost"),
    )
    rate: float = flag("frames a second", 33.0, low=0.1)
    seconds: float = flag("of the measurement of latency", 60.0, low=1)
    kills: int = flag("times that the service is killed", 20, low=1)
    dead_s: float = flag("seconds without a broker, once", 60.0, low=0)
    samples: int = flag("readings of a Modbus client", 100_000, low=10)
    work: Path = flag("folder for spools", Path(tempfile.gettempdir()) / "steel-benchmark")
    out: Path = flag("CSV file to append to", Path(__file__).parent / "results/line_sinks.csv")


def main(argv: Sequence[str]) -> int:
    """Measure and print."""
    if argv[:1] == ["--service"]:
        return service(*argv[1:])
    config = parse(LineSinksConfig, argv, "line_sinks.py", "Check the sinks of a line against real receivers.")
    known = facts(1, *PACKAGES)
    for name, measure in MEASURES.items():
        if name in config.what:
            rows = list(measure(config))  # written at once: what follows may be interrupted
            write_rows(config.out, [{**dict.fromkeys(COLUMNS, ""), **row, **known} for row in rows])
    return DONE


def event(number: int) -> FrameEvent:
    """Make the event of a frame that came now."""
    ng = number % 20 == 0
    defects = (LineDefect("pit", 90, (1, 2, 30, 4), 0.75), LineDefect("crack", 4000, (9, 2, 30, 4), 0.9)) if ng else ()
    return FrameEvent(
        id=event_id("folder://in", f"{number:08}.jpg"),
        time=utc(time.time()),
        source="folder://in",
        frame=f"{number:08}.jpg",
        verdict=("OK", "NG", "NO_VERDICT")[1 if ng else 2 if number % 37 == 0 else 0],
        coil_id="A4711",
        position_m=number / 4,
        defects=defects,
        model="ab" * 32,
        thresholds="cd" * 32,
        ms={"decode": 3.0, "network": 20.0, "decide": 1.0, "total": 25.0},
    )


def service(folder: str, url: str, first: str, count: str, rate: str) -> int:
    """Append events to a spool and send them on, until all are sent; prints each number after it is on the disk."""
    sink = sink_of(url, SinkOptions(timeout=5.0, state=lambda: STATE))
    with Spool(Path(folder), [sink.name]) as spool:
        forwarder = Forwarder(spool, sink, lambda: STATE, longest_wait=5.0)
        forwarder.start()
        begin = time.monotonic()
        for number in range(int(count)):
            spool.append(event(int(first) + number))
            print(int(first) + number, flush=True)
            time.sleep(max(0.0, begin + (number + 1) / float(rate) - time.monotonic()))
        forwarder.drain(120)
        forwarder.join(125)
    return DONE


class Broker:
    """A mosquitto on a free port, which keeps on disk what receivers have not got."""

    def __init__(self, folder: Path) -> None:
        place = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
        if place is None:
            raise InputError("mosquitto is not installed; apt-get install mosquitto")
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        lines = [f"listener {self.port} 127.0.0.1", "allow_anonymous true", "persistence true", "user root"]
        (folder / "conf").write_text("\n".join([*lines, f"persistence_location {folder}/"]) + "\n")
        self._command = [place, "-c", str(folder / "conf")]
        self.start()

    @property
    def url(self) -> str:
        """Address of the sink."""
        return f"mqtt://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start, and wait until it listens."""
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(1000):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.01)
        raise InputError("mosquitto does not start")

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(30)


class Receiver:
    """Notes the events that come by MQTT, and when."""

    def __init__(self, port: int) -> None:
        import paho.mqtt.client as paho
        from paho.mqtt.enums import CallbackAPIVersion

        self.came: list[tuple[float, bytes]] = []
        listens = threading.Event()
        self._client = paho.Client(CallbackAPIVersion.VERSION2, "receiver", clean_session=False)
        self._client.on_connect = lambda client, *rest: client.subscribe(TOPIC, 1)
        self._client.on_subscribe = lambda *rest: listens.set()
        self._client.on_message = lambda client, data, message: self.came.append((time.time(), message.payload))
        self._client.reconnect_delay_set(1, 2)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        listens.wait(10)

    def close(self) -> None:
        """Let go."""
        self._client.disconnect()
        self._client.loop_stop()


def measure_latency(config: LineSinksConfig) -> Iterator[dict[str, Any]]:
    """Time from the call of ``append`` to the message at the receiver: fsync of the spool, thread, broker, JSON."""
    broker = Broker(config.work / "broker")
    receiver = Receiver(broker.port)
    shutil.rmtree(config.work / "spool", ignore_errors=True)
    sink = sink_of(broker.url, SinkOptions(timeout=5.0, state=lambda: STATE))
    sent: dict[str, float] = {}
    count = round(config.rate * config.seconds)
    with Spool(config.work / "spool", [sink.name]) as spool:
        forwarder = Forwarder(spool, sink, lambda: STATE)
        forwarder.start()
        time.sleep(2)
        begin = time.monotonic()
        for number in range(1, count + 1):
            one = event(number)
            sent[one.id] = time.time()
            spool.append(one)
            time.sleep(max(0.0, begin + number / config.rate - time.monotonic()))
        forwarder.drain(30)
        forwarder.join(35)
    receiver.close()
    broker.stop()
    times = sorted((at - sent[json.loads(payload)["id"]]) * 1000 for at, payload in receiver.came)
    p50, p99 = statistics.median(times), times[int(len(times) * 0.99)]
    print(f"latency: {len(times)} of {count} events at {config.rate:g}/s: p50 {p50:.1f} ms, p99 {p99:.1f} ms")
    yield {
        "what": "latency",
        "events": count,
        "rate": config.rate,
        "lost": count - len({payload for _, payload in receiver.came}),
        "p50_ms": round(p50, 2),
        "p99_ms": round(p99, 2),
    }


def measure_kills(config: LineSinksConfig) -> Iterator[dict[str, Any]]:
    """Kill the service again and again, and once stop the broker for a while."""
    broker = Broker(config.work / "broker")
    receiver = Receiver(broker.port)
    folder = config.work / "spool"
    shutil.rmtree(folder, ignore_errors=True)
    command = [sys.executable, str(Path(__file__)), "--service", str(folder), broker.url]
    written = 0
    for kill in range(config.kills):
        dead = kill == config.kills // 2
        process = subprocess.Popen(
            [*command, str(written + 1), "1000000", str(config.rate)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        begin: float | None = None
        stopped: float | None = None
        # Kills come at other points of the work each time: primes of milliseconds after the first event.
        ends = 2.0 + 0.137 * kill + (config.dead_s + 8 if dead else 0)
        for line in process.stdout:
            written = int(line)
            begin = begin or time.monotonic()
            now = time.monotonic() - begin
            if dead and stopped is None and now > 2:
                broker.stop()
                stopped = now
            if dead and stopped is not None and now > stopped + config.dead_s and broker._process.poll() is not None:
                broker.start()
            if now > ends:
                break
        process.send_signal(signal.SIGKILL)
        written = max([written, *map(int, process.stdout.read().split())])
        process.wait(30)
        print(f"kill {kill + 1} of {config.kills}: {written} events written, {len(receiver.came)} messages", flush=True)
    last = subprocess.run([*command, str(written + 1), "50", str(config.rate)], capture_output=True, text=True)
    written = max(map(int, last.stdout.split()))
    time.sleep(3)
    receiver.close()
    broker.stop()
    came = [from_json(payload) for _, payload in receiver.came]
    frames = [one.frame for one in came if isinstance(one, FrameEvent)]
    once = list(dict.fromkeys(frames))
    wanted = [f"{number:08}.jpg" for number in range(1, written + 1)]
    lost = len(set(wanted) - set(once))
    order = sum(left > right for left, right in itertools.pairwise(once))
    doubled = len(once) - len({one.id for one in came})
    print(f"kills: {written} events, {lost} lost, {len(frames) - len(once)} sent twice, {order} out of order")
    yield {
        "what": "kills",
        "events": written,
        "rate": config.rate,
        "kills": config.kills,
        "dead_s": config.dead_s,
        "lost": lost,
        "doubled_by_id": doubled,
        "sent_twice": len(frames) - len(once),
        "out_of_order": order,
    }


def measure_modbus(config: LineSinksConfig) -> Iterator[dict[str, Any]]:
    """Read coils and registers by turns while verdicts change as fast as they can."""
    from pymodbus.client import ModbusTcpClient

    sink: Any = sink_of("modbus://127.0.0.1:0", SinkOptions(classes=("pit", "crack")))
    sink.open()
    stop = threading.Event()

    def change() -> None:
        for number in itertools.count(1):
            if stop.is_set():
                return
            one = event(number)
            sink.send([(number, one)])
            if number % 50 == 0:
                sink.heartbeat(LineState(condition="starved" if number % 500 == 0 else "running"))

    writer = threading.Thread(target=change, daemon=True)
    writer.start()
    together = torn = 0
    seen: dict[int, int] = {}
    with ModbusTcpClient("127.0.0.1", port=sink.port) as client:
        for sample in range(config.samples):
            if sample % 2:
                words = client.read_input_registers(0, count=64).registers
                torn += words[2:4] != words[62:64]
                flags = words[0]
            else:
                flags = sum(bit << place for place, bit in enumerate(client.read_coils(0, count=8).bits))
            together += (flags & 0b111).bit_count() != 1
            seen[flags & 0b111] = seen.get(flags & 0b111, 0) + 1
    stop.set()
    writer.join(5)
    sink.close()
    print(f"modbus: {config.samples} samples, {together} with not exactly one verdict, {torn} torn; seen {seen}")
    yield {"what": "modbus", "samples": config.samples, "together": together, "torn": torn}


def measure_cost(config: LineSinksConfig) -> Iterator[dict[str, Any]]:
    """Processor time of an event in this process: spool, thread, sink."""
    broker = Broker(config.work / "broker")
    urls = {
        "spool alone": None,
        "mqtt": broker.url,
        "sparkplug": f"{broker.url}?profile=sparkplug",
        "modbus": "modbus://127.0.0.1:0",
        "opcua": "opcua://127.0.0.1:0",
    }
    count = 2000
    for name, url in urls.items():
        shutil.rmtree(config.work / "spool", ignore_errors=True)
        sink = sink_of(url, SinkOptions(timeout=20.0, state=lambda: STATE)) if url else None
        with Spool(config.work / "spool", [sink.name] if sink else []) as spool:
            forwarder = Forwarder(spool, sink, lambda: STATE) if sink else None
            if forwarder:
                forwarder.start()
                end = time.monotonic() + 120
                while not forwarder.state.ok and time.monotonic() < end:
                    time.sleep(0.05)
            begin = _spent()
            for number in range(1, count + 1, 10):
                spool.extend([event(number + place) for place in range(10)])
            if forwarder:
                forwarder.drain(120)
                forwarder.join(125)
            spent = (_spent() - begin) / count * 1000
        print(f"cost of {name}: {spent:.3f} ms of a processor for an event")
        yield {"what": f"cost of {name}", "events": count, "cpu_ms_per_event": round(spent, 4)}
    broker.stop()


def _spent() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


MEASURES = {"latency": measure_latency, "kills": measure_kills, "modbus": measure_modbus, "cost": measure_cost}


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    run(main)

"""A line: file to message, kills, the highest rate, a camera that loses packets, and drift.

    python benchmarks/line.py -cases latency,kills          # Watch_line.py with mosquitto on this machine
    python benchmarks/line.py -cases replay -rates 5,10,20 -seconds 600 -weights_dir GATED -images STRIPS
    python benchmarks/line.py -cases camera                 # a simulated GigE camera, 3,000 frames, 1 % of packets dropped
    python benchmarks/line.py -cases drift -images IMAGES -split split.csv -other OTHER_STEEL

Needs requirements-line.txt, and mosquitto for latency and kills. ``line_system.py`` makes GATED and STRIPS.
"""

import itertools
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np

from benchmarks.machine import here, write_rows
from config import WatchConfig, flag
from utils.cli import DONE, parse, run
from utils.data.splits import groups_in
from utils.errors import InputError

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, kw_only=True)
class LineConfig:
    """What this benchmark does."""

    cases: tuple[str, ...] = flag("latency, kills, replay, camera, drift", ("camera",))
    weights_dir: Path = flag("weights that inspect", ROOT / "weights")
    images: Path | None = flag("folder of images; none: drawn strips", None)
    other: Path | None = flag("of drift: folder of images of other steel", None)
    limit: float = flag("of drift: as -drift_limit of Watch_line.py", WatchConfig.drift_limit, low=3, high=100)
    split: Path | None = flag(
        "of drift: split.csv of -images; no scene of it lies in both halves; none: by image", None
    )
    backend: str = flag("as for Watch_line.py", "auto")
    frames: int = flag("of latency, kills and camera", 3000, low=10)
    rate: float = flag("frames a second of latency and kills", 33.0, low=0.1)
    rates: tuple[int, ...] = flag("frames a second of replay, one after the other", (5, 10, 20))
    seconds: int = flag("of replay, for each rate", 600, low=5)
    kills: int = flag("of kills", 20, low=1)
    shuffled: int = flag("of drift: frames of the images learnt from", 100_000, low=1000)
    most: int = flag("of drift: images, evenly spread; 0: all", 0, low=0)
    seed: int = flag("of kills and drift", 0)
    work: Path = flag("folder for frames, spool and logs", Path(tempfile.gettempdir()) / "steel-line")
    out: Path = flag("CSV file to append to", Path(__file__).parent / "results/line.csv")


def main(argv: Sequence[str]) -> int:
    """Measure and print."""
    config = parse(LineConfig, argv, "line.py", "Measure a line.")
    cases = {"latency": latency, "kills": kills, "replay": replay, "camera": camera, "drift": drift}
    for case in config.cases:
        shutil.rmtree(config.work, ignore_errors=True)
        config.work.mkdir(parents=True)
        rows = [
            {"case": case, "what": what, "value": value, "bar": bar, **here(0)}
            for what, value, bar in cases[case](config)
        ]
        for row in rows:
            print(f"{case}: {row['what']}: {row['value']} (bar: {row['bar']})", flush=True)
        write_rows(config.out, rows)
    return DONE


Found = Iterator[tuple[str, Any, str]]


def latency(config: LineConfig) -> Found:
    """Measure complete file to MQTT message, without the network's time."""
    files = sources_of(config)
    with broker() as port, Receiver(port) as receiver, watching(config, f"mqtt://127.0.0.1:{port}/plant"):
        dropped = drop_at(config, files, config.frames, config.rate)
        receiver.wait(config.frames, 120)
    own, whole = [], []
    for name, came, event in receiver.events:
        seconds = came - dropped[name]
        whole.append(1e3 * seconds)
        own.append(1e3 * seconds - event["ms"].get("network", 0.0))
    yield "frames", len(own), str(config.frames)
    yield "p50 ms without network", round(float(np.percentile(own, 50)), 1), ""
    yield "p99 ms without network", round(float(np.percentile(own, 99)), 1), "50"
    yield "p99 ms", round(float(np.percentile(whole, 99)), 1), ""


def kills(config: LineConfig) -> Found:
    """Kill the service again and again while frames come, each fifth time while it starts; count what the receiver has."""
    files, chance = sources_of(config), random.Random(config.seed)
    starting, working = 0.0, 0  # seconds that a start takes; kills while it inspected
    with broker() as port, Receiver(port) as receiver:
        writer = threading.Thread(target=drop_at, args=(config, files, config.frames, config.rate))
        address = f"mqtt://127.0.0.1:{port}/plant"
        writer.start()
        for number in range(config.kills):
            with watching(config, address, wait=False) as service:
                if number % 5 == 4:
                    time.sleep(chance.uniform(0.2, 1.0) * starting)
                else:
                    begin, before = time.monotonic(), len(receiver.events)
                    wait_for_line(service, config, 600)
                    starting = time.monotonic() - begin
                    wanted = before + chance.randint(1, max(1, 3 * config.frames // config.kills // 2))
                    while len(receiver.events) < wanted and time.monotonic() < begin + starting + 60:
                        time.sleep(chance.uniform(0, 0.05))
                    working += len(receiver.events) > before
                os.kill(service.pid, signal.SIGKILL)
                service.wait()
            print(f"kill {number + 1} of {config.kills}: {len(receiver.events)} messages", file=sys.stderr, flush=True)
        writer.join()
        with watching(config, address):
            receiver.wait(config.frames, 120)
    first: dict[str, dict[str, Any]] = {}  # what a receiver keeps that drops doubles by id
    for _, _, event in receiver.events:
        first.setdefault(event["id"], event)
    frames, places = ([event[name] for event in first.values()] for name in ("frame", "seq"))
    yield "kills", config.kills, str(config.kills)
    yield "of them after new messages", working, ""
    yield "frames", config.frames, ""
    yield "frames lost", config.frames - len(set(frames)), "0"
    yield "frames under two ids", len(frames) - len(set(frames)), "0"
    yield "messages sent again", len(receiver.events) - len(first), ""
    yield "frames out of order", sum(a >= b for a, b in itertools.pairwise(frames)), "0"
    yield "seq out of order", sum(a >= b for a, b in itertools.pairwise(places)), "0"


def replay(config: LineConfig) -> Found:
    """Run each rate; tell what got no verdict, how the memory grew after the first fifth, and the highest rate held."""
    if config.images is None:
        raise InputError("-images: name a folder of strips; line_system.py makes one")
    held = 0
    for rate in config.rates:
        source = f"replay://{config.images.resolve()}?rate={rate}&loop=1"
        memory = []
        with watching(config, f"csv://{config.work / 'events'}", source=source) as service:
            begin = line_state()["state"]["frames"] / rate  # it runs since it answers, or a little longer
            until = time.monotonic() + config.seconds - begin
            while time.monotonic() < until:
                time.sleep(min(5.0, config.seconds / 20))
                memory.append(resident(service.pid))
            state = line_state()["state"]
        dropped = state["no_verdict"] + state["lost"] + state["unrecorded"]
        fifth = len(memory) // 5
        first, last = np.mean(memory[fifth : 2 * fifth]), np.mean(memory[-fifth:])
        grown = round(100 * (float(last / first) - 1), 1)
        yield f"{rate} frames/s: frames", state["frames"], str(rate * config.seconds)
        yield f"{rate} frames/s: NG", state["ng"], ""
        yield f"{rate} frames/s: without verdict or lost", dropped, "0"
        yield f"{rate} frames/s: p99 ms", state["p99_ms"], ""
        yield f"{rate} frames/s: memory grown %", grown, "5"
        if not dropped and grown <= 5 and state["condition"] == "running":
            held = max(held, rate)
    yield f"highest rate held for {config.seconds} s with 0 dropped, frames/s", held, ""


def camera(config: LineConfig) -> Found:
    """Count what becomes of the frames of a camera whose packets get lost."""
    from viva_genicam.testing import FakeGigeCamera

    from utils.line.address import Address
    from utils.line.sources.genicam import GenicamSource
    from utils.line.sources.source import SourceOptions

    chance, width, height = random.Random(config.seed), 640, 256
    packets = width * height // 1500  # of the usual size; a later one may not exist
    gone = [(n, p) for n in range(1, config.frames + 1) for p in range(1, packets + 1) if chance.random() < 0.01]
    gone = [one for one in gone if one[0] % 3 == 0]  # some frames stay whole
    source = GenicamSource(Address.parse("gige://127.0.0.1", "-source"), SourceOptions())
    frames: list[Any] = []
    stop = threading.Event()
    thread = threading.Thread(target=source.run, args=(frames.append, stop))
    with FakeGigeCamera(width, height, 100, packet_resend=False, drop_packets=gone) as fake:
        thread.start()
        until = time.monotonic() + config.frames / 5
        while len(frames) < config.frames and time.monotonic() < until:
            time.sleep(0.1)
        stop.set()
        thread.join()
        sent = fake.blocks_sent()
    numbers = [int(frame.name.split("-")[1]) for frame in frames]
    damaged = {block for block, _ in gone}
    whole = {n for n, frame in zip(numbers, frames, strict=True) if frame.problem is None}
    last = max(numbers)
    yield "frames sent", sent, ""
    yield "frames told", len(frames), str(config.frames)
    yield "frames delivered whole", len(whole), ""
    yield "frames counted as lost", source.lost, str(len(frames) - len(whole))
    yield "frames neither delivered nor counted", len(set(range(numbers[0], last + 1)) - set(numbers)), "0"
    yield "damaged frames given as whole", len(whole & damaged), "0"


def drift(config: LineConfig) -> Found:
    """Tell how soon other images are noticed, and how often the same ones: learnt on one half, measured on the other.

    With ``-split`` the halves share no scene.
    """
    import cv2

    from utils.inference.looking import measuring
    from utils.line.drift import Drift
    from utils.line.event import FrameEvent
    from utils.weights.appearance import described, summarised
    from utils.weights.finding import list_weights
    from utils.weights.weights_file import load

    paths = sources_of(config)
    if config.most:
        paths = [paths[place] for place in np.linspace(0, len(paths) - 1, min(len(paths), config.most)).astype(int)]
    first, second = halves(paths, config)
    weights = load(config.weights_dir if config.weights_dir.is_file() else list_weights(config.weights_dir)[0])
    layer, look = measuring(weights, fast=True)
    assert look is not None

    def read(path: Path) -> np.ndarray:
        grey = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)[..., None]
        return np.ascontiguousarray(np.broadcast_to(grey, (*grey.shape[:2], weights.spec.channels)))

    def row(image: np.ndarray) -> np.ndarray:
        return known.properties(image, look(image))

    learnt = (read(path) for path in first)
    known = summarised([described(image, look(image)) for image in learnt], layer)
    assert known is not None
    images = [read(path) for path in second]
    apart = f"{'no scene in both halves' if config.split else 'by image'}, seed {config.seed}, limit {config.limit:g}"
    yield "images learnt from, layer, halves", f"{known.count}, {layer}, {apart}", ""
    event = FrameEvent(id="0" * 32, time="", source="", frame="f", verdict="OK")
    rng = np.random.default_rng(config.seed)

    def alarms(rows: list[np.ndarray], count: int) -> list[tuple[int, str]]:
        watch, found = Drift(known, look, limit=config.limit), []
        for number in range(count):
            alarm = watch.add(rows[int(rng.integers(len(rows)))], event)
            if alarm is not None:
                found.append((number + 1, alarm.name))
        return found

    begin = time.process_time()
    rows = [row(image) for image in images]
    spent = 1e3 * (time.process_time() - begin) / len(images)
    begin = time.process_time()
    found = alarms(rows, config.shuffled)
    spent += 1e3 * (time.process_time() - begin) / config.shuffled
    yield f"alarms in {config.shuffled} frames of {len(images)} images, shuffled", len(found), "1"
    yield "ms a frame", round(spent, 3), "1"
    changes = {
        "10 % darker": [row((image * 0.9).astype(np.uint8)) for image in images],
        "blurred, sigma 1": [row(cv2.GaussianBlur(image, (0, 0), 1).reshape(image.shape)) for image in images],
    }
    if config.other is not None:
        others = [path for path in sorted(config.other.rglob("*")) if path.suffix.lower() in (".jpg", ".png", ".bmp")]
        foreign = [row(read(path)) for path in others[:500]]
        changes["10 % of other steel"] = [
            foreign[int(rng.integers(len(foreign)))] if number % 10 == 0 else own
            for number, own in enumerate(rows * 10)
        ]
    for name, changed in changes.items():
        runs = [alarms(changed, 500) for _ in range(20)]
        soon = [one[0] for one in runs if one]
        yield f"{name}: flagged within 500 frames, of 20 runs", len(soon), "20"
        if soon:
            yield f"{name}: frames until the first alarm, median", int(np.median([n for n, _ in soon])), "500"
            yield f"{name}: property of the first alarm", max({w for _, w in soon}, key=[w for _, w in soon].count), ""


def halves(paths: Sequence[Path], config: LineConfig) -> tuple[list[Path], list[Path]]:
    """Part images into two halves by chance: by scene, where ``-split`` tells the scene (its group) of each."""
    groups = {} if config.split is None else groups_in(config.split, [path.name for path in paths])
    if config.split is not None and not groups:
        raise InputError(f"-split {config.split}: does not know all images of -images")
    scenes: dict[object, list[Path]] = {}
    for path in paths:
        scenes.setdefault(groups.get(path.name, path), []).append(path)
    parts: tuple[list[Path], list[Path]] = ([], [])
    mixed = list(scenes.values())
    random.Random(config.seed).shuffle(mixed)
    for scene in mixed:
        min(parts, key=len).extend(scene)
    return parts


class Receiver:
    """Takes the messages of the line, as (name of the frame, time, event)."""

    def __init__(self, port: int) -> None:
        import paho.mqtt.client as mqtt

        self.events: list[tuple[str, float, dict[str, Any]]] = []
        self._client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="receiver", clean_session=False)
        self._client.on_message = self._take
        self._client.on_connect = lambda client, *_: client.subscribe("plant/#", qos=1)
        self._client.connect("127.0.0.1", port)

    def _take(self, client: Any, data: Any, message: Any) -> None:
        came = time.time()
        try:
            event = json.loads(message.payload)
        except ValueError:
            return
        if isinstance(event, dict) and event.get("kind") == "frame":
            self.events.append((event["frame"], came, event))

    def wait(self, count: int, seconds: float) -> None:
        """Wait until so many different frames have come, or none for so many seconds."""
        came, until = 0, time.monotonic() + seconds
        while len({name for name, _, _ in self.events}) < count and time.monotonic() < until:
            if len(self.events) > came:
                came, until = len(self.events), time.monotonic() + seconds
            time.sleep(0.2)

    def __enter__(self) -> "Receiver":
        self._client.loop_start()
        return self

    def __exit__(self, *error: object) -> None:
        self._client.loop_stop()


@contextmanager
def broker() -> Iterator[int]:
    """Run mosquitto on a free port of this machine."""
    port = free_port()
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as settings:
        settings.write(f"listener {port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\n")
        settings.flush()
        command = shutil.which("mosquitto", path=f"{os.environ['PATH']}:/usr/sbin") or "mosquitto"
        with subprocess.Popen([command, "-c", settings.name], stderr=subprocess.DEVNULL) as server:
            until = time.monotonic() + 10
            while socket.socket().connect_ex(("127.0.0.1", port)) and time.monotonic() < until:
                time.sleep(0.05)
            try:
                yield port
            finally:
                server.terminate()


PAGE: list[int] = []  # port of the service's page


@contextmanager
def watching(
    config: LineConfig, sinks: str, source: str | None = None, wait: bool = True
) -> Iterator["subprocess.Popen[bytes]"]:
    """Run the service beside the benchmark."""
    PAGE[:] = [free_port()]
    inbox = config.work / "inbox"
    inbox.mkdir(exist_ok=True)
    words = ["-source", source or f"folder://{inbox}", "-sinks", sinks, "-spool", config.work / "spool"]
    words += ["-http", f"127.0.0.1:{PAGE[0]}", "-weights_dir", config.weights_dir, "-backend", config.backend]
    with open(config.work / "log.txt", "ab") as log:
        service = subprocess.Popen([sys.executable, ROOT / "Watch_line.py", *map(str, words)], stdout=log, stderr=log)
    try:
        if wait:
            wait_for_line(service, config, 600)
        yield service
    finally:
        if service.poll() is None:
            service.terminate()
        service.wait(120)


def wait_for_line(service: "subprocess.Popen[bytes]", config: LineConfig, seconds: float) -> None:
    """Wait until the service answers; raises where it has ended."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if service.poll() is not None:
            raise SystemExit(f"Watch_line.py ended: {(config.work / 'log.txt').read_text('utf-8')[-2000:]}")
        try:
            line_state()
            return
        except OSError:
            time.sleep(0.05)
    raise SystemExit("Watch_line.py does not answer")


def line_state() -> dict[str, Any]:
    """Return what the service says of itself."""
    with urllib.request.urlopen(f"http://127.0.0.1:{PAGE[0]}/api/v1/line", timeout=10) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


def drop_at(config: LineConfig, files: Sequence[Path], count: int, rate: float) -> dict[str, float]:
    """Put whole files into the inbox, so many a second; return the time of each, by its name."""
    inbox, dropped, begin = config.work / "inbox", {}, time.monotonic()
    inbox.mkdir(exist_ok=True)
    for number in range(count):
        source = files[number % len(files)]
        name = f"{number:07d}{source.suffix}"
        part = inbox / f".{name}.part"
        shutil.copyfile(source, part)
        time.sleep(max(0.0, begin + number / rate - time.monotonic()))
        dropped[name] = time.time()
        part.rename(inbox / name)
    return dropped


def sources_of(config: LineConfig) -> list[Path]:
    """Return the images to send: those of the folder, or drawn strips."""
    if config.images is not None:
        return [path for path in sorted(config.images.rglob("*")) if path.suffix.lower() in (".jpg", ".png", ".bmp")]
    import cv2

    from utils.data.synthetic.strip import make_strip

    folder = config.work / "drawn"
    folder.mkdir()
    for seed in range(40):
        cv2.imwrite(str(folder / f"{seed:03d}.jpg"), make_strip(np.random.default_rng(seed), (200, 200), (1,)).image)
    return sorted(folder.iterdir())


def resident(process: int) -> int:
    """Return the bytes of memory that a process has."""
    import psutil

    return int(psutil.Process(process).memory_info().rss)


def free_port() -> int:
    """Return a port of this machine that nobody has."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


if __name__ == "__main__":
    run(main)

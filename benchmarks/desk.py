"""The desk under load, on the loopback: people who paint beside programs that inspect, long visits, large frames, the first image.

python benchmarks/desk.py
python benchmarks/desk.py -what paint -rounds 2 -requests 40
python benchmarks/desk.py -what visit -images 10000
"""

import concurrent.futures
import json
import multiprocessing
import os
import random
import statistics
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.machine import facts, write_rows
from benchmarks.serving import ServingConfig, at, form, load, make_strips, run_pipeline, serving, tell, wrong
from config import flag
from utils.cli import DONE, parse, run
from utils.data import rle

PACKAGES = ("torch", "openvino", "fastapi", "uvicorn", "opencv-python-headless")
FRAMES = ((2048, 12_000), (1024, 16_384))  # height and width
PAINTERS = 2
PAUSE = 0.5  # seconds between two strokes of a person who works fast
THUMB = 50  # images of the long visit after which its page looks at the list and at a small picture
AT_ONCE = 3  # images that a page sends at the same time
COLUMNS = (
    *("what", "image", "requests", "images_per_second", "share_of_pipeline", "wrong", "strokes", "p50_ms", "p95_ms"),
    *("most_ms", "memory_mib", "memory_ratio", "seconds", "ready_s", "backend"),
)


@dataclass(frozen=True, kw_only=True)
class DeskConfig(ServingConfig):
    """What this benchmark does."""

    what: tuple[str, ...] = flag("paint: two people paint while programs inspect; visit: memory over a long visit, with and without -save; frames: memory and time of large frames; first: seconds to the first result after the first start", ("paint", "visit", "frames", "first"))  # fmt: skip
    clients: tuple[int, ...] = flag("programs that inspect through the API", (16,))
    images: int = flag("images of the long visit; its memory counts from a tenth of them on", 10_000, low=100)
    out: Path = flag("CSV file to append to", Path(__file__).parent / "results/desk.csv")


def main(argv: Sequence[str]) -> int:
    """Measure and print."""
    config = parse(DeskConfig, argv, "desk.py", "Measure the desk: painting under load, long visits, large frames.")
    strips = make_strips(config)
    known = facts(config.threads, *PACKAGES)
    for name, measure in MEASURES.items():
        if name in config.what:
            for row in measure(config, strips):  # written at once: what follows may be interrupted
                write_rows(config.out, [{**dict.fromkeys(COLUMNS, ""), **row, **known}])
    return DONE


def measure_paint(config: DeskConfig, strips: Sequence[Path]) -> Iterator[dict[str, Any]]:
    """Measure the pipeline, then programs at the API with two people who paint, in turn."""
    context = multiprocessing.get_context("spawn")
    bodies = [form(path) for path in strips]
    alone: list[float] = []
    speeds: list[float] = []
    strokes: list[float] = []
    mistakes = requests = 0
    (clients,) = config.clients
    for _ in range(config.rounds):
        with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
            speed, expected = pool.submit(run_pipeline, config, strips).result()
        alone.append(speed)
        with (
            tempfile.TemporaryDirectory(dir=config.work) as kept,
            serving(config, "-save", kept) as server,
            concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as pool,
        ):
            visit = Page(server.port).begin()
            Page(server.port).send(visit, strips)
            pool.submit(load, server.port, bodies, 8, 4).result()
            seconds = max(10.0, config.requests / speed)
            painting = pool.submit(paint, server.port, visit, len(strips), seconds)
            found = pool.submit(load, server.port, bodies, config.requests, clients).result()
            strokes += painting.result()
        speeds.append(found.requests / found.seconds)
        requests += found.requests
        mistakes += wrong(found.answers, expected)
    pipeline = statistics.median(alone)
    backend = f"{config.backend} {config.precision}"
    yield tell(what="pipeline", image="256x1600", images_per_second=round(pipeline, 2), backend=backend)
    yield tell(
        what="paint",
        image="256x1600",
        requests=requests,
        images_per_second=round(statistics.median(speeds), 2),
        share_of_pipeline=round(statistics.median(speeds) / pipeline, 3),
        wrong=mistakes,
        strokes=len(strokes),
        backend=backend,
        **_latencies(strokes),
    )


def paint(port: int, visit: str, images: int, seconds: float) -> list[float]:
    """Paint as two people at two pages of a visit do; return the seconds until each stroke was kept."""
    until, taken = time.monotonic() + seconds, []

    def person(number: int) -> None:
        page, chance = Page(port), random.Random(number)
        news = threading.Thread(target=page.listen, args=(visit, until), daemon=True)
        news.start()
        while time.monotonic() < until:
            key = chance.randint(1, images)
            for _ in range(5):  # strokes on an image before the next one
                action = {"id": str(uuid.uuid4()), "kind": "add", "class_id": 1, "rle": stroke(chance)}
                start = time.perf_counter()
                page.ask(
                    "POST", f"visits/{visit}/images/{key}/review", {"who": f"Painter {number}", "actions": [action]}
                )
                taken.append(time.perf_counter() - start)
                time.sleep(PAUSE)
        news.join()

    people = [threading.Thread(target=person, args=(number,)) for number in range(PAINTERS)]
    for one in people:
        one.start()
    for one in people:
        one.join()
    return taken


def stroke(chance: random.Random) -> str:
    """Return the run-length code of a stroke of a brush of 12 pixels in a strip of 256x1600."""
    import cv2
    import numpy as np

    plane = np.zeros((256, 1600), np.uint8)
    x, y = chance.randint(50, 1400), chance.randint(30, 220)
    for _ in range(30):
        to_x, to_y = x + chance.randint(0, 8), y + chance.randint(-6, 6)
        cv2.line(plane, (x, y), (to_x, to_y), 1, 12)
        x, y = to_x, to_y
    return rle.encode(plane)


def measure_visit(config: DeskConfig, strips: Sequence[Path]) -> Iterator[dict[str, Any]]:
    """Put many small images through one visit, as a page does, and look at the server's memory on the way."""
    import psutil

    for kept in (False, True):
        with tempfile.TemporaryDirectory(dir=config.work) as folder:
            words = ("-save", folder) if kept else ()
            with serving(config, *words) as server:
                page, process = Page(server.port), psutil.Process(server.process.pid)
                visit, start = page.begin(), time.perf_counter()
                news = threading.Thread(target=page.listen, args=(visit, time.monotonic() + 36_000), daemon=True)
                news.start()
                early = 0
                for number in range(0, config.images, THUMB):
                    page.send_made(visit, range(number, min(number + THUMB, config.images)))
                    page.ask("GET", f"visits/{visit}/images?sort=uncertain&limit=60")
                    Page(server.port).ask("GET", f"visits/{visit}/images/{number + 1}/thumb.jpg")
                    if not early and number + THUMB >= config.images / 10:
                        page.wait(visit, number + THUMB)
                        early = process.memory_info().rss
                page.wait(visit, config.images)
                late, seconds = process.memory_info().rss, time.perf_counter() - start
        yield tell(
            what="visit -save" if kept else "visit",
            image="64x64",
            requests=config.images,
            images_per_second=round(config.images / seconds, 1),
            memory_mib=round(late / 2**20),
            memory_ratio=round(late / early, 3),
            backend=f"{config.backend} {config.precision}",
        )


def measure_frames(config: DeskConfig, strips: Sequence[Path]) -> Iterator[dict[str, Any]]:
    """Inspect frames of line cameras through the API and on the page; the most memory of the server counts."""
    for height, width in FRAMES:
        path = make_frame(config.work / f"frame-{height}x{width}.png", height, width)
        with tempfile.TemporaryDirectory(dir=config.work) as kept, serving(config, "-save", kept) as server:
            before, start = most_memory(server.process.pid), time.perf_counter()
            connection = HTTPConnection("127.0.0.1", server.port, timeout=600)
            connection.request(
                "POST", "/api/v1/inspect", form(path), {"Content-Type": "multipart/form-data; boundary=b"}
            )
            response = connection.getresponse()
            answer, seconds = json.loads(response.read()), time.perf_counter() - start
            assert response.status == 200, answer
            assert answer["refused"] == 0, answer["images"][0]["error"]
            of_api = most_memory(server.process.pid)
            page = Page(server.port)
            visit = page.begin()
            page.send(visit, [path])
            told = page.ask("GET", f"visits/{visit}/images/1")
            assert told["status"] == "done", told
            for place in ("thumb.jpg", "image_files/10/0_0.jpg", "overlay.png"):
                page.ask("GET", f"visits/{visit}/images/1/{place}")
            of_page = most_memory(server.process.pid)
        for what, memory in (("frame, start", before), ("frame, API", of_api), ("frame, API and page", of_page)):
            yield tell(
                what=what,
                image=f"{height}x{width}",
                memory_mib=round(memory / 2**20),
                seconds=round(seconds, 1) if what == "frame, API" else "",
                backend=f"{config.backend} {config.precision}",
            )


def measure_first(config: DeskConfig, strips: Sequence[Path]) -> Iterator[dict[str, Any]]:
    """Start with weights that the machine has never run, and drop an image as soon as the page is there."""
    with tempfile.TemporaryDirectory(dir=config.work) as cache:
        start = time.perf_counter()
        with serving(config, backend="auto", precision="auto", XDG_CACHE_HOME=cache) as server:
            ready = time.perf_counter() - start
            page = Page(server.port)
            visit, start = page.begin(), time.perf_counter()
            page.send(visit, strips[:1])
            seconds = time.perf_counter() - start
            backend = page.ask("GET", f"visits/{visit}")["backend"]
        yield tell(what="first", image="256x1600", seconds=round(seconds, 2), ready_s=round(ready, 2), backend=backend)


MEASURES = {"paint": measure_paint, "visit": measure_visit, "frames": measure_frames, "first": measure_first}


class Page:
    """Asks a server what a page asks."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._connection = HTTPConnection("127.0.0.1", port, timeout=600)

    def ask(self, method: str, path: str, sent: object = None) -> Any:
        """Return the JSON of an answer; the bytes of anything else."""
        head = {"Content-Type": "application/json"} if sent is not None else {}
        return self._ask(method, path, None if sent is None else json.dumps(sent).encode(), head)

    def _ask(self, method: str, path: str, body: bytes | None, head: dict[str, str]) -> Any:
        while True:
            self._connection.request(method, f"/desk/v1/{path}", body, head)
            response = self._connection.getresponse()
            content = response.read()
            if response.status != 503:
                break
            time.sleep(float(response.headers.get("Retry-After", 1)))
        assert response.status < 300, content
        return json.loads(content) if "json" in response.headers.get("Content-Type", "") else content

    def begin(self) -> str:
        """Begin a visit."""
        return str(self.ask("POST", "visits", {})["id"])

    def send(self, visit: str, paths: Sequence[Path]) -> None:
        """Send images, one after the other, and wait until all are inspected."""
        for path in paths:
            self._ask("POST", f"visits/{visit}/images", form(path, "image"), MULTIPART)
        self.wait(visit, len(paths))

    def send_made(self, visit: str, numbers: Sequence[int]) -> None:
        """Send small images that are all different, some at a time."""
        import cv2
        import numpy as np

        def send(numbers: Sequence[int]) -> None:
            page = Page(self.port)
            for number in numbers:
                pixels = np.random.default_rng(number).integers(60, 180, (64, 64), np.uint8)
                head = f'--b\r\nContent-Disposition: form-data; name="image"; filename="{number}.png"\r\n\r\n'.encode()
                body = head + cv2.imencode(".png", pixels)[1].tobytes() + b"\r\n--b--\r\n"
                page._ask("POST", f"visits/{visit}/images", body, MULTIPART)
            page._connection.close()

        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(send, [numbers[start::AT_ONCE] for start in range(AT_ONCE)]))

    def wait(self, visit: str, images: int) -> None:
        """Wait until so many images are inspected."""
        for _ in range(60_000):
            counts = self.ask("GET", f"visits/{visit}")["counts"]
            assert not counts["refused"], counts
            if counts["done"] >= images:
                return
            time.sleep(0.02)
        raise AssertionError(counts)

    def listen(self, visit: str, until: float) -> None:
        """Read the news of a visit, as every page does."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request("GET", f"/desk/v1/visits/{visit}/events")
        response = connection.getresponse()
        try:
            while time.monotonic() < until and response.readline():
                pass
        except OSError:  # the server has ended
            pass
        connection.close()


MULTIPART = {"Content-Type": "multipart/form-data; boundary=b"}


def make_frame(path: Path, height: int, width: int) -> Path:
    """Draw a frame of a line camera: synthetic strips one beside the other; it stays in the folder."""
    if not path.exists():
        import cv2
        import numpy as np

        from utils.data.synthetic.strip import make_strip

        chance = np.random.default_rng(0)
        columns, rows = -(-width // 1600), -(-height // 256)
        many = min(24, columns * rows)
        strips = [make_strip(chance, (256, 1600), (1, 3), contrast=2.0).image for _ in range(many)]
        lines = [
            np.concatenate([strips[(row * columns + k) % many] for k in range(columns)], axis=1) for row in range(rows)
        ]
        cv2.imwrite(str(path), np.concatenate(lines)[:height, :width])
    return path


def most_memory(process: int) -> int:
    """Return the most bytes that a process has had in memory so far; Linux alone tells it."""
    line = next(line for line in Path(f"/proc/{process}/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def _latencies(seconds: Sequence[float]) -> dict[str, int]:
    ordered = sorted(seconds)
    return {
        "p50_ms": round(1e3 * at(ordered, 50)),
        "p95_ms": round(1e3 * at(ordered, 95)),
        "most_ms": round(1e3 * ordered[-1]),
    }


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "2")
    run(main)

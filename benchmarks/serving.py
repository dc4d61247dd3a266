"""The inspector under load on the loopback: images/s against the pipeline alone, latency, memory, start-up, wrong answers.

Server and clients share the same cores, as the pipeline has them for itself. Each request holds one image. Every answer
is compared with what the pipeline says about that image: defects, boxes, probabilities and the pixels of each class.

    python benchmarks/serving.py
    python benchmarks/serving.py -what start,load -clients 16 -rounds 1
"""

import concurrent.futures
import contextlib
import http.client
import json
import multiprocessing
import os
import re
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

from benchmarks.machine import facts, write_rows
from config import SynthesiseConfig, flag
from utils.cli import DONE, parse, run

ROOT = Path(__file__).parents[1]
PACKAGES = ("torch", "openvino", "fastapi", "uvicorn", "opencv-python-headless")
CROP = 64  # side in pixels of the images of the long run: what leaks does so at each request, whatever its size
FEW = 500  # requests after which the memory is looked at for the first time
COLUMNS = (
    *("what", "image", "clients", "requests", "images_per_second", "share_of_pipeline", "p50_ms", "p95_ms", "p99_ms"),
    *("wrong", "memory_mib", "memory_ratio", "start_s", "backend"),
)


@dataclass(frozen=True, kw_only=True)
class ServingConfig:
    """What this benchmark does."""

    what: tuple[str, ...] = flag("start: time until it is ready; load: images/s and latency; memory: over many requests", ("start", "load", "memory"))  # fmt: skip
    weights_dir: Path = flag("folder of weights files, or one", ROOT / "weights")
    clients: tuple[int, ...] = flag("clients at once, each with one request under way", (1, 4, 16))
    requests: int = flag("requests of each load", 64, low=16)
    rounds: int = flag("times that pipeline and loads are measured in turn; the medians count", 3, low=1)
    many: int = flag("requests of the long run", 10_000, low=FEW)
    strips: int = flag("different synthetic strips of 256x1600 pixels", 12, low=4)
    backend: str = flag("what runs the network", "openvino")
    precision: str = flag("of its numbers", "bf16")
    threads: int = flag("CPU threads of the network", 2, low=1)
    work: Path = flag("folder for strips", Path(tempfile.gettempdir()) / "steel-benchmark")
    out: Path = flag("CSV file to append to", Path(__file__).parent / "results/serving.csv")


def main(argv: Sequence[str]) -> int:
    """Measure and print."""
    config = parse(ServingConfig, argv, "serving.py", "Time the inspector under load against the pipeline alone.")
    strips = make_strips(config)
    known = facts(config.threads, *PACKAGES)
    for name, measure in MEASURES.items():
        if name in config.what:
            rows = list(measure(config, strips))  # written at once: what follows may be interrupted
            write_rows(config.out, [{**dict.fromkeys(COLUMNS, ""), **row, **known} for row in rows])
    return DONE


def measure_start(config: ServingConfig, strips: Sequence[Path]) -> Iterator[dict[str, Any]]:
    """Start it five times with everything converted and compiled by the time before: the slowest counts."""
    with serving(config):
        pass
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        with serving(config):
            seconds.append(time.perf_counter() - start)
    yield tell(what="start", start_s=round(max(seconds), 2), backend=f"{config.backend} {config.precision}")


def measure_load(config: ServingConfig, strips: Sequence[Path]) -> Iterator[dict[str, Any]]:
    """Measure the pipeline and a server under each load in turn, so that a machine that is slow for a while is so for all of them."""
    alone: list[float] = []
    found: dict[int, list[Load]] = {clients: [] for clients in config.clients}
    bodies = [form(path) for path in strips]
    context = multiprocessing.get_context("spawn")
    expected: list[Expected] = []
    for _ in range(config.rounds):
        with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
            speed, expected = pool.submit(run_pipeline, config, strips).result()
        alone.append(speed)
        with serving(config) as server, concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
            pool.submit(load, server.port, bodies, 8, 4).result()
            for clients in config.clients:
                found[clients].append(pool.submit(load, server.port, bodies, config.requests, clients).result())
    pipeline = statistics.median(alone)
    backend = f"{config.backend} {config.precision}"
    same = {"image": "256x1600", "backend": backend}
    yield tell(what="pipeline", requests=config.requests, images_per_second=round(pipeline, 2), **same)
    for clients, loads in found.items():
        speed = statistics.median(one.requests / one.seconds for one in loads)
        latencies = sorted(seconds for one in loads for seconds in one.latencies)
        yield tell(
            what="server",
            clients=clients,
            requests=sum(one.requests for one in loads),
            images_per_second=round(speed, 2),
            share_of_pipeline=round(speed / pipeline, 3),
            wrong=sum(wrong(one.answers, expected) for one in loads),
            **{f"p{share}_ms": round(1e3 * at(latencies, share)) for share in (50, 95, 99)},
            **same,
        )


def measure_memory(config: ServingConfig, strips: Sequence[Path]) -> Iterator[dict[str, Any]]:
    """Send many small images and look at the server's memory early and late."""
    import cv2
    import psutil

    folder = config.work / "crops"
    folder.mkdir(parents=True, exist_ok=True)
    crops = []
    for number, strip in enumerate(strips):
        crops.append(folder / f"{number:03d}.png")
        cv2.imwrite(str(crops[-1]), cv2.imread(str(strip))[64 : 64 + CROP, 400 : 400 + CROP])
    context = multiprocessing.get_context("spawn")
    bodies = [form(path) for path in crops]
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
        _, expected = pool.submit(run_pipeline, config, crops).result()
    with serving(config) as server, concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
        process = psutil.Process(server.process.pid)
        first = pool.submit(load, server.port, bodies, FEW, 16).result()
        early = process.memory_info().rss
        rest = pool.submit(load, server.port, bodies, config.many - FEW, 16).result()
        late = process.memory_info().rss
    latencies = sorted(rest.latencies)
    yield tell(
        what="memory",
        image=f"{CROP}x{CROP}",
        clients=16,
        requests=config.many,
        images_per_second=round(rest.requests / rest.seconds, 1),
        wrong=wrong(first.answers, expected) + wrong(rest.answers, expected),
        memory_mib=round(late / 2**20),
        memory_ratio=round(late / early, 3),
        backend=f"{config.backend} {config.precision}",
        **{f"p{share}_ms": round(1e3 * at(latencies, share)) for share in (50, 95, 99)},
    )


MEASURES = {"start": measure_start, "load": measure_load, "memory": measure_memory}


@dataclass
class Server:
    """One that runs."""

    process: subprocess.Popen[str]
    port: int


@contextlib.contextmanager
def serving(
    config: ServingConfig, *more: str, backend: str | None = None, precision: str | None = None, **variables: str
) -> Iterator[Server]:
    """Run ``Serve.py`` until it is ready, and end it with SIGTERM.

    Args:
        config: weights, threads, backend.
        more: further flags.
        backend: instead of that of the settings.
        precision: likewise.
        variables: of the environment.
    """
    words = [
        *("-weights_dir", str(config.weights_dir), "-port", "0", "-backend", backend or config.backend),
        *("-precision", precision or config.precision, "-threads", str(config.threads), *more),
    ]
    # Python keeps what it compiles, as it does unless told otherwise: a second start is what people wait for.
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(config.work / "pycache"), **variables}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    command = [sys.executable, "Serve.py", *words]
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        found = re.match(r"http://127\.0\.0\.1:(\d+)", process.stdout.readline())
        assert found, "it did not start"
        port = int(found[1])
        connection = http.client.HTTPConnection("127.0.0.1", port)
        connection.request("GET", "/readyz")
        assert connection.getresponse().status == 200
        connection.close()
        try:
            yield Server(process, port)
        finally:  # or an error in between would wait for it forever
            process.terminate()
        assert process.wait(60) == 0


@dataclass
class Load:
    """What clients saw.

    Attributes:
        requests: answered.
        seconds: for all of them together.
        latencies: of each, seconds.
        answers: number of the image and the body of the answer.
    """

    requests: int
    seconds: float
    latencies: list[float]
    answers: list[tuple[int, bytes]]


def load(port: int, bodies: Sequence[bytes], requests: int, clients: int) -> Load:
    """Send requests from several clients, each of which waits for its answer before it sends the next."""
    numbers = iter(range(requests))
    lock = threading.Lock()
    latencies: list[float] = []
    answers: list[tuple[int, bytes]] = []

    def client() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        while True:
            with lock:
                number = next(numbers, None)
            if number is None:
                connection.close()
                return
            image = number % len(bodies)
            start = time.perf_counter()
            connection.request(
                "POST", "/api/v1/inspect", bodies[image], {"Content-Type": "multipart/form-data; boundary=b"}
            )
            response = connection.getresponse()
            body = response.read()
            taken = time.perf_counter() - start
            with lock:
                latencies.append(taken)
                answers.append((image, body if response.status == 200 else b""))

    start = time.perf_counter()
    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return Load(len(answers), time.perf_counter() - start, latencies, answers)


@dataclass
class Expected:
    """What the pipeline says about an image: its name, the rows of ``defects.csv`` and the codes of ``submission.csv``."""

    name: str
    size: tuple[int, int]
    rows: list[tuple[Any, ...]]
    codes: list[str]


def run_pipeline(config: ServingConfig, paths: Sequence[Path]) -> tuple[float, list[Expected]]:
    """Run the pipeline from files to the rows of its tables; give images/s and what it says about each image."""
    from config import PredictConfig
    from utils.inference.chosen import choose_weights
    from utils.inference.inspected import Inspected
    from utils.inference.opening import open_pipeline
    from utils.inference.outputs import Submission

    predict = PredictConfig(
        weights_dir=config.weights_dir,
        backend=config.backend,  # type: ignore[arg-type]
        precision=config.precision,  # type: ignore[arg-type]
        threads=config.threads,
    )
    pipeline = open_pipeline(choose_weights(predict), predict, [], describe=True, images=None)
    submission = Submission(config.work / "unused.csv")

    def finish(path: Path, result: Inspected) -> Expected:
        size = result.image.shape[0], result.image.shape[1]
        return Expected(path.name, size, result.defects.tolist(), submission.render(result))

    expected = [answer for _, answer in pipeline.run(paths, finish)]
    many = [paths[number % len(paths)] for number in range(config.requests)]
    start = time.perf_counter()
    done = sum(1 for _ in pipeline.run(many, finish))
    return done / (time.perf_counter() - start), expected


def wrong(answers: Sequence[tuple[int, bytes]], expected: Sequence[Expected]) -> int:
    """Count the answers that differ from what the pipeline says about the image that was sent."""
    import numpy as np

    from utils.data import rle

    seen: dict[tuple[int, str], bool] = {}
    count = 0
    for number, body in answers:
        right = expected[number]
        answer = json.loads(body)["images"][0] if body else {"name": "", "defects": []}
        key = number, json.dumps([answer["name"], answer["defects"]])
        if key not in seen:
            rows = [
                (d["class_id"], d["area_px"], *(d["box"][side] for side in ("x", "y", "width", "height")))
                for d in answer["defects"]
            ]
            same = answer["name"] == right.name and rows == [row[:-1] for row in right.rows]
            same &= [d["mean_probability"] for d in answer["defects"]] == [round(row[-1], 4) for row in right.rows]
            for class_id, code in enumerate(right.codes, start=1):
                mask = np.zeros(right.size, np.uint8)
                for defect in answer["defects"]:
                    if defect["class_id"] == class_id:
                        mask += rle.decode(defect["rle"], *right.size)
                same &= bool((mask == rle.decode(code, *right.size)).all())
            seen[key] = same
        count += not seen[key]
    return count


def make_strips(config: ServingConfig) -> list[Path]:
    """Draw the strips, unless they are there."""
    from utils.data.synthetic import synthesise

    data = config.work / f"serving-{config.strips}"
    if not (data / "test_labels.csv").exists():
        synthesise(SynthesiseConfig(dir=data, num_of_images=config.strips, split="test", contrast=2.0))
    return sorted((data / "test_images").iterdir())


def form(path: Path, field: str = "images") -> bytes:
    """Make the body of a request with one image."""
    head = f'--b\r\nContent-Disposition: form-data; name="{field}"; filename="{path.name}"\r\n\r\n'
    return head.encode() + path.read_bytes() + b"\r\n--b--\r\n"


def at(ascending: Sequence[float], share: int) -> float:
    """Return the value that a share, in percent, of the values do not exceed."""
    return ascending[min(len(ascending) - 1, len(ascending) * share // 100)]


def tell(**row: Any) -> dict[str, Any]:
    """Print a row and give it back."""
    print(", ".join(f"{name} {value}" for name, value in row.items()), flush=True)
    return row


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "2")
    run(main)

"""Predictions in shards by real processes that are killed: local, and on a Ray cluster with S3."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.simulated_cluster import LAUNCH, START, cluster, kill_node, task_processes
from config import Url
from utils.data.parts import read_part, read_rows
from utils.data.stores import Store

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]
COUNT, SIZE = 240, 6


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import cv2

    folder = tmp_path_factory.mktemp("images")
    random_numbers = np.random.default_rng(3)
    for number in range(COUNT):
        (folder / f"line{number % 2}").mkdir(exist_ok=True)
        pixels = random_numbers.integers(90, 160, (32, 64, 3), dtype=np.uint8)
        pixels[4:12, 8 : 12 + number % 30] = 250
        cv2.imwrite(str(folder / f"line{number % 2}/{number:04d}.png"), pixels)
    (folder / "bad.png").write_bytes(b"no image")
    return folder


def words(images: Path | str, weights: Path, out: Path | str, engine: str, *more: str) -> list[str]:
    flags = ["-weights_dir", weights, "-shard_size", SIZE, "-backend", "torch", "-threads", 1, "-device", "cpu"]
    launched = ["-c", LAUNCH] if engine == "ray" else []
    command = [sys.executable, *launched, ROOT / "Predict_masks.py", "-images", images, "-out", out, "-engine", engine]
    return [str(word) for word in (*command, *flags, *more)]


def checked_rows(out: Path | Url) -> list[dict[str, Any]]:
    """Return the rows of all parts in the order of their images, each part compared with its sha256."""
    store = Store(out)
    for name in store.names():
        if name.startswith("part-"):
            read_part(store, name)
    return sorted(
        (row for part in read_rows(out, "-defects") for row in part.to_pylist()), key=lambda row: row["image"]
    )


def run(command: list[str], kill: Callable[[subprocess.Popen[str]], None] | None = None) -> tuple[int, str]:
    """Run a command, in a group of its own; ``kill`` is called while it runs."""
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if kill is not None:
        kill(process)
    said, _ = process.communicate(timeout=900)
    return process.returncode, said


def parts_in(out: Path | Url) -> int:
    return sum(name.startswith("part-") for name in Store(out).names())


def when_parts(out: Path | Url, many: int, then: Callable[[], None]) -> Callable[[subprocess.Popen[str]], None]:
    """Wait until there are so many parts, or the command has ended; then do something."""

    def wait(process: subprocess.Popen[str]) -> None:
        while process.poll() is None and parts_in(out) < many:
            time.sleep(0.02)
        then()

    return wait


@pytest.fixture(scope="module")
def serial(images: Path, make_weights: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> list[dict]:
    out = tmp_path_factory.mktemp("serial") / "out"
    code, said = run(words(images, make_weights(), out, "local"))
    assert code == 3, said
    rows = checked_rows(out)
    assert len(rows) == COUNT + 1
    assert sum(len(row["defects"]) for row in rows) > COUNT
    return rows


def test_local_runs_killed_at_any_time_go_on(images, make_weights, serial, tmp_path):
    out, chance, killed = tmp_path / "out", random.Random(7), 0
    for step in range(1, 6):
        many = step * 7

        def kill(process: subprocess.Popen[str], many: int = many) -> None:
            when_parts(out, many, lambda: time.sleep(chance.uniform(0, 0.1)))(process)
            process.kill()

        code, said = run(words(images, make_weights(), out, "local"), kill)
        assert code in (-signal.SIGKILL, 3), said
        killed += code == -signal.SIGKILL
    assert killed >= 3
    code, said = run(words(images, make_weights(), out, "local"))
    assert code == 3, said
    assert checked_rows(out) == serial
    assert not list(out.glob(".*"))


@pytest.fixture
def machines(bucket: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Three machines of a Ray cluster, simulated on this one."""
    pytest.importorskip("ray")
    for name in (*START, "RAY_ADDRESS"):
        monkeypatch.setenv(name, "")  # so that it is restored
    with cluster(3) as made:
        yield made


def test_ray_with_killed_workers_nodes_and_drivers_gives_the_rows_of_a_serial_run(
    images, make_weights, serial, machines, bucket
):
    source, out = f"{bucket}/2026", Url(f"{bucket}/defects")
    store = Store(Url(source))
    for path in images.rglob("*.png"):
        store.replace(path.relative_to(images).as_posix(), path.read_bytes())
    chance = random.Random(11)
    counts = {"workers": 0, "nodes": 0, "drivers": 0}
    command = words(source, make_weights(), str(out), "ray")

    def kill_worker() -> None:
        if own := task_processes():
            os.kill(chance.choice(own), signal.SIGKILL)
            counts["workers"] += 1

    def kill_machine() -> None:
        kill_node(machines, chance)
        counts["nodes"] += 1

    def ordeal(process: subprocess.Popen[str]) -> None:
        for many, act in ((3, kill_worker), (6, kill_worker), (9, kill_machine), (14, kill_worker)):
            when_parts(out, many, act)(process)
        when_parts(out, 20, lambda: None)(process)
        if process.poll() is None:
            process.kill()
            counts["drivers"] += 1

    code, said = run(command, ordeal)
    assert code in (-signal.SIGKILL, 3), said
    code, said = run(command)
    assert code == 3, said
    assert counts["workers"] >= 1
    assert (counts["nodes"], counts["drivers"]) == (1, 1)
    assert checked_rows(out) == serial
    code, said = run(command)
    assert "0 shards predicted, 41 were there already" in said

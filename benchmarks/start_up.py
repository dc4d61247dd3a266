"""How long one image takes from the start of Predict_masks.py to its files, by stage; and the help of every command.

Each run is a process of its own. The first makes what later ones find: the converted network, compiled files of Python. The
others count, and the quickest of them is written down.

    python benchmarks/start_up.py -image IMAGE.jpg
"""

import dataclasses
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.machine import facts, write_rows
from config import flag
from utils.cli import DONE, parse, run
from utils.errors import InputError

ROOT = Path(__file__).parents[1]
STAGES = ("imports", "weights", "network", "work")

# Runs in the measured process: the command's own function, with a clock around the steps that it takes.
CLOCKED = """
import json, sys, time
begun = time.perf_counter()
from config import PredictConfig
from utils.cli import parse, share_the_processor
share_the_processor()
config = parse(PredictConfig, sys.argv[1:], "Predict_masks.py", "")
from utils.commands import predict_folder as command
from utils.inference.pipeline import InspectionPipeline
spent = {"imports": time.perf_counter() - begun, "weights": 0.0, "network": 0.0}
def clocked(stage, function):
    def step(*args, **named):
        start = time.perf_counter()
        try:
            return function(*args, **named)
        finally:
            spent[stage] += time.perf_counter() - start
    return step
command.choose_weights = clocked("weights", command.choose_weights)
command.open_pipeline = clocked("network", command.open_pipeline)
InspectionPipeline.judge = clocked("network", InspectionPipeline.judge)
network = command.predict_folder(config).network
spent["work"] = time.perf_counter() - begun - sum(spent.values())
print(json.dumps([spent, network]))
"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class StartUpConfig:
    """What this benchmark does."""

    image: Path = flag("image to predict")
    weights_dir: Path = flag("weights", Path("weights"))
    backends: tuple[str, ...] = flag(
        "BACKEND:PRECISION, comma separated", ("openvino:bf16", "openvino:f32", "torch:f32")
    )
    rounds: int = flag("runs that count", 3, low=1)
    threads: int = flag("CPU threads", 2, low=1)
    out: Path = flag("CSV file to append to", Path(__file__).parent / "results/start_up.csv")


def main(argv: Sequence[str]) -> int:
    """Measure, write and print."""
    config = parse(StartUpConfig, argv, "start_up.py", "Time the start of commands.")
    rows = []
    for pair in config.backends:
        backend, _, precision = pair.partition(":")
        with tempfile.TemporaryDirectory() as folder:
            words = ["-images", str(config.image), "-out", folder, "-weights_dir", str(config.weights_dir)]
            words += ["-backend", backend, "-precision", precision or "f32", "-threads", str(config.threads)]
            runs = [_timed([sys.executable, "-c", CLOCKED, *words], config.threads) for _ in range(config.rounds + 1)]
        wall, cpu, said = min(runs[1:], key=lambda one: one[0])
        stages, network = json.loads(said.splitlines()[-1])
        rows.append(_row("one image", network, wall, cpu, **stages))
    for entry in sorted(ROOT.glob("*.py")):
        if entry.stem != "config":
            runs = [_timed([sys.executable, str(entry), "-h"], config.threads) for _ in range(config.rounds + 1)]
            wall, cpu, _ = min(runs[1:], key=lambda one: one[0])
            rows.append(_row("help", entry.name, wall, cpu))
    write_rows(config.out, [{**row, **facts(config.threads, "torch", "openvino")} for row in rows])
    for row in rows:
        print(", ".join(f"{name} {value}" for name, value in row.items() if value != ""))
    return DONE


def _row(case: str, what: str, wall: float, cpu: float, **stages: float) -> dict[str, Any]:
    shown = {f"{stage}_s": round(stages[stage], 3) if stages else "" for stage in STAGES}
    return {"case": case, "what": what, "wall_s": round(wall, 3), "cpu_s": round(cpu, 3), **shown}


def _timed(command: list[str], threads: int) -> tuple[float, float, str]:
    """Run a command; return its seconds of wall and of processor time, and what it printed."""
    before, start = os.times(), time.perf_counter()
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=Path.cwd(), env=environment, capture_output=True, text=True)
    wall, after = time.perf_counter() - start, os.times()
    if done.returncode:
        raise InputError(f"{' '.join(command[-2:])}: {done.stderr.strip().splitlines()[-1]}")
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    return wall, spent, done.stdout


if __name__ == "__main__":
    run(main)

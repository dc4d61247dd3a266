"""Strong scaling of a training by processes on one machine (gloo, CPU), and what exchanging gradients costs of it.

    python benchmarks/processes.py -dir demo/strips -processes 1,2,4

The images of a step stay the same: each process has its share of the batch. Each number of processes trains twice, once
as usual and once without the exchange of gradients (its result is of no use), which gives the share of communication.
"""

import csv
import datetime
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.machine import facts, write_rows
from config import flag
from utils.cli import DONE, parse, run
from utils.errors import InputError

ROOT = Path(__file__).resolve().parents[1]
# Stands in for the exchange of gradients: every process keeps its own.
ALONE = """import sys, torch, Train
from torch.nn.parallel import DistributedDataParallel as Parallel
from utils.cli import run
begin = Parallel.__init__
def keep(state, bucket):
    future = torch.futures.Future()
    future.set_result(bucket.buffer())
    return future
def init(self, *words, **more):
    begin(self, *words, **more)
    self.register_comm_hook(None, keep)
if sys.argv.pop(1) == "alone":
    Parallel.__init__ = init
run(Train.main)
"""


@dataclass(frozen=True, kw_only=True)
class ProcessesConfig:
    """What this benchmark does."""

    dir: Path = flag("dataset folder to train on")
    processes: tuple[int, ...] = flag("numbers of processes", (1, 2))
    batch_size: int = flag("images of a step, of all processes together", 8, low=1)
    encoder: str = flag("of the U-Net", "resnet18")
    image_size: str = flag("H,W in pixels", "256,768")
    epochs: int = flag("epochs, of which the first is not counted", 3, low=2)
    out: Path = flag("CSV file to append to", Path(__file__).parent / "results/processes.csv")


def main(argv: Sequence[str]) -> int:
    """Train with each number of processes and print images a second."""
    config = parse(ProcessesConfig, argv, "processes.py", "Measure strong scaling by processes.")
    first = None
    for number in config.processes:
        if config.batch_size % number:
            raise InputError(
                f"-batch_size {config.batch_size}: cannot be shared by {number} processes; take a multiple"
            )
        speed = images_per_second(config, number, "exchange")
        alone = speed if number == 1 else images_per_second(config, number, "alone")
        first = first or speed / number
        efficiency, share = speed / (first * number), max(0.0, 1 - speed / alone)
        print(
            f"{number} processes: {speed:.2f} images/s, {efficiency:.0%} of {number} times one; without exchange"
            f" {alone:.2f} images/s, so communication takes {share:.1%}",
            flush=True,
        )
        row = {
            "date": datetime.date.today().isoformat(),
            "encoder": config.encoder,
            "image_size": config.image_size.replace(",", "x"),
            "batch_size": config.batch_size,
            "processes": number,
            "images_per_second": round(speed, 3),
            "without_exchange": round(alone, 3),
            "communication": round(share, 4),
        }
        write_rows(config.out, [{**row, **facts(1, "torch")}])
    return DONE


def images_per_second(config: ProcessesConfig, number: int, kind: str) -> float:
    """Train, and return the images that all processes together trained on in a second, the first epoch left out."""
    with tempfile.TemporaryDirectory() as place:
        (Path(place) / "go.py").write_text(ALONE)
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={number}"]
        command += [f"{place}/go.py", kind, "-dir", str(config.dir), "-out", f"{place}/run"]
        command += ["-encoder", config.encoder, "-encoder_weights", "none", "-image_size", config.image_size]
        command += ["-batch_size", str(config.batch_size // number), "-num_epochs", str(config.epochs)]
        command += [
            "-subset",
            "all",
            "-group_duplicates",
            "false",
            "-device",
            "cpu",
            "-threads",
            "1",
            "-num_of_workers",
            "1",
        ]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=3600)
        if done.returncode:
            raise InputError(f"{number} processes: {done.stderr.strip().splitlines()[0]}")
        with open(f"{place}/run/history.csv", newline="", encoding="utf-8") as file:
            speeds = [float(row["train_images_per_second"]) for row in csv.DictReader(file)][1:]
    return len(speeds) / sum(1 / speed for speed in speeds)


if __name__ == "__main__":
    run(main)

"""What a training step costs through Train.py's runner, against a bare PyTorch loop, in one process.

Both train the same network on the same batches from the same loader; epochs alternate between the two, so that a
machine that slows down slows both. Steps are timed without the wait for data, which is reported apart. Both keep freed
memory as Train.py does, or both hand it back (``-keep_memory false``): two calls show what keeping it is worth. The bare loop
computes everything in bf16 that autocast does, the runner depthwise convolutions in float32; its Muon is timm's, which
computes in bf16 on every processor.

    python benchmarks/train_step.py -dir demo/data -encoder resnet18 -image_size 256,768
"""

import dataclasses
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from timm.optim import Muon

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.machine import facts, write_rows
from config import TrainConfig, flag
from utils.cli import DONE, parse, run
from utils.data.dataset_folder import open_dataset
from utils.data.decoded import ImageFiles, decode_once
from utils.models.factory import build
from utils.models.spec import ModelSpec
from utils.training.engine import make_engine
from utils.training.loaders import close, make_loaders
from utils.training.losses import make_loss
from utils.training.memory import keep_freed_memory
from utils.training.optimisation import MUON, make_optimizer
from utils.training.runner import SegmentationRunner

WARM_UP = 2


@dataclasses.dataclass(frozen=True, kw_only=True)
class StepConfig:
    """What this benchmark does."""

    dir: Path = flag("dataset folder")
    architecture: str = flag("decoder", "unet")
    encoder: str = flag("SMP or timm encoder", "resnet18")
    image_size: tuple[int, int] | None = flag("H,W in pixels, or native", (256, 768))
    batch_size: int = flag("images a step", 8, low=1)
    steps: int = flag("steps of one epoch", 10, low=4)
    rounds: int = flag("epochs of each loop, in turn", 3, low=1)
    precision: str = flag("f32 or bf16", "f32")
    optimizer: Literal["adam", "adamw", "muon"] = flag("what updates the weights", "adam")
    threads: int = flag("CPU threads of the network", 2, low=1)
    num_of_workers: int | None = flag("loading processes, or auto", None, low=0)
    cache: str = flag("none, ram or disk", "none")
    keep_memory: bool = flag("keep freed memory in the process instead of handing it back to the system", True)
    out: Path = flag("CSV file to append to", Path("benchmarks/results/train_step.csv"))


class TimedRunner(SegmentationRunner):
    """The runner of Train.py, noting how long each training step takes."""

    def on_batch_start(self, runner: Any) -> None:
        self.step_started = time.perf_counter()
        super().on_batch_start(runner)

    def on_batch_end(self, runner: Any) -> None:
        super().on_batch_end(runner)
        if self.is_train_loader:
            self.step_times.append(time.perf_counter() - self.step_started)


def bare_epoch(network, loader, loss, optimizer, precision: str) -> tuple[list[float], float, float]:
    """Train one epoch the way a plain script does; give seconds of each step, waited, and in all."""
    times, waited = [], 0.0
    network.train()
    started = ready = time.perf_counter()
    for batch in loader:
        begin = time.perf_counter()
        waited += begin - ready
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            logits = network(batch["images"])
        value = loss(logits, batch["masks"])
        value.backward()
        optimizer.step()
        optimizer.zero_grad()
        value.item()
        ready = time.perf_counter()
        times.append(ready - begin)
    return times, waited, ready - started


def main(argv: Sequence[str]) -> int:
    """Measure and print."""
    config = parse(StepConfig, argv, "train_step.py", "Time a training step against a bare PyTorch loop.")
    if config.keep_memory:
        keep_freed_memory()
    dataset = open_dataset(config.dir)
    count = config.steps * config.batch_size
    names = (list(dataset.images) * (count // len(dataset.images) + 1))[:count]
    settings = TrainConfig(
        dir=config.dir,
        architecture=config.architecture,  # type: ignore[arg-type]
        encoder=config.encoder,
        image_size=config.image_size,
        batch_size=config.batch_size,
        precision=config.precision,  # type: ignore[arg-type]
        optimizer=config.optimizer,
        threads=config.threads,
        num_of_workers=config.num_of_workers,
        device="cpu",
        num_epochs=1,
    )
    spec = ModelSpec(settings.architecture, settings.encoder, settings.task, dataset.annotations.class_names)
    results: dict[str, list[tuple[list[float], float, float]]] = {"bare": [], "runner": []}
    engine = make_engine(settings)
    images = None
    if config.cache != "none":
        images = decode_once(config.cache, ImageFiles(dataset, settings.channels, settings.image_size), names, None)
    for number in range(config.rounds):
        loaders = make_loaders(settings, dataset, names, names[:1], 0, 1, False, images)
        loaders["train"].batch_sampler.set_epoch(1)
        torch.manual_seed(0)
        bare = build(spec).to(memory_format=torch.channels_last)
        optimizer = make_optimizer(settings, bare)
        if config.optimizer == "muon":
            optimizer = Muon(bare.parameters(), settings.lr_decoder, settings.weight_decay, **MUON)
        results["bare"].append(bare_epoch(bare, loaders["train"], make_loss(settings), optimizer, config.precision))
        close(loaders)
        loaders = make_loaders(settings, dataset, names, names[:1], 0, 1, False, images)
        with tempfile.TemporaryDirectory() as folder:
            runner = TimedRunner(settings, engine, build(spec), loaders, Path(folder))
            runner.step_times = []
            runner.run()
            row = runner.history.rows[0]
        results["runner"].append((runner.step_times, row["train_seconds_waiting"], row["train_seconds"]))
        close(loaders)
        print(f"round {number + 1} of {config.rounds} done", flush=True)
    report(config, results)
    return DONE


def report(config: StepConfig, results: dict[str, list[tuple[list[float], float, float]]]) -> None:
    """Print medians and the ratio, and append them to the CSV."""
    medians = {
        name: statistics.median(seconds for times, _, _ in epochs for seconds in times[WARM_UP:])
        for name, epochs in results.items()
    }
    ratios = [
        statistics.median(runner[0][WARM_UP:]) / statistics.median(bare[0][WARM_UP:])
        for bare, runner in zip(results["bare"], results["runner"], strict=True)
    ]
    waiting = statistics.median(waited / total for _, waited, total in results["runner"])
    row = {
        "architecture": config.architecture,
        "encoder": config.encoder,
        "image_size": "native" if config.image_size is None else "{}x{}".format(*config.image_size),
        "batch_size": config.batch_size,
        "precision": config.precision,
        "optimizer": config.optimizer,
        "num_of_workers": "auto" if config.num_of_workers is None else config.num_of_workers,
        "cache": config.cache,
        "keep_memory": config.keep_memory,
        "bare_ms": round(1000 * medians["bare"], 1),
        "runner_ms": round(1000 * medians["runner"], 1),
        "overhead_percent": round(100 * (statistics.median(ratios) - 1), 1),
        "waiting_percent": round(100 * waiting, 1),
        **facts(config.threads, "torch"),
    }
    for key, value in row.items():
        print(f"{key:>18}  {value}")
    write_rows(config.out, [row])


if __name__ == "__main__":
    run(main)

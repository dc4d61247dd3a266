"""What validation during training costs beside the network: waiting, loss, resizing to each image's size, decision, counts.

The network alone runs over the same batches, kept in memory; epochs of the two take turns. The parts are timed one by one on
these batches, too.

    python benchmarks/validation.py -dir demo/strips -image_size 256,768
"""

import dataclasses
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.machine import facts, write_rows
from config import TrainConfig, flag
from utils.cli import DONE, parse, run
from utils.data.dataset_folder import open_dataset
from utils.models.factory import build
from utils.models.spec import ModelSpec
from utils.training.engine import make_engine
from utils.training.loaders import close, make_loaders
from utils.training.losses import make_loss
from utils.training.runner import SegmentationRunner


@dataclasses.dataclass(frozen=True, kw_only=True)
class ValidationConfig:
    """What this benchmark does."""

    dir: Path = flag("dataset folder")
    architecture: str = flag("decoder", "unet")
    encoder: str = flag("SMP or timm encoder", "resnet18")
    image_size: tuple[int, int] | None = flag("H,W in pixels, or native", (256, 768))
    batch_size: int = flag("images a step", 8, low=1)
    num_of_images: int = flag("images to validate on", 48, low=8)
    rounds: int = flag("epochs of each, in turn", 3, low=1)
    min_area: int = flag("smallest connected defect in pixels", 100, low=0)
    precision: str = flag("f32 or bf16", "f32")
    threads: int = flag("CPU threads of the network", 2, low=1)
    num_of_workers: int | None = flag("processes that load images, or auto", None, low=0)
    out: Path = flag("CSV file to append to", Path("benchmarks/results/validation.csv"))


class TimedRunner(SegmentationRunner):
    """The runner of Train.py, noting what the parts of validation take, in milliseconds an image."""

    def get_callbacks(self) -> Any:
        callbacks = super().get_callbacks()
        self.times: dict[str, list[float]] = {}
        for part, key in {"loss": "criterion", "scores": "validation"}.items():
            callbacks[key].on_batch_end = self._timed(part, callbacks[key].on_batch_end)
        return callbacks

    def handle_batch(self, batch: Any) -> None:
        self._timed("network", super().handle_batch)(batch)

    def _timed(self, part: str, work: Any) -> Any:
        def measured(argument: Any) -> None:
            started = time.perf_counter()
            work(argument)
            if self.is_valid_loader:
                milliseconds = 1000 * (time.perf_counter() - started) / len(self.batch["names"])
                self.times.setdefault(part, []).append(milliseconds)

        return measured


def main(argv: Sequence[str]) -> int:
    """Measure, print and append to the CSV."""
    config = parse(
        ValidationConfig, argv, "validation.py", "Time validation during training against the network alone."
    )
    dataset = open_dataset(config.dir)
    names = list(dataset.images)[: config.num_of_images]
    settings = TrainConfig(
        dir=config.dir,
        architecture=config.architecture,  # type: ignore[arg-type]
        encoder=config.encoder,
        image_size=config.image_size,
        batch_size=config.batch_size,
        min_area=config.min_area,
        precision=config.precision,  # type: ignore[arg-type]
        threads=config.threads,
        num_of_workers=config.num_of_workers,
        device="cpu",
        num_epochs=1,
    )
    make_loss(settings)
    engine = make_engine(settings)
    spec = ModelSpec(settings.architecture, settings.encoder, settings.task, dataset.annotations.class_names)
    alone: list[float] = []
    whole: list[float] = []
    parts: dict[str, list[float]] = {}
    for _ in range(config.rounds):
        loaders = make_loaders(settings, dataset, names[: config.batch_size], names, 0, 1, False)
        batches = [batch["images"] for batch in loaders["valid"]]
        network = build(spec).to(memory_format=torch.channels_last).eval()
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=config.precision == "bf16"):
            network(batches[0])
            started = time.perf_counter()
            for images in batches:
                network(images)
        alone.append(1000 * (time.perf_counter() - started) / len(names))
        with tempfile.TemporaryDirectory() as folder:
            runner = TimedRunner(settings, engine, build(spec), loaders, Path(folder))
            runner.run()
            row = runner.history.rows[0]
        close(loaders)
        whole.append(1000 * row["valid_seconds"] / len(names))
        for part, times in runner.times.items():
            parts.setdefault(part, []).append(statistics.mean(times))
        parts.setdefault("waiting", []).append(1000 * row["valid_seconds_waiting"] / len(names))
        print(f"{len(alone)} of {config.rounds} rounds done", flush=True)
    ratio = statistics.median(b / a for a, b in zip(alone, whole, strict=True))
    result = {
        "network_alone_ms": round(statistics.median(alone), 2),
        "whole_ms": round(statistics.median(whole), 2),
        "ratio": round(ratio, 3),
        **{f"{part}_ms": round(statistics.median(times), 2) for part, times in parts.items()},
    }
    what = {
        "architecture": config.architecture,
        "encoder": config.encoder,
        "image_size": "native" if config.image_size is None else "{}x{}".format(*config.image_size),
        "batch_size": config.batch_size,
        "min_area": config.min_area,
        "precision": config.precision,
        "num_of_workers": "auto" if config.num_of_workers is None else config.num_of_workers,
    }
    row = {**what, **result, **facts(config.threads, "torch", "numpy", "opencv-python-headless")}
    for key, value in row.items():
        print(f"{key:>24}  {value}")
    write_rows(config.out, [row])
    return DONE


if __name__ == "__main__":
    run(main)

"""What makes a training step cheap on a CPU: order of memory, half decoder, smaller images at first; processor time, in turns.

The networks are trained on noise, as a step takes as long whatever it sees. ATEN_CPU_CAPABILITY=avx2 and ONEDNN_MAX_CPU_ISA=AVX2
keep torch from more than AVX2. An epoch is counted for each picture once and for its four turned copies.

    python benchmarks/train_cpu.py
    ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 python benchmarks/train_cpu.py -precisions f32
"""

import datetime
import os
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.machine import facts, write_rows
from config import TrainConfig, flag
from utils.cli import DONE, parse, run

HALF = (128, 64, 32, 16, 16)
PICTURES, LOOKS = 662, 4  # of the default weights' training side: each with three turned copies
# name: channels_last, channels of the decoder, share of the crop's sides
VARIANTS: dict[str, tuple[bool, tuple[int, ...], float]] = {
    "contiguous": (False, (), 1.0),
    "channels_last": (True, (), 1.0),
    "half": (True, HALF, 1.0),
    "half-small": (True, HALF, 2 / 3),
}


@dataclass(frozen=True, kw_only=True)
class TrainCpuConfig:
    """What this benchmark does."""

    variants: tuple[str, ...] = flag(
        "contiguous: memory as torch has it; channels_last: as Train.py has it, like all that follow; half: "
        "-decoder_channels 128,64,32,16,16; half-small: that with two thirds of -crop, as -start_size has it at first",
        tuple(VARIANTS),
    )
    encoder: str = flag("of a U-Net", "resnet18")
    crop: tuple[int, int] = flag("H,W in pixels", (192, 192))
    batch_size: int = flag("images a step", 8, low=1)
    precisions: tuple[str, ...] = flag("f32, bf16", ("f32", "bf16"))
    rounds: int = flag("turns, a step of each variant in each", 3, low=1)
    threads: int = flag("CPU threads", 1, low=1)
    out: Path = flag("CSV file to append to", Path(__file__).parent / "results/train_cpu.csv")


def main(argv: Sequence[str]) -> int:
    """Measure and print."""
    config = parse(TrainCpuConfig, argv, "train_cpu.py", "Time what makes training steps cheap on a CPU.")
    import torch

    torch.set_num_threads(config.threads)
    steps = {
        (variant, precision): _make_step(config, variant, precision)
        for precision in config.precisions
        for variant in config.variants
    }
    taken: dict[tuple[str, str], list[float]] = {key: [] for key in steps}
    for turn in range(config.rounds + 1):
        for key, step in steps.items():
            started = time.process_time()
            step()
            if turn:  # the first prepares memory and the optimizer
                taken[key].append(time.process_time() - started)
    medians = {key: statistics.median(times) for key, times in taken.items()}
    for (variant, precision), seconds in medians.items():
        row = {
            "encoder": config.encoder,
            "variant": variant,
            "precision": precision,
            "isa": os.environ.get("ONEDNN_MAX_CPU_ISA", ""),
            "aten": torch.backends.cpu.get_cpu_capability(),
            "crop": "x".join(map(str, _size(config, variant))),
            "batch_size": config.batch_size,
            "cpu_ms_step": round(1e3 * seconds, 1),
            "cpu_s_epoch_one_look": round(seconds * PICTURES / config.batch_size, 1),
            "cpu_s_epoch_all_looks": round(seconds * PICTURES * LOOKS / config.batch_size, 1),
            "of_the_first": round(seconds / next(iter(medians.values())), 3),
            "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
            **facts(config.threads, "torch"),
        }
        write_rows(config.out, [row])
        print(", ".join(map(str, row.values())), flush=True)
    return DONE


def _size(config: TrainCpuConfig, variant: str) -> tuple[int, int]:
    share = VARIANTS[variant][2]
    height, width = (round(side * share / 32) * 32 for side in config.crop)
    return height, width


def _make_step(config: TrainCpuConfig, variant: str, precision: str) -> Any:
    """Return a function that trains one step as Train.py does: forward, loss, backward, update."""
    import torch

    from utils.models.factory import build
    from utils.models.spec import ModelSpec
    from utils.training.losses import make_loss
    from utils.training.optimisation import make_optimizer

    last, channels, _ = VARIANTS[variant]
    torch.manual_seed(0)
    settings = TrainConfig(dir=Path(), encoder=config.encoder, device="cpu")
    model = build(ModelSpec("unet", config.encoder, "multilabel", ("a", "b", "c"), decoder_channels=channels))
    model = model.to(memory_format=torch.channels_last if last else torch.contiguous_format).train()  # type: ignore[call-overload]
    loss, optimizer = make_loss(settings), make_optimizer(settings, model)
    size = _size(config, variant)
    images = torch.randint(0, 256, (config.batch_size, *size, 3), dtype=torch.uint8).permute(0, 3, 1, 2)
    images = images if last else images.contiguous()
    masks = torch.rand(config.batch_size, 3, *size).gt(0.9).to(torch.uint8)

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            logits = model(images)
        loss(logits.float(), masks).backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


if __name__ == "__main__":
    run(main)

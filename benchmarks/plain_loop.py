"""What the loop that one writes first reaches, to compare Train.py with on one machine, in the same minutes.

U-Net from random weights, BCE + Dice, AdamW with one cycle, flips, bf16 where the processor multiplies it in hardware; the
last weights are kept. It writes a weights file, which ``Evaluate.py`` scores like any other.

    python benchmarks/plain_loop.py -dir NEU -split runs/growing/split.csv -num_epochs 8 -min_area 100 -out plain.pth
"""

import dataclasses
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

sys.path.insert(0, str(Path(__file__).parents[1]))

from config import flag
from utils.cli import DONE, parse, run
from utils.data.dataset_folder import open_dataset
from utils.data.images import read_image
from utils.data.splits import read_split
from utils.decision.decision import Decision
from utils.device import cpu_has_bf16
from utils.errors import InputError
from utils.models.factory import build
from utils.models.spec import ModelSpec
from utils.weights.weights_file import WeightsFile


@dataclasses.dataclass(frozen=True, kw_only=True)
class PlainConfig:
    """What this benchmark does."""

    dir: Path = flag("dataset folder with images of one size")
    out: Path = flag("weights file to write")
    split: Path | None = flag("split.csv of a run, to train on its side alone; none: all images", None)
    encoder: str = flag("SMP's encoder", "resnet18")
    num_epochs: int = flag("passes over the images", 12, low=1)
    batch_size: int = flag("images a step", 8, low=1)
    lr: float = flag("highest learning rate of the cycle", 1e-3, low=0)
    min_area: int = flag("smallest connected defect in pixels, for the weights file", 0, low=0)
    threads: int = flag("CPU threads", 2, low=1)
    seed: int = flag("of weights, order and flips", 42, low=0)


def main(argv: Sequence[str]) -> int:
    """Train and write the file."""
    config = parse(PlainConfig, argv, "plain_loop.py", "Train a U-Net by a plain PyTorch loop.")
    torch.set_num_threads(config.threads)
    torch.manual_seed(config.seed)
    dataset = open_dataset(config.dir)
    names = list(dataset.images)
    if config.split is not None:
        sides = read_split(config.split, names)
        names = list(sides["image"][sides["side"] == "train"])
    if len(names) < config.batch_size:
        raise InputError(f"{config.dir}: {len(names)} images to train on, fewer than -batch_size {config.batch_size}")
    pixels = [read_image(dataset.path(name)) for name in names]
    if len({image.shape for image in pixels}) > 1:
        raise InputError(f"{config.dir}: images of several sizes; the plain loop needs one")
    height, width = pixels[0].shape[:2]
    images = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2)
    masks = torch.from_numpy(np.stack([dataset.annotations.mask(name, height, width) for name in names])).permute(
        0, 3, 1, 2
    )
    classes = dataset.annotations.class_names
    spec = ModelSpec("unet", config.encoder, "multilabel", classes)
    model = build(spec)
    network = model.net.to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(network.parameters(), config.lr)
    steps = config.num_epochs * (len(names) // config.batch_size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, config.lr, steps)
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (model.mean, model.std))
    padding = (0, -width % model.multiple, 0, -height % model.multiple)
    started = time.perf_counter()
    network.train()
    for epoch in range(config.num_epochs):
        total = 0.0
        order = torch.randperm(len(names)).split(config.batch_size)
        whole = [batch for batch in order if len(batch) == config.batch_size]
        for batch in whole:
            axes = [axis for axis in (2, 3) if torch.rand(()) < 0.5]
            x = functional.pad((images[batch].flip(axes) / 255 - mean) / std, padding, mode="reflect")
            y = masks[batch].flip(axes).float()
            with torch.autocast("cpu", torch.bfloat16, enabled=cpu_has_bf16()):
                logits = network(x.to(memory_format=torch.channels_last))
            logits = logits.float()[..., :height, :width]
            p = logits.sigmoid()
            overlap, size = (p * y).sum((0, 2, 3)), (p + y).sum((0, 2, 3))
            dice = 1 - ((2 * overlap + 1) / (size + 1)).mean()
            loss = functional.binary_cross_entropy_with_logits(logits, y) + dice
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item()
        minutes = (time.perf_counter() - started) / 60
        print(f"epoch {epoch + 1}/{config.num_epochs}  loss {total / len(whole):.4f}  {minutes:.1f} min", flush=True)
    decision = Decision.uniform(len(classes), 0.5, config.min_area)
    WeightsFile(spec, network.state_dict(), model.mean, model.std, None, decision).save(config.out)
    print(f"wrote {config.out}")
    return DONE


if __name__ == "__main__":
    sys.exit(run(main))

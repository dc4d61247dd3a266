"""What the loop that one writes first reaches, to compare Train.py with on one machine, in the same minutes.

U-Net from random weights, BCE + Dice, AdamW with one cycle, flips, bf16 where the processor multiplies it in hardware; the
last weights are kept. It writes a weights file, which ``Evaluate.py`` scores like any other.

    python benchmarks/plain_loop.py -dir NEU -split runs/growing/split.csv -num_epochs 8 -min_area 100 -out plain.pth
"""

import dataclasses
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional

sys.path.insert(0, str(Path(__file__).parents[1]))

from config import flag
from utils.cli import DONE, parse, run
from utils.data.dataset_folder import Dataset, open_dataset
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


@dataclasses.dataclass(frozen=True)
class Normal:
    """What a network takes: its images normalised and padded, in bf16 where the processor multiplies it in hardware."""

    mean: tuple[float, ...]
    std: tuple[float, ...]
    multiple: int

    def answer(self, network: nn.Module, images: torch.Tensor) -> torch.Tensor:
        """Return the logits of images, ``(N, 3, H, W)`` uint8, at their size: ``(N, C, H, W)`` float32."""
        height, width = images.shape[2:]
        mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (self.mean, self.std))
        padding = (0, -width % self.multiple, 0, -height % self.multiple)
        x = functional.pad((images / 255 - mean) / std, padding, mode="reflect")
        with torch.autocast("cpu", torch.bfloat16, enabled=cpu_has_bf16()):
            logits: torch.Tensor = network(x.to(memory_format=torch.channels_last))
        return logits.float()[..., :height, :width]


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
    images, masks = stacked(dataset, names)
    classes = dataset.annotations.class_names
    spec = ModelSpec("unet", config.encoder, "multilabel", classes)
    model = build(spec)
    network = model.net.to(memory_format=torch.channels_last)
    normal = Normal(model.mean, model.std, model.multiple)
    learning = learn(network, images, masks, normal, config.num_epochs, config.batch_size, config.lr)
    for epoch, (loss, seconds) in enumerate(learning, 1):
        print(f"epoch {epoch}/{config.num_epochs}  loss {loss:.4f}  {seconds / 60:.1f} min", flush=True)
    decision = Decision.uniform(len(classes), 0.5, config.min_area)
    WeightsFile(spec, network.state_dict(), model.mean, model.std, None, decision).save(config.out)
    print(f"wrote {config.out}")
    return DONE


def stacked(dataset: Dataset, names: Sequence[str]) -> tuple[torch.Tensor, torch.Tensor]:
    """Read images, ``(N, 3, H, W)`` uint8, and their masks, ``(N, C, H, W)``.

    Raises:
        InputError: the images have several sizes.
    """
    pixels = [read_image(dataset.path(name)) for name in names]
    if len({image.shape for image in pixels}) > 1:
        raise InputError(f"{dataset.image_dir}: images of several sizes; the plain loop needs one")
    masks = [dataset.annotations.mask(name, *pixels[0].shape[:2]) for name in names]
    images, truth = (torch.from_numpy(np.stack(part)).permute(0, 3, 1, 2) for part in (pixels, masks))
    return images, truth


def learn(
    network: nn.Module,
    images: torch.Tensor,
    masks: torch.Tensor,
    normal: Normal,
    num_epochs: int,
    batch_size: int,
    lr: float,
) -> Iterator[tuple[float, float]]:
    """Train a network, and yield after each epoch its mean loss and the seconds of learning until then.

    Args:
        network: of ``(N, 3, H, W)`` float32 to ``(N, C, H, W)`` logits; it may be used in between, as to answer.
        images: ``(M, 3, H, W)`` uint8.
        masks: ``(M, C, H, W)``, nonzero = defect.
        normal: brings images to what the network takes.
        num_epochs: passes over the images.
        batch_size: images a step; what is left of an epoch is not learnt.
        lr: highest learning rate of the cycle.
    """
    optimizer = torch.optim.AdamW(network.parameters(), lr)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, num_epochs * (len(images) // batch_size))
    seconds = 0.0
    for _ in range(num_epochs):
        started, total = time.perf_counter(), 0.0
        network.train()
        whole = [batch for batch in torch.randperm(len(images)).split(batch_size) if len(batch) == batch_size]
        for batch in whole:
            axes = [axis for axis in (2, 3) if torch.rand(()) < 0.5]
            y = masks[batch].flip(axes).float()
            logits = normal.answer(network, images[batch].flip(axes))
            p = logits.sigmoid()
            overlap, size = (p * y).sum((0, 2, 3)), (p + y).sum((0, 2, 3))
            dice = 1 - ((2 * overlap + 1) / (size + 1)).mean()
            loss = functional.binary_cross_entropy_with_logits(logits, y) + dice
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item()
        seconds += time.perf_counter() - started
        yield total / len(whole), seconds


if __name__ == "__main__":
    sys.exit(run(main))

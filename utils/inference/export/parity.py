"""How far an exported network is from the original, on images."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from utils.data.bit_depth import UNKNOWN, BitDepth
from utils.data.images import ImageError, measure_depth, read_image
from utils.data.listing import name_in
from utils.data.synthetic.strip import make_strip
from utils.decision.decision import Decision
from utils.decision.probabilities import label_probabilities
from utils.errors import InputError
from utils.inference.ground_truth import GroundTruth
from utils.inference.network import Outputs
from utils.models.spec import ModelSpec
from utils.scoring.counts import Counts, count
from utils.scoring.scores import pair_dice, scores

SYNTHETIC_SIZE = (256, 1600)

Run = Callable[[np.ndarray], Outputs]  # (1, H, W, channels) uint8 -> logits at the image's own size


@dataclass(frozen=True)
class ParityImage:
    """An image to compare on.

    Attributes:
        name: its file's.
        pixels: (H, W, channels) uint8.
        truth: (C, H, W) bool, or None without labels.
        ignored: (H, W) bool of the pixels that count in no score, or None.
    """

    name: str
    pixels: np.ndarray
    truth: np.ndarray | None = None
    ignored: np.ndarray | None = None


@dataclass(frozen=True)
class Parity:
    """What was found.

    Attributes:
        images: how many were compared.
        difference: largest difference between logits of masks; None without masks.
        labels: largest difference between probabilities of whole images; None without such outputs.
        dice: by class, Dice between the masks of both over all images; 1 where neither has any.
        scores: mean Dice against the labels, of the original and of the export; None without labels.
    """

    images: int
    difference: float | None
    labels: float | None
    dice: dict[str, float]
    scores: tuple[float, float] | None

    def text(self) -> str:
        """Return it as text for a terminal."""
        lines = [f"parity with torch f32 on {self.images} images:"]
        if self.difference is not None:
            lines.append(f"  logits differ by at most {self.difference:.2g}")
            lines += [f"  Dice between the masks of {name}: {dice:.5f}" for name, dice in self.dice.items()]
        if self.labels is not None:
            lines.append(f"  probabilities of whole images differ by at most {self.labels:.2g}")
        if self.scores is not None:
            lines.append(f"  mean Dice against the labels: {self.scores[0]:.4f}, exported {self.scores[1]:.4f}")
        return "\n".join(lines)


def compare(
    examples: Sequence[ParityImage], original: Run, exported: Run, spec: ModelSpec, decision: Decision
) -> Parity:
    """Run both networks on every image.

    Args:
        examples: the images.
        original: the network in torch, f32.
        exported: the same behind its new format.
        spec: the network.
        decision: whose thresholds say what is a defect.
    """
    difference = apart = 0.0
    pixels = torch.zeros(2, len(spec.scored_names), dtype=torch.float64)  # that both call defect, that one does
    mine, theirs = Counts(), Counts()
    has_masks = has_labels = labelled = False
    for example in examples:
        a, b = original(example.pixels[None]), exported(example.pixels[None])
        if a.labels is not None and b.labels is not None:
            has_labels = True
            apart = max(apart, float(abs(label_probabilities(a.labels.cpu()) - label_probabilities(b.labels)).max()))
        if a.masks is None or b.masks is None:
            continue
        has_masks = True
        difference = max(difference, float((a.masks.cpu() - b.masks).abs().max()))
        first, second = (decision.decide(o.cpu(), spec.task) for o in (a.masks, b.masks))
        both, only_second, only_first, _ = count(second, first)
        pixels += torch.cat([both, only_first + only_second])
        if example.truth is not None:
            labelled = True
            truth = torch.from_numpy(example.truth)[None]
            ignored = None if example.ignored is None else torch.from_numpy(example.ignored)[None]
            mine.add([example.name], *count(first, truth, ignored))
            theirs.add([example.name], *count(second, truth, ignored))
    dice = {}
    if has_masks:
        overlap = torch.where(pixels.any(dim=0), 2 * pixels[0] / (2 * pixels[0] + pixels[1]), 1.0)
        dice = dict(zip(spec.scored_names, overlap.tolist(), strict=True))
    scored = tuple(scores(counts, spec.scored_names).mean_dice for counts in (mine, theirs)) if labelled else None
    return Parity(
        len(examples),
        difference if has_masks else None,
        apart if has_labels else None,
        dice,
        scored,  # type: ignore[arg-type]
    )


def run_of(compiled: Any) -> Run:
    """Return a function that runs what OpenVINO has compiled."""
    return lambda images: Outputs.of([torch.from_numpy(part.copy()) for part in compiled(images).values()])


def labelled_by(
    examples: Sequence[ParityImage], original: Run, spec: ModelSpec, decision: Decision
) -> list[ParityImage]:
    """Return images with labels: their own, and the masks of the original where they have none."""

    def drawn(example: ParityImage) -> np.ndarray:
        masks = original(example.pixels[None]).masks
        assert masks is not None
        return decision.decide(masks.cpu(), spec.task)[0].numpy()

    return [one if one.truth is not None else replace(one, truth=drawn(one)) for one in examples]


def dice_by_image(examples: Sequence[ParityImage], run: Run, spec: ModelSpec, decision: Decision) -> list[float]:
    """Return of each labelled image the mean Dice of its classes, 1 where neither has any; their mean is the mean Dice."""
    counts = Counts()
    for example in examples:
        masks = run(example.pixels[None]).masks
        assert masks is not None
        assert example.truth is not None
        ignored = None if example.ignored is None else torch.from_numpy(example.ignored)[None]
        found = decision.decide(masks.cpu(), spec.task)
        counts.add([example.name], *count(found, torch.from_numpy(example.truth)[None], ignored))
    return [float(value) for value in pair_dice(counts).mean(dim=1)]


def read_parity_images(
    paths: Sequence[Path],
    channels: int,
    labels: GroundTruth | None,
    depth: BitDepth = UNKNOWN,
    folder: Path | None = None,
) -> list[ParityImage]:
    """Read images with their labels; those that cannot be read are left out.

    Args:
        paths: image files.
        channels: 3 or 1.
        labels: of the images; None: there are none.
        depth: how images with more than 8 bits become 0..255; what it leaves open is measured on these.
        folder: of images, which their names are relative to; none: a name is that of the file alone.

    Raises:
        InputError: none can be read.
    """
    examples = []
    depth = measure_depth(paths, depth)
    for path in paths:
        try:
            pixels = read_image(path, channels, depth)
        except ImageError as error:
            last = error
            continue
        name = name_in(folder or path.parent, path)
        truth = labels.masks(name, *pixels.shape[:2]) if labels else None
        ignored = labels.ignored(name, *pixels.shape[:2]) if labels else None
        examples.append(ParityImage(name, pixels, truth, ignored))
    if paths and not examples:
        raise InputError(f"none of {len(paths)} images can be read; the last: {last}")
    return examples


def draw_parity_images(number: int, channels: int) -> list[ParityImage]:
    """Draw synthetic strips with and without defects."""
    random = np.random.default_rng(0)
    drawn = []
    for index in range(number):
        grey = make_strip(random, SYNTHETIC_SIZE, (index % 5,) if index % 5 else ()).image
        drawn.append(ParityImage(f"synthetic {index}", np.repeat(grey[..., None], channels, axis=2)))
    return drawn

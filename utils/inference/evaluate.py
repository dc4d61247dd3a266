"""Score a network on labelled images."""

import csv
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from config import EvaluateConfig
from utils.data.annotations import Dataset, open_dataset
from utils.data.images import ImageError, read_size
from utils.data.splits import read_split
from utils.errors import InputError
from utils.files import replacing, write_text
from utils.inference.evaluate_labels import LabelsResult, evaluate_labels
from utils.inference.labels import Labels
from utils.inference.opening import (
    choose_weights,
    make_folder,
    open_pipeline,
    plural,
    progress,
    require_images,
    versions,
)
from utils.inference.pipeline import Inspected, Skipped
from utils.scoring.counts import Counts, count
from utils.scoring.scores import Scores, scores


@dataclass(frozen=True)
class EvaluateResult:
    """The scores and where they were written.

    Attributes:
        scores: of the images that could be read.
        images: their number.
        skipped: images that could not be read.
        what: the images in words.
        out: folder of ``metrics.json`` and ``scores.csv``.
        seconds: for all images, without loading the network.
        network: what ran it.
    """

    scores: Scores
    images: int
    skipped: tuple[Skipped, ...]
    what: str
    out: Path
    seconds: float
    network: str

    @property
    def images_per_second(self) -> float:
        """Images per second from file to counts."""
        return self.images / self.seconds if self.seconds else 0.0

    def table(self) -> str:
        """Lay out the scores for a terminal."""
        speed = f"{self.seconds:.1f} s, {self.images_per_second:.1f} images/s, {self.network}"
        lines = [
            f"{plural(self.images, 'image')}, {self.what}; {speed}",
            "",
            self.scores.table(),
            "",
            "mean Dice: the competition's score, where an empty prediction of a clean image counts 1;",
            "empty baseline: the mean Dice of predicting nothing; defect Dice: where there is a defect to find",
        ]
        if self.skipped:
            lines.append(f"{plural(len(self.skipped), 'image')} skipped, named in {self.out / 'metrics.json'}")
        lines.append(f"scores in {self.out}: metrics.json, scores.csv")
        return "\n".join(lines)


def evaluate(config: EvaluateConfig) -> EvaluateResult | LabelsResult:
    """Score a network on the labelled images of a dataset folder.

    Args:
        config: the flags of ``Evaluate.py``.

    Returns:
        The scores and where they were written.

    Raises:
        InputError: flags, weights, images or labels are at fault; nothing was written then.
    """
    chosen = choose_weights(config)
    spec = chosen.weights.spec
    dataset = open_dataset(config.dir)
    if spec.is_classifier:
        names = _side(config, dataset, chosen.path.parent)[: config.num_of_images or None]
        return evaluate_labels(config, chosen, dataset, names, _words(config, chosen.path.parent))
    labels = Labels(dataset.annotations, spec)
    names = _side(config, dataset, chosen.path.parent)[: config.num_of_images or None]
    _check_labels(dataset, names)
    skipped: list[Skipped] = []
    pipeline = open_pipeline(chosen, config, skipped, describe=False)
    out = make_folder(config.out or config.dir / "evaluation")

    def compare(result: Inspected) -> list[torch.Tensor]:
        truth = labels.masks(result.path.name, *result.image.shape[:2])
        return list(count(torch.from_numpy(result.masks)[None], torch.from_numpy(truth)[None]))

    images, parts = [], []
    start = time.perf_counter()
    with progress(len(names), "evaluate") as bar:
        for path, part in pipeline.run([dataset.path(name) for name in names], compare):
            images.append(path.name)
            parts.append(part)
            bar.update()
    require_images(len(images), skipped)
    seconds = time.perf_counter() - start
    counts = Counts()
    counts.add(images, *(torch.cat(kind) for kind in zip(*parts, strict=True)))
    result = EvaluateResult(
        scores=scores(counts, spec.scored_names),
        images=len(images),
        skipped=tuple(skipped),
        what=_words(config, chosen.path.parent),
        out=out,
        seconds=seconds,
        network=pipeline.system.name,
    )
    metrics = {**chosen.to_dict(), **_metrics(config, result)}
    _write_counts(out / "scores.csv", counts, spec.scored_names)
    write_text(out / "metrics.json", json.dumps(metrics, indent=2, ensure_ascii=False) + "\n")
    return result


def _side(config: EvaluateConfig, dataset: Dataset, run: Path) -> Sequence[str]:
    """Give the names of the images to score, sorted."""
    if config.split == "all":
        return dataset.images
    csv_file = run / "split.csv"
    if not csv_file.is_file():
        raise InputError(
            f"-split {config.split}: no split.csv beside the weights file in {run}; give the run folder with"
            " -weights_dir, or score every labelled image with -split all"
        )
    frame = read_split(csv_file, dataset.images)
    names = sorted(frame.loc[frame["side"] == config.split, "image"])
    if not names:
        raise InputError(f"{csv_file}: has no image on its {config.split} side; use -split all")
    return names


def _words(config: EvaluateConfig, run: Path) -> str:
    """Name the images that are scored."""
    side = {"valid": "validation", "train": "training"}.get(config.split)
    return f"{side} side of {run / 'split.csv'}" if side else f"all labelled images of {config.dir}"


def _check_labels(dataset: Dataset, names: Sequence[str]) -> None:
    """Find labels that do not fit their image before the network spends minutes on the others."""
    for name in names:
        if dataset.annotations.runs(name):
            try:
                size = read_size(dataset.path(name))
            except ImageError:
                continue  # the pipeline skips and reports it
            dataset.annotations.mask(name, *size)


def _metrics(config: EvaluateConfig, result: EvaluateResult) -> dict[str, Any]:
    return {
        "dataset": str(config.dir),
        "split": config.split,
        "network": result.network,
        **result.scores.to_dict(),
        "skipped": [{"image": str(image.path), "reason": image.reason} for image in result.skipped],
        "seconds": round(result.seconds, 3),
        "images_per_second": round(result.images_per_second, 3),
        "versions": versions(),
    }


def _write_counts(path: Path, counts: Counts, class_names: Sequence[str]) -> None:
    """Write a row for every image and class: pixel counts and the Dice they give."""
    pixels = torch.stack([counts.tp, counts.fp, counts.fn, counts.tn], dim=-1).numpy()
    tp, fp, fn = (pixels[..., k].astype(np.float64) for k in range(3))
    total = 2 * tp + fp + fn
    dice = np.divide(2 * tp, total, out=np.ones_like(total), where=total > 0)
    with replacing(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["image", "class_id", "name", "tp", "fp", "fn", "tn", "dice"])
        for row, image in enumerate(counts.images):
            for column, name in enumerate(class_names):
                numbers = pixels[row, column].tolist()
                writer.writerow([image, column + 1, name, *numbers, f"{dice[row, column]:.6f}"])

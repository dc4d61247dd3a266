"""All that is measured on labelled images: small figures of each image first, then every score from them."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from utils.scoring import smooth
from utils.scoring.bootstrap import Intervals, bootstrap
from utils.scoring.confusion import confuse
from utils.scoring.counts import Counts, count
from utils.scoring.objects import ObjectCounts, find_objects
from utils.scoring.presence import Presence, presence
from utils.scoring.scores import Scores, pair_dice, scores
from utils.scoring.smooth import ThreeDice, compare_dice, soft_sums


@dataclass(frozen=True, eq=False)
class ImageFigures:
    """What is kept of one image: some hundred bytes, whatever its size.

    Attributes:
        pixels: (4, C) int64 true and false positives, false and true negatives.
        sums: (2, C) float64, see ``soft_sums``.
        scores: (C,) float64 0..1, the image's score for each class.
        objects: table of dtype ``OBJECT``; counted and let go.
        confusion: (C + 1, C + 1) int64, see ``confuse``; counted and let go.
    """

    pixels: np.ndarray
    sums: np.ndarray
    scores: np.ndarray
    objects: np.ndarray
    confusion: np.ndarray


def measure(
    predicted: np.ndarray,
    truth: np.ndarray,
    probabilities: Iterable[np.ndarray],
    labels: np.ndarray | None = None,
    ignored: np.ndarray | None = None,
) -> ImageFigures:
    """Measure one image.

    Args:
        predicted: (C, H, W) bool, the decided masks.
        truth: (C, H, W) bool.
        probabilities: of each class an (H, W) float64 array 0..1; nothing for an image that a gate turned away, which
            counts as 0 everywhere.
        labels: (C,) probabilities of the image as a whole, when a network judges it so, or (1 + C,) with that of any
            defect first; those of the classes are its scores then. Else the largest probability of a pixel is.
        ignored: (H, W) bool, pixels that count for nothing; none: all count.
    """
    outside = None if ignored is None else torch.from_numpy(ignored)[None]
    pixels = count(torch.from_numpy(predicted)[None], torch.from_numpy(truth)[None], outside)
    sums, scores = soft_sums(probabilities, truth if ignored is None else truth & ~ignored, ignored)
    classes = len(scores)
    if labels is not None and len(labels) in (classes, 1 + classes):
        scores = labels[-classes:].astype(np.float64)
    objects, confusion = find_objects(truth, predicted, ignored), confuse(truth, predicted, ignored)
    return ImageFigures(torch.cat(pixels).numpy(), sums, scores, objects, confusion)


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Every figure of a report; images are in order of their names.

    Attributes:
        class_names: of the C scored classes.
        counts: of the N images.
        sums: (N, 2, C) float64, see ``soft_sums``.
        image_scores: (N, C) float64.
        scores: per class and together.
        intervals: of the Dice; None when no resamples were asked for.
        dice: exact, smooth and soft, per class and together.
        presence: image by image.
        objects: defect by defect.
        confusion: (C + 1, C + 1) int64 defects by labelled and predicted class, see ``confuse``.
        first_class: number of the first scored class; of a network for one class, that class's.
    """

    class_names: tuple[str, ...]
    counts: Counts
    sums: np.ndarray
    image_scores: np.ndarray
    scores: Scores
    intervals: Intervals | None
    dice: dict[str, ThreeDice]
    presence: Presence
    objects: ObjectCounts
    confusion: np.ndarray
    first_class: int = 1

    def to_dict(self) -> dict[str, Any]:
        """Return all numbers as plain dicts and lists that JSON can hold; undefined ones are None."""
        return {
            **self.scores.to_dict(),
            "interval": self.intervals and self.intervals.to_dict(),
            "image_level": self.presence.to_dict(),
            "object_level": self.objects.to_dict(self.class_names),
            "smooth_dice": smooth.to_dict(self.dice),
        }

    def extremes(self, number: int) -> tuple[list[str], list[str]]:
        """Choose the images that are worth a look.

        An image's Dice is here the mean over the classes that are labelled or predicted in it: clean images without a
        prediction would all be perfect. Of equal ones, those with more wrong pixels are worse, and those with more
        labelled pixels better.

        Args:
            number: of each.

        Returns:
            Names of the worst images, the worst first; names of the best ones among those with a labelled defect, the
            best first. No image is in both.
        """
        dice = pair_dice(self.counts).numpy()
        wrong, true = (part.numpy() for part in (self.counts.fp + self.counts.fn, self.counts.tp + self.counts.fn))
        involved = (self.counts.tp.numpy() + wrong) > 0
        mean = (dice * involved).sum(1) / np.maximum(involved.sum(1), 1)
        names = self.counts.images
        chosen = np.flatnonzero(wrong.sum(1))
        worst = sorted(chosen, key=lambda n: (mean[n], -wrong[n].sum(), names[n]))[:number]
        rest = set(np.flatnonzero(true.sum(1))) - set(worst)
        best = sorted(rest, key=lambda n: (-mean[n], -true[n].sum(), names[n]))[:number]
        return [names[n] for n in worst], [names[n] for n in best]


@dataclass(eq=False)
class Collector:
    """Takes the figures of one image after the other and computes the scores at the end.

    Args:
        class_names: of the C scored classes.
        first_class: number of the first of them.
        min_areas: C smallest areas in pixels that the decision lets through; left out: none.
    """

    class_names: tuple[str, ...]
    first_class: int = 1
    min_areas: tuple[int, ...] = ()
    _images: list[str] = field(default_factory=list)
    _figures: list[ImageFigures] = field(default_factory=list)
    _objects: ObjectCounts = field(init=False)
    _confusion: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self._objects = ObjectCounts(len(self.class_names), self.min_areas)
        self._confusion = np.zeros((len(self.class_names) + 1,) * 2, np.int64)

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self._images)

    def add(self, image: str, figures: ImageFigures) -> None:
        """Add an image; each one once."""
        self._objects.add(figures.objects)
        self._images.append(image)
        self._confusion += figures.confusion
        few = figures.objects[:0].copy()
        self._figures.append(
            ImageFigures(figures.pixels, figures.sums, figures.scores, few, figures.confusion[:0].copy())
        )

    def evaluate(self, resamples: int, seed: int) -> Evaluation:
        """Compute every score.

        Args:
            resamples: of the bootstrap; 0 for no intervals.
            seed: of the bootstrap.

        Raises:
            ValueError: no image was added.
        """
        if not self._images:
            raise ValueError("no image to score")
        order = sorted(range(len(self._images)), key=self._images.__getitem__)
        pixels, sums, image_scores = (
            np.stack([getattr(self._figures[n], name) for n in order]) for name in ("pixels", "sums", "scores")
        )
        counts = Counts()
        counts.add([self._images[n] for n in order], *torch.from_numpy(pixels).unbind(1))
        return Evaluation(
            class_names=self.class_names,
            counts=counts,
            sums=sums,
            image_scores=image_scores,
            scores=scores(counts, self.class_names),
            intervals=bootstrap(counts, self.class_names, resamples, seed) if resamples else None,
            dice=compare_dice(counts, sums, self.class_names),
            presence=presence(*_shown(counts), image_scores, self.first_class),
            objects=self._objects,
            confusion=self._confusion,
            first_class=self.first_class,
        )


def _shown(counts: Counts) -> tuple[np.ndarray, np.ndarray]:
    """Return which classes each image shows and which were predicted there: two (N, C) bool."""
    return ((counts.tp + counts.fn) > 0).numpy(), ((counts.tp + counts.fp) > 0).numpy()

"""The scores of a set of images, all computed from its pixel counts."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from segmentation_models_pytorch.metrics import f1_score, iou_score, precision, recall

from utils.scoring.counts import Counts
from utils.text import TOGETHER, columns

_COLUMNS = {
    "pairs": "pairs",
    "with_defect": "with defect",
    "mean_dice": "mean Dice",
    "empty_baseline": "empty baseline",
    "defect_dice": "defect Dice",
    "iou": "IoU",
}


@dataclass(frozen=True)
class Score:
    """The scores of one class, or of all classes together.

    Attributes:
        pairs: image-class pairs that were scored; the number of images for one class.
        with_defect: those that have ground truth.
        mean_dice: mean Dice of the pairs; 1 where ground truth and prediction are both empty (the competition's score).
        empty_baseline: the mean Dice of predicting nothing at all, which is the share of pairs without a defect.
        defect_dice: mean Dice of the pairs that have ground truth; None without any.
        iou: tp / (tp + fp + fn) with pixels summed over all images; None for a class without ground truth. Together:
            the mean over the classes that have one.
        image_iou: mean IoU of the pairs; 1 where ground truth and prediction are both empty.
        precision: tp / (tp + fp) with pixels summed over all images, and classes; None without any predicted pixel.
        recall: tp / (tp + fn) likewise; None without any ground truth.
    """

    pairs: int
    with_defect: int
    mean_dice: float
    empty_baseline: float
    defect_dice: float | None
    iou: float | None
    image_iou: float
    precision: float | None
    recall: float | None


@dataclass(frozen=True)
class Scores:
    """The scores of a set of images.

    Attributes:
        images: number of images.
        classes: the scores of each class by its name, in order of class ids.
        together: the scores over all image-class pairs.
    """

    images: int
    classes: dict[str, Score]
    together: Score

    @property
    def mean_dice(self) -> float:
        """Mean Dice of all image-class pairs, the competition's score, 0..1."""
        return self.together.mean_dice

    @property
    def empty_baseline(self) -> float:
        """Mean Dice of predicting nothing at all, 0..1."""
        return self.together.empty_baseline

    @property
    def defect_dice(self) -> float | None:
        """Mean Dice of the pairs that have ground truth, 0..1; None without any."""
        return self.together.defect_dice

    @property
    def iou(self) -> float | None:
        """Mean over classes of the IoU over the whole set, 0..1; None without any ground truth."""
        return self.together.iou

    def to_dict(self) -> dict[str, Any]:
        """Return all numbers as plain dicts that JSON can hold; undefined scores are None."""
        classes = {name: asdict(row) for name, row in self.classes.items()}
        return {"images": self.images, **asdict(self.together), "classes": classes}

    def table(self) -> str:
        """Return the scores as aligned plain text, a line for each class and one for all; undefined scores are "-"."""
        rows = [["class", *_COLUMNS.values()]]
        for name, row in [*self.classes.items(), (TOGETHER, self.together)]:
            rows.append([name, *(_cell(getattr(row, column)) for column in _COLUMNS)])
        return columns(rows)


def _cell(value: float | None) -> str:
    if value is None:
        return "-"
    return str(value) if isinstance(value, int) else f"{value:.4f}"


def scores(counts: Counts, class_names: Sequence[str]) -> Scores:
    """Compute every score from the counts of a set of images.

    Dice is 2 tp / (2 tp + fp + fn) of one image and class (https://www.kaggle.com/c/severstal-steel-defect-detection,
    page "Evaluation"). The order of the images does not matter, nor do images that were added twice.

    Args:
        counts: of N >= 1 images and C classes.
        class_names: C different names, the one of class id k at k - 1.

    Returns:
        The scores of each class and together.

    Raises:
        ValueError: there is no image, or the names are not C different ones.
    """
    counts = counts.sorted_by_image()
    if not counts.images:
        raise ValueError("no image to score")
    if len(set(class_names)) != len(class_names) or counts.tp.shape[1] != len(class_names):
        raise ValueError(f"expected {counts.tp.shape[1]} different class names, got {', '.join(class_names)}")
    pixels = _as_float(counts)
    dice = f1_score(*pixels, reduction="none", zero_division=1.0)
    image_iou = iou_score(*pixels, reduction="none", zero_division=1.0)
    whole = torch.stack([part.sum(0) for part in pixels])
    iou = iou_score(*whole, reduction="none", zero_division=0.0)
    has_defect = (counts.tp + counts.fn) > 0

    classes = {}
    for index, name in enumerate(class_names):
        known = has_defect[:, index]
        class_iou = float(iou[index]) if known.any() else None
        classes[name] = _score(dice[:, index], image_iou[:, index], known, class_iou, whole[:, index])
    present = has_defect.any(0)
    mean_iou = float(iou[present].mean()) if present.any() else None
    together = _score(dice.flatten(), image_iou.flatten(), has_defect.flatten(), mean_iou, whole.sum(1))
    return Scores(len(counts.images), classes, together)


def pair_dice(counts: Counts) -> torch.Tensor:
    """Return the Dice of every image and class, 1 where ground truth and prediction are both empty: (N, C) float64."""
    return f1_score(*_as_float(counts), reduction="none", zero_division=1.0)


def _as_float(counts: Counts) -> list[torch.Tensor]:
    # float64, since SMP divides int64 counts in float32, which cannot hold the pixels of a whole set.
    return [part.double() for part in (counts.tp, counts.fp, counts.fn, counts.tn)]


def _score(
    dice: torch.Tensor, image_iou: torch.Tensor, has_defect: torch.Tensor, iou: float | None, whole: torch.Tensor
) -> Score:
    """Summarise some pairs: the first three have one value a pair, ``whole`` has tp, fp, fn, tn of all of them."""
    tp, fp, fn, _ = whole
    return Score(
        pairs=len(dice),
        with_defect=int(has_defect.sum()),
        mean_dice=float(dice.mean()),
        empty_baseline=float((~has_defect).double().mean()),
        defect_dice=float(dice[has_defect].mean()) if has_defect.any() else None,
        iou=iou,
        image_iou=float(image_iou.mean()),
        precision=float(precision(*whole, reduction="none")) if tp + fp > 0 else None,
        recall=float(recall(*whole, reduction="none")) if tp + fn > 0 else None,
    )

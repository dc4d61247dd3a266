"""Scores of answers about whole images: is there a defect, which classes are there."""

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from utils.text import columns

MEAN = "mean"
_COLUMNS = {
    "with_label": "with label",
    "accuracy": "accuracy",
    "precision": "precision",
    "recall": "recall",
    "f1": "F1",
    "roc_auc": "ROC-AUC",
    "average_precision": "avg. precision",
    "log_loss": "log loss",
}


@dataclass(eq=False)
class LabelAnswers:
    """Probabilities and truth of many images, in the order in which they were added.

    Attributes:
        images: the N names of the images.
        probabilities: (N, L) float32, 0..1, a column for each label; (0, 0) before the first image.
        truth: (N, L) bool.
    """

    images: list[str] = field(default_factory=list)
    probabilities: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), dtype=np.float32))
    truth: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), dtype=np.bool_))

    def add(self, images: Sequence[str], probabilities: np.ndarray, truth: np.ndarray) -> None:
        """Append a batch.

        Args:
            images: N names.
            probabilities: (N, L) float, 0..1.
            truth: (N, L) bool.

        Raises:
            ValueError: a shape does not fit the names or the labels so far.
        """
        labels = self.truth.shape[1] if self.images else truth.shape[-1]
        if probabilities.shape != (len(images), labels) or truth.shape != (len(images), labels):
            raise ValueError(f"expected ({len(images)}, {labels}), got {probabilities.shape} and {truth.shape}")
        both = (probabilities.astype(np.float32), truth.astype(np.bool_))
        if self.images:
            both = (np.concatenate((self.probabilities, both[0])), np.concatenate((self.truth, both[1])))
        self.images = [*self.images, *images]
        self.probabilities, self.truth = both

    def merge(self, other: "LabelAnswers") -> None:
        """Append the answers of another process or of another part of the images."""
        if other.images:
            self.add(other.images, other.probabilities, other.truth)

    def without(self, images: Collection[str]) -> "LabelAnswers":
        """Return the answers about all images but these."""
        left = [row for row, image in enumerate(self.images) if image not in images]
        return LabelAnswers([self.images[row] for row in left], self.probabilities[left], self.truth[left])

    def sorted_by_image(self) -> "LabelAnswers":
        """Return the answers in order of the images' names, of an image that was added several times the first."""
        images, rows = np.unique(self.images, return_index=True)
        return LabelAnswers(images.tolist(), self.probabilities[rows], self.truth[rows])


@dataclass(frozen=True)
class LabelScore:
    """The scores of one label, or their means over the labels that have them.

    Attributes:
        with_label: images that have it (the mean's: the sum over the labels).
        accuracy: share of the images answered rightly at the threshold, 0..1.
        precision: share of the images said to have the label that have it; 0 where none was said to.
        recall: share of the images with the label that were found; None without any.
        f1: harmonic mean of precision and recall; None without any image that has the label.
        roc_auc: probability that an image with the label is ranked before one without; None unless there are both.
        average_precision: mean precision over all thresholds, weighted by the recall gained; None without any image
            that has the label.
        log_loss: mean of -log of the probability given to the right answer, 0 or more; the smaller the better. An answer
            of a sure and wrong network counts as 1e-7.
    """

    with_label: int
    accuracy: float
    precision: float
    recall: float | None
    f1: float | None
    roc_auc: float | None
    average_precision: float | None
    log_loss: float | None = None


@dataclass(frozen=True)
class LabelScores:
    """The scores of a set of images.

    Attributes:
        images: number of images.
        classes: the scores of each label by its name.
        together: the means over the labels.
    """

    images: int
    classes: dict[str, LabelScore]
    together: LabelScore

    def to_dict(self) -> dict[str, Any]:
        """Return all numbers as plain dicts that JSON can hold; undefined scores are None."""
        classes = {name: asdict(row) for name, row in self.classes.items()}
        return {"images": self.images, **asdict(self.together), "classes": classes}

    def table(self) -> str:
        """Return the scores as aligned plain text, a line for each label and one for their mean; undefined ones are "-"."""
        rows = [["label", *_COLUMNS.values()]]
        for name, row in [*self.classes.items(), (MEAN, self.together)]:
            rows.append([name, *(_cell(getattr(row, column)) for column in _COLUMNS)])
        return columns(rows)


def label_scores(answers: LabelAnswers, names: Sequence[str], thresholds: Sequence[float]) -> LabelScores:
    """Compute every score of answers about whole images, with scikit-learn.

    Args:
        answers: of N >= 1 images and L labels; their order does not matter, nor do images that were added twice.
        names: L different names.
        thresholds: L probabilities 0..1 from which an image counts as having the label.

    Returns:
        The scores of each label and their means.

    Raises:
        ValueError: there is no image, or names or thresholds are not L.
    """
    answers = answers.sorted_by_image()
    if not answers.images:
        raise ValueError("no image to score")
    if not answers.truth.shape[1] == len(set(names)) == len(names) == len(thresholds):
        raise ValueError(f"expected {answers.truth.shape[1]} different names and as many thresholds")
    classes = {
        name: _score(answers.probabilities[:, column], answers.truth[:, column], threshold)
        for column, (name, threshold) in enumerate(zip(names, thresholds, strict=True))
    }
    means = {
        key: _mean([getattr(score, key) for score in classes.values()])
        for key in ("accuracy", "precision", "recall", "f1", "roc_auc", "average_precision", "log_loss")
    }
    together = LabelScore(int(answers.truth.sum()), **means)  # type: ignore[arg-type]
    return LabelScores(len(answers.images), classes, together)


def _score(probability: np.ndarray, truth: np.ndarray, threshold: float) -> LabelScore:
    """Score one label of N images; both arrays are (N,)."""
    from sklearn import metrics  # takes a second to import

    said = probability >= threshold
    positives = int(truth.sum())
    both = 0 < positives < len(truth)
    return LabelScore(
        with_label=positives,
        accuracy=float(metrics.accuracy_score(truth, said)),
        precision=float(metrics.precision_score(truth, said, zero_division=0)),
        recall=float(metrics.recall_score(truth, said)) if positives else None,
        f1=float(metrics.f1_score(truth, said, zero_division=0)) if positives else None,
        roc_auc=float(metrics.roc_auc_score(truth, probability)) if both else None,
        average_precision=float(metrics.average_precision_score(truth, probability)) if positives else None,
        log_loss=float(-np.log(np.clip(np.where(truth, probability, 1 - probability), 1e-7, 1)).mean()),
    )


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _cell(value: float | None) -> str:
    if value is None:
        return "-"
    return str(value) if isinstance(value, int) else f"{value:.4f}"

"""The gate of a system: what the probabilities of an image's labels let through, and how large a defect must be then."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from utils.errors import InputError

MODES = ("hard", "soft")


@dataclasses.dataclass(frozen=True)
class Gate:
    """Which images and classes are worth a mask.

    The probabilities come in one row per image: first that the image has any defect, where ``image`` is set, then one
    for each class, where ``classes`` is set.

    Args:
        mode: ``hard``: below its threshold there is no mask, above it the probability no longer matters; ``soft``: in
            addition, the smallest defect that counts depends on the class's probability, see ``soft_areas``.
        image: probability 0..1 from which an image is looked at; none: there is no such label.
        classes: the same for each class; none: there are no such labels.
        c: how many times t0 a class of probability 0 needs; 1 or more, of no effect when ``hard``.
    """

    mode: str = "hard"
    image: float | None = None
    classes: tuple[float, ...] | None = None
    c: float = 1.0

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise InputError(f"gate mode {self.mode!r}: choose {' or '.join(MODES)}")
        for threshold in (*(() if self.image is None else (self.image,)), *(self.classes or ())):
            if not 0 <= threshold <= 1:
                raise InputError(f"gate threshold {threshold}: expected a probability 0..1")
        if not 1 <= self.c < float("inf"):
            raise InputError(f"gate c {self.c}: expected 1 or more")

    @property
    def labels(self) -> int:
        """Number of probabilities that the gate looks at."""
        return (self.image is not None) + len(self.classes or ())

    def passes(self, probabilities: np.ndarray, count: int) -> np.ndarray:
        """Return which classes of which images may have a mask.

        Args:
            probabilities: ``(N, labels)`` float, 0..1.
            count: C, the number of masks.

        Returns:
            ``(N, C)`` bool.
        """
        passes = np.ones((len(probabilities), count), dtype=np.bool_)
        if self.image is not None:
            passes &= probabilities[:, :1] >= self.image
        if self.classes is not None:
            passes &= self._of_classes(probabilities) >= np.asarray(self.classes)
        return passes

    def areas(self, min_areas: Sequence[int], probabilities: np.ndarray) -> tuple[int, ...]:
        """Return the smallest defect of each class that counts in an image.

        Args:
            min_areas: C areas in pixels, t0 of the formula.
            probabilities: ``(labels,)`` float, 0..1, of one image.

        Returns:
            C areas in pixels, rounded up; ``min_areas`` themselves when the gate is hard.
        """
        if self.mode == "hard" or not self.labels:
            return tuple(min_areas)
        p = probabilities[:1] if self.classes is None else self._of_classes(probabilities[None])[0]
        return tuple(soft_areas(min_areas, self.c, p).tolist())

    def opened(self) -> "Gate":
        """Return the gate that lets everything through and leaves the areas alone, with the same labels."""
        return Gate(
            "hard",
            None if self.image is None else 0.0,
            None if self.classes is None else (0.0,) * len(self.classes),
        )

    def changed(self, thresholds: Sequence[float], c: float) -> "Gate":
        """Return a gate of the same labels and mode with other thresholds, in the order of the labels, and another c."""
        first = int(self.image is not None)
        return Gate(
            self.mode,
            thresholds[0] if first else None,
            None if self.classes is None else tuple(thresholds[first:]),
            c,
        )

    def _of_classes(self, probabilities: np.ndarray) -> np.ndarray:
        return probabilities[:, int(self.image is not None) :]


def soft_areas(smallest: npt.ArrayLike, c: float, probability: npt.ArrayLike) -> np.ndarray:
    """Compute the smallest areas that count behind a soft gate: ``t0*c - t0*(c-1)*p``, rounded up.

    An unlikely class needs a large mask to be believed.

    Args:
        smallest: t0, pixels; any shape that fits that of ``probability``.
        c: 1 or more; how many times t0 a class of probability 0 needs.
        probability: p, 0..1.

    Returns:
        int64 pixels, of the shape that both have together.
    """
    t0, p = np.asarray(smallest, dtype=np.float64), np.asarray(probability, dtype=np.float64)
    # A pixel's millionth is forgiven, or rounding errors would round 100.00000000000001 up to 101.
    return np.ceil(t0 * c - t0 * (c - 1) * p - 1e-6).astype(np.int64)

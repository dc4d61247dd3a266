"""Thresholds of a gate: which images the classifiers of a system let through, chosen by the Dice that comes out.

A gate turns a class of an image away when a probability of the image is below that probability's threshold. Its Dice is
then that of an empty prediction: 1 where nothing is labelled, 0 elsewhere. Turning away gains where the segmenter sees
defects that are not there, and loses where it sees those that are.

Probabilities come as a gate takes them, one row per image: first that the image has any defect, if there is such a
label, then one for each class, if there are such labels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

# Thresholds of the first probability that are tried, where others rule beside it.
_TRIED = 256


@dataclass(frozen=True)
class GateLayout:
    """What the probabilities of an image are.

    Attributes:
        image: the first one is that of any defect, and rules every class.
        classes: there is one for each class, which rules that class.
    """

    image: bool
    classes: bool

    def rules(self, labels: int, classes: int) -> np.ndarray:
        """Return which probability rules which class: (L, C) bool; raises ``ValueError`` when L does not fit."""
        parts = [np.ones((1, classes), dtype=np.bool_)] * self.image + [np.eye(classes, dtype=np.bool_)] * self.classes
        if sum(map(len, parts)) != labels:
            raise ValueError(f"{labels} probabilities an image do not fit {self} and {classes} classes")
        return np.concatenate(parts) if parts else np.zeros((0, classes), dtype=np.bool_)


def empty_dice(truth: np.ndarray) -> np.ndarray:
    """Return the Dice of an empty prediction: 1 where ``truth``, the labelled pixels or a bool, is zero, else 0."""
    return (np.asarray(truth) == 0).astype(np.float64)


def passing(probabilities: np.ndarray, thresholds: Sequence[float], layout: GateLayout, classes: int) -> np.ndarray:
    """Return which classes of which images a gate lets through.

    Args:
        probabilities: (N, L) 0..1.
        thresholds: L, in the same order.
        layout: what they are.
        classes: C.

    Returns:
        (N, C) bool.
    """
    rules = layout.rules(probabilities.shape[1], classes)
    below = probabilities < np.asarray(thresholds, dtype=np.float64)
    return ~(below[:, :, None] & rules).any(axis=1)


def fit_gates(
    probabilities: np.ndarray,
    opened: np.ndarray,
    truth: np.ndarray,
    layout: GateLayout,
    now: Sequence[float] | None = None,
) -> tuple[float, ...]:
    """Choose the thresholds that maximise the mean Dice.

    The result is exact: the thresholds of the classes do not touch each other, and where that of any defect rules beside
    them, each of its values is tried with the best of theirs (of more than 256 values as many quantiles, and at the end
    the best of all beside the others).

    Args:
        probabilities: (N, L) 0..1.
        opened: (N, C) Dice with the gate wide open.
        truth: (N, C), nonzero where something is labelled: pixels or a bool.
        layout: what the probabilities are.
        now: L thresholds in use; one stays when no class that it rules is labelled anywhere; None: it turns all away
            in which something is predicted.

    Returns:
        L thresholds 0..1, as ``passing`` takes them: midway between the probabilities of the images that are parted;
        0 where turning nobody away is best, which is also what is taken when nothing is gained.

    Example:
        The segmenter finds the defect of the first image, and invents one in the second, which is clean.

        >>> layout = GateLayout(image=True, classes=False)
        >>> probabilities, truth = np.array([[0.9], [0.3]]), np.array([[420], [0]])
        >>> fit_gates(probabilities, np.array([[0.8], [0.0]]), truth, layout)
        (0.6,)
        >>> passing(probabilities, (0.6,), layout, 1).tolist()
        [[True], [False]]
    """
    probabilities = np.asarray(probabilities, dtype=np.float64)
    gain = np.asarray(opened, dtype=np.float64) - empty_dice(truth)
    classes = gain.shape[1]
    layout.rules(probabilities.shape[1], classes)
    labelled = np.logical_or.reduce(np.asarray(truth), axis=0)
    if now is not None and not labelled.any():
        return tuple(now)
    kept = [None if now is None or known else now[layout.image + c] for c, known in enumerate(labelled)]
    if not layout.classes:
        return tuple(_best(probabilities[:, 0], gain.sum(axis=1)) for _ in range(layout.image))
    own = probabilities[:, layout.image :]

    def of_classes(through: np.ndarray) -> tuple[float, ...]:
        pairs = ((own[:, c], gain[:, c] * through) for c in range(classes))
        return tuple(_best(*pair) if one is None else one for pair, one in zip(pairs, kept, strict=True))

    if not layout.image:
        return of_classes(np.ones(len(own)))

    def beside(first: float) -> tuple[float, ...]:
        return first, *of_classes(probabilities[:, 0] >= first)

    def reached(thresholds: tuple[float, ...]) -> float:
        return float((gain * passing(probabilities, thresholds, layout, classes)).sum())

    values = np.unique(np.concatenate([[0.0], probabilities[:, 0]]))
    if len(values) > _TRIED:
        values = np.unique(np.quantile(values, np.linspace(0, 1, _TRIED), method="lower"))
    best = max((beside(float(value)) for value in values), key=reached)
    through = passing(probabilities, (0.0, *best[1:]), layout, classes)
    return _best(probabilities[:, 0], (gain * through).sum(axis=1)), *best[1:]


def _best(probability: np.ndarray, gain: np.ndarray) -> float:
    """Choose the threshold from which on images are let through, given what letting each one through gains."""
    order = np.argsort(-probability, kind="stable")
    ranked = probability[order]
    # Letting the first n through gains total[n]; images of equal probability cannot be parted.
    total = np.concatenate([[0.0], np.cumsum(gain[order])])
    total[1:-1][ranked[1:] == ranked[:-1]] = -np.inf
    # Of equals the one that turns the fewest away: what is not needed here may be needed elsewhere.
    number = int(np.flatnonzero(total >= total.max() - 1e-9)[-1])
    if number == len(ranked):
        return 0.0
    return float((ranked[number] + (ranked[number - 1] if number else 1.0)) / 2)

"""The best recall under a number of false alarms, and the curve of both."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from utils.inference.calibration.search import Sums


@dataclass(frozen=True, eq=False)
class Frontier:
    """The settings that nothing betters: each finds more than all those with as few or fewer false alarms.

    Attributes:
        alarms: (F,) ascending.
        found: (F,) labelled defects, ascending.
        dice: (F,) sum of the images' Dice over the classes.
        cells: (F, C) the setting of each class.
    """

    alarms: np.ndarray
    found: np.ndarray
    dice: np.ndarray
    cells: np.ndarray

    def under(self, budget: float) -> int:
        """Give the point of the largest recall within a number of false alarms; the first one if none is."""
        return max(int(np.searchsorted(self.alarms, budget + 1e-9, side="right")) - 1, 0)


def frontier(classes: Sequence[Sums]) -> Frontier:
    """Find the best settings of several classes that share one budget, exactly.

    Args:
        classes: sums over all folds.

    Returns:
        False alarms and found defects are added up over the classes.
    """
    joint: Frontier | None = None
    for sums in classes:
        one = sums.total()
        cells = np.arange(one.dice.shape[1])[:, None]
        mine = _undominated(one.alarms[0], one.found[0], one.dice[0], cells)
        if joint is None:
            joint = mine
            continue
        first, second = (part.ravel() for part in np.indices((len(joint.alarms), len(mine.alarms))))
        joint = _undominated(
            joint.alarms[first] + mine.alarms[second],
            joint.found[first] + mine.found[second],
            joint.dice[first] + mine.dice[second],
            np.concatenate([joint.cells[first], mine.cells[second]], axis=1),
        )
    assert joint is not None, "a network has at least one class"
    return joint


def _undominated(alarms: np.ndarray, found: np.ndarray, dice: np.ndarray, cells: np.ndarray) -> Frontier:
    # Fewest alarms first, of these the most found, of these the best Dice.
    order = np.lexsort((-dice, -found, alarms))
    alarms, found, dice, cells = alarms[order], found[order], dice[order], cells[order]
    earlier = np.concatenate([[-1], np.maximum.accumulate(found)[:-1]])
    keep = found > earlier
    return Frontier(alarms[keep], found[keep], dice[keep], cells[keep])


def reach(classes: Sequence[Sums], rate: float, shared: bool) -> tuple[int, ...]:
    """Choose the settings of the best recall under a rate of false alarms.

    Args:
        classes: of each class, on the images to choose on.
        rate: false alarms per 1,000 images that count for them.
        shared: the classes share the images, and the budget; else each has its own.

    Returns:
        A cell for each class. Where no setting keeps the rate, the one of the fewest false alarms.
    """
    if shared:
        joint = frontier(classes)
        return tuple(map(int, joint.cells[joint.under(rate * classes[0].clean.sum() / 1000)]))
    alone = [(frontier([sums]), rate * sums.clean.sum() / 1000) for sums in classes]
    return tuple(int(one.cells[one.under(budget), 0]) for one, budget in alone)


def curve(classes: Sequence[Sums], shared: bool) -> tuple[np.ndarray, np.ndarray]:
    """Give the best recall for every rate of false alarms.

    Args:
        classes: one, or all of them.
        shared: as in ``reach``.

    Returns:
        False alarms per 1,000 images, ascending, and the share 0..1 of the labelled defects that are found: two arrays
        of one length, empty when nothing is labelled or no image counts for false alarms.
    """
    labelled = sum(int(sums.labelled.sum()) for sums in classes)
    if not labelled or not all(sums.clean.sum() for sums in classes):
        return np.zeros(0), np.zeros(0)
    if shared or len(classes) == 1:
        joint = frontier(classes)
        return 1000 * joint.alarms / classes[0].clean.sum(), joint.found / labelled
    alone = [frontier([sums]) for sums in classes]
    rates = [1000 * one.alarms / sums.clean.sum() for one, sums in zip(alone, classes, strict=True)]
    every = np.unique(np.concatenate(rates))
    found = np.zeros(len(every))
    for one, rate in zip(alone, rates, strict=True):
        point = np.searchsorted(rate, every, side="right") - 1
        found += np.where(point >= 0, one.found[np.maximum(point, 0)], 0)
    return every, found / labelled

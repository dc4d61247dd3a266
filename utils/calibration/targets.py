"""The best recall under a number of false alarms, and the curve of both."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from utils.calibration.grid import ClassGrid
from utils.calibration.search import Sums


@dataclass(frozen=True, eq=False)
class Frontier:
    """The settings that nothing betters: each finds more than all those with as few or fewer false alarms.

    Attributes:
        alarms: (F,) ascending.
        found: (F,) labelled defects, ascending.
        dice: (F,) sum of the images' Dice over the classes.
        distance: (F,) how far the settings are from those in use, see ``ClassGrid.distance``.
        cells: (F, C) the setting of each class.
    """

    alarms: np.ndarray
    found: np.ndarray
    dice: np.ndarray
    distance: np.ndarray
    cells: np.ndarray

    def under(self, budget: float) -> int:
        """Return the point of the largest recall within a number of false alarms; the first one if none is."""
        return max(int(np.searchsorted(self.alarms, budget + 1e-9, side="right")) - 1, 0)


def frontier(classes: Sequence[Sums], grids: Sequence[ClassGrid]) -> Frontier:
    """Find the best settings of several classes that share one budget, exactly.

    A class without a labelled defect keeps its setting: the best would be never to see it again.

    Args:
        classes: sums over all folds.
        grids: theirs.

    Returns:
        False alarms and found defects are added up over the classes.
    """
    joint: Frontier | None = None
    for sums, grid in zip(classes, grids, strict=True):
        one = sums.total()
        cells = np.arange(one.dice.shape[1]) if one.labelled[0] else np.array([grid.now_cell])
        alarms, found, dice = (part[0, cells] for part in (one.alarms, one.found, one.dice))
        mine = _undominated(alarms, found, dice, grid.distance[cells], cells[:, None])
        if joint is None:
            joint = mine
            continue
        first, second = (part.ravel() for part in np.indices((len(joint.alarms), len(mine.alarms))))
        joint = _undominated(
            joint.alarms[first] + mine.alarms[second],
            joint.found[first] + mine.found[second],
            joint.dice[first] + mine.dice[second],
            joint.distance[first] + mine.distance[second],
            np.concatenate([joint.cells[first], mine.cells[second]], axis=1),
        )
    assert joint is not None, "a network has at least one class"
    return joint


def _undominated(
    alarms: np.ndarray, found: np.ndarray, dice: np.ndarray, distance: np.ndarray, cells: np.ndarray
) -> Frontier:
    # Fewest alarms first, of these the most found, of these the best Dice, of equals the nearest to what is in use.
    order = np.lexsort((distance, -np.round(dice, 9), -found, alarms))
    alarms, found = alarms[order], found[order]
    earlier = np.concatenate([[-1], np.maximum.accumulate(found)[:-1]])
    keep = found > earlier
    return Frontier(alarms[keep], found[keep], *(part[order][keep] for part in (dice, distance, cells)))


def reach(classes: Sequence[Sums], grids: Sequence[ClassGrid], rate: float, shared: bool) -> tuple[int, ...]:
    """Choose the settings of the best recall under a rate of false alarms.

    Args:
        classes: of each class, on the images to choose on.
        grids: theirs.
        rate: false alarms per 1,000 images that count for them.
        shared: the classes share the images, and the budget; else each has its own.

    Returns:
        A cell for each class. Where no setting keeps the rate, the one of the fewest false alarms; of a class without a
        labelled defect the one in use, whose false alarms count.
    """
    if shared:
        joint = frontier(classes, grids)
        return tuple(map(int, joint.cells[joint.under(rate * classes[0].clean.sum() / 1000)]))
    alone = [
        (frontier([sums], [grid]), rate * sums.clean.sum() / 1000) for sums, grid in zip(classes, grids, strict=True)
    ]
    return tuple(int(one.cells[one.under(budget), 0]) for one, budget in alone)


def curve(classes: Sequence[Sums], grids: Sequence[ClassGrid], shared: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return the best recall for every rate of false alarms.

    Args:
        classes: one, or all of them.
        grids: theirs.
        shared: as in ``reach``.

    Returns:
        False alarms per 1,000 images, ascending, and the share 0..1 of the labelled defects that are found: two arrays
        of one length, empty when nothing is labelled or no image counts for false alarms.
    """
    labelled = sum(int(sums.labelled.sum()) for sums in classes)
    if not labelled or not all(sums.clean.sum() for sums in classes):
        return np.zeros(0), np.zeros(0)
    if shared or len(classes) == 1:
        joint = frontier(classes, grids)
        return 1000 * joint.alarms / classes[0].clean.sum(), joint.found / labelled
    alone = [frontier([sums], [grid]) for sums, grid in zip(classes, grids, strict=True)]
    rates = [1000 * one.alarms / sums.clean.sum() for one, sums in zip(alone, classes, strict=True)]
    every = np.unique(np.concatenate(rates))
    found = np.zeros(len(every))
    for one, rate in zip(alone, rates, strict=True):
        point = np.searchsorted(rate, every, side="right") - 1
        found += np.where(point >= 0, one.found[np.maximum(point, 0)], 0)
    return every, found / labelled

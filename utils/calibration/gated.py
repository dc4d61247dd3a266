"""Settings of a system with a gate: areas and thresholds of the masks together with those of the gate.

Which setting of the masks is best depends on what the gate lets through, and the other way round. Both are found exactly
beside the other, in turn, until neither moves; once beginning with the gate in use and once with an open one.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from utils.calibration.counting import ClassTable
from utils.calibration.gates import GateLayout, empty_dice, fit_gates, passing
from utils.calibration.grid import ClassGrid
from utils.calibration.search import Sums, best, dice_at, sum_up
from utils.decision.gate import soft_areas

# How many times its smallest area a class of probability 0 needs, see ``soft_areas``.
SOFTNESS = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0)
_ROUNDS = 6


@dataclass(frozen=True)
class GateSetting:
    """What a gate lets through.

    Attributes:
        thresholds: one for each probability of an image, 0..1.
        c: of a soft gate, see ``soft_areas``; 1 for a hard one.
    """

    thresholds: tuple[float, ...]
    c: float = 1.0


@dataclass(frozen=True, eq=False)
class Gated:
    """A gate and what it sees of N images.

    Attributes:
        probabilities: (N, L) 0..1.
        layout: what they are.
        now: the setting in use.
        soft: whether the smallest area depends on the probability, so that c is searched for too.
        names: of the L probabilities.
        fixed: whether the gate stays as it is.
    """

    probabilities: np.ndarray
    layout: GateLayout
    now: GateSetting
    soft: bool
    names: tuple[str, ...]
    fixed: bool = False

    def opened(self, setting: GateSetting, classes: int) -> np.ndarray:
        """Return which classes of which images pass: (N, C) bool."""
        return passing(self.probabilities, setting.thresholds, self.layout, classes)

    def low(self, grid: ClassGrid, index: int, c: float) -> np.ndarray | None:
        """Return the first bin of the defects that stay, for each image and choice of limits: (N, P); None where c is 1."""
        if c == 1:
            return None
        p = self.probabilities[:, self.layout.image + index if self.layout.classes else 0]
        smallest = np.where(np.arange(len(grid.areas)) > 0, grid.areas, 0)
        first = np.searchsorted(grid.areas, soft_areas(smallest, c, p[:, None])).astype(np.int16)
        return first[:, np.minimum(grid.low, len(grid.areas) - 1)]


@dataclass(frozen=True)
class Joint:
    """Settings of the masks and of the gate that go together."""

    cells: tuple[int, ...]
    gate: GateSetting


def fit_joint(
    tables: Sequence[ClassTable], grids: Sequence[ClassGrid], gated: Gated, chosen: np.ndarray, clean: np.ndarray
) -> Joint:
    """Choose the settings of the best mean Dice on some images.

    Args:
        tables: of the C classes, with the gate open.
        grids: theirs.
        gated: the gate.
        chosen: (N,) bool, the images to choose on.
        clean: (N,) bool.
    """
    truth = np.stack([table.truth for table in tables], axis=1)
    labelled = truth[chosen].any(axis=0)  # else there is nothing to judge by: the best would be to predict nothing
    found: list[tuple[float, Joint]] = []
    for c in dict.fromkeys((gated.now.c, *SOFTNESS)) if gated.soft else (1.0,):
        lows = [gated.low(grid, k, c) for k, grid in enumerate(grids)]
        for start in dict.fromkeys((gated.now.thresholds, (0.0,) * len(gated.now.thresholds))):
            gate = GateSetting(start, c)
            for _ in range(_ROUNDS):
                opened = gated.opened(gate, len(grids))
                sums = [
                    sum_up(*one, chosen.astype(np.int64), clean, opened[:, k], lows[k])
                    for k, one in enumerate(zip(tables, grids, strict=True))
                ]
                cells = tuple(
                    best(one.dice[-1], grid) if known else grid.now_cell
                    for one, grid, known in zip(sums, grids, labelled, strict=True)
                )
                dice = np.stack([dice_at(*one) for one in zip(tables, grids, cells, lows, strict=True)], axis=1)
                better = fit_gates(
                    gated.probabilities[chosen], dice[chosen], truth[chosen], gated.layout, gated.now.thresholds
                )
                if better == gate.thresholds:
                    break
                gate = replace(gate, thresholds=better)
            through = gated.opened(gate, len(grids))
            score = float(np.where(through, dice, empty_dice(truth))[chosen].mean())
            found.append((score, Joint(cells, gate)))
    return max(found, key=lambda one: one[0])[1]


def worth(
    tables: Sequence[ClassTable],
    grids: Sequence[ClassGrid],
    gated: Gated,
    joint: Joint,
    folds: np.ndarray,
    clean: Sequence[np.ndarray],
) -> list[Sums]:
    """Sum up what one setting is worth: of each class a ``Sums`` with a single setting.

    Args:
        tables: of the C classes, with the gate open.
        grids: theirs.
        gated: the gate.
        joint: the setting.
        folds: (N,) fold of each image.
        clean: of each class (N,) bool, images on which any defect is a false alarm.
    """
    opened = gated.opened(joint.gate, len(grids))
    sums = []
    for k, (table, grid, cell) in enumerate(zip(tables, grids, joint.cells, strict=True)):
        level, pair = divmod(cell, len(grid.low))
        one = grid.with_choice(pair)
        low = gated.low(one, k, joint.gate.c)
        total = sum_up(table, one, folds, clean[k], opened[:, k], low)
        sums.append(replace(total, **{kind: getattr(total, kind)[:, [level]] for kind in ("dice", "found", "alarms")}))
    return sums

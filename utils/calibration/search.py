"""The exact search over a class's grid, and its cross-fitted worth.

What every setting is worth is summed over the images of each fold. The best setting on some folds is then a maximum of a
sum of these, so that choosing on all folds but one, and scoring on that one, costs nothing more.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from utils.calibration.counting import ClassTable
from utils.calibration.grid import ClassGrid

HIDDEN = 0.05  # share of the labelled defects that a smallest area may hide
FOUND = 0.5  # share of a labelled defect's pixels that have to be covered
_CHUNK = 2**21  # numbers in one step: bounds the memory to some ten MB
_EQUAL = 1e-9  # sums that differ by less are equal


@dataclass(frozen=True, eq=False)
class Sums:
    """What each of the S = T * P settings of a class is worth on each of G folds.

    Attributes:
        images: (G,) number of images.
        dice: (G, S) sum of the images' Dice; 1 where nothing is labelled and nothing predicted.
        found: (G, S) labelled defects of which at least half is covered by the defects that stay.
        labelled: (G,) labelled defects.
        alarms: (G, S) connected defects that stay on the images that count for false alarms.
        clean: (G,) number of these images.
        sizes: (G, B) labelled defects in each bin of areas, as shares of those of their group of images, added up over
            the groups: each weighs the same, however many of its defects are there. None where areas are not guarded.
    """

    images: np.ndarray
    dice: np.ndarray
    found: np.ndarray
    labelled: np.ndarray
    alarms: np.ndarray
    clean: np.ndarray
    sizes: np.ndarray | None = None

    def of(self, folds: np.ndarray) -> "Sums":
        """Return the sums of some folds, (G,) bool, each by itself."""
        return self._each(lambda part: part[folds])

    def total(self) -> "Sums":
        """Return the sums over all folds as those of a single one."""
        return self._each(lambda part: part.sum(axis=0, keepdims=True))

    def _each(self, change: Callable[[np.ndarray], np.ndarray]) -> "Sums":
        parts: list[Any] = [self.images, self.dice, self.found, self.labelled, self.alarms, self.clean, self.sizes]
        changed: list[Any] = [None if part is None else change(part) for part in parts]
        return Sums(*changed)


def sum_up(
    table: ClassTable,
    grid: ClassGrid,
    folds: np.ndarray,
    clean: np.ndarray,
    opened: np.ndarray | None = None,
    low: np.ndarray | None = None,
    groups_of: np.ndarray | None = None,
) -> Sums:
    """Sum over the images of each fold what every setting is worth.

    Args:
        table: of N images.
        grid: the settings.
        folds: (N,) fold of each image, 0..G-1.
        clean: (N,) bool, images on which any defect is a false alarm.
        opened: (N,) bool, images that a gate lets through; None: all.
        low: (N, P) first bin of the defects that stay, where a soft gate makes that depend on the image; None: the
            grid's.
        groups_of: (N,) group of each image, none of which is in two folds, to guard the smallest areas by; None: they
            are not guarded.
    """
    opened = np.ones(len(folds), np.bool_) if opened is None else opened
    groups = int(folds.max()) + 1
    levels, pairs = grid.shape
    dice, found, alarms = np.zeros((3, groups, levels, pairs))
    empty = table.truth == 0
    bins = table.bins[opened[table.bins["row"]]]
    cover = table.cover[opened[table.object_image[table.cover["row"]]]]
    for level in range(levels):
        rows = bins[bins["level"] == level]
        shown = np.unique(rows["row"])
        quiet = np.setdiff1d(np.flatnonzero(empty), shown)
        dice[:, level] += np.bincount(folds[quiet], minlength=groups)[:, None]
        for chunk, (pixels, labelled, number) in _chunks(shown, rows, ("pixels", "labelled", "number"), grid, low):
            total = pixels + table.truth[chunk, None]
            worth = np.divide(2 * labelled, total, out=np.ones_like(total), where=total > 0)
            member = folds[chunk] == np.arange(groups)[:, None]
            dice[:, level] += member.astype(np.float64) @ worth
            alarms[:, level] += (member & clean[chunk]).astype(np.float64) @ number
        rows = cover[cover["level"] == level]
        image = table.object_image
        for chunk, (pixels,) in _chunks(
            np.unique(rows["row"]), rows, ("pixels",), grid, None if low is None else low[image]
        ):
            member = folds[image[chunk]] == np.arange(groups)[:, None]
            found[:, level] += member.astype(np.float64) @ (pixels >= FOUND * table.objects[chunk, None])
    return Sums(
        np.bincount(folds, minlength=groups),
        dice.reshape(groups, -1),
        found.reshape(groups, -1),
        np.bincount(folds[table.object_image], minlength=groups),
        np.rint(alarms).reshape(groups, -1),
        np.bincount(folds[clean], minlength=groups),
        None if groups_of is None else _sizes(table, grid, folds, groups_of, groups),
    )


def _sizes(table: ClassTable, grid: ClassGrid, folds: np.ndarray, groups_of: np.ndarray, number: int) -> np.ndarray:
    """Return the ``sizes`` of ``Sums`` of so many folds."""
    image = table.object_image
    bins = np.searchsorted(grid.areas, table.objects, side="right") - 1
    sizes = np.zeros((number, len(grid.areas)))
    np.add.at(sizes, (folds[image], bins), _shares(groups_of[image]))
    return sizes


def _shares(groups: np.ndarray) -> np.ndarray:
    """Return for each defect, given the group that it is in, its share of the group's defects."""
    return 1 / np.bincount(groups)[groups] if len(groups) else np.zeros(0)


def guarded(sums: Sums, grid: ClassGrid) -> np.ndarray:
    """Return which settings hide few enough of the labelled defects by their smallest area, (S,) bool.

    Few images show few sizes of defects: other steel may have smaller ones, and their loss shows nowhere. So a smallest
    area may hide ``HIDDEN`` of the defects that are labelled, each group of images weighing the same. That in use may
    hide more, and so may smaller ones.
    """
    pairs = len(grid.low)
    if sums.sizes is None or not (total := sums.sizes.sum()):
        return np.ones(len(grid.thresholds) * pairs, np.bool_)
    hidden = np.concatenate([[0], sums.sizes.sum(axis=0).cumsum() / total])
    now = grid.low[grid.now_cell % pairs]
    return np.tile((hidden[grid.low] <= HIDDEN) | (grid.low <= now), len(grid.thresholds))


def dice_at(table: ClassTable, grid: ClassGrid, cell: int, low: np.ndarray | None = None) -> np.ndarray:
    """Return the (N,) Dice of every image with one setting; ``low`` as in ``sum_up``."""
    level, pair = divmod(cell, len(grid.low))
    rows = table.bins[table.bins["level"] == level]
    worth = (table.truth == 0).astype(np.float64)
    one = grid.with_choice(pair)
    first = None if low is None else low[:, [pair]]
    for chunk, (pixels, labelled) in _chunks(np.unique(rows["row"]), rows, ("pixels", "labelled"), one, first):
        total = (pixels + table.truth[chunk, None])[:, 0]
        worth[chunk] = np.divide(2 * labelled[:, 0], total, out=np.ones_like(total), where=total > 0)
    return worth


def _chunks(shown, rows, fields, grid: ClassGrid, low):  # type: ignore[no-untyped-def]
    """Yield some of the ``shown`` rows at a time, and the sums of the fields between each pair of limits: (n, P)."""
    step = max(1, _CHUNK // len(grid.low))
    order = np.argsort(rows["row"], kind="stable")
    rows = rows[order]
    for start in range(0, len(shown), step):
        chunk = shown[start : start + step]
        part = rows[np.searchsorted(rows["row"], chunk[0]) : np.searchsorted(rows["row"], chunk[-1], side="right")]
        place = np.searchsorted(chunk, part["row"])
        first = np.broadcast_to(grid.low, (len(chunk), len(grid.low))) if low is None else low[chunk]
        sums = [np.empty((len(chunk), len(grid.low))) for _ in fields]
        for peak in np.unique(grid.peak):
            choices, those = np.flatnonzero(grid.peak == peak), part["peak"] >= peak
            for field, total in zip(fields, sums, strict=True):
                below = np.zeros((len(chunk), len(grid.areas) + 1))
                np.add.at(below, (place[those], part["bin"][those] + 1), part[field][those])
                below = below.cumsum(axis=1)
                under = np.take_along_axis(below, first[:, choices].astype(np.intp), axis=1)
                total[:, choices] = np.maximum(below[:, grid.high[choices]] - under, 0)
        yield chunk, sums


def best(worth: np.ndarray, grid: ClassGrid) -> int:
    """Choose the cell of the largest worth; of equals the one nearest to the setting in use.

    Args:
        worth: (S,) of each setting.
        grid: the settings.
    """
    equal = np.flatnonzero(worth >= worth.max() - _EQUAL)
    return int(equal[np.argmin(grid.distance[equal])])


def best_of(sums: Sums, grid: ClassGrid) -> int:
    """Choose the cell of the best mean Dice among those whose smallest area is not too large, see ``guarded``."""
    return best(np.where(guarded(sums, grid), sums.dice.sum(axis=0), -np.inf), grid)


@dataclass(frozen=True)
class Fit:
    """A class's best setting and what it is worth; sums of Dice over all images.

    Attributes:
        cell: the best setting on all images.
        before: with the setting in use.
        in_sample: with ``cell``, on the images that it was chosen on.
        cross_fitted: each fold with the setting that is best on the other folds.
        crossed: these settings, one a fold.
    """

    cell: int
    before: float
    in_sample: float
    cross_fitted: float
    crossed: tuple[int, ...]

    @property
    def holds(self) -> bool:
        """Whether the gain is there on images that the setting was not chosen on."""
        return self.cross_fitted > self.before + _EQUAL


def fit(sums: Sums, grid: ClassGrid) -> Fit:
    """Choose the setting of the best mean Dice, on all folds and on all but each."""
    total = sums.dice.sum(axis=0)
    cell = best_of(sums, grid)
    folds = np.arange(len(sums.images))
    crossed = tuple(best_of(sums.of(folds != fold), grid) for fold in folds)
    honest = float(sums.dice[np.arange(len(crossed)), list(crossed)].sum())
    return Fit(cell, float(total[grid.now_cell]), float(total[cell]), honest, crossed)


def choose(sums: Sums, grid: ClassGrid) -> int:
    """Choose the best setting if its gain holds on images that it was not chosen on, else the one in use."""
    if not sums.labelled.sum():
        return grid.now_cell  # nothing to judge by: the best would be to predict nothing
    found = fit(sums, grid)
    return found.cell if found.holds else grid.now_cell


def cross_fit(sums: Sums, grid: ClassGrid) -> tuple[int, ...]:
    """Return for each fold what ``choose`` chooses on the others, which cross-fit among themselves."""
    folds = np.arange(len(sums.images))
    return tuple(choose(sums.of(folds != fold), grid) for fold in folds)

"""From the tables of one pass to settings, and to what they are worth on images that they were not chosen on."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from utils.calibration.counting import ClassTable
from utils.calibration.gated import Gated, GateSetting, Joint, fit_joint, worth
from utils.calibration.grid import ClassGrid
from utils.calibration.result import Calibration, ClassResult, Figures
from utils.calibration.search import Sums, best, choose, cross_fit, fit, sum_up
from utils.calibration.targets import curve, reach
from utils.decision.decision import ClassDecision
from utils.text import TOGETHER


def make_folds(
    groups: Sequence[int] | np.ndarray, kinds: Sequence[int] | np.ndarray, folds: int, seed: int
) -> np.ndarray:
    """Part images so that each group stays together and each kind of image is spread.

    Args:
        groups: (N,) group of each image.
        kinds: (N,) what an image shows, as a number, say its rarest class.
        folds: number of parts; fewer when there are fewer groups.
        seed: fixes the parts.

    Returns:
        (N,) part of each image, from 0.
    """
    names, group_of = np.unique(groups, return_inverse=True)
    kind_of = np.zeros(len(names), dtype=np.int64)
    np.maximum.at(kind_of, group_of, np.asarray(kinds))
    order = np.random.default_rng(seed).permutation(len(names))
    order = order[np.argsort(kind_of[order], kind="stable")]
    fold_of = np.empty(len(names), dtype=np.int64)
    fold_of[order] = np.arange(len(names)) % folds
    return fold_of[group_of]


def solve(
    names: Sequence[str],
    tables: Sequence[ClassTable],
    grids: Sequence[ClassGrid],
    groups: np.ndarray,
    *,
    folds: int,
    seed: int,
    target: float | None = None,
    gated: Gated | None = None,
    guard_areas: bool = True,
) -> Calibration:
    """Choose the setting of every class.

    Args:
        names: of the C classes.
        tables: theirs, of the same N images, with any gate open that is not fixed.
        grids: theirs.
        groups: (N,) images of one group are never parted, since near-duplicates would make the honest figure flatter.
        folds: parts of the images, 3 or more.
        seed: fixes the parts.
        target: largest number of false alarms per 1,000 clean images; None: the best mean Dice is wanted. A gate stays
            as it is with a target.
        gated: of a system with a gate, what the gate sees.
        guard_areas: hold smallest areas back, see ``search.guarded``; not with a target, nor where a gate is chosen too.
    """
    labelled = np.stack([table.truth > 0 for table in tables], axis=1)
    # The rarest class of an image, so that each part has its share of it.
    rank = np.argsort(np.argsort(-labelled.sum(axis=0), kind="stable"), kind="stable") + 1
    clean = np.logical_not(labelled.any(axis=1))
    shared = bool(clean.any())
    problem = _Problem(
        tables,
        grids,
        make_folds(groups, (labelled * rank).max(axis=1), folds, seed),
        [clean if shared else ~labelled[:, c] for c in range(len(tables))],
        shared,
        gated,
        np.unique(groups, return_inverse=True)[1] if guard_areas and target is None else None,
    )
    found = problem.jointly() if gated and not gated.fixed and target is None else problem.class_by_class(target)
    parts = len(problem.parts)
    images = len(groups)
    classes = {}
    for c, (name, grid) in enumerate(zip(names, grids, strict=True)):
        before, best, crossed, after = (
            problem.dice(one, c) / images for one in (found.before, found.best, found.crossed, found.after)
        )
        classes[name] = ClassResult(
            grid.now,
            grid.setting(found.best_cells[c]),
            found.settings[c],
            dice_before=before,
            dice_in_sample=best,
            dice_cross_fitted=crossed,
            dice_after=after,
            empty_baseline=float((tables[c].truth == 0).mean()),
            labelled=int(found.after[c].labelled.sum()),
            found=int(found.after[c].found.sum()),
            unguarded=None if found.unguarded[c] == found.best_cells[c] else grid.setting(found.unguarded[c]),
        )
    sums = problem.sums(found.gate)
    return Calibration(
        images=images,
        folds=parts,
        groups=len(np.unique(groups)),
        target=target,
        shared=shared,
        counting=min(int(one.clean.sum()) for one in sums),
        classes=classes,
        before=problem.figures(found.before),
        in_sample=problem.figures(found.best),
        after=problem.figures(found.after),
        cross_fitted=problem.figures(found.cross_fitted),
        curves={
            **{name: curve([one], [grid], shared) for name, one, grid in zip(names, sums, grids, strict=True)},
            TOGETHER: curve(sums, grids, shared),
        },
        gate=(gated.names, gated.now, found.gate or gated.now) if gated else None,
    )


# Of each class, a ``Sums`` of a single setting a fold: what was chosen for that fold.
_Worth = list[Sums]


@dataclass(frozen=True)
class _Found:
    """Settings, and what they are worth.

    Attributes:
        best_cells: of each class, what is best on these images.
        unguarded: likewise, were smallest areas not held back.
        settings: what is to be used.
        gate: what is to be used; None without a gate.
        before: worth of what is in use until now.
        best: worth of ``best_cells``.
        after: worth of what is to be used.
        crossed: worth of what is best on the other folds.
        cross_fitted: worth of what would be used on the evidence of the other folds.
    """

    best_cells: Sequence[int]
    unguarded: Sequence[int]
    settings: tuple[ClassDecision, ...]
    gate: GateSetting | None
    before: _Worth
    best: _Worth
    after: _Worth
    crossed: _Worth
    cross_fitted: _Worth


@dataclass(frozen=True, eq=False)
class _Problem:
    """What is to be solved.

    Attributes:
        tables: of the C classes.
        grids: theirs.
        fold_of: (N,) fold of each image.
        clean: of each class (N,) bool, images on which any defect is a false alarm.
        shared: they are the same for all classes.
        gated: the gate, if any.
        groups: (N,) group of each image, to guard smallest areas by; None: they are not guarded.
    """

    tables: Sequence[ClassTable]
    grids: Sequence[ClassGrid]
    fold_of: np.ndarray
    clean: list[np.ndarray]
    shared: bool
    gated: Gated | None
    groups: np.ndarray | None

    @property
    def parts(self) -> range:
        return range(int(self.fold_of.max()) + 1)

    def sums(self, gate: GateSetting | None = None) -> list[Sums]:
        """Sum up every setting of each class, behind a gate; None: the one in use, if any."""
        classes = len(self.grids)
        opened = np.ones((len(self.fold_of), classes), np.bool_)
        lows: list[np.ndarray | None] = [None] * classes
        if self.gated is not None:
            gate = gate or self.gated.now
            opened = self.gated.opened(gate, classes)
            lows = [self.gated.low(grid, c, gate.c) for c, grid in enumerate(self.grids)]
        return [
            sum_up(table, grid, self.fold_of, self.clean[c], opened[:, c], lows[c], self.groups)
            for c, (table, grid) in enumerate(zip(self.tables, self.grids, strict=True))
        ]

    def class_by_class(self, target: float | None) -> _Found:
        """Choose for each class by itself, or for all under one target; a gate stays as it is."""
        sums, grids, parts = self.sums(), self.grids, np.array(self.parts)
        now = [grid.now_cell for grid in grids]
        fits = [fit(*one) for one in zip(sums, grids, strict=True)]
        if target is None:
            chosen_cells = [one.cell for one in fits]
            crossed = [one.crossed for one in fits]
            careful = [cross_fit(*one) for one in zip(sums, grids, strict=True)]
            cells = [choose(*one) for one in zip(sums, grids, strict=True)]
            unguarded = [best(one.dice.sum(axis=0), grid) for one, grid in zip(sums, grids, strict=True)]
            if not self._gains(_pick(sums, careful), _pick(sums, [[cell] * len(parts) for cell in now])):
                cells = now
        else:
            chosen_cells = cells = unguarded = list(reach(sums, grids, target, self.shared))
            by_part = [reach([one.of(parts != part) for one in sums], grids, target, self.shared) for part in parts]
            crossed = careful = list(zip(*by_part, strict=True))
        before, in_sample, after = (
            _pick(sums, [[cell] * len(parts) for cell in chosen]) for chosen in (now, chosen_cells, cells)
        )
        return _Found(
            chosen_cells,
            unguarded,
            self._settings(cells),
            None,
            before,
            in_sample,
            after,
            _pick(sums, crossed),
            _pick(sums, careful),
        )

    def jointly(self) -> _Found:
        """Choose for all classes and the gate together; nothing new where the gain does not hold on other images."""
        assert self.gated is not None
        clean = self.clean[0] if self.shared else np.zeros(len(self.fold_of), np.bool_)
        problem = (self.tables, self.grids, self.gated)
        now = Joint(tuple(grid.now_cell for grid in self.grids), self.gated.now)
        chosen = fit_joint(*problem, np.ones(len(self.fold_of), np.bool_), clean)
        before, in_sample = (worth(*problem, one, self.fold_of, self.clean) for one in (now, chosen))
        crossed = [
            worth(*problem, fit_joint(*problem, self.fold_of != part, clean), self.fold_of, self.clean)
            for part in self.parts
        ]
        honest = [
            replace(
                one,
                **{
                    kind: np.stack([getattr(crossed[part][c], kind)[part] for part in self.parts])
                    for kind in ("dice", "found", "alarms")
                },
            )
            for c, one in enumerate(before)
        ]
        holds = self._gains(honest, before)
        return _Found(
            chosen.cells,
            chosen.cells,
            self._settings(chosen.cells if holds else now.cells),
            chosen.gate if holds else self.gated.now,
            before,
            in_sample,
            in_sample if holds else before,
            honest,
            honest,
        )

    def _settings(self, cells: Sequence[int]) -> tuple[ClassDecision, ...]:
        """Return the settings of cells; that in use as it was given, which another of the same effect may stand for."""
        pairs = zip(cells, self.grids, strict=True)
        return tuple(grid.setting(cell) if cell != grid.now_cell else grid.now for cell, grid in pairs)

    def _gains(self, honest: _Worth, before: _Worth) -> bool:
        """Check whether there is a gain on images that nothing was chosen on."""
        return self.figures(honest).mean_dice > self.figures(before).mean_dice + 1e-9

    def dice(self, worth: _Worth, index: int) -> float:
        """Add up the Dice of a class."""
        return float(worth[index].dice.sum())

    def figures(self, worth: _Worth) -> Figures:
        """Return what settings are worth over all classes and folds."""
        dice, found, alarms, labelled = (
            sum(float(getattr(one, kind).sum()) for one in worth) for kind in ("dice", "found", "alarms", "labelled")
        )
        clean = int(worth[0].clean.sum()) if self.shared else sum(int(one.clean.sum()) for one in worth)
        return Figures(
            dice / (len(self.fold_of) * len(worth)),
            found / labelled if labelled else None,
            1000 * alarms / clean if clean else None,
        )


def _pick(sums: Sequence[Sums], cells: Sequence[Sequence[int]]) -> _Worth:
    """Take of each class and fold the setting that was chosen for it."""
    return [
        replace(
            one,
            **{
                kind: getattr(one, kind)[np.arange(len(one.images)), list(chosen)][:, None]
                for kind in ("dice", "found", "alarms")
            },
        )
        for one, chosen in zip(sums, cells, strict=True)
    ]

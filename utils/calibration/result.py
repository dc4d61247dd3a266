"""What a calibration found: settings, what they are worth, and the curve of recall against false alarms."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from utils.calibration.gated import GateSetting
from utils.decision.decision import ClassDecision, Decision
from utils.text import columns

EQUAL = 1e-9  # means of Dice that differ by less are equal
NOTHING_BETTER = "this network finds nothing better than nothing"


@dataclass(frozen=True)
class Figures:
    """What settings are worth on a set of images.

    Attributes:
        mean_dice: of all pairs of image and class, the competition's score.
        recall: share 0..1 of the labelled defects that are found: at least half of their pixels; None without any.
        false_alarms: predicted defects per 1,000 images that count for them; None without any such image.
    """

    mean_dice: float
    recall: float | None
    false_alarms: float | None


@dataclass(frozen=True)
class ClassResult:
    """What was found for one class.

    Attributes:
        before: the setting in use until now.
        best: what was searched for: the best on these images.
        after: what is to be used: ``best``, or ``before`` where the gain does not hold on other images.
        dice_before: mean Dice of the class with ``before``.
        dice_in_sample: with ``best``, on the images that it was chosen on.
        dice_cross_fitted: each fold with what is best on the other folds.
        dice_after: with ``after``, on these images.
        empty_baseline: mean Dice of predicting nothing of the class.
        labelled: labelled defects.
        found: those that ``after`` finds.
        unguarded: what would be ``best`` if smallest areas were not held back; None where that is ``best``.
    """

    before: ClassDecision
    best: ClassDecision
    after: ClassDecision
    dice_before: float
    dice_in_sample: float
    dice_cross_fitted: float
    dice_after: float
    empty_baseline: float
    labelled: int
    found: int
    unguarded: ClassDecision | None = None

    def finds_nothing(self, recall_wanted: bool) -> bool:
        """Check whether ``after`` is no better than predicting nothing of a class that is labelled."""
        if not self.labelled or (recall_wanted and self.found):
            return False
        return self.dice_after <= self.empty_baseline + EQUAL


@dataclass(frozen=True, eq=False)
class Calibration:
    """The settings of all classes, and what they are worth.

    Attributes:
        images: number of images.
        folds: number of parts for the cross-fitted figures.
        groups: number of groups of near-duplicates, each of which is in one part.
        target: largest number of false alarms per 1,000 images that was asked for; None: the best mean Dice was.
        shared: false alarms are defects on clean images; else, since there are none, on images without the class.
        counting: number of images that count for false alarms; of the class that has the fewest.
        classes: by name.
        before: with the settings in use until now.
        in_sample: with what is best on these images.
        after: with what is to be used, on these images.
        cross_fitted: each part of the images with what would be used on the evidence of the other parts: the honest
            figure. Without a gain here, everything stays as it is.
        gate: names of the probabilities of an image, the gate in use until now, and the one to be used; None without a
            gate.
        notes: lines for the user about how it was done.
        curves: by class and ``together``, false alarms per 1,000 images and the best recall with as few: two arrays.
    """

    images: int
    folds: int
    groups: int
    target: float | None
    shared: bool
    counting: int
    classes: dict[str, ClassResult]
    before: Figures
    in_sample: Figures
    after: Figures
    cross_fitted: Figures
    curves: dict[str, tuple[np.ndarray, np.ndarray]] = field(repr=False)
    gate: tuple[tuple[str, ...], GateSetting, GateSetting] | None = None
    notes: tuple[str, ...] = ()

    @property
    def alarms_on(self) -> str:
        """What false alarms are counted on, in words."""
        return "clean images" if self.shared else "images without the class"

    @property
    def decision(self) -> Decision:
        """What is to be used."""
        return Decision.of_classes(one.after for one in self.classes.values())

    @property
    def changed(self) -> bool:
        """Whether any class, or the gate, has a new setting."""
        moved = self.gate is not None and self.gate[1] != self.gate[2]
        return moved or any(one.after != one.before for one in self.classes.values())

    @property
    def empty_baseline(self) -> float:
        """Mean Dice of predicting nothing at all."""
        return sum(one.empty_baseline for one in self.classes.values()) / len(self.classes)

    @property
    def finds_nothing(self) -> bool:
        """Whether what is to be used is no better than predicting nothing, although there is something to find.

        Of new settings the cross-fitted figures count, since chance may lift those on these images over the baseline. Where
        recall was asked for, it decides: many false alarms may be worth it.
        """
        if not any(one.labelled for one in self.classes.values()):
            return False
        if self.target is not None:
            return not self.after.recall or not self.cross_fitted.recall
        honest = self.cross_fitted if self.changed else self.after
        return min(honest.mean_dice, self.after.mean_dice) <= self.empty_baseline + EQUAL

    @property
    def classes_off(self) -> tuple[str, ...]:
        """Names of the labelled classes for which what is to be used is no better than predicting nothing of them."""
        return tuple(name for name, one in self.classes.items() if one.finds_nothing(self.target is not None))

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain dicts and lists that JSON can hold."""
        return {
            "images": self.images,
            "folds": self.folds,
            "groups": self.groups,
            "target_false_alarms": self.target,
            "false_alarms_on": self.alarms_on,
            "images_for_false_alarms": self.counting,
            "empty_baseline": self.empty_baseline,
            **{name: vars(getattr(self, name)) for name in ("before", "in_sample", "cross_fitted", "after")},
            "changed": self.changed,
            "finds_nothing": self.finds_nothing,
            "classes_that_find_nothing": list(self.classes_off),
            "classes": {
                name: {
                    **{key: vars(getattr(one, key)) for key in ("before", "best", "after")},
                    "mean_dice_before": one.dice_before,
                    "mean_dice_in_sample": one.dice_in_sample,
                    "mean_dice_cross_fitted": one.dice_cross_fitted,
                    "mean_dice_after": one.dice_after,
                    "empty_baseline": one.empty_baseline,
                    "labelled": one.labelled,
                    "found": one.found,
                    "unguarded": one.unguarded and vars(one.unguarded),
                }
                for name, one in self.classes.items()
            },
            "gate": self.gate
            and {
                name: {"thresholds": dict(zip(self.gate[0], one.thresholds, strict=True)), "c": one.c}
                for name, one in zip(("before", "after"), self.gate[1:], strict=True)
            },
            "curves": {
                name: {"false_alarms": alarms.tolist(), "recall": recall.tolist()}
                for name, (alarms, recall) in self.curves.items()
            },
        }

    def text(self) -> str:
        """Format settings and gains for a terminal."""
        head = ["class", "threshold", "high threshold", "area px", "Dice before", "in-sample", "cross-fitted", ""]
        rows = [head]
        for name, one in self.classes.items():
            dice = (one.dice_before, one.dice_in_sample, one.dice_cross_fitted)
            kept = "kept" if one.after == one.before else ""
            high = f"{one.after.high_threshold:g}" if one.after.high_threshold else "-"
            rows.append(
                [name, f"{one.after.threshold:g}", high, _area(one.after), *(f"{value:.4f}" for value in dice), kept]
            )
        lines = [*self.notes, columns(rows)]
        if self.gate:
            names, _, gate = self.gate
            words = ", ".join(f"{name} {value:.3f}" for name, value in zip(names, gate.thresholds, strict=True))
            lines += ["", f"gate: {words}{f'; c {gate.c:g}' if gate.c != 1 else ''}"]
        wanted = "the best mean Dice" if self.target is None else f"at most {self.target:g} false alarms"
        lines += [
            "",
            f"calibrated for {wanted} on {self.images} images in {self.groups} groups of copies; false alarms: defects per 1,000 {self.alarms_on}",
        ]
        rows = [["", "mean Dice", "recall", "false alarms"]]
        for words, figures in (
            ("before", self.before),
            ("in-sample", self.in_sample),
            ("cross-fitted", self.cross_fitted),
        ):
            recall = "-" if figures.recall is None else f"{figures.recall:.3f}"
            alarms = "-" if figures.false_alarms is None else f"{figures.false_alarms:.1f}"
            rows.append([words, f"{figures.mean_dice:.4f}", recall, alarms])
        lines += [
            columns(rows),
            "in-sample: on the images that chose, too good; cross-fitted: to expect on other images",
        ]
        return "\n".join([*lines, *self.held_back(), *self.verdict()])

    def held_back(self) -> list[str]:
        """Say for which classes a larger smallest area would score more on these images, and why it is not taken."""
        return [
            f"class {name}: smallest area {one.best.min_area} px; {one.unguarded.min_area} px would score more on these"
            " images and hide more than 5 % of their labelled defects, each group of copies weighing the same;"
            " -guard_areas false does not look at that"
            for name, one in self.classes.items()
            if one.unguarded is not None
        ]

    def verdict(self) -> list[str]:
        """Say in some lines what the settings to be used are worth on other images, and which classes they find nothing of."""
        before, honest = self.before, self.cross_fitted
        gain = honest.mean_dice - before.mean_dice
        in_sample = f"in-sample {self.in_sample.mean_dice - before.mean_dice:+.4f}"
        if self.finds_nothing:
            shown = honest if self.changed else before
            recall = "" if shown.recall is None else f", recall {shown.recall:.3f}"
            lines = [
                f"{NOTHING_BETTER}: mean Dice {shown.mean_dice:.4f}{recall}"
                f"{' (cross-fitted)' if self.changed else ''}; an empty prediction has {self.empty_baseline:.4f}"
            ]
        elif not self.changed:
            lines = [f"no gain holds on other images: cross-fitted {gain:+.4f}, {in_sample} in mean Dice"]
        elif self.target is not None:
            found = "" if honest.recall is None else f"recall {honest.recall:.3f} after {before.recall:.3f}, "
            lines = [
                f"to expect on other images: {found}mean Dice {honest.mean_dice:.4f} after {before.mean_dice:.4f}"
                f" (cross-fitted on {self.folds} parts)"
            ]
        else:
            lines = [
                f"gain in mean Dice to expect on other images: {gain:+.4f} (cross-fitted on {self.folds} parts; {in_sample})"
            ]
        worth = (honest if self.changed else self.after).mean_dice
        if self.target is not None and not self.finds_nothing and worth < self.empty_baseline:
            lines.append(
                f"the mean Dice is below that of an empty prediction, {self.empty_baseline:.4f}: the false alarms cost more"
                " than the found defects bring"
            )
        for name in self.classes_off:
            one = self.classes[name]
            why = "its false pixels cost more than what it finds brings" if one.found else "it finds nothing"
            lines.append(
                f"class {name}: {one.found} of {one.labelled} labelled defects found; {why}: mean Dice"
                f" {one.dice_after:.4f}, an empty prediction has {one.empty_baseline:.4f}"
            )
        return lines


def _area(setting: ClassDecision) -> str:
    if setting.max_area is None:
        return f"{setting.min_area}.." if setting.min_area else "any"
    return f"{setting.min_area}..{setting.max_area}"

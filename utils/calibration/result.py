"""What a calibration found: settings, what they are worth, and the curve of recall against false alarms."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from utils.calibration.gated import GateSetting
from utils.decision.decision import ClassDecision, Decision
from utils.text import columns

TOGETHER = "together"


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
    """

    before: ClassDecision
    best: ClassDecision
    after: ClassDecision
    dice_before: float
    dice_in_sample: float
    dice_cross_fitted: float


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
        cross_fitted: each part of the images with what would be used on the evidence of the other parts: the honest
            figure. Without a gain here, everything stays as it is.
        gate: names of the probabilities of an image, the gate in use until now, and the one to be used; None without a
            gate.
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
    cross_fitted: Figures
    curves: dict[str, tuple[np.ndarray, np.ndarray]] = field(repr=False)
    gate: tuple[tuple[str, ...], GateSetting, GateSetting] | None = None

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

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain dicts and lists that JSON can hold."""
        return {
            "images": self.images,
            "folds": self.folds,
            "groups": self.groups,
            "target_false_alarms": self.target,
            "false_alarms_on": self.alarms_on,
            "images_for_false_alarms": self.counting,
            **{name: vars(getattr(self, name)) for name in ("before", "in_sample", "cross_fitted")},
            "classes": {
                name: {
                    **{key: vars(getattr(one, key)) for key in ("before", "best", "after")},
                    "mean_dice_before": one.dice_before,
                    "mean_dice_in_sample": one.dice_in_sample,
                    "mean_dice_cross_fitted": one.dice_cross_fitted,
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
        lines = [columns(rows)]
        if self.gate:
            names, _, gate = self.gate
            words = ", ".join(f"{name} {value:.3f}" for name, value in zip(names, gate.thresholds, strict=True))
            lines += ["", f"gate: {words}{f'; c {gate.c:g}' if gate.c != 1 else ''}"]
        wanted = "the best mean Dice" if self.target is None else f"at most {self.target:g} false alarms"
        lines += [
            "",
            f"calibrated for {wanted} on {self.images} images; false alarms: defects per 1,000 {self.alarms_on}",
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
        lines.append(columns(rows))
        gain = self.cross_fitted.mean_dice - self.before.mean_dice
        lines.append(
            f"gain in mean Dice to expect on other images: {gain:+.4f}"
            f" (cross-fitted on {self.folds} parts; in-sample {self.in_sample.mean_dice - self.before.mean_dice:+.4f})"
        )
        return "\n".join(lines)


def _area(setting: ClassDecision) -> str:
    if setting.max_area is None:
        return f"{setting.min_area}.." if setting.min_area else "any"
    return f"{setting.min_area}..{setting.max_area}"

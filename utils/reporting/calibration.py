"""The part of an evaluation's report on calibration: what was chosen, what it gains, recall against false alarms."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from utils.reporting import plots
from utils.reporting.legends import short
from utils.reporting.page import Numbers, Plot, Section, Table, Text


def calibration_section(calibration: Mapping[str, Any], weights: str | None) -> Section:
    """Build the sections of a calibration for ``utils.reporting.page``.

    Args:
        calibration: what ``Calibration.to_dict`` gives.
        weights: name of the new weights file; None when the old one was kept.
    """
    before, in_sample, honest = (calibration[name] for name in ("before", "in_sample", "cross_fitted"))
    gain = honest["mean_dice"] - before["mean_dice"]
    rate = calibration["target_false_alarms"]
    aim = "the best mean Dice" if rate is None else f"the best recall with at most {rate:g} false alarms per 1,000"
    nothing = calibration["finds_nothing"]
    if weights:
        outcome = f"The settings are in {weights}."
    else:
        outcome = "They were not written." if nothing else "Nothing better was found that holds on other images."
    if nothing:
        outcome = f"This network finds nothing better than nothing. {outcome}"
    alarms_on = calibration["false_alarms_on"]
    parts: list[Any] = [
        Numbers(
            {
                "mean Dice before": before["mean_dice"],
                "in-sample": in_sample["mean_dice"],
                "cross-fitted": honest["mean_dice"],
                "empty baseline": calibration["empty_baseline"],
                "gain to expect": f"{gain:+.4f}" if calibration["changed"] and not nothing else "none",
            },
            {
                "mean Dice before": "with the settings in use",
                "in-sample": "on the images that it was chosen on",
                "cross-fitted": "each part with what the others chose",
                "empty baseline": "mean Dice of predicting nothing",
                "gain to expect": _expected(calibration, gain),
            },
        ),
        Text(
            f"Thresholds (of a pixel / of a defect's likeliest pixel) and areas of each class were chosen for {aim} on {calibration['images']:,} images in"
            f" {calibration['folds']} parts. {outcome} The in-sample figure flatters, since chance takes part in the choice;"
            " the cross-fitted one does not. Where a class keeps its setting, the new one is no better on other images."
        ),
        Table(
            [
                "class",
                "threshold",
                "area in px",
                "threshold before",
                "area before",
                "Dice before",
                "in-sample",
                "cross-fitted",
                "used",
            ],
            [
                _row(short(name), one, name in calibration["classes_that_find_nothing"])
                for name, one in calibration["classes"].items()
            ],
            "The best setting of each class on these images, and the one in use before.",
        ),
        Table(
            ["", "mean Dice", "recall", f"false alarms per 1,000 {alarms_on}"],
            [
                [words, one["mean_dice"], one["recall"], one["false_alarms"]]
                for words, one in (("before", before), ("in-sample", in_sample), ("cross-fitted", honest))
            ],
            "Recall: labelled defects of which at least half is found. False alarms: predicted defects.",
        ),
    ]
    if calibration["gate"]:
        parts.append(_gate(calibration["gate"]))
    if any(len(one["recall"]) for one in calibration["curves"].values()):
        parts.append(
            Plot(
                _curves(calibration["curves"], alarms_on),
                "Curves of the recall against the number of false alarms",
                "The best recall for every number of false alarms, on these images; at the left edge there are none.",
            )
        )
    return Section("Calibration", parts)


def label_section(calibration: Mapping[str, Any], weights: str | None) -> Section:
    """Build the section on the thresholds of a network that judges whole images.

    Args:
        calibration: what ``LabelCalibration.to_dict`` gives.
        weights: name of the new weights file; None when the old one was kept.
    """
    rate = calibration["target_false_alarms"]
    aim = "the best F1" if rate is None else f"the best recall with at most {rate:g} false alarms per 1,000"
    outcome = f"The thresholds are in {weights}." if weights else "The weights file keeps what it has."
    if calibration["finds_nothing"]:
        outcome = f"This network finds nothing better than nothing. {outcome}"
    keys = (
        "after",
        "before",
        "f1_before",
        "f1_in_sample",
        "f1_cross_fitted",
        "f1_same_answer",
        "recall",
        "false_alarms",
    )
    return Section(
        "Calibration",
        [
            Text(
                f"The threshold of each label was chosen for {aim} on {calibration['images']:,} images in"
                f" {calibration['folds']} parts. {outcome} The in-sample figure flatters, the cross-fitted one does not."
            ),
            Table(
                [
                    "label",
                    "threshold",
                    "before",
                    "F1 before",
                    "in-sample",
                    "cross-fitted",
                    "F1 of one answer for all",
                    "recall",
                    "false alarms per 1,000",
                ],
                [[short(name), *(one[key] for key in keys)] for name, one in calibration["labels"].items()],
                "False alarms: images without the label that are said to have it.",
            ),
        ],
    )


def _expected(calibration: Mapping[str, Any], gain: float) -> str:
    if calibration["finds_nothing"]:
        return "no better than predicting nothing"
    return "on other images, cross-fitted" if calibration["changed"] else f"all is kept: {gain:+.4f} cross-fitted"


def _row(name: str, one: Mapping[str, Any], nothing: bool) -> list[Any]:
    best, was = one["best"], one["before"]
    dice = (one[f"mean_dice_{kind}"] for kind in ("before", "in_sample", "cross_fitted"))
    used = "new" if one["after"] != was else "kept"
    if nothing:
        used += ", finds nothing better than nothing"
    return [name, _thresholds(best), _area(best), _thresholds(was), _area(was), *dice, used]


def _thresholds(setting: Mapping[str, Any]) -> str:
    return " / ".join(f"{setting[key]:g}" for key in ("threshold", "high_threshold") if setting[key])


def _area(setting: Mapping[str, Any]) -> str:
    low, high = setting["min_area"], setting["max_area"]
    if high is not None:
        return f"{low:,} to {high:,}"
    return f"{low:,} or more" if low else "any"


def _gate(gate: Mapping[str, Any]) -> Table:
    before, after = gate["before"], gate["after"]
    rows = [[name, value, after["thresholds"][name]] for name, value in before["thresholds"].items()]
    if before["c"] != 1 or after["c"] != 1:
        rows.append(["c of the soft gate", before["c"], after["c"]])
    return Table(["probability of the image", "before", "after"], rows, "The gate lets through what reaches these.")


def _curves(curves: Mapping[str, Mapping[str, Any]], alarms_on: str) -> Figure:
    names = [name for name, one in curves.items() if len(one["recall"])]
    positive = [x for name in names for x in curves[name]["false_alarms"] if x > 0]
    edge = min(positive, default=1.0) / 2  # where a logarithmic axis shows zero
    # A staircase: the recall rises where one more false alarm is allowed, and not before.
    series = [
        (
            name,
            np.repeat(np.maximum(curves[name]["false_alarms"], edge), 2)[1:],
            np.repeat(curves[name]["recall"], 2)[:-1],
        )
        for name in names
    ]
    places = [index for index, name in enumerate(curves) if name in names]
    return plots.draw_curves(
        series,
        f"false alarms per 1,000 {alarms_on}",
        "recall, share of the labelled defects",
        colours=places,
        x_log=True,
    )

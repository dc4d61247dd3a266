"""The report's section on calibration says what was chosen, for one network and for a gated system."""

import re

import pytest

from utils.reporting.calibration import calibration_section
from utils.reporting.page import render


def figures(dice: float) -> dict:
    return {"mean_dice": dice, "recall": 0.75, "false_alarms": 12.5}


def calibration(**changes) -> dict:
    now, best = (
        {"threshold": 0.5, "min_area": 0, "max_area": None, "high_threshold": 0.0},
        {"threshold": 0.35, "min_area": 120, "max_area": 9000, "high_threshold": 0.98},
    )
    one = {
        "before": now,
        "best": best,
        "mean_dice_before": 0.9,
        "mean_dice_in_sample": 0.93,
        "mean_dice_cross_fitted": 0.92,
        "mean_dice_after": 0.93,
    }
    return {
        "images": 1234,
        "folds": 5,
        "target_false_alarms": None,
        "false_alarms_on": "clean images",
        "before": figures(0.9),
        "in_sample": figures(0.93),
        "cross_fitted": figures(0.9123),
        "empty_baseline": 0.81,
        "changed": True,
        "finds_nothing": False,
        "classes_that_find_nothing": [],
        "classes": {"pits": {**one, "after": best}, "cracks": {**one, "after": now}},
        "gate": None,
        "curves": {
            "pits": {"false_alarms": [0.0, 10.0, 100.0], "recall": [0.2, 0.5, 0.9]},
            "cracks": {"false_alarms": [], "recall": []},
            "together": {"false_alarms": [5.0], "recall": [0.4]},
        },
        **changes,
    }


def words(**changes) -> str:
    page = render("title", "lead", [calibration_section(calibration(**changes), "unet-new.pth")])
    return " ".join(re.sub(r"<[^>]+>", " ", page).split())


def test_settings_gains_and_the_curve_are_in_the_section():
    text = words()
    for piece in (
        "+0.0123",
        "best mean Dice on 1,234 images in 5 parts",
        "unet-new.pth",
        "0.35 / 0.98 120 to 9,000 0.5 any",
    ):
        assert piece in text
    section = calibration_section(calibration(changed=False), None)
    assert [part.kind for part in section.parts].count("picture") == 1
    assert "Nothing better was found" in section.parts[1].text
    assert [row[-1] for row in section.parts[2].rows] == ["new", "kept"]


def test_a_target_is_named():
    assert "at most 5 false alarms per 1,000 on 1,234 images" in words(target_false_alarms=5.0)


@pytest.mark.parametrize(("c", "shown"), [(1.0, False), (3.0, True)])
def test_a_gate_is_shown_with_its_c_when_it_is_soft(c, shown):
    gate = {"before": {"thresholds": {"defect": 0.5}, "c": 1.0}, "after": {"thresholds": {"defect": 0.3}, "c": c}}
    text = words(gate=gate)
    assert "defect 0.5000 0.3000" in text
    assert ("c of the soft gate" in text) == shown


def test_without_defects_or_clean_images_there_is_no_curve():
    section = calibration_section(calibration(curves={"pits": {"false_alarms": [], "recall": []}}), None)
    assert all(part.kind != "picture" for part in section.parts)


@pytest.mark.parametrize(
    ("changes", "shown", "hidden"),
    [
        ({"finds_nothing": True}, "This network finds nothing better than nothing.", "+0.0123"),
        (
            {"changed": False, "cross_fitted": figures(0.75)},
            "none all is kept: -0.1500 cross-fitted",
            "on other images,",
        ),
        ({"classes_that_find_nothing": ["cracks"]}, "kept, finds nothing better than nothing", "This network finds"),
    ],
)
def test_no_gain_is_shown_where_there_is_none(changes, shown, hidden):
    text = words(**changes)
    assert shown in text
    assert hidden not in text.replace("better on other images.", "")

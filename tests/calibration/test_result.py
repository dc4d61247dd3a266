"""A calibration that finds nothing says so: for all classes, for some, under a rate of false alarms, behind a gate."""

import numpy as np
import pytest

from tests.calibration.drawn import draw, small_grid
from utils.calibration.counting import count_image, join
from utils.calibration.gated import Gated, GateSetting
from utils.calibration.gates import GateLayout
from utils.calibration.result import NOTHING_BETTER, Calibration
from utils.calibration.solving import solve

IMAGES = 30


def calibrate(network: str, target: float | None = None, gate: bool = False) -> Calibration:
    """Calibrate a network of two classes that is good, blind, noise, blind for the second class, or never asked."""
    logits, truth = draw("multilabel", 5, IMAGES)
    logits = [np.where(labels, 6, -6).astype(np.float32) for labels in truth]
    for one, labels in zip(logits, truth, strict=True):
        if network == "blind":
            one[:] = -50
        elif network == "noise":
            one[:] = 50
        elif network == "blind for b":
            one[1] = -50
        elif network == "nothing labelled":
            labels[:] = False
    grid = small_grid()
    tables = join([count_image(*one, "multilabel", [grid, grid]) for one in zip(logits, truth, strict=True)])
    shown = np.array([one.any() for one in truth], np.float64)[:, None]
    gated = Gated(0.1 + 0.8 * shown, GateLayout(True, False), GateSetting((0.5,)), False, ("defect",)) if gate else None
    return solve(["a", "b"], tables, [grid, grid], np.arange(IMAGES), folds=3, seed=1, target=target, gated=gated)


@pytest.mark.parametrize(
    ("network", "target", "gate", "changed", "nothing", "off"),
    [
        ("good", None, False, False, False, ()),
        ("good", 10, False, False, False, ()),
        ("good", None, True, False, False, ()),
        ("blind", None, False, False, True, ("a", "b")),
        ("blind", 10, False, False, True, ("a", "b")),
        ("blind", None, True, False, True, ("a", "b")),
        ("noise", None, False, True, True, ("a", "b")),
        ("noise", 0, False, True, True, ("a", "b")),
        ("noise", None, True, True, True, ("a", "b")),
        ("blind for b", None, False, False, False, ("b",)),
        ("blind for b", 10, False, False, False, ("b",)),
        ("nothing labelled", None, False, False, False, ()),
        ("nothing labelled", 10, False, False, False, ()),
    ],
)
def test_settings_no_better_than_an_empty_prediction_are_told(network, target, gate, changed, nothing, off):
    result = calibrate(network, target, gate)
    assert (result.changed, result.finds_nothing, result.classes_off) == (changed, nothing, off)
    found = result.to_dict()
    assert (found["changed"], found["finds_nothing"], tuple(found["classes_that_find_nothing"])) == (
        changed,
        nothing,
        off,
    )
    text = result.text()
    assert (f"{NOTHING_BETTER}: mean Dice" in text) == nothing
    assert not (nothing and "gain in mean Dice to expect" in text)
    for name in ("a", "b"):
        one = result.classes[name]
        line = f"class {name}: {one.found} of {one.labelled} labelled defects found"
        assert (line in text) == (name in off)
        assert one.empty_baseline == pytest.approx(found["classes"][name]["empty_baseline"])
    if nothing and changed:
        assert result.after.recall == 0
        assert result.after.mean_dice == pytest.approx(result.empty_baseline)
        assert result.before.mean_dice < result.empty_baseline


@pytest.mark.parametrize(
    ("network", "target", "line"),
    [
        ("good", None, "no gain holds on other images: cross-fitted +0.0000, in-sample +0.0000 in mean Dice"),
        ("noise", 2000, "the mean Dice is below that of an empty prediction"),
    ],
)
def test_a_gain_is_only_called_so_where_it_is_one(network, target, line):
    text = calibrate(network, target).text()
    assert line in text
    assert "gain in mean Dice to expect" not in text

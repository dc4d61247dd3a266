"""Gate and masks together, against prediction image by image."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from tests.calibration.drawn import HALF, IMAGES, draw, slow_dice, small_grid
from utils.calibration.calibrator import Calibrator
from utils.calibration.counting import count_image, join
from utils.calibration.gated import Gated, GateSetting, Joint, fit_joint, worth
from utils.calibration.gates import GateLayout
from utils.calibration.solving import solve
from utils.decision.decision import ClassDecision, Decision
from utils.decision.gate import Gate, soft_areas
from utils.decision.masks import DEFECT
from utils.inference.inspected import Inspected


def example(seed: int, *, image: bool = True, classes: bool = True, soft: bool = False, images: int = IMAGES):
    """Draw images, and a gate that knows something about them; clean images look as if they had defects."""
    logits, truth = draw("multilabel", seed, images)
    rng = np.random.default_rng(seed)
    shown = np.array([one.any(axis=(1, 2)) for one in truth])
    columns = [shown.any(axis=1, keepdims=True)] * image + [shown] * classes
    known = np.concatenate(columns, axis=1)
    probabilities = np.clip(0.5 + 0.35 * (known * 2 - 1) + 0.2 * rng.normal(size=known.shape), 0.01, 0.99)
    logits = [one + (0 if labels.any() else 2) for one, labels in zip(logits, truth, strict=True)]
    grid = small_grid()
    tables = join([count_image(*one, "multilabel", [grid, grid]) for one in zip(logits, truth, strict=True)])
    count = known.shape[1]
    names = tuple(map(str, range(count)))
    gated = Gated(probabilities, GateLayout(image, classes), GateSetting((0.5,) * count), soft, names)
    return logits, truth, grid, tables, gated


def slow(logits, truth, gated: Gated, gate: GateSetting, settings) -> np.ndarray:
    """(N, C) Dice, image by image, with the smallest area of each image by the formula."""
    rows = []
    for number, (one, labels) in enumerate(zip(logits, truth, strict=True)):
        through = gated.opened(gate, 2)[number]
        row = []
        for c, setting in enumerate(settings):
            p = gated.probabilities[number, gated.layout.image + c if gated.layout.classes else 0]
            area = int(soft_areas(np.array(setting.min_area), gate.c, p))
            edges = [edge for edge in (0, 1, 3, 6, 12, 40) if edge >= area]  # between bins nothing is told apart
            mine = ClassDecision(
                setting.threshold, edges[0] if edges else 10**6, setting.max_area, setting.high_threshold
            )
            free = [one if through[c] else np.full_like(one, -99)]
            row.append(slow_dice(free, [labels], "multilabel", mine)[0, c])
        rows.append(row)
    return np.array(rows)


@pytest.mark.parametrize(
    ("image", "classes", "soft"),
    [
        pytest.param(True, False, False, marks=pytest.mark.slow),
        pytest.param(True, True, False, marks=pytest.mark.slow),
        (False, True, True),
    ],
)
def test_settings_are_worth_what_prediction_scores_and_better_than_a_gate_or_masks_alone(image, classes, soft):
    logits, truth, grid, tables, gated = example(3, image=image, classes=classes, soft=soft)
    everything, clean = np.ones(IMAGES, np.bool_), np.array([not one.any() for one in truth])
    found = fit_joint(tables, [grid, grid], gated, everything, clean)
    sums = worth(tables, [grid, grid], gated, found, np.zeros(IMAGES, np.int64), [clean, clean])
    settings = [grid.setting(cell) for cell in found.cells]
    expected = slow(logits, truth, gated, found.gate, settings)
    np.testing.assert_allclose([one.dice.sum() for one in sums], expected.sum(axis=0), atol=1e-9)
    assert (found.gate.c != 1) <= soft
    # No single setting of a class, of any image, betters it.
    for c in range(2):
        for cell in range(0, len(grid.distance), 3):
            other = [*settings[:c], grid.setting(cell), *settings[c + 1 :]]
            assert slow(logits, truth, gated, found.gate, other).mean() <= expected.mean() + 1e-9
    for thresholds in ((0.0,) * len(found.gate.thresholds), gated.now.thresholds):
        assert slow(logits, truth, gated, GateSetting(thresholds), [HALF, HALF]).mean() <= expected.mean()


def test_worth_of_a_soft_gate_is_that_of_its_areas():
    logits, truth, grid, tables, gated = example(5, image=True, classes=True, soft=True)
    cell = next(k for k in range(len(grid.distance)) if grid.setting(k) == ClassDecision(0.5, 3, 39))
    joint, folds = Joint((cell, cell), GateSetting((0.2, 0.3, 0.4), 3.0)), np.zeros(IMAGES, np.int64)
    clean = np.array([not one.any() for one in truth])
    sums = worth(tables, [grid, grid], gated, joint, folds, [clean, clean])
    expected = slow(logits, truth, gated, joint.gate, [ClassDecision(0.5, 3, 39)] * 2)
    np.testing.assert_allclose([one.dice.sum() for one in sums], expected.sum(axis=0), atol=1e-9)


def test_a_gated_calibration_reports_both_gains_and_the_gate():
    logits, truth, grid, tables, gated = example(7, images=60)
    gated = replace(gated, now=GateSetting((0.9,) * 3))
    result = solve(["a", "b"], tables, [grid, grid], np.arange(60), folds=4, seed=1, gated=gated)
    expected = slow(logits, truth, gated, gated.now, [HALF, HALF])
    assert result.before.mean_dice == pytest.approx(expected.mean())
    assert result.before.mean_dice < result.cross_fitted.mean_dice <= result.in_sample.mean_dice
    names, before, after = result.gate
    assert (names, before) == (("0", "1", "2"), gated.now)
    expected = slow(logits, truth, gated, after, result.decision.per_class)
    assert result.in_sample.mean_dice == pytest.approx(expected.mean())
    assert result.to_dict()["gate"]["after"]["thresholds"]["0"] == after.thresholds[0]
    assert "gate: 0 " in result.text()


@pytest.mark.parametrize("image", [True, False])
def test_a_class_without_labels_keeps_its_setting_and_its_threshold_of_the_gate(image):
    logits, truth, grid, tables, gated = example(7, image=image, images=60)
    for one in truth:
        one[1] = False
    tables = join([count_image(*one, "multilabel", [grid, grid]) for one in zip(logits, truth, strict=True)])
    gated = replace(gated, now=GateSetting((0.9,) * (image + 2)))
    result = solve(["a", "b"], tables, [grid, grid], np.arange(60), folds=4, seed=1, gated=gated)
    assert result.changed
    assert result.classes["b"].best == result.classes["b"].after == HALF
    assert result.gate[2].thresholds[-1] == 0.9 != result.gate[2].thresholds[-2]


@pytest.mark.parametrize(
    ("labels", "left", "closed"),
    [
        ([0.4, 0.9, 0.9], [0.4, 0.0, 0.0], None),  # who judges classes is not asked about it
        ([0.6, 0.9, 0.1], [0.6, 0.9, 0.1], [False, True]),
        ([0.6, 0.1, 0.1], [0.6, 0.1, 0.1], None),
    ],
)
def test_an_image_is_scored_as_the_gate_of_six_models_leaves_it(labels, left, closed):
    calibrator = object.__new__(Calibrator)
    calibrator.gate, calibrator.gate_is_fixed = Gate("hard", 0.5, (0.5, 0.5)), False
    calibrator.task, calibrator.class_names = "multilabel", ("a", "b")
    calibrator.chosen = SimpleNamespace(decision=Decision.uniform(2, 0.5))
    masks, logits = np.ones((2, 3, 4), np.bool_), torch.ones(2, 3, 4)
    image = np.zeros((3, 4, 3), np.uint8)
    opened = Inspected("a.png", image, masks, np.zeros(0, DEFECT), np.array(labels, np.float32), (0, 0), logits)
    found = calibrator.behind_the_gate(opened)
    np.testing.assert_allclose(found.labels, np.array(left, np.float32))
    assert found.masks.any(axis=(1, 2)).tolist() == [one is False for one in closed or (True, True)]
    assert (found.logits is None) == (closed is None)
    if closed:
        assert (found.logits[:, 0, 0] < 0).tolist() == closed


def test_with_a_target_the_gate_stays():
    _, _, grid, tables, gated = example(8, images=30)
    result = solve(["a", "b"], tables, [grid, grid], np.arange(30), folds=3, seed=1, gated=gated, target=300)
    assert result.gate[1] == result.gate[2] == gated.now
    assert result.in_sample.false_alarms <= 300

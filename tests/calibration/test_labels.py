"""Thresholds of whole images against trying every one, and what is no better than the same answer for all."""

import tracemalloc

import numpy as np
import pytest

from utils.calibration.labels import LabelCalibration, choose_thresholds
from utils.calibration.result import NOTHING_BETTER

IMAGES = 60


def calibrate(
    network: str, target: float | None = None, now: float = 0.5
) -> tuple[LabelCalibration, np.ndarray, np.ndarray]:
    """Calibrate a network of one label that knows it, knows it too timidly, knows nothing, or gives one answer."""
    random = np.random.default_rng(0)
    truth = random.random(IMAGES) < 0.4
    p = {
        "good": np.where(truth, 0.9, 0.1),
        "timid": np.where(truth, 0.3, 0.1) + 0.05 * random.random(IMAGES),
        "noise": random.random(IMAGES),
        "one answer": np.full(IMAGES, 0.2),
        "nothing labelled": np.full(IMAGES, 0.2),
    }[network]
    truth = truth & (network != "nothing labelled")
    args = (p[:, None], truth[:, None], (now,), np.arange(IMAGES))
    return choose_thresholds(["defect"], *args, folds=5, seed=1, target=target), p, truth


def f1(p: np.ndarray, truth: np.ndarray, threshold: float) -> float:
    said = p >= threshold
    return 2 * (said & truth).sum() / max(said.sum() + truth.sum(), 1)


@pytest.mark.parametrize(
    ("network", "changed", "nothing"),
    [
        ("good", False, False),
        ("timid", True, False),
        ("one answer", None, True),
        ("nothing labelled", False, False),
    ],
)
def test_thresholds_are_the_best_and_what_knows_nothing_is_told(network, changed, nothing):
    result, p, truth = calibrate(network)
    one = result.labels["defect"]
    tried = np.linspace(0, 1, 2001)
    assert one.f1_in_sample == pytest.approx(max(f1(p, truth, t) for t in tried))
    assert one.f1_before == pytest.approx(f1(p, truth, 0.5))
    assert one.f1_cross_fitted <= one.f1_in_sample
    if changed is not None:
        assert result.changed == changed
    assert result.finds_nothing == nothing
    assert (NOTHING_BETTER in result.text()) == nothing
    if changed:
        assert one.recall == 1


@pytest.mark.parametrize("target", [0, 100, 1000])
def test_the_best_recall_under_a_rate_of_false_alarms(target):
    result, p, truth = calibrate("noise", target)
    one = result.labels["defect"]
    assert one.false_alarms <= target
    allowed = [t for t in np.linspace(0, 1, 5001) if 1000 * ((p >= t) & ~truth).sum() / (~truth).sum() <= target]
    assert one.recall == pytest.approx(max(((p >= t) & truth).sum() / truth.sum() for t in allowed), abs=1e-9)


def test_under_a_rate_of_false_alarms_the_recall_decides():
    assert calibrate("one answer", 0)[0].finds_nothing
    assert not calibrate("timid", 0)[0].finds_nothing


def test_the_threshold_in_use_is_kept_where_another_does_as_well():
    result, *_ = calibrate("good", now=0.37)
    assert result.thresholds == (0.37,)


def test_memory_does_not_grow_with_the_square_of_the_images():
    random = np.random.default_rng(0)
    p, truth = random.random((10_000, 1)), random.random((10_000, 1)) < 0.3
    tracemalloc.start()
    choose_thresholds(["defect"], p, truth, (0.5,), np.arange(len(p)), folds=3, seed=1)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 20e6

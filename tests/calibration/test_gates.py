"""Gate thresholds against trying out every one."""

import doctest
import itertools

import numpy as np
import pytest

from utils.calibration import gates
from utils.calibration.gates import GateLayout, empty_dice, fit_gates, passing


def example(images: int, labels: int, classes: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw probabilities with some equal ones, Dice of an open gate, and which pairs are labelled."""
    rng = np.random.default_rng(seed)
    probabilities = rng.integers(0, 12, (images, labels)) / 12
    truth = rng.random((images, classes)) < 0.4
    return probabilities, np.where(rng.random((images, classes)) < 0.3, 0.0, rng.random((images, classes))), truth


def mean_dice(probabilities, thresholds, layout, opened, truth) -> float:
    through = passing(probabilities, thresholds, layout, opened.shape[1])
    return float(np.where(through, opened, empty_dice(truth)).mean())


def tried(probabilities, layout, opened, truth) -> float:
    """Try every threshold, or every combination of them."""
    values = [sorted({0.0, 1.01, *column}) for column in probabilities.T]
    return max(mean_dice(probabilities, one, layout, opened, truth) for one in itertools.product(*values))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    ("image", "each", "classes"), [(True, False, 3), (False, True, 1), (False, True, 2), (True, True, 2)]
)
def test_thresholds_are_the_best_there_are(image, each, classes, seed):
    layout = GateLayout(image=image, classes=each)
    probabilities, opened, truth = example(25, image + each * classes, classes, seed)
    found = fit_gates(probabilities, opened, truth, layout)
    reached = mean_dice(probabilities, found, layout, opened, truth)
    assert reached == pytest.approx(tried(probabilities, layout, opened, truth), abs=1e-12)
    assert reached > opened.mean()
    assert all(0 <= threshold <= 1 for threshold in found)


def test_a_gate_that_gains_nothing_stays_open():
    probabilities, truth = np.array([[0.9], [0.1]]), np.array([[5], [0]])
    assert fit_gates(probabilities, np.array([[0.7], [1.0]]), truth, GateLayout(True, False)) == (0.0,)


def test_where_every_prediction_is_wrong_the_gate_shuts():
    layout, probabilities = GateLayout(False, True), np.array([[0.9], [0.1]])
    (found,) = fit_gates(probabilities, np.zeros((2, 1)), np.zeros((2, 1)), layout)
    assert not passing(probabilities, (found,), layout, 1).any()
    assert 0.9 < found <= 1


def test_probabilities_that_do_not_fit_the_layout_are_refused():
    with pytest.raises(ValueError, match="2 probabilities an image do not fit"):
        fit_gates(np.zeros((4, 2)), np.zeros((4, 3)), np.zeros((4, 3)), GateLayout(False, True))


def test_the_example_in_the_docstring_is_true():
    assert doctest.testmod(gates, extraglobs={"np": np}).failed == 0

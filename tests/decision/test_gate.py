"""The gate's arithmetic against plain loops."""

import math

import numpy as np
import pytest

from utils.decision.gate import Gate, soft_areas
from utils.errors import InputError


def probabilities(images: int, labels: int) -> np.ndarray:
    return np.random.default_rng(labels).random((images, labels)).astype(np.float32)


@pytest.mark.parametrize("image", [None, 0.3])
@pytest.mark.parametrize("classes", [None, (0.5, 0.2, 0.9)])
def test_a_class_passes_where_image_and_class_reach_their_thresholds(image, classes):
    gate = Gate("hard", image, classes)
    p = probabilities(40, gate.labels)
    passes = gate.passes(p, 3)
    for row, of_image in zip(p, passes, strict=True):
        for k in range(3):
            wanted = (image is None or row[0] >= image) and (classes is None or row[k - 3] >= classes[k])
            assert of_image[k] == wanted
    assert gate.labels == (image is not None) + 3 * (classes is not None)


def test_thresholds_of_0_and_1_are_exact():
    assert Gate(image=0.0).passes(np.zeros((1, 1), np.float32), 2).all()
    assert Gate(classes=(1.0, 1.0)).passes(np.float32([[1.0, 0.999]]), 2).tolist() == [[True, False]]


@pytest.mark.parametrize("image", [None, 0.1])
def test_a_soft_gate_wants_larger_defects_of_unlikely_classes(image):
    t0, c = (600, 0, 2000), 3.0
    gate = Gate("soft", image, (0.0, 0.0, 0.0), c)
    for row in probabilities(20, gate.labels):
        p = row[-3:].astype(float)
        wanted = [math.ceil(t * c - t * (c - 1) * q - 1e-6) for t, q in zip(t0, p, strict=True)]
        assert gate.areas(t0, row) == tuple(wanted)
        assert all(t <= area <= c * t for t, area in zip(t0, wanted, strict=True))


def test_a_soft_gate_at_its_ends():
    gate = Gate("soft", None, (0.0, 0.0), 2.5)
    assert gate.areas((100, 40), np.float32([1.0, 0.0])) == (100, 100)
    # The probability of any defect stands for the classes where there are no others.
    assert Gate("soft", 0.0, None, 2.0).areas((100, 40), np.float32([0.5])) == (150, 60)


def test_a_hard_gate_leaves_the_areas_alone():
    assert Gate("hard", None, (0.5, 0.5), 3.0).areas((100, 40), np.float32([0.6, 0.1])) == (100, 40)


@pytest.mark.parametrize("gate", [Gate("soft", 0.9, (0.9, 0.8), 4.0), Gate("hard", 0.5), Gate(classes=(1.0, 1.0))])
def test_an_open_gate_lets_all_pass_and_keeps_its_labels(gate):
    opened = gate.opened()
    assert opened.labels == gate.labels
    assert opened.passes(np.zeros((3, gate.labels), np.float32), 2).all()
    assert opened.areas((7, 9), np.zeros(gate.labels, np.float32)) == (7, 9)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"mode": "firm"}, "gate mode 'firm': choose hard or soft"),
        ({"image": 1.2}, "gate threshold 1.2: expected a probability 0..1"),
        ({"classes": (0.2, -0.1)}, "gate threshold -0.1: expected a probability 0..1"),
        ({"c": 0.5}, "gate c 0.5: expected 1 or more"),
        ({"c": math.nan}, "gate c nan: expected 1 or more"),
    ],
)
def test_what_is_no_gate(entries, message):
    with pytest.raises(InputError) as error:
        Gate(**entries)
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("smallest", "c", "probability", "expected"),
    [(100, 1, 0.3, 100), (100, 3, 1.0, 100), (100, 3, 0.0, 300), (100, 3, 0.5, 200), (10, 1.5, 0.77, 12), (0, 4, 0, 0)],
)
def test_soft_areas_grow_as_the_class_gets_unlikely(smallest, c, probability, expected):
    assert soft_areas(np.array(smallest), c, probability) == expected


def test_soft_areas_of_many_images_are_those_that_the_gate_sets_for_each():
    smallest, p = (600, 0, 333), probabilities(20, 3)
    gate = Gate("soft", None, (0.0, 0.0, 0.0), 2.7)
    assert soft_areas(smallest, 2.7, p).tolist() == [list(gate.areas(smallest, row)) for row in p]

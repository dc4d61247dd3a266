"""Which class a defect is taken for, against plain loops over its pixels."""

import cv2
import numpy as np
import pytest

from utils.scoring.confusion import confuse

SHAPE = (20, 30)


def drawn(*boxes: tuple[int, int, int, int, int]) -> np.ndarray:
    """Draw boxes (class from 0, top, left, height, width) into the masks of two classes."""
    masks = np.zeros((2, *SHAPE), bool)
    for k, top, left, height, width in boxes:
        masks[k, top : top + height, left : left + width] = True
    return masks


@pytest.mark.parametrize(
    ("truth", "predicted", "expected"),
    [
        pytest.param([(0, 0, 0, 4, 5)], [(0, 0, 0, 4, 5)], {(0, 0): 1}, id="right"),
        pytest.param([(0, 0, 0, 4, 5)], [(1, 0, 0, 4, 5)], {(0, 1): 1}, id="called by the other name"),
        pytest.param([(0, 0, 0, 4, 4)], [(1, 0, 0, 2, 4)], {(0, 1): 1}, id="half of it"),
        pytest.param([(0, 0, 0, 4, 4)], [(1, 0, 0, 1, 4)], {(0, 2): 1}, id="less than half"),
        pytest.param([(1, 0, 0, 4, 5)], [(0, 0, 0, 4, 5), (1, 0, 0, 4, 5)], {(1, 1): 1}, id="of equals its own"),
        pytest.param([(0, 0, 0, 4, 5)], [], {(0, 2): 1}, id="missed"),
        pytest.param([], [(1, 0, 0, 4, 5), (1, 10, 10, 4, 5)], {(2, 1): 2}, id="made up"),
        pytest.param([(0, 0, 0, 4, 4), (1, 10, 0, 4, 4)], [(1, 0, 0, 14, 4)], {(0, 1): 1, (1, 1): 1}, id="one for two"),
        pytest.param([], [], {}, id="nothing"),
    ],
)
def test_what_a_defect_is_taken_for(truth, predicted, expected):
    table = confuse(drawn(*truth), drawn(*predicted))
    assert {place: int(table[place]) for place in zip(*table.nonzero(), strict=True)} == expected


def test_counts_are_those_of_plain_loops():
    random = np.random.default_rng(0)
    noise = [cv2.GaussianBlur(random.normal(size=(2, *SHAPE))[k], (0, 0), 1.2) for k in (0, 1, 0, 1)]
    truth, predicted = np.stack(noise[:2]) > 0.12, np.stack(noise[2:]) > 0.08
    expected = np.zeros((3, 3), int)
    for row in range(2):
        number, labels = cv2.connectedComponents(truth[row].astype(np.uint8), connectivity=8)
        for k in range(1, number):
            shares = [predicted[c][labels == k].mean() for c in range(2)]
            order = [row, 1 - row]
            best = max(order, key=lambda c: shares[c])
            expected[row, best if shares[best] >= 0.5 else 2] += 1
        number, labels = cv2.connectedComponents(predicted[row].astype(np.uint8), connectivity=8)
        expected[2, row] += sum(not truth.any(axis=0)[labels == k].any() for k in range(1, number))
    np.testing.assert_array_equal(confuse(truth, predicted), expected)
    assert expected[:2].sum() > 10


def test_ignored_pixels_count_for_nothing():
    ignored = np.zeros(SHAPE, bool)
    ignored[:, 20:] = True
    truth = drawn((0, 0, 22, 4, 5))
    predicted = drawn((1, 0, 22, 4, 5), (0, 10, 18, 2, 6), (0, 16, 21, 2, 6))
    table = confuse(truth, predicted, ignored)
    assert (table[2, 0], table.sum()) == (1, 1)  # only what reaches into counted pixels is made up

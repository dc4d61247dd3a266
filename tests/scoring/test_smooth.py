"""Exact, smooth and soft Dice of the cases where they part."""

import numpy as np
import pytest
import torch

from utils.scoring.counts import Counts, count
from utils.scoring.smooth import compare_dice, soft_sums, to_dict


def compared(probability: np.ndarray, truth: np.ndarray):
    """Compare the kinds of Dice of (N, C, H, W) probabilities, decided at 0.5."""
    counts = Counts()
    decided = torch.from_numpy(probability >= 0.5)
    counts.add([str(n) for n in range(len(truth))], *count(decided, torch.from_numpy(truth)))
    sums = np.stack([soft_sums(iter(p), t)[0] for p, t in zip(probability, truth, strict=True)])
    return compare_dice(counts, sums, [str(k) for k in range(truth.shape[1])])


@pytest.mark.parametrize(
    ("probability", "labelled", "exact", "smooth", "soft"),
    [
        pytest.param(0.0, 0, 1.0, 1.0, 1.0, id="clean and sure of it"),
        pytest.param(0.01, 0, 1.0, 1.0, 1 / 2, id="clean, a little unsure everywhere"),
        pytest.param(1.0, 0, 0.0, 1 / 101, 1 / 101, id="everything on a clean image"),
        pytest.param(1.0, 100, 1.0, 1.0, 1.0, id="all of a full image"),
        pytest.param(0.6, 100, 1.0, 1.0, 121 / 161, id="decided, not sure"),
        pytest.param(0.0, 10, 0.0, 1 / 11, 1 / 11, id="missed"),
    ],
)
def test_three_kinds(probability, labelled, exact, smooth, soft):
    truth = (np.arange(100) < labelled).reshape(1, 1, 10, 10)
    rows = compared(np.full((1, 1, 10, 10), probability), truth)
    row = rows["together"]
    assert (row.exact, row.smooth, row.soft) == pytest.approx((exact, smooth, soft))
    expected = (exact, smooth, soft) if labelled else (None, None, None)
    assert (row.defect_exact, row.defect_smooth, row.defect_soft) == pytest.approx(expected)
    assert rows["0"] == row
    assert to_dict(rows)["together"]["soft"] == row.soft


def test_largest_probability_is_the_peak():
    probability = np.zeros((2, 4, 4))
    probability[1, 2, 3] = 0.7
    assert soft_sums(iter(probability), np.zeros((2, 4, 4), bool))[1].tolist() == [0.0, 0.7]


def test_an_image_that_was_turned_away_counts_as_zero_everywhere():
    sums, peaks = soft_sums((), np.ones((2, 4, 4), bool))
    assert sums.tolist() == [[0, 0], [0, 0]]
    assert peaks.tolist() == [0, 0]

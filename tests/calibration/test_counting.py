"""Pixels that count for nothing while settings are chosen."""

import numpy as np

from utils.calibration.counting import count_image
from utils.calibration.grid import make_grid
from utils.decision.decision import Decision


def tables(logits, truth, ignored):
    grid = make_grid(Decision.uniform(1, 0.5, 0, 0).per_class[0], 50, None, search_areas=True, search_high=True)
    return count_image(logits, truth, "multilabel", [grid], ignored)[0]


def test_what_is_predicted_in_ignored_pixels_costs_nothing():
    logits = np.full((1, 12, 30), -8.0, np.float32)
    truth = np.zeros((1, 12, 30), bool)
    ignored = np.zeros((12, 30), bool)
    ignored[:, 10:20] = True
    truth[0, 2:4, 5:8] = True
    logits[0, 2:4, 5:8] = 8
    clean = tables(logits, truth, ignored)
    logits[0, 6:8, 12:18] = 8  # a prediction where nothing counts
    truth[0, 9, 12:15] = True  # and a label
    same = tables(logits, truth, ignored)
    assert np.array_equal(clean.bins, same.bins)
    assert np.array_equal(clean.cover, same.cover)
    assert (same.truth, same.objects.tolist()) == (6, [6])
    counted = tables(logits, truth, None)
    assert counted.bins["number"].sum() > same.bins["number"].sum()


def test_a_defect_that_reaches_into_ignored_pixels_keeps_its_whole_area_and_counts_the_rest():
    logits = np.full((1, 12, 30), -8.0, np.float32)
    logits[0, 2:4, 5:15] = 8
    truth = np.zeros((1, 12, 30), bool)
    ignored = np.zeros((12, 30), bool)
    ignored[:, 10:20] = True
    counted, whole = tables(logits, truth, ignored), tables(logits, truth, None)
    assert np.array_equal(counted.bins["bin"], whole.bins["bin"])
    assert set(counted.bins["pixels"]) == {10}
    assert set(whole.bins["pixels"]) == {20}

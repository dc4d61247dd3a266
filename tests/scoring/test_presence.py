"""Images as a whole: labels, confusion and curves; the numbers themselves are checked in tests/reference."""

import json

import numpy as np
import pytest

from utils.scoring.presence import presence

TRUTH = np.array([[1, 0], [1, 1], [0, 0], [0, 0]], bool)
SAID = np.array([[1, 0], [1, 0], [0, 1], [0, 0]], bool)
SCORES = np.array([[0.9, 0.2], [0.8, 0.4], [0.1, 0.6], [0.1, 0.1]])


def test_labels_of_a_small_set():
    found = presence(TRUTH, SAID, SCORES)
    assert list(found.confusion) == ["hasDefect_1", "hasDefect_2", "NoDefect"]
    assert found.confusion["hasDefect_1"] == [[2, 0], [0, 2]]
    assert found.confusion["hasDefect_2"] == [[2, 1], [1, 0]]
    assert found.confusion["NoDefect"] == [[2, 0], [1, 1]]
    assert found.numbers.tolist() == [[1, 1, 0], [0, 1, 0], [0, 1, 0]]
    assert found.report["NoDefect"]["support"] == 2
    assert found.report["hasDefect_2"]["f1-score"] == 0.0
    # Shares of right labels among those that an image was given: 1, 1, 0, 1.
    assert found.report["samples avg"]["precision"] == 0.75
    assert found.curves["hasDefect_1"].roc_auc == 1.0
    assert found.curves["hasDefect_2"].roc_auc == pytest.approx(2 / 3)
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False)) == found.to_dict()


def test_all_clean_and_all_defective_sets_have_no_curves():
    clean = presence(np.zeros((3, 1), bool), np.zeros((3, 1), bool), np.zeros((3, 1)))
    assert clean.numbers.tolist() == [[3, 0], [0, 0]]
    assert clean.report["NoDefect"]["f1-score"] == 1.0
    assert set(clean.curves.values()) == {None}
    full = presence(np.ones((1, 1), bool), np.ones((1, 1), bool), np.ones((1, 1)))
    assert full.to_dict()["roc_auc"] == {"hasDefect_1": None, "NoDefect": None}

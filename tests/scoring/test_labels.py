"""Scores of whole images: worked by hand, undefined ones, and the same for one process and for many."""

import json

import numpy as np
import pytest

from utils.scoring.labels import LabelAnswers, label_scores

# Five images, two labels; label a: ranked d > b > a > c > e with truth 1 0 1 0 0.
NAMES = ["a", "b", "c", "d", "e"]
PROBABILITIES = np.array([[0.6, 0.1], [0.7, 0.2], [0.4, 0.3], [0.9, 0.4], [0.1, 0.5]])
TRUTH = np.array([[1, 0], [0, 0], [0, 0], [1, 0], [0, 0]], dtype=bool)


def answers(order=range(5)) -> LabelAnswers:
    result = LabelAnswers()
    for n in order:
        result.add([NAMES[n]], PROBABILITIES[n : n + 1], TRUTH[n : n + 1])
    return result


def test_scores_worked_by_hand():
    score = label_scores(answers(), ["hole", "dent"], [0.5, 0.5]).classes["hole"]
    # At 0.5: d, b, a are said to have it; d and a do.
    assert (score.with_label, score.accuracy) == (2, pytest.approx(4 / 5))
    assert (score.precision, score.recall, score.f1) == (pytest.approx(2 / 3), 1.0, pytest.approx(0.8))
    # Of the six pairs of one with and one without, only (a, b) is in the wrong order.
    assert score.roc_auc == pytest.approx(5 / 6)
    # Precision at the first hit 1/1, at the second 2/3, each gains half of the recall.
    assert score.average_precision == pytest.approx((1 + 2 / 3) / 2)


def test_a_label_that_no_image_has_has_no_recall_and_stays_out_of_the_mean():
    scores = label_scores(answers(), ["hole", "dent"], [0.5, 0.5])
    dent = scores.classes["dent"]
    assert (dent.with_label, dent.precision, dent.accuracy) == (0, 0.0, pytest.approx(4 / 5))
    assert (dent.recall, dent.f1, dent.roc_auc, dent.average_precision) == (None,) * 4
    assert scores.together.f1 == scores.classes["hole"].f1
    assert scores.together.accuracy == pytest.approx(4 / 5)


def test_the_threshold_moves_what_counts_and_not_the_ranking():
    low, high = (label_scores(answers(), ["hole", "dent"], [t, 0.5]).classes["hole"] for t in (0.05, 0.8))
    assert (low.recall, low.precision) == (1.0, pytest.approx(2 / 5))
    assert (high.recall, high.precision) == (0.5, 1.0)
    assert (low.roc_auc, low.average_precision) == (high.roc_auc, high.average_precision)


def test_processes_give_the_bits_of_one_process():
    together = LabelAnswers()
    for part in ([3, 1, 3], [], [4, 0, 2, 1]):
        together.merge(answers(part))
    one, many = (label_scores(each, ["hole", "dent"], [0.5, 0.5]) for each in (answers(), together))
    assert one == many
    assert many.images == 5


def test_table_and_json():
    scores = label_scores(answers(), ["hole", "dent"], [0.5, 0.5])
    assert json.loads(json.dumps(scores.to_dict()))["classes"]["dent"]["f1"] is None
    lines = scores.table().splitlines()
    assert [line.split()[0] for line in lines] == ["label", "hole", "dent", "mean"]
    assert len({len(line) for line in lines}) == 1
    assert "0.8000" in lines[1]
    assert " - " in lines[2]


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="no image"):
        label_scores(LabelAnswers(), [], [])
    with pytest.raises(ValueError, match="2 different names"):
        label_scores(answers(), ["hole"], [0.5])
    with pytest.raises(ValueError, match=r"expected \(1, 2\)"):
        answers().add(["f"], np.zeros((1, 3)), np.zeros((1, 3), bool))


def test_images_can_be_left_out():
    whole = answers()
    left = whole.without(whole.images[1:3])
    assert left.images == [whole.images[k] for k in (0, 3, 4)]
    np.testing.assert_array_equal(left.probabilities, whole.probabilities[[0, 3, 4]])
    np.testing.assert_array_equal(left.truth, whole.truth[[0, 3, 4]])

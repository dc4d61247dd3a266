"""From figures of images to an evaluation: order, what is kept, and which images are worth a look."""

import numpy as np
import pytest

from utils.scoring.evaluation import Collector, measure

NAMES = ("pits", "cracks")


def an_image(true: int, found: int, other: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Make masks with so many labelled and predicted pixels of class 1 (from one corner), and predicted ones of class 2."""
    predicted, truth = np.zeros((2, 2, 10, 10), bool)
    truth[0].ravel()[:true] = True
    predicted[0].ravel()[:found] = True
    predicted[1].ravel()[:other] = True
    return predicted, truth


def collected(images: dict[str, tuple[int, ...]]) -> Collector:
    collector = Collector(NAMES)
    for name, numbers in images.items():
        predicted, truth = an_image(*numbers)
        collector.add(name, measure(predicted, truth, iter(predicted.astype(float))))
    return collector


def test_worst_and_best_images():
    evaluation = collected(
        {
            "clean.png": (0, 0),
            "alarm.png": (0, 10),
            "missed_large.png": (50, 0),
            "missed_small.png": (5, 0),
            "half.png": (40, 20),
            "good.png": (40, 38),
            "perfect_large.png": (60, 60),
            "perfect_small.png": (6, 6),
            "wrong_class_too.png": (60, 60, 30),
        }
    ).evaluate(0, 0)
    worst, best = evaluation.extremes(4)
    assert worst == ["missed_large.png", "alarm.png", "missed_small.png", "wrong_class_too.png"]
    assert best == ["perfect_large.png", "perfect_small.png", "good.png", "half.png"]
    worst, best = evaluation.extremes(100)
    assert not set(worst) & set(best)
    assert "clean.png" not in {*worst, *best}
    assert evaluation.extremes(0) == ([], [])


def test_order_of_arrival_does_not_matter():
    images = {"b.png": (5, 4), "a.png": (0, 3), "c.png": (9, 9, 2)}
    one = collected(images).evaluate(20, 1)
    other = collected(dict(reversed(images.items()))).evaluate(20, 1)
    assert one.counts.images == ["a.png", "b.png", "c.png"]
    assert one.to_dict() == other.to_dict()
    np.testing.assert_array_equal(one.image_scores, other.image_scores)


def test_what_is_kept_of_an_image_is_small():
    noise = np.random.default_rng(0).random((2, 2, 256, 400)) < 0.3
    collector = Collector(NAMES)
    figures = measure(noise[0], noise[1], iter(noise[0].astype(float)))
    assert len(figures.objects) > 1000
    collector.add("a.png", figures)
    kept = collector._figures[0]
    assert sum(part.nbytes for part in (kept.pixels, kept.sums, kept.scores, kept.objects)) < 1000
    assert kept.objects.base is None


def test_labels_of_the_whole_image_are_its_scores():
    predicted, truth = an_image(5, 5)
    figures = measure(predicted, truth, iter(predicted.astype(float)), np.array([0.25, 0.5], np.float32))
    assert figures.scores.tolist() == [0.25, 0.5]
    six_models = measure(predicted, truth, iter(predicted.astype(float)), np.array([0.9, 0.25, 0.5], np.float32))
    assert six_models.scores.tolist() == [0.25, 0.5]
    one_gate = measure(predicted, truth, iter(predicted.astype(float)), np.array([0.25], np.float32))
    assert one_gate.scores.tolist() == [1.0, 0.0]


def test_nothing_to_score_is_an_error():
    with pytest.raises(ValueError, match="no image"):
        Collector(NAMES).evaluate(0, 0)

"""Bootstrap intervals against plain resampling, one image after the other."""

import numpy as np
import pytest
import torch

from utils.scoring.bootstrap import bootstrap
from utils.scoring.counts import Counts


def some_counts(images: int, seed: int = 0) -> Counts:
    rng = np.random.default_rng(seed)
    tp, fp, fn = (
        torch.from_numpy(rng.integers(0, 50, (images, 2)) * (rng.random((images, 2)) < 0.6)) for _ in range(3)
    )
    counts = Counts()
    counts.add([f"{n:04d}.png" for n in range(images)], tp, fp, fn, torch.full_like(tp, 1000))
    return counts


def test_intervals_are_those_of_plain_resampling():
    counts = some_counts(30)
    dice = np.ones((30, 2))
    for row, column in np.ndindex(30, 2):
        tp, wrong = int(counts.tp[row, column]), int(counts.fp[row, column] + counts.fn[row, column])
        if tp + wrong:
            dice[row, column] = 2 * tp / (2 * tp + wrong)
    known = ((counts.tp + counts.fn) > 0).numpy()
    rng, mean, defect = np.random.default_rng(7), [], []
    for _ in range(50):
        rows = rng.integers(0, 30, 30)
        mean.append(dice[rows].mean())
        defect.append(dice[rows, 0][known[rows, 0]].mean())
    found = bootstrap(counts, ["a", "b"], 50, 7)
    assert found.mean_dice["together"] == pytest.approx(np.quantile(mean, [0.025, 0.975]), abs=1e-12)
    assert found.defect_dice["a"] == pytest.approx(np.quantile(defect, [0.025, 0.975]), abs=1e-12)


def test_large_sets_are_drawn_in_parts_without_changing_the_numbers(monkeypatch):
    counts = some_counts(40)
    whole = bootstrap(counts, ["a", "b"], 64, 1)
    monkeypatch.setattr("utils.scoring.bootstrap._BATCH", 200)
    parts = bootstrap(counts, ["a", "b"], 64, 1)
    assert parts.mean_dice["together"] == pytest.approx(whole.mean_dice["together"], abs=1e-12)


def test_order_of_the_images_does_not_matter():
    counts, turned = some_counts(20), Counts()
    for row in reversed(range(20)):
        parts = (part[row : row + 1] for part in (counts.tp, counts.fp, counts.fn, counts.tn))
        turned.add([counts.images[row]], *parts)
    assert bootstrap(turned, ["a", "b"], 30, 3) == bootstrap(counts, ["a", "b"], 30, 3)


def test_interval_covers_the_truth_about_as_often_as_it_says():
    inside = 0
    for seed in range(60):
        counts = Counts()
        hit = torch.from_numpy(np.random.default_rng(seed).random((200, 1)) < 0.3).long()
        counts.add([f"{n:03d}" for n in range(200)], 5 * hit, torch.zeros_like(hit), 5 * (1 - hit), hit)
        low, high = bootstrap(counts, ["a"], 400, seed).mean_dice["a"]
        inside += low <= 0.3 <= high
    assert inside >= 52  # 57 expected; fewer than 52 happens once in a hundred times


def test_class_without_ground_truth_has_no_defect_interval():
    counts = Counts()
    nothing = torch.zeros(5, 1, dtype=torch.int64)
    counts.add(list("abcde"), nothing, nothing, nothing, nothing + 9)
    found = bootstrap(counts, ["a"], 10, 0)
    assert found.defect_dice == {"a": None, "together": None}
    assert found.mean_dice["a"] == (1.0, 1.0)
    assert found.to_dict()["mean_dice"] == {"a": [1.0, 1.0], "together": [1.0, 1.0]}

"""Pixels that count for nothing, in every sum of pixels."""

import numpy as np
import pytest
import torch

from utils.scoring.counts import Counts, count
from utils.scoring.evaluation import measure
from utils.scoring.smooth import soft_sums


@pytest.fixture
def scene():
    random = np.random.default_rng(3)
    predicted, truth = random.random((2, 2, 8, 12)) < 0.4
    return predicted, truth, random.random((2, 8, 12)), random.random((8, 12)) < 0.3


def test_counts_are_those_of_the_other_pixels(scene):
    predicted, truth, _, ignored = scene
    got = count(torch.from_numpy(predicted)[None], torch.from_numpy(truth)[None], torch.from_numpy(ignored)[None])
    rest = [torch.from_numpy(part[:, ~ignored])[None, :, None] for part in (predicted, truth)]
    assert torch.equal(torch.stack(got), torch.stack(count(*rest)))


def test_nothing_ignored_changes_nothing(scene):
    predicted, truth, _, ignored = scene
    both = torch.from_numpy(predicted)[None], torch.from_numpy(truth)[None]
    nothing = torch.zeros_like(torch.from_numpy(ignored))[None]
    assert torch.equal(torch.stack(count(*both, nothing)), torch.stack(count(*both)))


def test_soft_sums_and_largest_probabilities_are_those_of_the_other_pixels(scene):
    _, truth, probabilities, ignored = scene
    sums, peaks = soft_sums(probabilities, truth & ~ignored, ignored)
    expected, most = soft_sums(probabilities[:, None, ~ignored], truth[:, None, ~ignored])
    assert sums == pytest.approx(expected, abs=1e-12)
    assert np.array_equal(peaks, most)


def test_a_measured_image_does_not_depend_on_ignored_pixels(scene):
    predicted, truth, probabilities, ignored = scene
    first = measure(predicted, truth, probabilities, ignored=ignored)
    second = measure(predicted, truth ^ ignored, np.where(ignored, 1.0, probabilities), ignored=ignored)
    assert np.array_equal(first.pixels, second.pixels)
    assert np.array_equal(first.sums, second.sums)
    assert np.array_equal(first.scores, second.scores)
    assert np.array_equal(first.objects, second.objects)


def test_images_can_be_left_out():
    counts = Counts()
    counts.add(["a", "b", "c"], *(torch.arange(3)[:, None] + k for k in range(4)))
    left = counts.without({"b", "z"})
    assert (left.images, left.tp.tolist(), left.tn.tolist()) == (["a", "c"], [[0], [2]], [[3], [5]])
    assert counts.without({"a", "b", "c"}).images == []


def test_batches_are_put_together_when_read_and_not_with_each_batch(monkeypatch):
    """Which would copy all that was counted before: minutes for 100,000 images."""
    together = []
    cat = torch.cat
    monkeypatch.setattr(torch, "cat", lambda parts, dim: together.append(len(parts)) or cat(parts, dim=dim))
    counts = Counts()
    for start in (0, 3, 6):
        counts.add(["abcdefghi"[n] for n in range(start, start + 3)], *(torch.arange(start, start + 3)[:, None],) * 4)
    assert together == []
    assert counts.fn[:, 0].tolist() == list(range(9))
    counts.add(["j"], *(torch.full((1, 1), 9),) * 4)  # goes on after it was read
    assert counts.tp[:, 0].tolist() == list(range(10))
    assert together == [3, 2]

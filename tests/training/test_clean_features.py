"""Features of clean steel: whitened they are alike along all axes, summed up each look has a centre."""

import cv2
import numpy as np
import torch

from utils.data.clean import open_clean
from utils.training.clean_features import batches, centres, make_memory, whitening


def test_whitened_features_have_unit_spread():
    torch.manual_seed(0)
    features = torch.randn(4000, 6) @ torch.diag(torch.tensor([9.0, 5, 3, 2, 1.5, 1])) + 7
    weights, bias = whitening(features)
    white = features @ weights.T + bias
    assert torch.allclose(white.mean(0), torch.zeros(6), atol=0.05)
    assert torch.allclose(torch.cov(white.T), torch.eye(6), atol=0.1)


def test_features_that_never_differ_do_no_harm():
    memory = make_memory(torch.ones(50, 4), 5, np.random.default_rng(0))
    assert all(part.isfinite().all() for part in memory)
    assert memory.vectors.shape == (5, 4)


def test_each_look_of_the_steel_has_a_centre():
    torch.manual_seed(1)
    looks = torch.tensor([[0.0, 0.0], [50.0, 0.0], [0.0, 50.0]])
    features = torch.cat([look + torch.randn(400, 2) for look in looks])
    found = centres(features, 12, np.random.default_rng(0))
    assert found.shape == (12, 2)
    assert float(torch.cdist(looks, found).min(1).values.max()) < 2
    assert float(torch.cdist(found, looks).min(1).values.max()) < 5


def test_a_memory_of_one_is_the_mean():
    features = torch.arange(12.0).reshape(4, 3)
    assert torch.equal(centres(features, 1, np.random.default_rng(0)), features.mean(0, keepdim=True))


def test_images_of_equal_size_come_together_and_all_come_once(tmp_path):
    for number, size in enumerate([(20, 30), (20, 30), (10, 10), (20, 30), (20, 30), (20, 30)]):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.full(size, number, np.uint8))
    dataset = open_clean(tmp_path).dataset
    found = list(batches(dataset, dataset.images, 3, None, 2, 2))
    assert [names for names, _ in found] == [["0.png", "1.png"], ["2.png"], ["3.png", "4.png"], ["5.png"]]
    assert all(
        int(one.float().mean()) == int(name[0]) for names, part in found for name, one in zip(names, part, strict=True)
    )
    resized = list(batches(dataset, dataset.images, 1, (8, 16), 4, 2, lambda name, image: image + 1))
    assert [part.shape for _, part in resized] == [(4, 1, 8, 16), (2, 1, 8, 16)]
    assert int(resized[0][1].max()) == 4

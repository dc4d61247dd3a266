"""Features of whole images by a network's encoder."""

import numpy as np
import pytest

from utils.inference.embedding import Embedding, joined
from utils.weights.weights_file import load


@pytest.fixture
def embedding(make_weights):
    (path,) = make_weights().glob("*.pth")
    return Embedding(load(path), "cpu")


def test_images_that_look_alike_lie_near_each_other(embedding):
    random = np.random.default_rng(0)
    noise = random.integers(0, 255, (70, 90, 3), dtype=np.uint8)
    flat = np.full((70, 90, 3), 120, np.uint8)
    one, other, apart = (embedding(image) for image in (noise, np.roll(noise, 32, 1), flat))
    assert one.dtype == np.float32
    assert float(one @ one) == pytest.approx(1, abs=1e-5)
    assert one @ other > one @ apart + 0.01


@pytest.mark.parametrize("size", [(20, 900), (1, 1), (600, 700)])
def test_every_size_has_as_many_features(embedding, size):
    found = embedding(np.full((*size, embedding.channels), 90, np.uint8))
    assert found.shape == embedding(np.zeros((64, 64, 3), np.uint8)).shape
    assert np.isfinite(found).all()


def test_joined_parts_have_equal_weight():
    found = joined([np.array([3.0, 4.0]), np.array([100.0, 0.0, 0.0]), np.zeros(2)])
    assert found[:2] @ found[:2] == pytest.approx(found[2:5] @ found[2:5]) == pytest.approx(1 / 3)

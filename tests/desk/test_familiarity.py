"""Images that look like none of the training's are told apart by the network's first layer."""

import numpy as np
import pytest
import torch

from utils.desk import familiarity
from utils.desk.familiarity import Familiarities, Familiarity
from utils.weights.weights_file import load


def strip(seed: int, level: float = 120.0, noise: float = 12.0) -> np.ndarray:
    pixels = np.random.default_rng(seed).normal(level, noise, (64, 96, 1)).clip(0, 255)
    return pixels.astype(np.uint8).repeat(3, axis=2)


@pytest.fixture
def weights(make_weights):
    """A network whose first layer has seen such strips."""
    (path,) = make_weights().glob("*.pth")
    file = load(path)
    known = Familiarity.of(file)
    assert known is not None
    pixels = torch.from_numpy(np.stack([strip(seed) for seed in range(8)])).float() / 255
    shown = ((pixels - known.image_mean) / known.image_std).permute(0, 3, 1, 2)
    seen = torch.nn.functional.conv2d(shown, known.weight, stride=2, padding=known.weight.shape[-1] // 2)
    mean, variance = seen.mean((0, 2, 3)), seen.var((0, 2, 3))
    return Familiarity(known.weight, mean, variance * 1.5, known.image_mean, known.image_std)


@pytest.mark.parametrize("image", [strip(9), strip(10, 124), strip(11, noise=14)], ids=["alike", "brighter", "rougher"])
def test_images_of_the_same_kind_are_known(weights, image):
    assert weights.unlike(image) is None


@pytest.mark.parametrize(
    "image",
    [np.full((64, 96, 3), 250, np.uint8), np.zeros((64, 96, 3), np.uint8), strip(1, 128, 90)],
    ids=["white", "black", "noise"],
)
def test_images_of_another_kind_are_told(weights, image):
    assert weights.unlike(image) == familiarity.TOLD


def test_weights_that_are_no_file_tell_nothing(tmp_path):
    known = Familiarities()
    assert known.unlike(None, strip(1)) is None
    assert known.unlike(tmp_path / "one.system.json", strip(1)) is None
    assert known.unlike(tmp_path / "gone.pth", strip(1)) is None

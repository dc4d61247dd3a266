"""What a training ends with: its weights file says how its images look."""

import numpy as np
import torch

from utils.training.result import _appearance
from utils.weights.appearance import LEAST


class Images:
    """A dataset that draws its images."""

    def read(self, name: str, channels: int) -> np.ndarray:
        return np.random.default_rng(int(name)).integers(0, 200, (40, 60, channels), np.uint8)


class File:
    """Weights with one convolution."""

    def __init__(self) -> None:
        self.state_dict, self.mean = {"conv.weight": torch.ones(4, 3, 3, 3)}, (0.5, 0.5, 0.5)


def test_look_of_the_images_is_measured():
    names = [str(number) for number in range(LEAST)]
    found = _appearance(Images(), File(), names)
    assert found is not None
    assert (found.count, found.knows_answers) == (LEAST, False)
    assert np.isfinite(found.mean[:4]).all()
    assert _appearance(Images(), File(), names[1:]) is None

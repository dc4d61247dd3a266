"""What a training ends with: its weights file says how its images look."""

import numpy as np
import pytest

from tests.conftest import NARROW
from utils.decision.decision import Decision
from utils.models.factory import build
from utils.models.spec import ModelSpec
from utils.training.result import look_of
from utils.weights.appearance import LEAST
from utils.weights.weights_file import WeightsFile


class Images:
    """A dataset that draws its images."""

    def read(self, name: str, channels: int) -> np.ndarray:
        return np.random.default_rng(int(name)).integers(0, 200, (40, 60, channels), np.uint8)


@pytest.fixture(scope="module")
def file():
    spec = ModelSpec("unet", "tf_efficientnet_lite0", "multilabel", ("a",), 3, decoder_channels=NARROW)
    state = build(spec).net.state_dict()
    return WeightsFile(spec, state, (0.5,) * 3, (0.2,) * 3, None, Decision((0.5,), (0,)))


def test_look_of_the_images_is_measured(file):
    names = [str(number) for number in range(LEAST)]
    found = look_of(Images(), file, names)
    assert found is not None
    assert (found.count, found.knows_answers) == (LEAST, False)
    assert np.isfinite(found.mean[:4]).all()
    assert look_of(Images(), file, names[1:]) is None

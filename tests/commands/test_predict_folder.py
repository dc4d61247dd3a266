"""A prediction warns of images that do not look like those learnt from."""

import numpy as np
import pytest

from utils.commands.predict_folder import FEWEST_LOOKS, unlike_words
from utils.weights.appearance import described, summarised

RNG = np.random.default_rng(0)


def images(scale=1.0, count=30):
    return [(RNG.integers(60, 140 + n, (48, 80, 1)) * scale).clip(0, 255).astype(np.uint8) for n in range(count)]


def seen(image):
    return image.reshape(4, -1).mean(1)


@pytest.fixture(scope="module")
def appearance():
    found = summarised([described(one, seen(one)) for one in images()], "layer")
    assert found is not None
    return found


def test_images_like_those_learnt_from_are_no_remark(appearance):
    assert unlike_words(appearance, [appearance.properties(one, seen(one)) for one in images()]) == ""


def test_other_images_are_named_by_what_they_differ_in(appearance):
    looks = [appearance.properties(one, seen(one)) for one in images(0.3)]
    said = unlike_words(appearance, looks)
    assert said.startswith("these images do not look like those that the network learnt from: brightness ")
    assert "\n" not in said
    assert unlike_words(appearance, looks[: FEWEST_LOOKS - 1]) == ""

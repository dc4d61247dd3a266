"""The look of images: what each number answers to, and what a weights file keeps of it."""

import numpy as np
import pytest
import torch

from utils.weights.appearance import (
    PROPERTIES,
    Appearance,
    entropy_of,
    features,
    first_kernel,
    from_content,
    measure,
    plain,
)

RNG = np.random.default_rng(3)
IMAGES = [RNG.integers(20, 120 + 4 * n, (64, 100, 3), np.uint8) for n in range(30)]
STATE = {"conv.weight": torch.randn(8, 3, 3, 3), "bn.weight": torch.ones(8)}


@pytest.fixture(scope="module")
def appearance() -> Appearance:
    kernel = first_kernel(STATE, 3)
    assert kernel is not None
    found = measure(IMAGES, kernel)
    assert found is not None
    return found


def test_features_are_mean_and_variance_of_the_convolution():
    grey = RNG.integers(0, 255, (40, 40), np.uint8)
    kernel = RNG.normal(0, 1, (5, 3, 3)).astype(np.float32)
    pixels = torch.from_numpy(grey).float()[None, None] / 255
    seen = torch.nn.functional.conv2d(pixels, torch.from_numpy(kernel)[:, None], stride=3)[0].flatten(1)
    expected = np.concatenate([seen.mean(1).numpy(), np.log(seen.var(1, correction=0).numpy() + 1e-6)])
    assert np.allclose(features(grey, kernel), expected, atol=1e-3)


def test_brightness_leaves_out_the_dark_beside_the_strip():
    grey = np.full((64, 64), 100, np.uint8)
    grey[:, :20] = 0
    assert plain(grey)[0] == 100


def test_sharpness_answers_to_neither_brightness_nor_contrast():
    grey = RNG.integers(100, 200, (64, 64), np.uint8)
    assert abs(plain(grey)[2] - plain((grey * 0.5).astype(np.uint8))[2]) < 0.02


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (3, 500), (300, 2), (128, 128)])
@pytest.mark.parametrize("channels", [1, 3])
def test_any_size_has_finite_properties(appearance, size, channels):
    image = RNG.integers(0, 255, (*size, channels), np.uint8)
    assert np.isfinite(appearance.properties(image, 0.0, 0.0)).all()


def test_weights_file_gives_back_what_it_was_given(appearance):
    again = from_content(appearance.to_content(), STATE, (0.5, 0.5, 0.5))
    assert again is not None
    assert not again.knows_answers
    assert np.allclose(again.mean[:4], appearance.mean[:4], rtol=1e-6)
    row = appearance.properties(IMAGES[0], 0.5, 1.0)
    assert np.allclose(again.properties(IMAGES[0], 0.5, 1.0), row, rtol=1e-3)
    assert dict(zip(PROPERTIES, row, strict=True))["defects"] == 1.0


@pytest.mark.parametrize(
    "change",
    [
        {"centre": torch.zeros(3)},
        {"covariance": torch.full((16, 16), torch.nan)},
        {"mean": {}},
        {"count": "many"},
        {"sd": dict.fromkeys(PROPERTIES, -1.0)},
    ],
)
def test_damaged_entry_is_refused(appearance, change):
    with pytest.raises(ValueError, match="appearance"):
        from_content(appearance.to_content() | change, STATE, (0.5, 0.5, 0.5))


def test_later_version_and_older_file_are_not_read(appearance):
    assert from_content(None, STATE, (0.5,)) is None
    assert from_content(appearance.to_content() | {"version": 2}, STATE, (0.5,)) is None


def test_few_images_tell_nothing():
    kernel = first_kernel(STATE, 3)
    assert kernel is not None
    assert measure(IMAGES[:19], kernel) is None


def test_entropy_is_one_bit_where_nothing_is_known():
    assert entropy_of(np.zeros((2, 16, 16), np.float32)) == pytest.approx(1)
    assert entropy_of(np.full((2, 16, 16), -20, np.float32)) < 1e-4
    assert entropy_of(np.array([[[np.log(2.0)]], [[0.0]], [[0.0]]], np.float32), multiclass=True) == pytest.approx(1)
    assert entropy_of(None) == 0
    assert entropy_of(None, np.array([0.5, 0.1])) == pytest.approx(1)

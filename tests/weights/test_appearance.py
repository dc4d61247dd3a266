"""The look of images: what each number answers to, and what a weights file keeps of it."""

import numpy as np
import pytest
import torch

from utils.weights.appearance import (
    PROPERTIES,
    Appearance,
    described,
    entropy_of,
    from_content,
    plain,
    summarised,
)

RNG = np.random.default_rng(3)
IMAGES = [RNG.integers(20, 120 + 4 * n, (64, 100, 3), np.uint8) for n in range(30)]


def seen(image):
    """Stand in for what a layer sees: four means."""
    return image.reshape(4, -1).mean(1) if image.size % 4 == 0 else np.full(4, image.mean())


def rows(count=30):
    return [described(image, seen(image)) for image in IMAGES[:count]]


@pytest.fixture(scope="module")
def appearance() -> Appearance:
    found = summarised(rows(), "encoder.layer")
    assert found is not None
    return found


def test_own_distances_are_those_from_all_the_others():
    rng = np.random.default_rng(0)
    table = rng.normal(0, 1, (25, 3))
    own = Appearance("l", np.zeros(6), np.ones(6), 25, table.mean(0), np.cov(table.T))
    object.__setattr__(own, "_inverse", np.linalg.inv(own.covariance))  # without what is added to it
    for place, distance in enumerate(own.own_distances(table)):
        rest = np.delete(table, place, axis=0)
        apart = table[place] - rest.mean(0)
        assert distance == pytest.approx(np.sqrt(apart @ np.linalg.inv(np.cov(rest.T)) @ apart), rel=1e-9)


def test_images_not_measured_are_as_far_as_those_that_were():
    rng = np.random.default_rng(0)
    table = np.hstack([np.zeros((60, 3)), rng.normal(0, 1, (60, 12))])
    found = summarised(list(table), "l")
    others = np.sqrt(found.squares(rng.normal(0, 1, (4000, 12))))
    assert others.mean() == pytest.approx(found.mean[3], rel=0.08)


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
    assert np.isfinite(appearance.properties(image, seen(image), 0.0, 0.0)).all()


def test_weights_file_gives_back_what_it_was_given(appearance):
    again = from_content(appearance.to_content())
    assert again is not None
    assert not again.knows_answers
    assert np.allclose(again.mean[:4], appearance.mean[:4], rtol=1e-6)
    row = appearance.properties(IMAGES[0], seen(IMAGES[0]), 0.5, 1.0)
    assert np.allclose(again.properties(IMAGES[0], seen(IMAGES[0]), 0.5, 1.0), row, rtol=1e-3)
    assert dict(zip(PROPERTIES, row, strict=True))["defects"] == 1.0


@pytest.mark.parametrize(
    "change",
    [
        {"centre": torch.zeros(3)},
        {"covariance": torch.full((4, 4), torch.nan)},
        {"layer": 3},
        {"layer": "x", "centre": torch.zeros(0), "covariance": torch.zeros(0, 0)},
        {"mean": {}},
        {"count": "many"},
        {"sd": dict.fromkeys(PROPERTIES, -1.0)},
    ],
)
def test_damaged_entry_is_refused(appearance, change):
    with pytest.raises(ValueError, match="appearance"):
        from_content(appearance.to_content() | change)


def test_later_version_and_older_file_are_not_read(appearance):
    assert from_content(None) is None
    assert from_content(appearance.to_content() | {"version": 3}) is None


def test_few_images_tell_nothing():
    assert summarised(rows(19), "encoder.layer") is None


def test_network_without_such_a_layer_knows_the_rest():
    found = summarised([described(image, None) for image in IMAGES], None)
    again = from_content(found.to_content())
    assert again.layer is None
    row = again.properties(IMAGES[0], None)
    assert np.isfinite(row[:3]).all()
    assert np.isnan(row[3])
    assert np.isnan(again.mean[3])


def test_entropy_is_one_bit_where_nothing_is_known():
    assert entropy_of(np.zeros((2, 16, 16), np.float32)) == pytest.approx(1)
    assert entropy_of(np.full((2, 16, 16), -20, np.float32)) < 1e-4
    assert entropy_of(np.array([[[np.log(2.0)]], [[0.0]], [[0.0]]], np.float32), multiclass=True) == pytest.approx(1)
    assert entropy_of(None) == 0
    assert entropy_of(None, np.array([0.5, 0.1])) == pytest.approx(1)

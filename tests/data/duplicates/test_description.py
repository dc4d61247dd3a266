import cv2
import numpy as np
import pytest

from utils.data.duplicates.description import PATCH, POINTS, describe
from utils.data.duplicates.symmetry import SYMMETRIES, lay


@pytest.fixture(scope="module")
def picture():
    rng = np.random.default_rng(3)
    image = np.clip(120 + cv2.GaussianBlur(rng.normal(0, 90, (120, 160)).astype(np.float32), (0, 0), 2), 0, 255)
    return image.astype(np.uint8)


@pytest.mark.parametrize("symmetry", SYMMETRIES)
def test_a_laid_picture_has_the_hash_of_its_symmetry_and_the_same_patches(picture, symmetry):
    one, other = describe(picture, 1.0), describe(np.ascontiguousarray(lay(picture, symmetry)), 1.0)
    assert (one.hashes[symmetry] != other.hashes[0]).sum() <= 2
    assert len(one.patches) == len(other.patches) == POINTS
    nearest = (one.patches @ other.patches.T).max(axis=1)
    assert np.median(nearest) > 0.99


def test_patches_have_mean_0_and_length_1(picture):
    patches = describe(picture, 1.0).patches
    np.testing.assert_allclose(np.linalg.norm(patches, axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(patches.mean(axis=1), 0, atol=1e-5)


@pytest.mark.parametrize("grey", [np.full((60, 60), 80, np.uint8), np.full((1, 1), 80, np.uint8)])
def test_what_is_flat_has_no_points(grey):
    described = describe(grey, 0.5)
    assert described.points.shape == (0, 2)
    assert described.patches.shape == (0, PATCH * PATCH)

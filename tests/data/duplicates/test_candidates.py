import cv2
import numpy as np
import pytest

from utils.data.duplicates.candidates import find_candidates
from utils.data.duplicates.description import describe
from utils.data.duplicates.symmetry import SYMMETRIES, lay


def surface(seed):
    rng = np.random.default_rng(seed)
    image = np.clip(120 + cv2.GaussianBlur(rng.normal(0, 90, (180, 220)).astype(np.float32), (0, 0), 2), 0, 255)
    return image.astype(np.uint8)


@pytest.mark.parametrize("symmetry", SYMMETRIES)
def test_candidates_say_how_the_second_image_lies_on_the_first(symmetry):
    whole = surface(0)
    first, second = whole[:150, :200], np.ascontiguousarray(lay(whole[20:170, 10:210], symmetry))
    described = [describe(np.ascontiguousarray(one), 1.0) for one in (first, second, surface(1)[:150, :200])]
    found = find_candidates(described, 1)
    ours = found.pairs[~found.whole]
    assert set(map(tuple, ours[:, :2].tolist())) == {(0, 1)}
    _, _, laid, down, right = ours[0].tolist()
    back = lay(second, laid)
    np.testing.assert_array_equal(back[: 150 - down, : 200 - right], first[down:, right:])
    assert (down, right) == (20, 10)


def test_without_patches_there_are_no_candidates():
    flat = describe(np.full((60, 60), 80, np.uint8), 1.0)
    assert find_candidates([flat], 1).pairs.shape == (0, 5)

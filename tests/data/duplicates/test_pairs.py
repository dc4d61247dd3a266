import cv2
import numpy as np
import pytest

from utils.data.duplicates.candidates import NEIGHBOURS
from utils.data.duplicates.description import describe
from utils.data.duplicates.pairs import correlation, find_pairs, is_copy, on_disk, overlap
from utils.data.duplicates.symmetry import SYMMETRIES, lay


def surface(seed, height=120, width=160):
    rng = np.random.default_rng(seed)
    image = np.clip(120 + cv2.GaussianBlur(rng.normal(0, 90, (height, width)).astype(np.float32), (0, 0), 2), 0, 255)
    return image.astype(np.uint8)


@pytest.mark.parametrize("symmetry", SYMMETRIES)
@pytest.mark.parametrize("sides", [None, (0, 0, 1), (1, 1, 0)])
def test_a_pair_says_how_the_second_image_lies_on_the_first(symmetry, sides):
    copy = np.ascontiguousarray(lay(surface(0), symmetry))
    (pair,) = find_pairs([describe(one, 1.0) for one in (surface(0), surface(1), copy)], 1, False, sides)
    assert (pair.first, pair.second, pair.down, pair.right) == (0, 2, 0, 0)
    np.testing.assert_array_equal(lay(copy, pair.symmetry), surface(0))
    assert pair.value > 0.99


def test_pairs_of_one_side_are_left_out_and_do_not_hide_those_of_two():
    alike = [describe(surface(0), 1.0)] * (NEIGHBOURS + 2)
    found = find_pairs(alike, 1, False, [*[0] * (NEIGHBOURS + 1), 1])
    assert {(pair.first, pair.second) for pair in found} == {(k, NEIGHBOURS + 1) for k in range(NEIGHBOURS + 1)}


def test_overlap_cuts_the_common_part():
    picture = np.arange(30).reshape(5, 6)
    one, other = overlap(picture[:4, :5], picture[1:, 2:], 1, 2)
    np.testing.assert_array_equal(one, other)
    assert one.shape == (3, 3)


def test_textures_of_many_images_lie_in_a_file_and_stay_the_same():
    rng = np.random.default_rng(0)
    shapes = [(30, 40), (1, 7), (50, 20), (33, 33)]
    described = [describe(rng.integers(0, 255, shape).astype(np.uint8), 1.0) for shape in shapes]
    for most in (0, 1500, 10**9):
        kept = on_disk(iter(described), most)
        assert all(np.array_equal(one.texture, two.texture) for one, two in zip(kept, described, strict=True))
        assert all(np.array_equal(one.patches, two.patches) for one, two in zip(kept, described, strict=True))
    assert not any(one.texture.flags.writeable for one in on_disk(described, 0)), "of the file"
    assert on_disk([], 0) == []


def plate(seed, noise=10):
    """Draw a tread plate: the same rhombs each time, and steel of its own."""
    rows, columns = np.mgrid[:102, :400].astype(np.float32)
    lines = np.minimum(np.abs((columns + rows / 2) % 40 - 20), np.abs((columns - rows / 2) % 40 - 20))
    steel = cv2.GaussianBlur(np.random.default_rng(seed).normal(0, 1, lines.shape).astype(np.float32), (0, 0), 1.2)
    return np.clip(np.where(lines < 3, 60, -10) + noise * steel / steel.std(), -127, 127).astype(np.int8)


def test_two_plates_of_one_pattern_are_no_copies_and_one_that_is_darker_is():
    first, second = plate(1), plate(2)
    assert correlation(first, second) > 0.9
    assert not is_copy(first, second)
    darker = 0.8 * first + np.random.default_rng(5).normal(0, 3, first.shape)
    assert is_copy(first, np.clip(darker, -127, 127).astype(np.int8))

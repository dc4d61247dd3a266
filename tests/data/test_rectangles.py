"""Rectangles say the same as drawn masks, whatever is done to them."""

import numpy as np
import pytest

from utils.data.rectangles import Rectangles, draw, nearest_source, union
from utils.data.rle import encode, parse


def masks_of(seed: int, height: int, width: int) -> np.ndarray:
    """(H, W, 4) uint8: specks, nothing, blobs, everything (one run through all columns)."""
    random = np.random.default_rng(seed)
    masks = np.zeros((height, width, 4), np.uint8)
    masks[..., 0] = random.random((height, width)) < 0.3
    for _ in range(3):
        top, left = random.integers(0, height), random.integers(0, width)
        masks[top : top + 1 + height // 3, left : left + 1 + width // 4, 2] = 1
    masks[..., 3] = 1
    return masks


def rectangles_of(masks: np.ndarray) -> list[Rectangles]:
    height, width = masks.shape[:2]
    return [Rectangles.of_runs(parse(encode(mask), height, width), height, width) for mask in np.moveaxis(masks, 2, 0)]


SIZES = [(1, 1), (1, 9), (9, 1), (20, 31), (33, 16)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("seed", range(3))
def test_drawing_gives_the_mask_back(size, seed):
    masks = masks_of(seed, *size)
    parts = rectangles_of(masks)
    np.testing.assert_array_equal(draw(parts), masks)
    assert [part.count for part in parts] == masks.sum((0, 1)).tolist()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("new", [(20, 31), (7, 50), (41, 12), (1, 1), (60, 93)])
def test_resizing_takes_the_pixel_that_holds_each_centre(size, new):
    masks = masks_of(0, *size)
    resized = [part.resized(*new) for part in rectangles_of(masks)]
    drawn = draw(resized)
    for row in range(new[0]):
        for column in range(new[1]):
            source = masks[int((row + 0.5) * size[0] / new[0]), int((column + 0.5) * size[1] / new[1])]
            assert np.array_equal(drawn[row, column], source)
    assert [part.count for part in resized] == drawn.sum((0, 1)).tolist()


def test_nearest_source_stays_inside():
    for length, source in ((1, 7), (7, 1), (768, 1600), (1600, 768), (3, 3)):
        rows = nearest_source(length, source)
        assert rows.min() >= 0
        assert rows.max() < source
        assert (np.diff(rows) >= 0).all()


@pytest.mark.parametrize("new", [(20, 31), (45, 70)])
@pytest.mark.parametrize("window", [(0, 0, 20, 31), (3, 5, 7, 9), (15, 25, 40, 40), (19, 30, 1, 1)])
def test_a_window_is_that_part_of_the_mask(new, window):
    top, left, height, width = window
    parts = [part.resized(*new) for part in rectangles_of(masks_of(1, 20, 31))]
    expected = draw(parts)[top : top + height, left : left + width]
    np.testing.assert_array_equal(draw([part.window(*window) for part in parts]), expected)


@pytest.mark.parametrize("new", [(12, 17), (5, 40)])
def test_pixels_are_numbered_in_reading_order(new):
    for part in rectangles_of(masks_of(2, 12, 17)):
        resized = part.resized(*new)
        pixels = np.argwhere(draw([resized])[..., 0])
        assert [resized.pixel(number) for number in range(resized.count)] == [tuple(pixel) for pixel in pixels]


@pytest.mark.parametrize("size", SIZES)
def test_union_is_the_largest_of_all_masks(size):
    masks = masks_of(3, *size)
    for some in ([0], [1], [0, 2], [2, 1, 0], [0, 1, 2, 3]):
        joined = union([rectangles_of(masks)[index] for index in some])
        np.testing.assert_array_equal(draw([joined])[..., 0], masks[..., some].max(axis=2))
        assert joined.count == masks[..., some].max(axis=2).sum()

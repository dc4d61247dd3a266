"""Outlines of masks, filled again, are the masks: with holes, parts within holes, and pixels that touch at corners."""

import numpy as np
import pytest

from utils.data.convert.outlines import components, outline, rings
from utils.data.convert.polygons import draw_outlines, fill


def drawn(text):
    return np.array([[letter == "#" for letter in line] for line in text.split()])


@pytest.mark.parametrize("scale", [1, 3])
@pytest.mark.parametrize("seed", range(40))
def test_outlines_give_the_mask_again(seed, scale):
    random = np.random.default_rng(seed)
    small = random.random(random.integers(1, 15, 2)) < random.random()
    mask = np.kron(small, np.ones((scale, scale), bool))
    height, width = mask.shape
    again = np.zeros_like(mask)
    for part, x, y in components(mask):
        corners = outline(part) + np.array([x, y])
        once = draw_outlines([corners.astype(float)], height, width)
        assert np.array_equal(once, fill([corners], height, width))
        assert not (again & once).any()
        again |= once
        # Six digits of a share, as YOLO labels have them, miss no pixel.
        shares = np.round(corners / [width, height], 6)
        assert np.array_equal(draw_outlines([shares * [width, height]], height, width), once)
    assert np.array_equal(again, mask)


@pytest.mark.parametrize(
    ("text", "sizes"),
    [
        ("#", [4]),
        ("##  ##".replace(" ", "."), [4, 4]),
        ("#. .#", [8]),  # two pixels that touch are one part, whose line meets itself
        (".# #.", [8]),
        ("### #.# ###", [4, 4]),
        ("##### #...# #.#.# #...# #####", [4, 4, 4]),
    ],
)
def test_edges_of_pixels_are_traced_with_corners_only(text, sizes):
    mask = drawn(text)
    assert sorted(len(ring) for ring in rings(mask)) == sorted(sizes)


def test_a_hole_is_reached_through_the_mask():
    corners = outline(drawn("#### #..# ####")).tolist()
    assert corners[:2] == [[0, 0], [4, 0]] or [0, 0] in corners
    assert corners.count([0, 1]) == 2  # where the cut begins, and ends
    assert corners.count([1, 1]) == 2


def test_parts_that_touch_at_a_corner_are_one():
    assert [(part.shape, x, y) for part, x, y in components(drawn("#.... .#..# .....".replace(" ", " ")))] == [
        ((2, 2), 0, 0),
        ((1, 1), 4, 1),
    ]


def test_a_chain_of_thousands_of_holes_is_traced():
    """Each hole is joined to the one before it: neither a recursion nor a search of the whole outline a hole."""
    mask = np.ones((3, 8001), bool)
    mask[1, 1::2] = False
    corners = outline(mask)
    assert len(corners) == 4 + 4000 * 7
    assert np.array_equal(fill([corners], 3, 8001), mask)

"""Outlines that enclose no pixel centre, and those beside them that do."""

from collections import Counter

import cv2
import numpy as np
import pytest

from utils.data.convert.polygons import draw_outlines, fill, notes_of


@pytest.mark.parametrize(
    ("corners", "pixels"),
    [
        ([[3, 2]], {(2, 3)}),
        ([[3, 2], [5, 2]], {(2, 3), (2, 4), (2, 5)}),
        ([[3, 2], [5, 4], [3, 2]], {(2, 3), (3, 4), (4, 5)}),
        ([[2.9999, 2], [5, 2], [2.9999, 2]], {(2, 3), (2, 4), (2, 5)}),
        ([[12, 8], [12, 8]], {(7, 11)}),  # on the image's lower right corner
    ],
)
def test_what_encloses_no_pixel_centre_is_drawn_as_a_line_and_told(corners, pixels):
    tally = Counter()
    drawn = draw_outlines([np.array(corners, float)], 8, 12, tally)
    assert {tuple(place) for place in np.argwhere(drawn).tolist()} == pixels
    assert notes_of(tally) == [
        "1 outline thinner than a pixel, wholly or in places: drawn there as a line of one pixel"
    ]


def test_traced_lines_give_their_pixels_back():
    mask = np.zeros((40, 60), np.uint8)
    cv2.polylines(mask, [np.array([[3, 4], [50, 30]], np.int32)], False, 1)
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    drawn = draw_outlines([contour[:, 0].astype(float) for contour in contours], 40, 60)
    assert np.array_equal(drawn, mask.astype(bool))


def test_a_thin_tail_of_a_patch_is_kept():
    patch_and_tail = np.array([[2, 2], [8, 2], [8, 5], [30, 5], [8, 5], [8, 8], [2, 8]], float)
    drawn = draw_outlines([patch_and_tail], 20, 40)
    assert drawn[2:8, 2:8].all()
    assert drawn[5, 8:31].all()
    assert drawn.sum() <= 36 + 23 + 2


@pytest.mark.parametrize("corners", [[[2, 1], [6, 1], [6, 4], [2, 4]], [[1, 1], [11, 2], [10, 7], [2, 6.5]]])
def test_other_outlines_are_filled_by_pixel_centres_and_nothing_is_told(corners):
    tally = Counter()
    assert np.array_equal(draw_outlines([np.array(corners)], 8, 12, tally), fill([np.array(corners)], 8, 12))
    assert not notes_of(tally)


def test_outlines_outside_of_the_image_are_told():
    tally = Counter()
    far = [np.array([[100, 100], [110, 100], [110, 120]]), np.array([[-1e300, 0], [-5, 0], [-5, 9]])]
    assert not draw_outlines(far, 8, 12, tally).any()
    assert notes_of(tally) == ["2 outlines outside of the image: no pixel labelled"]

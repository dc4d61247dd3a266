"""Pictures of defects: what they show and where the defect is in them."""

import cv2
import numpy as np
import pytest

from tests.coil.drawn import coil
from utils.coil.crops import CROP_SIDE, LARGEST_PART, crop_around, take_pictures


def decoded(jpeg: bytes) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_UNCHANGED)


@pytest.mark.parametrize(
    ("box", "shape", "whole"),
    [
        ((100, 60, 40, 30), (78, 88), True),
        ((0, 0, 40, 30), (54, 64), True),  # at the corner
        ((590, 190, 40, 30), (34, 34), True),  # reaches beyond the image
        ((100, 60, 300, 2), (76, 240), True),  # made smaller
    ],
)
def test_crop_shows_the_defect_with_a_margin(box, shape, whole):
    image = np.full((200, 600), 100, np.uint8)
    x, y, width, height = box
    image[y : y + height, x : x + width] = 250
    crop = crop_around(image, box)
    picture = decoded(crop.jpeg)
    assert picture.shape == shape
    assert max(picture.shape) <= CROP_SIDE
    assert crop.whole == whole
    rows, columns = picture.shape
    left, top, wide, high = crop.box
    inside = picture[
        round(top * rows) : round((top + high) * rows), round(left * columns) : round((left + wide) * columns)
    ]
    assert inside.mean() > 150
    assert 0 <= left <= left + wide <= 1.001


def test_crop_of_a_long_scratch_shows_its_middle():
    crop = crop_around(np.zeros((300, 5000, 3), np.uint8), (10, 100, 4900, 6))
    assert not crop.whole
    assert decoded(crop.jpeg).shape[1] == CROP_SIDE
    assert crop.box[0] == 0
    assert crop.box[2] == 1
    assert LARGEST_PART < 4900


def test_colours_stay_as_they_are():
    red = np.zeros((80, 80, 3), np.uint8)
    red[..., 0] = 200
    blue, _, first = decoded(crop_around(red, (30, 30, 10, 10)).jpeg)[40, 40]
    assert first > 150
    assert blue < 50


def test_images_are_read_once_and_those_that_cannot_be_are_left_out():
    made = coil("2*dent@5+0.1:5; hole@7:5; hole@8:5")
    asked = []

    def read(name: str) -> np.ndarray | None:
        asked.append(name)
        return None if name == "00008.png" else np.zeros((60, 90), np.uint8)

    pictures = take_pictures(made.defects, made.order, read)
    assert sorted(asked) == ["00005.png", "00007.png", "00008.png"]
    assert list(pictures.crops) == [1, 2, 3]
    assert {name: (one.width, one.height) for name, one in pictures.thumbs.items()} == {
        "00005.png": (90, 60),
        "00007.png": (90, 60),
    }
    assert list(take_pictures(made.defects, made.order, read, most=1).crops) == [1]

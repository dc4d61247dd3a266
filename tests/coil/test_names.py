"""Names of images tell their order, names of cameras where they stand."""

import numpy as np
import pytest

from utils.coil.names import camera_name, natural, numbers_of, side_by_side


@pytest.mark.parametrize(
    ("names", "numbers"),
    [
        (["7.jpg", "10.png"], [7, 10]),
        (["cam2_0012.jpg", "cam2_0003.jpg"], [12, 3]),
        (["a1b.jpg", "a2b.jpg"], [1, 2]),
        (["a1.jpg", "b2.jpg"], None),
        (["1.jpg", "01.jpg"], None),
        (["a.jpg", "b.jpg"], None),
    ],
)
def test_numbers_of_names(names, numbers):
    found = numbers_of(names)
    assert found is None if numbers is None else np.array_equal(found, numbers)


@pytest.mark.parametrize(("word", "name"), [("1.0", "1"), ("cam1.0", "cam1.0"), ("1.5", "1.5"), ("12.00", "12")])
def test_numbers_of_cameras_are_written_as_such(word, name):
    assert camera_name(word) == name


@pytest.mark.parametrize(
    ("cameras", "places"),
    [
        (["1", "2", "4"], [0, 1, 3]),  # the third is missing
        (["0", "1"], [0, 1]),
        (["7", "8"], [0, 1]),
        (["left", "right"], [0, 1]),
        (["1", "900"], [0, 1]),
    ],
)
def test_cameras_stand_by_their_numbers(cameras, places):
    assert side_by_side(cameras) == dict(zip(cameras, places, strict=True))


def test_numbers_in_names_are_sorted_as_numbers():
    assert sorted(["c10", "c9", "b"], key=natural) == ["b", "c9", "c10"]

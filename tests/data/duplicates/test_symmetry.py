import numpy as np
import pytest

from utils.data.duplicates.symmetry import NAMES, SYMMETRIES, between, lay, move, then, turned_shapes

PICTURE = np.arange(6 * 9).reshape(6, 9)


def test_the_eight_are_different_and_are_the_turns_and_mirrors():
    laid = [lay(PICTURE, symmetry) for symmetry in SYMMETRIES]
    assert len({one.tobytes() + bytes(one.shape) for one in laid}) == len(SYMMETRIES) == len(NAMES)
    expected = {np.rot90(one, turns).tobytes() for one in (PICTURE, PICTURE[::-1]) for turns in range(4)}
    assert {one.tobytes() for one in laid} == expected


@pytest.mark.parametrize(("name", "turns"), [("clockwise", 3), ("counterclockwise", 1), ("180 degrees", 2)])
def test_names_say_what_is_done(name, turns):
    symmetry = next(k for k, one in enumerate(NAMES) if one == f"turned by {'90 degrees ' * (turns != 2)}{name}")
    np.testing.assert_array_equal(lay(PICTURE, symmetry), np.rot90(PICTURE, turns))


@pytest.mark.parametrize("first", SYMMETRIES)
@pytest.mark.parametrize("second", SYMMETRIES)
def test_between_lays_one_picture_on_the_other(first, second):
    # Two pictures of one thing: each is laid by its own symmetry into the same position.
    inverse = {
        k: next(j for j in SYMMETRIES if (lay(lay(PICTURE, k), j).tobytes() == PICTURE.tobytes())) for k in SYMMETRIES
    }
    one, other = lay(PICTURE, inverse[first]), lay(PICTURE, inverse[second])
    (found,) = between(np.array([first]), np.array([second])).tolist()
    np.testing.assert_array_equal(lay(other, found), one)


@pytest.mark.parametrize("symmetry", SYMMETRIES)
def test_points_move_with_the_picture(symmetry):
    points = np.array([(0, 0), (2, 7), (5, 8)])
    shapes, numbers = np.array([PICTURE.shape] * 3), np.array([symmetry] * 3)
    laid = lay(PICTURE, symmetry)
    assert tuple(turned_shapes(shapes, numbers)[0]) == laid.shape
    moved = move(points, shapes, numbers)
    np.testing.assert_array_equal(laid[tuple(moved.T)], PICTURE[tuple(points.T)])


@pytest.mark.parametrize("first", SYMMETRIES)
@pytest.mark.parametrize("second", SYMMETRIES)
def test_then_does_one_after_the_other(first, second):
    (both,) = then(np.array([first]), np.array([second])).tolist()
    np.testing.assert_array_equal(lay(PICTURE, both), lay(lay(PICTURE, first), second))


def test_pictures_of_several_planes_are_laid_too():
    planes = np.stack([PICTURE, -PICTURE], axis=-1)
    for symmetry in SYMMETRIES:
        np.testing.assert_array_equal(lay(planes, symmetry)[..., 1], -lay(PICTURE, symmetry))

from dataclasses import replace

import cv2
import numpy as np
import pytest
from PIL import Image

from utils.data.annotations import Annotations, make_rows
from utils.data.dataset_folder import Dataset
from utils.data.duplicates import copies as measuring
from utils.data.duplicates.candidates import NEIGHBOURS
from utils.data.duplicates.copies import (
    Agreement,
    Copies,
    Copy,
    Masks,
    Member,
    agreement,
    best_shift,
    compare_masks,
    find_copies,
    laid_on,
    one_of_each,
    surest,
)
from utils.data.duplicates.image_sets import ImageSet
from utils.data.duplicates.pairs import Pair
from utils.data.duplicates.symmetry import SYMMETRIES, lay
from utils.data.rle import encode


def surface(seed, height=200, width=240):
    rng = np.random.default_rng(seed)
    image = np.clip(120 + cv2.GaussianBlur(rng.normal(0, 90, (height, width)).astype(np.float32), (0, 0), 2), 0, 255)
    return image.astype(np.uint8)


@pytest.fixture
def images(tmp_path):
    """Make an image set of name -> (picture, mask or None)."""

    def make(pictures):
        records = []
        for name, (picture, mask) in pictures.items():
            Image.fromarray(np.ascontiguousarray(picture)).save(tmp_path / name)
            if mask is not None and mask.any():
                records.append((name, 1, encode(np.ascontiguousarray(mask)), 0))
        names = tuple(sorted(pictures))
        dataset = Dataset(tmp_path, tmp_path, names, Annotations(make_rows(records), names, ("pit",)))
        return ImageSet(tmp_path, tmp_path, names, dataset)

    return make


def square(height=200, width=240, top=40, left=50):
    mask = np.zeros((height, width), np.uint8)
    mask[top : top + 30, left : left + 60] = 1
    return mask


@pytest.mark.parametrize("symmetry", SYMMETRIES)
@pytest.mark.parametrize("pixels", [10**6, 9_000], ids=["full size", "shrunk"])
def test_a_copy_says_how_it_lies_and_its_labels_agree(images, monkeypatch, symmetry, pixels):
    monkeypatch.setattr("utils.data.duplicates.pairs.PIXELS", pixels)
    whole, mask = surface(0), square()
    cut = (slice(13, 200), slice(21, 240))
    first = (whole[:187, :219], mask[:187, :219])
    second = tuple(lay(part[cut], symmetry) for part in (whole, mask))
    ours = images({"a.png": first, "b.png": second, "c.png": (surface(1)[:187, :219], None)})
    found = find_copies([Member(ours, name) for name in ours.names], 1, False)
    (copy,) = found.found
    assert (copy.first, copy.second, copy.down, copy.right) == (0, 1, 13, 21)
    assert copy.share == pytest.approx((187 - 13) * (219 - 21) / (187 * 219))
    assert copy.masks == Masks(1.0, (1.0,), 0)
    laid = laid_on(second[0], copy, first[0].shape)
    np.testing.assert_array_equal(laid[13:, 21:], first[0][13:, 21:])
    assert not laid[:13].any()


def test_labels_that_differ_on_a_copy_are_told(images):
    mask = square()
    ours = images({"a.png": (surface(0), mask), "b.png": (surface(0)[:, ::-1], square(left=60)[:, ::-1])})
    (copy,) = find_copies([Member(ours, name) for name in ours.names], 1, False).found
    assert copy.masks == Masks(50 / 70, (50 / 70,), 600)
    assert copy.disagrees
    assert not replace(copy, pixels=0.9).disagrees


def test_without_labels_nothing_is_said_of_them(images):
    ours = images({"a.png": (surface(0), None), "b.png": (surface(0), None)})
    ours = ImageSet(ours.root, ours.folder, ours.names, None)
    found = find_copies([Member(ours, name) for name in ours.names], 1, False)
    assert (found.class_names, found.found[0].masks, found.found[0].disagrees) == ((), None, False)


@pytest.mark.parametrize(
    ("first", "second", "counted", "expected"),
    [
        ([[1, 1], [0, 0]], [[1, 0], [0, 0]], None, Masks(0.5, (0.5,), 1)),
        ([[0, 0], [0, 0]], [[0, 0], [0, 0]], None, Masks(1.0, (None,), 0)),
        ([[0, 1], [0, 0]], [[0, 0], [0, 0]], None, Masks(0.0, (0.0,), 1)),
        ([[0, 1], [0, 1]], [[0, 0], [0, 1]], [[1, 0], [1, 1]], Masks(1.0, (1.0,), 0)),
    ],
)
def test_compared_masks(first, second, counted, expected):
    planes = (np.array(one, np.uint8)[..., None] for one in (first, second))
    assert compare_masks(*planes, None if counted is None else np.array(counted, bool)) == expected


@pytest.mark.parametrize("off", [(0, 0), (2, -1), (-3, 3)])
def test_best_shift_finds_the_pixel(off):
    whole = surface(2).astype(np.float32)
    one, other = whole[:150, :180], whole[11:161, 17:197]
    assert best_shift(one, other, 11 + off[0], 17 + off[1], 3) == (11, 17)


def test_what_is_too_small_keeps_its_shift():
    tiny = np.ones((6, 6), np.float32)
    assert best_shift(tiny, tiny, 1, 2, 3) == (1, 2)


def test_an_image_has_a_bounded_number_of_copies():
    count = 3 * NEIGHBOURS
    pairs = [Pair(1 - k / 1000, 0, k, 0, 0, 0) for k in range(1, count)]
    crowd = [Pair(0.5, a, b, 0, 0, 0) for a in range(1, count) for b in range(a + 1, count)]
    kept = surest([*pairs, *crowd])
    assert kept[: len(pairs)] == pairs  # each is among the surest of its second image
    assert len(kept) <= count * NEIGHBOURS


def test_one_of_each_picture_stays_and_wrong_labels_go():
    def copy(first, second, iou, share=1.0):
        return Copy(first, second, 0, 0, 0, share, 0.99, Masks(iou, (iou,), 0))

    # 0, 1 and 2 are one picture, of which 0 is labelled otherwise; 3 overlaps 2; 4 is a part of 5.
    found = [copy(0, 1, 0.2), copy(0, 2, 0.2), copy(1, 2, 1.0), copy(2, 3, 1.0, 0.5), copy(4, 5, 1.0)]
    sizes = np.array([[10, 10]] * 4 + [[5, 5], [10, 10]])
    assert one_of_each(Copies([], sizes, found, ("pit",))) == {0: 1, 2: 1, 4: 5}


def test_labels_are_scored_as_networks_are():
    def copy(share, pixels, *iou):
        return Copy(0, 1, 0, 0, 0, share, pixels, Masks(0.5, iou, 0) if iou else None)

    whole = [copy(0.95, 0.99, 1.0, None), copy(0.9, 0.95, 1 / 3, None), copy(1.0, 0.9, 0.0, 0.0), copy(1.0, 0.99)]
    parts = [copy(0.5, 0.99, None, 0.0), copy(0.49, 0.99, 1.0, 1.0)]
    assert agreement(whole + parts, 0.9) == Agreement(2, pytest.approx((1 + 1 + 0.5 + 1) / 4), pytest.approx(0.75))
    assert agreement(whole + parts, 0.5, 0.9) == Agreement(1, 0.5, 0.0)
    assert agreement([copy(1.0, 0.99, None, None)], 0.9) == Agreement(1, 1.0, None)
    assert agreement(parts, 0.9) is None


def test_shifts_of_many_shrunk_pairs_are_not_all_refined(images, monkeypatch):
    monkeypatch.setattr("utils.data.duplicates.pairs.PIXELS", 9_000)
    monkeypatch.setattr(measuring, "REFINED", 0)
    whole = surface(0)
    ours = images({"a.png": (whole[:187, :219], None), "b.png": (whole[13:, 21:], None)})
    (copy,) = find_copies([Member(ours, name) for name in ours.names], 1, False).found
    assert abs(copy.down - 13) <= 3
    assert abs(copy.right - 21) <= 3

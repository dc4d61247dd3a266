import numpy as np

from utils.data.duplicates.copies import Copies, Copy, Masks, Member
from utils.data.duplicates.image_sets import ImageSet
from utils.reporting.copies_page import chosen, sections


def copy(number, iou, pixels=0.99, differing=0):
    return Copy(number, number + 1, 0, 0, 0, 1.0, pixels, Masks(iou, (iou,), differing))


def found(tmp_path, pairs):
    images = ImageSet(tmp_path, tmp_path, ("a.png",), None)
    members = [Member(images, f"{k}.png") for k in range(2 * len(pairs) + 2)]
    return Copies(members, np.full((len(members), 2), 10), pairs, ("pit",))


def test_labels_that_differ_come_first_by_the_pixels_that_differ_and_no_pair_twice(tmp_path):
    few, many = copy(0, 0.1, differing=5), copy(2, 0.5, differing=50)
    other_steel, weak, sure = copy(4, 0.0, 0.8, 90), copy(6, 1.0, 0.9), copy(8, 1.0)
    pairs = [few, many, sure, weak, other_steel]
    differ, weakest, surest = chosen(found(tmp_path, pairs), 12)
    assert differ == [many, few]
    assert weakest == [other_steel]
    assert surest == [sure, weak]


def test_the_number_of_pairs_shown_is_bounded(tmp_path):
    pairs = [copy(2 * k, k / 40) for k in range(40)]
    assert [len(kind) for kind in chosen(found(tmp_path, pairs), 5)] == [5, 5, 5]


def test_a_page_without_copies_says_so(tmp_path):
    (overview,) = sections(found(tmp_path, []), [("images", 0, 4)], 12)
    assert "No copies" in overview.parts[-1].text

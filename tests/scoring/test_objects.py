"""Labelled and predicted defects: what counts as found, as missed, as false, by size and on clean images."""

import numpy as np
import pytest

from utils.scoring.objects import AREAS, ObjectCounts, find_objects

SHAPE = (40, 60)


def drawn(*boxes: tuple[int, int, int, int]) -> np.ndarray:
    """Draw boxes (top, left, height, width) into one class of an image."""
    mask = np.zeros((1, *SHAPE), bool)
    for top, left, height, width in boxes:
        mask[0, top : top + height, left : left + width] = True
    return mask


def counted(truth: np.ndarray, predicted: np.ndarray) -> dict[str, list[int]]:
    counts = ObjectCounts(len(truth))
    counts.add(find_objects(truth, predicted))
    return {
        key: getattr(counts, key)[0].tolist() for key in ("labelled", "found", "partly", "missed", "predicted", "false")
    }


@pytest.mark.parametrize(
    ("truth", "predicted", "expected"),
    [
        pytest.param([(0, 0, 5, 10)], [(0, 0, 5, 10)], "found", id="the same"),
        pytest.param([(0, 0, 5, 10)], [(0, 0, 5, 5)], "found", id="half of it"),
        pytest.param([(0, 0, 5, 10)], [(0, 0, 5, 4)], "partly", id="less than half"),
        pytest.param([(0, 0, 5, 10)], [(0, 0, 5, 3), (0, 6, 5, 3)], "found", id="in two pieces"),
        pytest.param([(0, 0, 5, 10)], [(0, 0, 30, 40)], "found", id="far too much"),
        pytest.param([(0, 0, 5, 10)], [(20, 20, 5, 10)], "missed false", id="elsewhere"),
        pytest.param([(0, 0, 5, 10)], [], "missed", id="nothing"),
        pytest.param([], [(0, 0, 5, 10)], "false", id="nothing there"),
    ],
)
def test_found_missed_false(truth, predicted, expected):
    result = counted(drawn(*truth), drawn(*predicted))
    assert sum(result["labelled"]) == len(truth)
    assert sum(result["predicted"]) == len(predicted)
    for kind in ("found", "partly", "missed", "false"):
        assert sum(result[kind]) == (kind in expected.split()), kind


def test_corners_connect_and_gaps_do_not():
    mask = np.zeros((1, 6, 9), bool)
    mask[0, [0, 1, 2], [0, 1, 2]] = mask[0, 0, 8] = True
    table = find_objects(mask, np.zeros_like(mask))
    assert sorted(table["area_px"].tolist()) == [1, 3]
    assert sorted(table[["x", "y", "width", "height"]].tolist()) == [(0, 0, 3, 3), (8, 0, 1, 1)]


@pytest.mark.parametrize(("area", "size"), [(1, 0), (99, 0), (100, 1), (299, 1), (300, 2), (2399, 3), (2400, 3)])
def test_size_classes_begin_at_their_areas(area, size):
    mask = np.zeros((1, *SHAPE), bool)
    mask[0].T.ravel()[:area] = True
    plane = np.zeros(SHAPE[0] * SHAPE[1], bool)
    plane[:area] = True
    mask[0] = plane.reshape(SHAPE)
    found = np.array(counted(mask, np.zeros_like(mask))["missed"])
    assert found.nonzero()[0].tolist() == [size]
    assert AREAS[size] <= area


def test_false_alarms_are_counted_on_clean_images_only():
    counts = ObjectCounts(1)
    clean, defect = drawn(), drawn((0, 0, 5, 10))
    for truth, predicted in (
        (clean, clean),
        (clean, drawn((0, 0, 2, 2), (10, 10, 2, 2))),
        (clean, clean),
        (clean, clean),
        (defect, drawn((20, 20, 2, 2))),
    ):
        counts.add(find_objects(truth, predicted))
    told = counts.to_dict(("pits",))
    assert (told["clean_images"], told["alarmed_images"], told["false_on_clean_images"]) == (4, 1, 2)
    assert (told["alarmed_per_1000_clean"], told["false_per_1000_clean"]) == (250.0, 500.0)
    assert sum(told["classes"]["pits"]["false"]) == 3
    assert ObjectCounts(1).to_dict(("pits",))["alarmed_per_1000_clean"] is None


def test_classes_do_not_mix():
    truth, predicted = np.zeros((2, 2, 10, 10), bool)
    truth[0, :4] = predicted[1, :4] = True
    counts = ObjectCounts(2)
    counts.add(find_objects(truth, predicted))
    assert counts.missed.sum(axis=1).tolist() == [1, 0]
    assert counts.false.sum(axis=1).tolist() == [0, 1]
    assert counts.clean_images == 0


def test_what_is_predicted_in_ignored_pixels_is_neither_false_nor_a_defect():
    truth, predicted = np.zeros((2, 1, 10, 30), bool)
    ignored = np.zeros((10, 30), bool)
    ignored[:, 10:20] = True
    truth[0, 2:4, 5:8] = True
    truth[0, 2:4, 12:15] = True  # a label where nothing counts is none
    predicted[0, 2:4, 5:12] = True  # the labelled defect, and beyond
    predicted[0, 6:8, 12:18] = True  # wholly ignored
    predicted[0, 9, 9:23] = True  # through the ignored part: one false defect of 4 pixels
    objects = find_objects(truth, predicted, ignored)
    counts = ObjectCounts(1)
    counts.add(objects)
    assert (counts.labelled.sum(), counts.found.sum(), counts.predicted.sum(), counts.false.sum()) == (1, 1, 2, 1)
    assert objects["area_px"].tolist() == [6, 10, 4]


@pytest.mark.parametrize(("least", "hidden"), [(0, 0), (50, 0), (51, 1), (1000, 1)])
def test_missed_defects_under_the_smallest_area_are_counted(least, hidden):
    counts = ObjectCounts(1, (least,))
    counts.add(find_objects(drawn((0, 0, 5, 10), (20, 20, 5, 10)), drawn((0, 0, 5, 10))))
    assert (counts.missed.sum(), counts.hidden.sum()) == (1, hidden)
    assert "hidden" not in counts.to_dict(("pits",))["classes"]["pits"]

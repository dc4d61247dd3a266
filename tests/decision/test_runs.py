"""Runs of large boxes are found band by band: components, areas and boxes are those of the whole."""

import cv2
import numpy as np
import pytest

from utils.decision import runs as module
from utils.decision.runs import Runs


def parts(box: np.ndarray) -> set[tuple]:
    """Return area, box and first pixel of every component."""
    runs = Runs.of(box, (3, 5))
    first = {int(label): (int(row), int(begin)) for row, begin, label in zip(*_reversed(runs), strict=True)}
    areas, boxes = runs.areas(), runs.boxes()
    return {(int(areas[label]), *map(int, boxes[:, label]), first[label]) for label in range(1, runs.count)}


def _reversed(runs: Runs) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return runs.row[::-1], runs.begin[::-1], runs.labels[::-1]


def boxes() -> list[np.ndarray]:
    random = np.random.default_rng(1)
    made = [(random.random((40, 31)) < share).astype(np.uint8) for share in (0.05, 0.3, 0.45, 0.6, 1)]
    made += [(cv2.blur(random.random((60, 50)), (5, 5)) > 0.52).astype(np.uint8)]
    diagonal = np.eye(30, dtype=np.uint8)
    comb = np.zeros((30, 21), np.uint8)
    comb[:, ::4] = comb[-1] = 1  # teeth that join in the last row alone
    return [*made, diagonal, diagonal[::-1].copy(), comb]


@pytest.mark.parametrize("band", [1, 50, 100, 700])
def test_components_of_bands_are_those_of_the_whole(band, monkeypatch):
    whole = [parts(box) for box in boxes()]
    monkeypatch.setattr(module, "BAND", band)
    assert [parts(box) for box in boxes()] == whole
    assert [len(found) for found in whole[-3:]] == [1, 1, 1]


@pytest.mark.parametrize("band", [50, 10**6])
def test_erasing_and_sums_fit_the_labels(band, monkeypatch):
    monkeypatch.setattr(module, "BAND", band)
    for box in boxes():
        runs = Runs.of(box, (0, 0))
        assert np.array_equal(runs.sums(np.ones(box.sum())), runs.areas())
        dropped = np.zeros(runs.count, np.bool_)
        dropped[1] = True
        left = box.copy()
        runs.erase(left, dropped)
        assert left.sum() == box.sum() - runs.areas()[1]

"""A speck gives no alarm, and the level says from which threshold on something larger does."""

import cv2
import numpy as np
import pytest

from utils.decision.decision import Decision
from utils.training.alarm_level import LEAST_AREA, alarm_level, regions


def hot(*places: tuple[int, int, int, float]) -> np.ndarray:
    """Return a map of 1 with squares: top, left, side, value."""
    found = np.ones((40, 60), np.float32)
    for top, left, side, value in places:
        found[top : top + side, left : left + side] = value
    return found


@pytest.mark.parametrize(
    ("distances", "level"),
    [
        pytest.param(hot((3, 4, 8, 7.0)), 7, id="a square"),
        pytest.param(hot((3, 4, 7, 7.0)), 1, id="a speck"),
        pytest.param(hot((3, 4, 7, 9.0), (20, 20, 12, 5.0)), 5, id="a speck beside a square"),
        pytest.param(hot((0, 0, 6, 9.0), (6, 6, 6, 8.0)), 8, id="regions that touch at a corner"),
        pytest.param(np.full((4, 5), 3.0, np.float32), 3, id="a smaller image"),
    ],
)
def test_level_is_the_highest_threshold_with_a_region(distances, level):
    assert alarm_level(distances) == pytest.approx(level, abs=0.01)


def test_a_thin_line_of_many_pixels_is_a_region():
    assert alarm_level(hot(*((20, x, 2, 6.0) for x in range(0, 60, 2)))) == pytest.approx(6, abs=0.01)


def test_it_decides_as_the_weights_file_does():
    rng = np.random.default_rng(0)
    decision = Decision.uniform(1, 0.5, LEAST_AREA)
    for _ in range(20):
        distances = cv2.GaussianBlur(rng.normal(0, 1, (64, 96)).astype(np.float32), (0, 0), 3) + 5
        level = alarm_level(distances)
        for offset, alarm in ((-0.01, True), (0.01, False)):
            masks, defects = decision.apply_and_find((distances - level - offset)[None], "anomaly")
            assert bool(len(defects)) == alarm
            assert np.array_equal(masks[0], regions(distances - level - offset >= 0, LEAST_AREA))

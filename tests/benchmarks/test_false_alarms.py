"""benchmarks/false_alarms.py: scenes stay together, and draws are summarised by what was asked."""

import numpy as np
import pytest

from benchmarks.false_alarms import folds_of, parted, summary


def test_a_scene_is_left_out_whole():
    scenes = np.repeat(np.arange(10), 4)
    left = parted(scenes, 0.4, np.random.default_rng(0))
    assert left.sum() == 16
    assert all(len(set(left[scenes == scene])) == 1 for scene in range(10))


def test_folds_keep_scenes_together_in_the_order_of_the_images():
    scenes = np.array([5, 5, 9, 9, 9, 2, 5, 2, 7, 1])
    folds = folds_of(scenes, 0)
    assert set(folds) == {1, 2, 3, 4, 5}
    assert all(len(set(folds[scenes == scene])) == 1 for scene in set(scenes))


def test_draws_are_summarised_beside_what_was_asked():
    shares = [0.05, 0.06, 0.2]
    rows = [{"folds_of": "crops", "asked": 0.05, "share": share, "inside": share < 0.1} for share in shares]
    rows.append({"folds_of": "scenes", "asked": 0.05, "share": 0.9, "inside": False})
    told = summary(rows, "crops", 0.05)
    assert (told["mean"], told["median"], told["within_30"]) == (pytest.approx(2.07), 1.2, 0.67)
    assert told["in_interval"] == 0.67

"""How sure a decision was, by which queues and lists order images."""

import dataclasses

import numpy as np
import pytest
import torch

from tests.web.red import about
from utils.decision.decision import Decision
from utils.desk.findings import Finding
from utils.inference.inspected import Inspected

ANOMALIES = about(class_names=("anomaly",), task="anomaly", decision=Decision.uniform(1, 0.5))


def found(logits: list[float], min_area: int = 0, task: str = "anomaly") -> Finding:
    """Return what is found in an image of one row."""
    decision = Decision.uniform(1, 0.5, min_area)
    plane = np.array(logits, np.float32).reshape(1, 1, -1)
    masks, defects = decision.apply_and_find(plane, task)
    image = np.zeros((1, len(logits), 3), np.uint8)
    one = Inspected("a.png", image, masks, defects, None, decision.min_areas, torch.from_numpy(plane))
    return Finding.of(dataclasses.replace(ANOMALIES, task=task, decision=decision), one, decision)


def test_an_alarm_is_as_sure_as_its_most_unusual_place():
    weak, sure = found([0.1, -5, -5, -5]), found([0.1, -5, 6, 6])
    assert weak.uncertainty == pytest.approx(0.95, abs=0.01)
    assert sure.uncertainty == pytest.approx(0.005, abs=0.001), "a speck beside it does not make it unsure"
    assert sure.probability == pytest.approx(0.9975, abs=1e-4)
    assert found([0.1, -5, 6, 6], task="binary").uncertainty == pytest.approx(0.95, abs=0.01)


def test_clean_images_are_ordered_by_how_unusual_they_are():
    quiet, near = found([-4.0, -5, -5]), found([-0.5, -5, -5])
    assert (quiet.verdict, near.verdict) == ("clean", "clean")
    assert quiet.probability < near.probability < 0.5
    assert quiet.uncertainty < near.uncertainty < 1
    assert found([-0.5, -5], task="binary").probability == 0


def test_an_image_whose_only_alarms_are_too_small_is_the_least_sure():
    one = found([3.0, -5, -5], min_area=2)
    assert (one.verdict, one.uncertainty) == ("clean", 1.0)


def test_it_comes_back_from_its_text_and_from_that_of_earlier_versions():
    one = found([3.0, -5])
    again = Finding.from_json(one.to_json())
    assert (again.peak, again.uncertainty) == (one.peak, one.uncertainty)
    earlier = one.to_json().replace(f', "peak": {one.peak!r}', "")
    assert earlier != one.to_json()
    assert Finding.from_json(earlier).peak is None

"""A decision as one value: where it comes from, what it is per class, and that applying it is the steps one by one."""

import dataclasses

import numpy as np
import pytest
import torch

from utils.decision import masks as steps
from utils.decision.decision import ClassDecision, Decision
from utils.errors import InputError

MIXED = Decision((0.3, 0.6, 0.9), (0, 4, 20), (None, 60, None), (0.0, 0.9, 0.0))


def logits_of(task: str, seed: int, images: int = 2) -> torch.Tensor:
    channels = 3 + (task == "multiclass")
    noise = np.random.default_rng(seed).normal(scale=3, size=(images, channels, 31, 47)).astype(np.float32)
    return torch.nn.functional.avg_pool2d(torch.from_numpy(noise), 3, 1, 1) * 2  # defects of some pixels


def test_what_is_left_out_is_no_limit_and_nothing_asked():
    assert Decision((0.5, 0.7), (3, 0)) == Decision((0.5, 0.7), (3, 0), (None, None), (0.0, 0.0))
    assert Decision((), ()) == Decision((), (), (), ()) == Decision.uniform(0, 0.5) == Decision.of_classes([])


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        (((0.5, 0.5), (0,)), r"min_areas \(0,\): expected 2 numbers"),
        (((0.5, 0.5), (0, 0), (40,)), r"max_areas \(40,\): expected 2 numbers"),
        (((0.5, 0.5), (0, 0), (), (0.9,)), r"high_thresholds \(0\.9,\): expected 2 numbers"),
    ],
)
def test_another_number_of_classes_is_refused(numbers, message):
    with pytest.raises(ValueError, match=message):
        Decision(*numbers)


def test_all_classes_alike_as_flags_give_it():
    assert Decision.uniform(2, 0.4) == Decision((0.4, 0.4), (0, 0))
    assert Decision.uniform(2, 0.4, 7, 900, 0.8) == Decision((0.4, 0.4), (7, 7), (900, 900), (0.8, 0.8))
    assert Decision.uniform(2, 0.4, max_area=0).max_areas == (None, None)


def test_each_class_by_itself_and_back():
    assert MIXED.per_class == (ClassDecision(0.3), ClassDecision(0.6, 4, 60, 0.9), ClassDecision(0.9, 20))
    assert Decision.of_classes(MIXED.per_class) == MIXED


def test_flags_overrule_and_what_they_leave_out_stays():
    assert MIXED.overruled() == MIXED
    assert MIXED.overruled(threshold=0.0) == dataclasses.replace(MIXED, thresholds=(0.0,) * 3)
    assert MIXED.overruled(min_area=0).min_areas == (0, 0, 0)
    assert MIXED.overruled(max_area=0).max_areas == (None, None, None)
    assert MIXED.overruled(max_area=70).max_areas == (70, 70, 70)
    assert MIXED.overruled(0.5, 1, 2, 0.0) == Decision.uniform(3, 0.5, 1, 2)


def test_the_gate_of_an_image_sets_its_smallest_areas():
    assert MIXED.with_min_areas(None) is MIXED
    assert MIXED.with_min_areas([5, 6, 7]) == dataclasses.replace(MIXED, min_areas=(5, 6, 7))


def test_as_files_and_summaries_hold_it():
    assert MIXED.to_dict() == {
        "thresholds": [0.3, 0.6, 0.9],
        "min_areas": [0, 4, 20],
        "max_areas": [None, 60, None],
        "high_thresholds": [0.0, 0.9, 0.0],
    }
    assert Decision.from_dict(MIXED.to_dict()) == MIXED
    assert MIXED.to_dict("abc")["max_areas"] == {"a": None, "b": 60, "c": None}
    # Files of older versions know no largest areas and no high thresholds.
    assert Decision.from_dict({"thresholds": [1], "min_areas": [2.0]}) == Decision((1.0,), (2,))
    with pytest.raises(KeyError):
        Decision.from_dict({"thresholds": [1]})


def test_a_largest_area_below_the_smallest_is_refused_by_the_name_of_the_class():
    MIXED.check_areas("abc")
    Decision.uniform(1, 0.5, 5, 5).check_areas("a")
    message = "class b: its largest area, 60, is below its smallest, 61; correct -max_area or -min_area"
    with pytest.raises(InputError, match=message):
        MIXED.overruled(min_area=61).check_areas("abc")


@pytest.mark.parametrize("task", ["multilabel", "multiclass"])
@pytest.mark.parametrize("decision", [MIXED, Decision.uniform(3, 0.5), Decision.uniform(3, 0.5, 4, 60, 0.8)])
@pytest.mark.parametrize("seed", range(3))
def test_applying_is_the_steps_one_by_one(task, decision, seed):
    logits = logits_of(task, seed)
    decided = steps.decide(logits, task, decision.thresholds)
    seeds = steps.find_seeds(logits, task, decision.high_thresholds)
    expected = steps.filter_defects(decided, decision.min_areas, decision.max_areas, seeds)
    assert decided.any()
    assert torch.equal(decision.decide(logits, task), decided)
    assert torch.equal(decision.filter_defects(decided, logits, task), expected)
    assert torch.equal(decision.apply(logits, task), expected)
    for image, mask, kept in zip(logits.numpy(), decided.numpy(), expected.numpy(), strict=True):
        limits = decision.min_areas, decision.max_areas, decision.high_thresholds
        masks, defects = steps.find_defects(mask.copy(), image, task, *limits)
        for found in (decision.apply_and_find(image, task), decision.find_defects(mask.copy(), image, task)):
            np.testing.assert_array_equal(found[0], masks)
            np.testing.assert_array_equal(found[0], kept)
            np.testing.assert_array_equal(found[1], defects)


def test_flags_have_a_value_for_all_or_one_a_class():
    decision = Decision.uniform(3, (0.3, 0.6, 0.9), 5, (0, 60, 0), (0.0, 0.9, 0.0))
    assert decision == Decision((0.3, 0.6, 0.9), (5, 5, 5), (None, 60, None), (0.0, 0.9, 0.0))
    assert MIXED.overruled(min_area=(7, 8, 9), max_area=(0, 0, 40)).per_class == (
        ClassDecision(0.3, 7),
        ClassDecision(0.6, 8, None, 0.9),
        ClassDecision(0.9, 9, 40),
    )
    assert Decision.uniform(0, (0.5, 0.5)) == Decision((), ())  # a classifier has no masks


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"min_area": (5, 6)}, "-min_area 5,6: 2 values for 3 classes; give one value, or one for each class"),
        ({"threshold": (0.5, 0.5, 0.5, 0.5)}, "-threshold 0.5,0.5,0.5,0.5: 4 values for 3 classes"),
    ],
)
def test_values_for_another_number_of_classes_are_refused(values, message):
    with pytest.raises(InputError, match=message):
        MIXED.overruled(**values)
    with pytest.raises(InputError, match=message):
        Decision.uniform(3, **{"threshold": 0.5, **values})
    with pytest.raises(InputError, match=r"one for each class in the order inclusion, patches, scratches$"):
        MIXED.overruled(**values, names=("inclusion", "patches", "scratches"))

"""Networks whose logits have a mean: one task, the same classes in any order."""

import dataclasses

import pytest
import torch

from utils.decision.decision import Decision
from utils.models.spec import ModelSpec
from utils.weights.same_classes import channel_order, misfit
from utils.weights.weights_file import WeightsFile


def member(task="multilabel", names=("a", "b", "c"), channels=3, target=None, **more) -> WeightsFile:
    spec = ModelSpec("unet", "resnet18", task, names, channels, target)
    half = (0.5,) * channels
    return WeightsFile(
        spec, {"x": torch.ones(1)}, half, half, None, Decision.uniform(len(spec.scored_names), 0.5), **more
    )


@pytest.mark.parametrize(
    ("task", "names", "order"),
    [
        ("multilabel", ("a", "b", "c"), (0, 1, 2)),
        ("multilabel", ("c", "a", "b"), (1, 2, 0)),
        ("multiclass", ("c", "a", "b"), (0, 2, 3, 1)),
        ("binary", ("c", "a", "b"), (0,)),
    ],
)
def test_channels_are_matched_by_the_names_of_their_classes(task, names, order):
    assert channel_order(member(task).spec, member(task, names).spec) == order


def test_a_network_for_one_class_has_one_channel():
    first, second = (member("per-class", names, target="b").spec for names in (("a", "b"), ("b", "a")))
    assert channel_order(first, second) == (0,)


@pytest.mark.parametrize(
    ("others", "reason"),
    [
        ([{}], ""),
        ([{"names": ("c", "a", "b")}], ""),
        ([{}, {"names": ("a", "b")}], "A knows the classes a, b, c, C knows a, b; an ensemble is of networks with"),
        ([{"names": ("a", "b", "x")}], "A knows the classes a, b, c, B knows a, b, x"),
        ([{"task": "multiclass"}], "A is for -task multilabel, B for -task multiclass; an ensemble is of networks for one"),
        ([{"task": "per-class", "target": "a"}], "A is for -task multilabel, B for -task per-class -target a"),
        ([{"channels": 1}], "A sees images of 3 channels, B of 1; an ensemble is of networks with the same -channels"),
        ([{"bit_depth": 10}, {"bit_depth": 12}], "members were trained with a bit_depth of 10 and 12"),
        ([{"bit_depth": 12}], ""),
    ],
)  # fmt: skip
def test_why_there_is_no_mean(others, reason):
    members = {name: member(**given) for name, given in zip("ABC", [{}, *others], strict=False)}
    found = misfit(members)
    assert found.startswith(reason)
    assert bool(found) == bool(reason)


def test_networks_for_other_targets_have_no_mean():
    a = member("per-class", target="a")
    b = dataclasses.replace(a, spec=dataclasses.replace(a.spec, target="b"))
    assert misfit({"A": a, "B": b}).startswith("A is for -task per-class -target a, B for -task per-class -target b")

"""Flags of training that do not fit together."""

from pathlib import Path

import pytest

from config import TrainConfig
from utils.commands.train_system import members_of
from utils.decision.decision import Decision
from utils.errors import InputError
from utils.settings import note_given
from utils.training.flags import make_decision, make_label_thresholds, make_spec, settle, settle_network


@pytest.mark.parametrize(
    "sizes",
    [
        {"image_size": (256, 768)},
        {"image_size": None},
        {"image_size": (256, 256), "crop": (128, 256)},
        {"image_size": None, "crop": (192, 192), "start_size": (96, 128)},
    ],
)
@pytest.mark.parametrize("name", ["d4", "strong"])
def test_quarter_turns_need_squares(name, sizes):
    with pytest.raises(InputError, match=f"-augmentation {name}: quarter turns need square training images"):
        settle_network(TrainConfig(augmentation=name, **sizes))


@pytest.mark.parametrize(
    ("name", "value"),
    [("gate", "soft"), ("classifier_encoder", "resnet18"), ("classifier_size", (64, 64)), ("classifier_epochs", 3)],
)
def test_flags_of_systems_need_one(name, value):
    with pytest.raises(InputError, match=f"-{name}.*: is for .*; leave it out, or give -system too"):
        settle_network(TrainConfig(**{name: value}))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"oof": "probabilities"}, "-oof probabilities: is for the answers of -folds; leave it out"),
        ({"folds": 5, "system": "two-stage"}, "-folds: trains one kind of network; leave it or -system two-stage out"),
        ({"folds": 5, "valid_fraction": 0.1}, "-valid_fraction: with -folds each fold validates"),
        ({"unlabelled": Path("more")}, "-unlabelled: is for a -teacher; leave it out"),
        ({"accept": "all"}, "-accept: is for a -teacher"),
        ({"teacher": ("run",), "unlabelled_share": 0.3}, "-unlabelled_share: is about images without labels"),
        ({"teacher_weight": 0.7}, "-teacher_weight: is for a -teacher"),
        ({"teacher_tta": "flips"}, "-teacher_tta: is for a -teacher"),
        ({"teacher_tile": (64, 64)}, "-teacher_tile: is for a -teacher"),
        ({"teacher": ("run",), "folds": 5}, "-teacher: teaches one network; leave it or -folds out"),
        (
            {"teacher": ("run",), "system": "two-stage"},
            "-teacher: teaches one network; leave it or -system two-stage out",
        ),
        ({"teacher": ("run",), "task": "classify-binary"}, "-teacher: teaches masks, and -task classify-binary"),
        ({"teacher": ("run",), "architecture": "two-head"}, "-teacher: teaches masks, and -architecture two-head"),
        ({"teacher": ("run",), "blackout": 0.5}, "-blackout: paints labelled defects"),
        ({"teacher": ("run",), "loss": "focal"}, "-loss focal: learns labels of 0 and 1"),
    ],
)
def test_what_does_not_go_with_folds_or_a_teacher(tmp_path, changes, words):
    with pytest.raises(InputError, match=words):
        settle(note_given(TrainConfig(dir=tmp_path, **changes), set(changes)))


@pytest.mark.parametrize(
    "sizes", [{"image_size": (256, 256)}, {"image_size": None, "crop": (192, 192), "start_size": (96, 96)}]
)
def test_squares_may_turn(sizes):
    assert settle_network(TrainConfig(augmentation="d4", **sizes)).augmentation == "d4"


@pytest.mark.parametrize(
    ("areas", "message"),
    [
        ({"min_area": 10, "max_area": 5}, "-max_area 5: is below -min_area 10"),
        ({"min_area": (10, 20), "max_area": (0, 15)}, "-max_area 15: is below -min_area 20"),
        ({"min_area": (10, 20), "max_area": 15}, "-max_area 15: is below -min_area 20"),
        ({"min_area": (10, 20), "max_area": (30, 30, 30)}, "-min_area 10,20: 2 values for 3 classes"),
    ],
)
def test_areas_of_each_class_that_cannot_be(areas, message):
    with pytest.raises(InputError, match=message):
        settle_network(TrainConfig(**areas))


def test_the_decision_has_a_value_for_each_class():
    config = TrainConfig(threshold=(0.4, 0.6), min_area=(10, 0), max_area=(0, 99))
    decision = make_decision(config, make_spec(config, ("a", "b")))
    assert decision == Decision((0.4, 0.6), (10, 0), (None, 99))
    with pytest.raises(InputError, match=r"-threshold 0\.4,0\.6: 2 values for 3 classes"):
        make_decision(config, make_spec(config, ("a", "b", "c")))
    both = TrainConfig(architecture="two-head", threshold=(0.4, 0.6))
    assert make_label_thresholds(both, make_spec(both, ("a", "b"))) == (0.4, 0.6)


def test_an_ensemble_has_a_network_of_its_own_seed_for_each_encoder():
    given = TrainConfig(
        dir=Path("d"), system="ensemble", encoder="resnet18, resnet34,resnet18", seed=7, classifier_size=None
    )
    members = members_of(settle(given), ("a", "b"))
    assert [(role, one.encoder, one.seed, one.system) for role, one in members.items()] == [
        ("network-1", "resnet18", 7, None),
        ("network-2", "resnet34", 8, None),
        ("network-3", "resnet18", 9, None),
    ]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"system": "ensemble", "encoder": "resnet18"}, "-encoder resnet18: an ensemble has several networks; name an en"),
        ({"system": "ensemble", "encoder": "a,b", "gate": "soft"}, "-gate soft: an ensemble has no gate; leave it out"),
        ({"system": "ensemble", "encoder": "a,b", "classifier_epochs": 3}, "-classifier_epochs: an ensemble has no class"),
        ({"system": "ensemble", "encoder": "a,b", "task": "per-class"}, "-task per-class: a system draws masks"),
        ({"system": "two-stage", "encoder": "a,b"}, "-encoder a,b: several are for -system ensemble; give one"),
        ({"system": "two-head", "encoder": "a,b"}, "-encoder a,b: several are for -system ensemble; give one"),
        ({"encoder": "a,b"}, "-encoder a,b: several are for -system ensemble; give one, or that flag too"),
    ],
)  # fmt: skip
def test_several_encoders_are_for_an_ensemble(flags, message):
    with pytest.raises(InputError, match=message):
        settle(TrainConfig(dir=Path("d"), **flags))


def test_members_of_a_system_have_their_own_values():
    config = TrainConfig(system="six-model", min_area=(10, 20), threshold=(0.4, 0.6))
    members = members_of(config, ("a", "b"))
    assert [members[f"segmenter-{k}"].min_area for k in (1, 2)] == [10, 20]
    assert [members[f"segmenter-{k}"].threshold for k in (1, 2)] == [0.4, 0.6]
    assert (members["binary"].threshold, members["multilabel"].threshold) == (0.5, (0.4, 0.6))
    with pytest.raises(InputError, match=r"-threshold 0\.4,0\.6: 2 values for 3 classes"):
        members_of(config, ("a", "b", "c"))
    with pytest.raises(InputError, match="-min_area 10,20: 2 values for 1 class;"):
        members_of(TrainConfig(system="two-stage", task="binary", min_area=(10, 20)), ("a", "b"))

"""Flags of training that do not fit together."""

import pytest

from config import TrainConfig
from utils.errors import InputError
from utils.training.flags import settle_network


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
    "sizes", [{"image_size": (256, 256)}, {"image_size": None, "crop": (192, 192), "start_size": (96, 96)}]
)
def test_squares_may_turn(sizes):
    assert settle_network(TrainConfig(augmentation="d4", **sizes)).augmentation == "d4"

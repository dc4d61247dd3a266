"""Task anomaly takes few flags; what would do nothing is refused in one line, and so are its own beside other tasks."""

from pathlib import Path

import pytest

from config import TrainConfig
from utils.cli import parse
from utils.errors import InputError
from utils.settings import given_fields
from utils.training.flags import settle


def given(*words: str) -> TrainConfig:
    return parse(TrainConfig, ["-dir", "DATA", *words], "Train.py", "")


def test_settled():
    config = settle(given("-task", "anomaly"))
    assert (config.architecture, config.weights_dir, config.image_size) == ("patchcore", Path("weights"), None)
    assert "image_size" not in given_fields(config)
    own = settle(given("-task", "anomaly", "-encoder", "resnet18", "-image_size", "64,96"))
    assert (own.encoder, own.weights_dir, own.image_size) == ("resnet18", None, (64, 96))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("-task", "anomaly", "-num_epochs", "3"), "-num_epochs: -task anomaly learns from clean images alone"),
        (("-task", "anomaly", "-folds", "3"), "-folds"),
        (("-task", "anomaly", "-architecture", "unet"), "patchcore"),
        (("-task", "anomaly", "-false_alarms", "0"), "above 0 and below 1"),
        (("-task", "anomaly", "-false_alarms", "1"), "above 0 and below 1"),
        (("-task", "anomaly", "-weights_dir", "W", "-encoder", "resnet18"), "leave one of the two out"),
        (("-task", "anomaly", "-split", "S", "-group_duplicates", "false"), "names the groups"),
        (("-weights_dir", "W"), "give -encoder_weights FILE"),
        (("-false_alarms", "0.1"), "is for -task anomaly"),
        (("-architecture", "patchcore"), "is for -task anomaly"),
    ],
)
def test_refused_in_one_line(words, said):
    with pytest.raises(InputError, match=said):
        settle(given(*words))

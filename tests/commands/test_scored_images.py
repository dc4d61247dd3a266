"""Which images are scored, and what a network knows of them."""

from pathlib import Path

import pytest

from config import EvaluateConfig
from utils.commands.known_images import KnownImages
from utils.commands.scored_images import chosen_on_learnt


@pytest.mark.parametrize(
    ("split", "calibrate", "known", "learnt"),
    [
        ("train", True, None, 10),
        ("train", False, None, 0),
        ("all", True, KnownImages(10, 5, whole=("a.png", "b.png"), part=("c.png",), valid=("d.png",)), 3),
        ("all", True, KnownImages(10, 5, valid=("d.png",)), 0),
        ("valid", True, KnownImages(10, 5), 0),
        ("out-of-fold", True, None, 0),
    ],
)
def test_calibrating_on_what_was_learnt_is_told(split, calibrate, known, learnt):
    said = chosen_on_learnt(EvaluateConfig(dir=Path("data"), split=split, calibrate=calibrate), 10, known)
    assert said.startswith(f"warning: {learnt} of these 10 images") if learnt else not said

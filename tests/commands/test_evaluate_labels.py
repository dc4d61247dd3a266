"""Evaluate.py of a network that judges whole images."""

import shutil

import pytest
import torch

from config import EvaluateConfig
from utils.commands.evaluate import evaluate
from utils.decision.decision import Decision
from utils.errors import InputError
from utils.models.factory import build
from utils.models.spec import ModelSpec
from utils.weights.weights_file import WeightsFile


def test_copies_are_one_image_to_calibrate_by(make_dataset, tmp_path):
    root = make_dataset(count=2)
    for number in range(2, 6):  # else they would choose the threshold that they prove
        shutil.copy(root / f"train_images/{number % 2:03d}.png", root / f"train_images/{number:03d}.png")
    torch.manual_seed(0)
    model = build(ModelSpec("classifier", "test_resnet", "classify-binary", ("pits", "cracks")))
    decision = Decision.uniform(0, 0.5)
    weights = WeightsFile(
        model.spec, model.net.state_dict(), model.mean, model.std, None, decision, label_thresholds=(0.5,)
    )
    path = weights.save_named(tmp_path / "run", "classify")
    config = EvaluateConfig(
        dir=root, weights_dir=path, split="all", out=tmp_path / "out", calibrate=True, device="cpu", backend="torch"
    )
    with pytest.raises(InputError, match="6 images, fewer than 3 that differ, are too few to choose by"):
        evaluate(config)

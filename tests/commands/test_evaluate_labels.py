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


@pytest.fixture
def classifier(tmp_path):
    """Weights of a network that says whether an image has any defect."""
    torch.manual_seed(0)
    model = build(ModelSpec("classifier", "test_resnet", "classify-binary", ("pits", "cracks")))
    decision = Decision.uniform(0, 0.5)
    weights = WeightsFile(
        model.spec, model.net.state_dict(), model.mean, model.std, None, decision, label_thresholds=(0.5,)
    )
    return weights.save_named(tmp_path / "run", "classify")


def test_a_defect_whose_pixels_count_for_nothing_is_none(make_dataset, classifier, tmp_path):
    root = make_dataset(count=4)  # of which 000 and 003 have a class, 001 has another one
    codes = dict(row.split(",")[::2] for row in (root / "train.csv").read_text().splitlines()[1:])
    some = codes["003.png"].rpartition(" ")[0]
    (root / "ignore.csv").write_text(
        f"ImageId,EncodedPixels\n000.png,{codes['000.png']}\n003.png,{some.rpartition(' ')[0]}\n"
    )
    config = EvaluateConfig(dir=root, weights_dir=classifier, split="all", out=tmp_path / "out", device="cpu")
    assert evaluate(config).scores.together.with_label == 2


def test_copies_are_one_image_to_calibrate_by(make_dataset, classifier, tmp_path):
    root = make_dataset(count=2)
    for number in range(2, 6):  # else they would choose the threshold that they prove
        shutil.copy(root / f"train_images/{number % 2:03d}.png", root / f"train_images/{number:03d}.png")
    config = EvaluateConfig(
        dir=root,
        weights_dir=classifier,
        split="all",
        out=tmp_path / "out",
        calibrate=True,
        device="cpu",
        backend="torch",
    )
    with pytest.raises(InputError, match="6 images, fewer than 3 that differ, are too few to choose by"):
        evaluate(config)

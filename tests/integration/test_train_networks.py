"""Train.py on every kind of network that it knows: it learns, leaves its scores, and its weights file comes back."""

import json
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import torch

from config import EvaluateConfig, PredictConfig, TrainConfig
from tests.conftest import NARROW
from utils.commands.evaluate import evaluate
from utils.commands.predict import predict
from utils.commands.train import train
from utils.commands.train_network import TrainResult
from utils.data.dataset_folder import open_dataset
from utils.data.rle import encode
from utils.errors import InputError
from utils.training.class_weights import class_weights
from utils.training.flags import make_spec
from utils.weights.weights_file import load

pytestmark = pytest.mark.usefixtures("no_drawing")

LABEL_COLUMNS = {f"valid_{key}" for key in ("accuracy", "precision", "recall", "f1", "roc_auc", "average_precision")}
DEFECTS = {1: (230, 14, 14), 2: (20, 6, 40)}  # class: shade, height, width


@pytest.fixture(scope="module")
def strips(tmp_path_factory) -> Path:
    """24 images of 40x72 in turn clean, with a bright square, with a dark bar, with both."""
    root = tmp_path_factory.mktemp("strips")
    (root / "train_images").mkdir()
    random = np.random.default_rng(0)
    rows = []
    for number in range(24):
        image = random.normal(120, 6, (40, 72)).clip(0, 255).astype(np.uint8)
        for class_id, (shade, height, width) in DEFECTS.items():
            if number & class_id:
                top, left = random.integers(0, 40 - height), random.integers(0, 72 - width)
                image[top : top + height, left : left + width] = shade
                mask = np.zeros_like(image)
                mask[top : top + height, left : left + width] = 1
                rows.append((f"{number:02d}.png", class_id, encode(mask)))
        cv2.imwrite(str(root / "train_images" / f"{number:02d}.png"), image)
    pd.DataFrame(rows, columns=["ImageId", "ClassId", "EncodedPixels"]).to_csv(root / "train.csv", index=False)
    (root / "classes.txt").write_text("square\nlong bar\n")
    return root


def settings(strips: Path, out: Path, **changes) -> TrainConfig:
    """Settings that train in a second."""
    small = {
        "encoder": "test_resnet",
        "encoder_weights": "none",
        "image_size": None,
        "subset": "all",
        "num_epochs": 1,
        "batch_size": 4,
        "num_of_workers": 0,
        "device": "cpu",
        "augmentation": "none",
        "group_duplicates": False,
        "valid_fraction": 0.34,
        "lr_encoder": 1e-3,
        "lr_decoder": 1e-3,
    }
    if not changes.get("task", "").startswith("classify") and changes.get("architecture") in (None, "two-head"):
        small["decoder_channels"] = NARROW
    return TrainConfig(dir=strips, out=out, **{**small, **changes})


def history_of(result: TrainResult) -> pd.DataFrame:
    return pd.read_csv(result.folder / "history.csv")


def images(count: int = 2) -> torch.Tensor:
    return torch.randint(0, 256, (count, 3, 40, 72), dtype=torch.uint8, generator=torch.Generator().manual_seed(3))


def test_a_binary_classifier_learns(strips, tmp_path, capsys):
    fast = {"num_epochs": 12, "lr_encoder": 3e-3, "lr_decoder": 3e-3, "schedule": "onecycle"}
    result = train(settings(strips, tmp_path / "run", task="classify-binary", **fast))
    assert result.scores["labels"]["average_precision"] > 0.9
    assert result.scores["labels"]["images"] == 7
    history = history_of(result)
    assert set(history) >= LABEL_COLUMNS
    assert not {"valid_dice", "valid_iou"} & set(history)
    ranking = history["valid_average_precision"] - 1e-6 * history["valid_loss"]
    assert result.best_epoch == int(history["epoch"][ranking.idxmax()]) > 1
    printed = capsys.readouterr().out
    assert "avg. precision" in printed
    assert "average precision 0.9" in result.text() or "average precision 1.0" in result.text()
    file = load(result.weights)
    assert (file.spec.architecture, file.spec.label_names, file.decision.thresholds) == ("classifier", ("defect",), ())
    assert file.label_thresholds == (0.5,)
    assert result.weights.name.startswith("classify_binary-test_resnet-strips")
    assert file.metrics["labels"]["f1"] == result.scores["labels"]["f1"]


def test_a_multilabel_classifier_with_dense_layers(strips, tmp_path):
    config = settings(strips, tmp_path / "run", task="classify-multilabel", dense=(16, 8), dropout=0.2, crop=(32, 64))
    result = train(config)
    file = load(result.weights)
    assert (file.spec.dense, file.spec.dropout, file.spec.label_names) == ((16, 8), 0.2, ("square", "long bar"))
    assert file.build()(images()).shape == (2, 2)
    assert list(json.loads((result.folder / "metrics.json").read_text())["labels"]["classes"]) == ["square", "long bar"]
    assert set(history_of(result)) >= {"valid_f1_square", "valid_average_precision_long bar"}
    again = train(TrainConfig(resume=result.folder))
    assert again.weights == result.weights


# torchvision draws 120 million weights for a vgg11, most of which SMP throws away.
@pytest.mark.parametrize("encoder", ["test_resnet", pytest.param("vgg11", marks=pytest.mark.slow)])
def test_fcn32s(strips, tmp_path, encoder):
    task = {"task": "multiclass", "loss": "cross_entropy", "class_weights": ("balanced",)}
    result = train(settings(strips, tmp_path / "run", architecture="fcn32s", encoder=encoder, **task))
    assert load(result.weights).build()(images()).shape == (2, 3, 40, 72)
    assert set(history_of(result)) >= {"valid_dice", "valid_soft_dice", "valid_defect_soft_dice"}
    assert 0 < result.scores["soft_dice"] <= 1


def test_two_heads_are_trained_together(strips, tmp_path):
    weights = {}
    for weight in (0.0, 1.0):
        config = settings(strips, tmp_path / str(weight), architecture="two-head", label_weight=weight, ema=0.5)
        result = train(config)
        weights[weight] = load(result.weights).state_dict
        assert set(history_of(result)) >= LABEL_COLUMNS | {"valid_dice"}
    head = "classification_head.3.weight"
    assert not torch.equal(weights[0.0][head], weights[1.0][head])
    assert not torch.equal(weights[0.0]["encoder.model.conv1.0.weight"], weights[1.0]["encoder.model.conv1.0.weight"])
    masks, labels = load(result.weights).build()(images())
    assert (masks.shape, labels.shape) == ((2, 2, 40, 72), (2, 2))
    assert {"mean_dice", "labels"} <= set(result.scores)


def test_one_class_trains_on_the_images_that_show_it(strips, tmp_path):
    for name, wanted in (("own", "auto"), ("all", "anything")):
        result = train(
            settings(
                strips, tmp_path / name, task="per-class", target="long bar", images_with=wanted, subset="balanced"
            )
        )
        frame = pd.read_csv(result.folder / "split.csv")
        shown = {int(Path(image).stem) & 2 for image in frame["image"]}
        assert shown == ({2} if name == "own" else {0, 2})
        assert list(result.scores["classes"]) == ["long bar"]
    file = load(result.weights)
    assert (file.spec.scored_names, file.spec.outputs) == (("long bar",), 1)
    assert result.weights.name.startswith("unet-test_resnet-long_bar-")
    scores = evaluate(
        EvaluateConfig(
            dir=strips,
            weights_dir=result.weights,
            split="all",
            out=tmp_path / "scores",
            device="cpu",
            resamples=0,
            examples=0,
        )
    )
    assert list(scores.scores.classes) == ["long bar"]
    assert scores.scores.classes["long bar"].with_defect == 12
    found = predict(
        PredictConfig(dir=strips, weights_dir=result.weights, out=tmp_path / "found", device="cpu", threshold=0.0)
    )
    assert found.defects == 24
    assert set(pd.read_csv(found.out / "submission.csv")["ImageId_ClassId"].str[-2:]) == {"_2"}
    assert set(pd.read_csv(found.out / "defects.csv")["class_id"]) == {2}


def test_the_balanced_subset_has_clean_images_for_those_that_judge_whole_images(strips, tmp_path):
    result = train(settings(strips, tmp_path / "run", task="classify-binary", subset="balanced", per_class=4))
    frame = pd.read_csv(result.folder / "split.csv")
    clean = sum(int(Path(image).stem) % 4 == 0 for image in frame["image"])
    assert 0 < clean == min(6, len(frame) - clean)
    multilabel = train(settings(strips, tmp_path / "other", task="classify-multilabel", images_with="defect"))
    assert all(int(Path(image).stem) % 4 for image in pd.read_csv(multilabel.folder / "split.csv")["image"])


def test_a_segmenter_starts_from_the_encoder_of_a_classifier(strips, tmp_path, capsys):
    first = train(settings(strips, tmp_path / "first", task="classify-binary"))
    still = {"lr_encoder": 0.0, "lr_decoder": 0.0, "init_encoder": first.weights}
    second = train(settings(strips, tmp_path / "second", **still))
    one, other = (load(result.weights).state_dict for result in (first, second))
    encoder = [
        name for name in other if name.startswith("encoder.") and "running" not in name and "tracked" not in name
    ]
    assert all(torch.equal(one[name], other[name]) for name in encoder)
    count = sum(name.startswith("encoder.") for name in other)
    assert (
        f"encoder from {first.weights} (classify-binary): {count} of its {count} tensors taken"
        in capsys.readouterr().out
    )
    first.weights.rename(tmp_path / "moved.pth")
    assert train(TrainConfig(resume=second.folder)).weights == second.weights
    with pytest.raises(
        InputError, match=r"-init_encoder .*moved\.pth: is for -encoder test_resnet .* nothing in it fits resnet18"
    ):
        train(settings(strips, tmp_path / "third", encoder="resnet18", init_encoder=tmp_path / "moved.pth"))


@pytest.mark.slow
def test_class_weights_change_the_training(strips, tmp_path, capsys):
    plain = train(settings(strips, tmp_path / "plain", loss="bce"))
    heavy = train(settings(strips, tmp_path / "heavy", loss="bce", class_weights=("20", "1")))
    assert "class weights: square 20, long bar 1" in capsys.readouterr().out
    assert history_of(heavy)["train_loss"][0] > history_of(plain)["train_loss"][0] + 0.1


def test_balanced_class_weights_come_from_the_labels(strips):
    dataset = open_dataset(strips)
    names = list(dataset.images)
    for changes, expected in (
        ({}, (40 * 72 / 196 - 1, 40 * 72 / 240 - 1)),
        ({"task": "per-class", "target": "long bar"}, (40 * 72 / 240 - 1,)),
        ({"task": "classify-binary"}, (6 / 18,)),
        ({"task": "classify-multilabel"}, (1.0, 1.0)),
    ):
        config = TrainConfig(**{"class_weights": ("balanced",), "loss": "bce", **changes})
        if config.task.startswith("classify"):
            config = TrainConfig(**{**vars(config), "architecture": "classifier"})
        spec = make_spec(config, dataset.annotations.class_names)
        assert class_weights(config, spec, dataset, names) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"task": "classify-binary", "architecture": "fpn"}, "-architecture fpn: draws masks"),
        ({"task": "classify-binary", "loss": "dice"}, "-loss dice: is for masks; -task classify-binary has -loss bce"),
        ({"architecture": "classifier"}, "-architecture classifier is not for -task multilabel"),
        ({"task": "per-class"}, "-task per-class: needs -target"),
        ({"task": "per-class", "target": "dent"}, "-target dent: no such class; choose from square, long bar"),
        ({"target": "square"}, "-target square: only for -task per-class"),
        ({"images_with": "target"}, "-images_with target: needs -task per-class"),
        ({"decoder_channels": (8,)}, "-decoder_channels 8: -architecture unet takes 5 numbers of 1 or more"),
        ({"dense": (8,)}, "-dense: -architecture unet has no labels of whole images"),
        (
            {"class_weights": ("1", "x"), "loss": "bce"},
            "-class_weights 1,x: expected none, balanced, or numbers above 0",
        ),
        (
            {"class_weights": ("1", "0"), "loss": "bce"},
            "-class_weights 1,0: expected none, balanced, or numbers above 0",
        ),
        ({"class_weights": ("1", "2", "3"), "loss": "bce"}, "-class_weights 1,2,3: 3 for 2 classes, square, long bar"),
        ({"class_weights": ("balanced",), "loss": "dice"}, "-class_weights: -loss dice looks at a class as a whole"),
        ({"class_weights": ("balanced",), "loss": "lovasz"}, "take one of bce, cross_entropy, focal, dice_bce"),
        ({"init_encoder": Path("nowhere.pth")}, "-init_encoder nowhere.pth: no such file"),
    ],
)
def test_flags_that_do_not_fit_are_refused_before_anything_is_written(strips, tmp_path, changes, message):
    with pytest.raises(InputError, match=message) as error:
        train(settings(strips, tmp_path / "run", **changes))
    assert "\n" not in str(error.value)
    assert not (tmp_path / "run").exists()


def test_a_binary_classifier_needs_clean_images(strips, tmp_path):
    config = settings(strips, tmp_path / "run", task="classify-binary", images_with="defect")
    with pytest.raises(InputError, match=r"needs images of both kinds, .* none is free of defects"):
        train(config)

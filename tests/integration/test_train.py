"""Train.py on small strips: files, tasks, settings, and what stops it."""

import dataclasses
import hashlib
import json
import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import torch

from config import EvaluateConfig, TrainConfig
from tests.integration.small_training import draw_strips, history_of, same, settings, weights_of
from utils.commands import train_network as room
from utils.commands.evaluate import evaluate
from utils.commands.train import train
from utils.data.bit_depth import BitDepth
from utils.data.dataset_folder import open_dataset
from utils.data.splits import read_split
from utils.errors import InputError
from utils.files import write_text
from utils.models.segmenter import Segmenter
from utils.models.trunk import SIDE
from utils.training.bit_depth import with_depth
from utils.weights.image_hashes import joined, of_images
from utils.weights.weights_file import load

pytestmark = pytest.mark.usefixtures("no_drawing")

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def strips(tmp_path_factory) -> Path:
    return draw_strips(tmp_path_factory.mktemp("strips"))


def test_a_run_leaves_its_files(strips, tmp_path, capsys):
    result = train(settings(strips, tmp_path / "run", subset="balanced", per_class=4, top_k=2))
    names = {str(path.relative_to(result.folder)) for path in result.folder.rglob("*") if path.is_file()}
    assert {"config.yaml", "split.csv", "train_balanced.csv", "history.csv", "metrics.json"} <= names
    assert {"checkpoints/best.pth", "checkpoints/last.pth"} <= names
    assert any(name.startswith("tensorboard") for name in names)
    assert [result.weights] == list(result.folder.glob("*.pth"))
    assert result.weights.name.startswith("unet-test_resnet-strips")
    assert len(list((result.folder / "checkpoints").glob("epoch-*.pth"))) == 2
    history = history_of(result.folder)
    assert list(history["epoch"]) == [1, 2]
    assert {"train_loss", "lr_encoder", "lr_decoder", "valid_dice", "valid_defect_dice", "valid_iou_1"} <= set(history)
    assert result.scores["mean_dice"] == pytest.approx(history["valid_dice"].max())
    assert json.loads((result.folder / "metrics.json").read_text())["epoch"] == result.best_epoch
    known = load(result.weights).image_hashes
    sides = read_split(result.folder / "split.csv")["side"].value_counts()
    assert [(len(one.train), len(one.valid)) for one in known.sets] == [(sides["train"], sides["valid"])]
    printed = capsys.readouterr().out
    assert "epoch 2/2" in printed
    assert all(len(line) <= 100 for line in printed.splitlines() if line.startswith("epoch"))


def test_it_learns(strips, tmp_path):
    changes = {"num_epochs": 8, "schedule": "onecycle", "optimizer": "adamw", "lr_encoder": 1e-2, "lr_decoder": 1e-2}
    result = train(settings(strips, tmp_path / "run", augmentation="flips", **changes))
    assert result.scores["mean_dice"] > result.scores["empty_baseline"] + 0.1


def test_the_best_epoch_is_published_not_the_last(strips, tmp_path):
    # A rate this high makes later epochs worse than earlier ones.
    result = train(settings(strips, tmp_path / "run", num_epochs=4, lr_encoder=0.05, lr_decoder=0.05))
    history = history_of(result.folder)
    assert result.best_epoch == int(history["epoch"][history["valid_dice"].idxmax()])
    best = torch.load(result.folder / "checkpoints/best.pth", weights_only=True)
    assert same(weights_of(result.folder), best["network"])


def test_images_that_grow(strips, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(room, "check_batch", lambda *words: None)  # whose tries are no images of the training
    seen: dict[str, list[tuple[int, ...]]] = {"train": [], "valid": []}
    forward = Segmenter.forward

    def spy(self, images):
        seen["train" if self.training else "valid"].append(tuple(images.shape[2:]))
        return forward(self, images)

    monkeypatch.setattr(Segmenter, "forward", spy)
    result = train(settings(strips, tmp_path / "run", num_epochs=5, image_size=(64, 128), start_size=(32, 32)))
    steps = len(seen["train"]) // 5
    sizes = [set(seen["train"][epoch * steps : (epoch + 1) * steps]) for epoch in range(5)]
    assert sizes == [{(32, 32)}, {(32, 32)}, {(32, 32)}, {(32, 64)}, {(64, 128)}]
    assert set(seen["valid"]) - {(SIDE, SIDE)} == {(64, 128)}  # how the images look is measured at another size
    assert load(result.weights).input_size == (64, 128)
    assert "begin at 32x32, grow after epoch 3 and have their full size from epoch 5" in capsys.readouterr().out


def test_workers_do_not_change_the_result(strips, tmp_path):
    alone = train(settings(strips, tmp_path / "alone", num_epochs=1, augmentation="published"))
    helped = train(settings(strips, tmp_path / "helped", num_epochs=1, augmentation="published", num_of_workers=2))
    assert same(weights_of(alone.folder), weights_of(helped.folder))


@pytest.mark.slow
def test_images_of_12_bits_train_the_network_that_their_8_bits_train(strips, tmp_path, capsys):
    deep = tmp_path / "deep"
    (deep / "train_images").mkdir(parents=True)
    shutil.copy(strips / "train.csv", deep)
    for path in (strips / "train_images").iterdir():
        pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED).astype(np.uint16) << 4
        cv2.imwrite(str(deep / "train_images" / path.name), pixels)
    plain = train(settings(strips, tmp_path / "plain", num_epochs=1))
    run = train(settings(deep, tmp_path / "run", num_epochs=1))
    assert "images with more than 8 bits are read as 12 bits (0 to 4095)\n" in capsys.readouterr().out
    assert same(weights_of(plain.folder), weights_of(run.folder))
    assert (load(plain.weights).bit_depth, load(run.weights).bit_depth) == (None, 12)
    assert with_depth(settings(deep, run.folder), open_dataset(deep), run.folder).depth == BitDepth(12)
    found = evaluate(
        EvaluateConfig(dir=deep, weights_dir=run.weights, out=tmp_path / "scores", resamples=0, examples=0)
    )
    assert found.scores.mean_dice == pytest.approx(run.scores["mean_dice"])
    assert "images with more than 8 bits: 12 bits (0 to 4095)\n" in found.text()


def test_images_decoded_once_do_not_change_the_result(strips, tmp_path):
    make = {"num_epochs": 1, "augmentation": "published", "crop": (24, 32), "image_size": (36, 64)}
    plain = train(settings(strips, tmp_path / "plain", **make))
    cached = train(settings(strips, tmp_path / "cached", num_of_workers=1, cache="disk", **make))
    assert same(weights_of(plain.folder), weights_of(cached.folder))
    assert plain.scores == cached.scores
    (file,) = (strips / ".cache").glob("decoded-36x64x3-*.bin")
    written = file.stat().st_mtime_ns
    assert train(TrainConfig(resume=cached.folder, cache="disk")).weights == cached.weights
    assert file.stat().st_mtime_ns == written


@pytest.mark.parametrize(
    ("task", "loss", "names"),
    [
        ("binary", "dice_bce", ("defect",)),
        ("multiclass", "cross_entropy", ("1", "2")),
        ("multilabel", "tversky", ("1", "2")),
    ],
)
def test_tasks(strips, tmp_path, task, loss, names):
    result = train(settings(strips, tmp_path / "run", task=task, loss=loss, num_epochs=1))
    file = load(result.weights)
    assert file.spec.scored_names == names
    assert list(result.scores["classes"]) == list(names)


@pytest.mark.slow  # bf16 takes seconds where the processor has none
def test_native_size_and_one_channel_and_bf16(strips, tmp_path):
    config = settings(
        strips, tmp_path / "run", image_size=None, channels=1, precision="bf16", num_epochs=1, clip_norm=1.0
    )
    file = load(train(config).weights)
    assert file.input_size is None
    assert file.build()(torch.zeros(1, 1, 40, 72, dtype=torch.uint8)).shape == (1, 2, 40, 72)


def test_a_split_can_be_used_again_and_duplicates_ignored(strips, tmp_path, capsys):
    first = train(settings(strips, tmp_path / "first", num_epochs=1, group_duplicates=False, valid_fraction=0.5))
    file = first.folder / "split.csv"
    again = train(settings(strips, tmp_path / "again", num_epochs=1, split=file, subset="balanced"))
    assert f"images as in {file}\n" in capsys.readouterr().out
    assert not (again.folder / "train_balanced.csv").exists()
    assert (first.folder / "split.csv").read_text() == (again.folder / "split.csv").read_text()
    assert same(weights_of(first.folder), weights_of(again.folder))
    frame = pd.read_csv(first.folder / "split.csv")
    frame[frame["side"] == "train"].to_csv(tmp_path / "one_side.csv", index=False)
    with pytest.raises(InputError, match=r"one_side\.csv: \d+ images leave none to validate on"):
        train(settings(strips, tmp_path / "third", split=tmp_path / "one_side.csv", subset="balanced"))


def test_a_run_that_began_while_images_were_checked_is_left_alone(strips, tmp_path, monkeypatch):
    choose_split, run = room.choose_split, tmp_path / "run"

    def overtaken(*words):
        write_text(run / "config.yaml", "of the other")
        return choose_split(*words)

    monkeypatch.setattr(room, "choose_split", overtaken)
    with pytest.raises(InputError, match=r"-out .*run: already holds a run"):
        train(settings(strips, run))
    assert [(path.name, path.read_text()) for path in run.iterdir()] == [("config.yaml", "of the other")]


def test_the_test_side_is_used_for_nothing_and_scored_once(strips, tmp_path, capsys, monkeypatch):
    run = tmp_path / "run"
    fractions = {"valid_fraction": 0.25, "test_fraction": 0.2, "num_epochs": 1}
    first = train(settings(strips, run, group_duplicates=False, **fractions))
    frame = pd.read_csv(run / "split.csv")
    test = sorted(frame.loc[frame["side"] == "test", "image"])
    assert len(test) >= 4
    assert f", {len(test)} to test on in the end, at 32x64" in capsys.readouterr().out
    assert f"its weights on {len(test)} test images, used for nothing else: mean Dice " in first.text()
    stored, metrics = load(first.weights).metrics, json.loads((run / "metrics.json").read_text())
    assert stored == metrics
    assert metrics["test"] == {"data": "test split of the run; used for nothing else", **first.test}
    assert metrics["test"]["images"] == len(test)

    # It agrees with Evaluate.py, which finds the same images in the run's split.
    out = tmp_path / "scores"
    result = evaluate(EvaluateConfig(dir=strips, weights_dir=run, split="test", out=out, resamples=0, examples=0))
    assert result.images == len(test)
    assert f"test side of {run / 'split.csv'}" in result.text()
    assert result.scores.mean_dice == pytest.approx(metrics["test"]["mean_dice"], abs=1e-3)

    # Nothing of the training depends on those images: without them it is the same one.
    few = tmp_path / "few.csv"
    frame[frame["side"] != "test"].to_csv(few, index=False)
    without = train(settings(strips, tmp_path / "without", split=few, subset="balanced", num_epochs=1))
    assert same(weights_of(run), weights_of(without.folder))
    assert (without.test, "used for nothing" in without.text()) == (None, False)
    assert without.scores == first.scores

    # A run that has ended is not scored again; one that ended before it could write is.
    scored = []
    monkeypatch.setattr(room, "final_test", lambda *words: scored.append(words) or {"images": 0})
    assert train(TrainConfig(resume=run)).test is None
    assert (scored, load(first.weights).metrics) == ([], stored)
    first.weights.unlink()
    assert train(TrainConfig(resume=run)).test == {"images": 0}
    assert len(scored) == 1


def test_early_stopping(strips, tmp_path, monkeypatch):
    from utils.training import meters

    class Constant(meters.Counts):
        """Scores that never get better."""

        def add(self, images, *numbers):
            super().add(images, *(torch.ones_like(number) for number in numbers))

    monkeypatch.setattr(meters, "Counts", Constant)
    result = train(settings(strips, tmp_path / "run", num_epochs=9, early_stop=2))
    assert (result.epochs, result.best_epoch) == (3, 1)
    assert train(TrainConfig(resume=result.folder)).epochs == 3


def test_a_loss_that_is_no_number_names_the_images(strips, tmp_path):
    with pytest.raises(
        InputError, match=r"loss became nan in epoch \d on the batch \d\d\.png.*lower -lr_encoder.* with another -out"
    ):
        train(settings(strips, tmp_path / "run", lr_encoder=1e30, lr_decoder=1e30))


def test_starting_from_a_weights_file(strips, tmp_path, capsys):
    first = train(settings(strips, tmp_path / "first", num_epochs=1))
    hashed = load(first.weights).image_hashes
    other_steel = of_images(0.5, hashed.sets[0].train[:1], hashed.sets[0].valid[:0])
    dataclasses.replace(load(first.weights), image_hashes=joined([hashed, other_steel])).save(
        begun := first.folder / "begun.pth"
    )
    first.weights.unlink()
    still = {"lr_encoder": 0.0, "lr_decoder": 0.0, "num_epochs": 1, "encoder_weights": str(begun)}
    second = train(settings(strips, tmp_path / "second", **still))
    one, other = weights_of(first.folder), weights_of(second.folder)
    first_layer = next(name for name in one if name.startswith("encoder.") and one[name].ndim == 4)
    assert torch.equal(one[first_layer], other[first_layer])
    assert torch.equal(one["segmentation_head.0.weight"], other["segmentation_head.0.weight"])
    told = load(second.weights).provenance["started_from"]
    assert (told["flag"], told["epochs"]) == ("encoder_weights", 1)
    assert told["seconds"] > 0
    assert [(one.scale, len(one.train)) for one in load(second.weights).image_hashes.sets] == [
        (0.5, 1),
        (1.0, hashed.trained),
    ]
    assert told["config"] == load(begun).provenance["config"]
    (second.folder / "started_from.json").write_text("{")
    second.weights.unlink()  # a weights file that is there is left as it is
    with pytest.raises(InputError, match=r"started_from\.json: damaged; remove it"):
        train(TrainConfig(resume=second.folder))
    narrow = train(settings(strips, tmp_path / "narrow", **still, decoder_channels=(64, 32, 16, 16, 8)))
    third = weights_of(narrow.folder)
    assert torch.equal(one[first_layer], third[first_layer])
    assert third["segmentation_head.0.weight"].shape[1] == 8
    assert re.search(
        r"-encoder_weights \S+: \d+ of the network's \d+ tensors are from it, the rest is random",
        capsys.readouterr().out,
    )
    with pytest.raises(InputError, match="nothing in it fits resnet18"):
        train(settings(strips, tmp_path / "third", encoder="resnet18", encoder_weights=str(begun)))


def test_starting_from_an_encoder_of_another_library(strips, tmp_path):
    import timm

    theirs = timm.create_model("test_resnet", pretrained=False).state_dict()
    torch.save(theirs, tmp_path / "timm.pth")
    still = {"lr_encoder": 0.0, "num_epochs": 1, "encoder_weights": str(tmp_path / "timm.pth")}
    result = train(settings(strips, tmp_path / "run", **still))
    ours = weights_of(result.folder)
    filters = [name for name, tensor in theirs.items() if tensor.ndim == 4]
    assert len(filters) > 5
    assert all(torch.equal(ours[f"encoder.model.{name}"], theirs[name]) for name in filters)
    told = load(result.weights).provenance
    digest = hashlib.sha256((tmp_path / "timm.pth").read_bytes()).hexdigest()
    assert told["encoder_file"] == {"file": "timm.pth", "sha256": digest}
    assert "started_from" not in told

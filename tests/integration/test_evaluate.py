"""Evaluate.py on small images and a random network: scores against a slow count, splits, exit codes, bad input."""

import csv
import dataclasses
import json
import os
import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

import Evaluate
from config import EvaluateConfig, PredictConfig
from utils.commands.evaluate import evaluate
from utils.commands.predict import predict
from utils.data.dataset_folder import open_dataset
from utils.data.duplicates.description import describe
from utils.data.duplicates.hashes import hash_of
from utils.data.images import read_size
from utils.data.rle import decode
from utils.errors import InputError
from utils.scoring.scores import pair_dice
from utils.weights.image_hashes import of_images
from utils.weights.weights_file import load

pytestmark = pytest.mark.usefixtures("no_drawing", "own_networks")

TABLES = ["classes.csv", "confusion.csv", "curves.csv", "objects.csv", "scores.csv", "sizes.csv", "submission.csv"]


def run_folder(weights: Path, folder: Path, valid: list[str], train: list[str]) -> Path:
    """Make a run folder: a weights file and a split."""
    shutil.copytree(weights, folder)
    rows = [(name, "valid") for name in valid] + [(name, "train") for name in train]
    lines = [f"{name},{side},{number}" for number, (name, side) in enumerate(sorted(rows))]
    (folder / "split.csv").write_text("\n".join(["image,side,group", *lines]) + "\n")
    return folder


@pytest.mark.parametrize("task", ["multilabel", "multiclass", "binary"])
def test_scores_equal_those_of_the_submission(make_dataset, make_weights, tmp_path, task):
    root, weights = make_dataset(count=6), make_weights(task=task, min_area=3)
    result = evaluate(EvaluateConfig(dir=root, weights_dir=weights, split="all", out=tmp_path / "scores", examples=0))
    predict(PredictConfig(dir=root, weights_dir=weights, out=tmp_path / "out", save=("submission",)))
    dataset = open_dataset(root)
    with open(tmp_path / "out/submission.csv", newline="") as file:
        codes = {row["ImageId_ClassId"]: row["EncodedPixels"] for row in csv.DictReader(file)}
    dice, empty, overlap, union = [], [], {}, {}
    for name in dataset.images:
        size = read_size(dataset.path(name))
        truth = dataset.annotations.mask(name, *size).transpose(2, 0, 1)
        truth = truth.max(axis=0, keepdims=True) if task == "binary" else truth
        for k, target in enumerate(truth, start=1):
            found = decode(codes[f"{name}_{k}"], *size)
            pixels = int(found.sum()) + int(target.sum())
            dice.append(2 * int((found & target).sum()) / pixels if pixels else 1.0)
            empty.append(not target.any())
            overlap[k] = overlap.get(k, 0) + int((found & target).sum())
            union[k] = union.get(k, 0) + int((found | target).sum())
    assert result.scores.mean_dice == pytest.approx(np.mean(dice))
    assert result.scores.empty_baseline == pytest.approx(np.mean(empty))
    assert result.scores.defect_dice == pytest.approx(
        np.mean([d for d, clean in zip(dice, empty, strict=True) if not clean])
    )
    assert result.scores.iou == pytest.approx(np.mean([overlap[k] / union[k] for k in overlap]))
    assert list(result.scores.classes) == (["defect"] if task == "binary" else ["pits", "cracks"])

    metrics = json.loads((tmp_path / "scores/metrics.json").read_text())
    assert metrics["mean_dice"] == pytest.approx(result.scores.mean_dice)
    assert (metrics["images"], metrics["split"], metrics["task"]) == (6, "all", task)
    with open(tmp_path / "scores/scores.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    np.testing.assert_allclose([float(row["dice"]) for row in rows], dice, atol=1e-6)
    for row in rows:
        height, width = read_size(dataset.path(row["image"]))
        assert sum(int(row[key]) for key in ("tp", "fp", "fn", "tn")) == height * width
    assert "mean Dice" in result.text()


def test_a_network_for_one_class_gives_that_class_number_everywhere(make_dataset, make_weights, tmp_path):
    root, weights = make_dataset(), make_weights(task="per-class", target="cracks")
    evaluate(
        EvaluateConfig(dir=root, weights_dir=weights, split="all", out=tmp_path / "scores", resamples=0, examples=0)
    )
    predict(PredictConfig(dir=root, weights_dir=weights, out=tmp_path / "out", save=("masks", "submission", "defects")))
    assert (tmp_path / "scores/submission.csv").read_text() == (tmp_path / "out/submission.csv").read_text()
    for table in ("scores/scores.csv", "scores/objects.csv", "scores/sizes.csv", "out/defects.csv"):
        with open(tmp_path / table, newline="") as file:
            assert {(row["class_id"], row["name"]) for row in csv.DictReader(file)} == {("2", "cracks")}, table
    grey = [cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for path in (tmp_path / "out/masks").iterdir()]
    assert set(np.concatenate([one.ravel() for one in grey]).tolist()) == {0, 2}
    report = (tmp_path / "scores/report.html").read_text()
    assert "hasDefect_2" in report
    assert "hasDefect_1" not in report


def test_labelled_test_images_are_scored(make_dataset, make_weights, tmp_path):
    root, weights = make_dataset(), make_weights(min_area=3)
    config = EvaluateConfig(dir=root, weights_dir=weights, split="all", out=tmp_path / "all", resamples=0, examples=0)
    expected = evaluate(config).scores
    (root / "train_images").rename(root / "test_images")
    (root / "train.csv").rename(root / "test_labels.csv")
    result = evaluate(dataclasses.replace(config, split="test", out=tmp_path / "test"))
    assert result.scores.to_dict() == expected.to_dict()
    assert f"all test images of {root}" in result.text()
    with pytest.raises(InputError, match=r"-calibrate -split test: scores of images that decided something prove"):
        evaluate(dataclasses.replace(config, split="test", calibrate=True))


@pytest.mark.parametrize(("split", "names"), [("valid", ["001.png", "004.png"]), ("train", ["000.png", "002.png"])])
def test_the_runs_own_split_is_scored(make_dataset, make_weights, tmp_path, split, names):
    run = run_folder(make_weights(), tmp_path / "run", ["001.png", "004.png"], ["000.png", "002.png"])
    result = evaluate(
        EvaluateConfig(
            dir=make_dataset(), weights_dir=run, split=split, out=tmp_path / "scores", resamples=0, examples=0
        )
    )
    assert result.images == 2
    with open(tmp_path / "scores/scores.csv", newline="") as file:
        assert sorted({row["image"] for row in csv.DictReader(file)}) == names


@pytest.mark.parametrize(
    ("split", "side", "labelled", "images"),
    [
        ("test", True, False, 1),
        ("test-side", True, False, 1),
        ("test-side", True, True, 1),
        ("test", False, True, 5),
        ("test-images", True, True, 5),
        (
            "test",
            True,
            True,
            r"-split test: .*split\.csv has a test side, and .*test_labels\.csv labels other test images;",
        ),
        ("test", False, False, r"test_images: no such folder"),
        ("test-images", True, False, r"test_images: no such folder"),
        ("test-side", False, True, r"split\.csv: has no image on its test side; use -split all"),
    ],
)
def test_which_test_images_are_meant(make_dataset, make_weights, tmp_path, split, side, labelled, images):
    root = make_dataset()
    run = run_folder(make_weights(), tmp_path / "run", ["001.png"], ["000.png"])
    if side:
        with open(run / "split.csv", "a") as file:
            file.write("003.png,test,7\n")
    if labelled:
        shutil.copytree(root / "train_images", root / "test_images")
        shutil.copy(root / "train.csv", root / "test_labels.csv")
    config = EvaluateConfig(dir=root, weights_dir=run, split=split, out=tmp_path / "scores", resamples=0, examples=0)
    with pytest.raises(InputError, match=f"-calibrate -split {split}: scores of images that decided something prove"):
        evaluate(dataclasses.replace(config, calibrate=True))
    if isinstance(images, str):
        with pytest.raises(InputError, match=images):
            evaluate(config)
        return
    result = evaluate(config)
    assert result.images == images
    where = f"test side of {run / 'split.csv'}" if images == 1 else f"all test images of {root}"
    assert f", {where};" in result.text()


def test_the_command_prints_all_scores(make_dataset, make_weights, capfd):
    root = make_dataset()
    words = ["-dir", root, "-weights_dir", make_weights(), "-split", "all"]
    assert Evaluate.main([str(word) for word in words]) == 0
    printed = capfd.readouterr()
    assert printed.err == ""  # no terminal, no progress bar
    for words in ("mean Dice", "empty baseline", "defect Dice", "IoU", "pits", "cracks", "together"):
        assert words in printed.out
    written = sorted(path.name for path in (root / "evaluation").iterdir())
    assert written == sorted([*TABLES, "metrics.json", "report.html"])
    assert all(name in printed.out for name in written)


def test_a_bad_image_in_the_middle_is_reported_and_left_out(make_dataset, make_weights, tmp_path, capfd):
    root = make_dataset()
    (root / "train_images/001.png").write_text("not an image")
    words = ["-dir", root, "-weights_dir", make_weights(), "-split", "all", "-out", tmp_path / "out"]
    assert Evaluate.main([str(word) for word in words]) == 3
    printed = capfd.readouterr()
    assert "001.png: not an image" in printed.err
    assert "4 images, all labelled images of" in printed.out
    metrics = json.loads((tmp_path / "out/metrics.json").read_text())
    assert (metrics["images"], [Path(image["image"]).name for image in metrics["skipped"]]) == (4, ["001.png"])


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({}, "-split valid: no split.csv beside the weights file .*-split all"),
        ({"split": "all", "classes": "a,b"}, "classes are a, b, but the weights were trained on pits, cracks"),
        ({"split": "all", "classes": "a"}, "row 3.*class 2"),
        ({"split": "all", "class_map": ("pits=9",)}, "-class_map pits=9: the data has no class 9; it has pits, cracks"),
        ({"split": "all", "threshold": (0.5,) * 3}, "one for each class in the order pits, cracks$"),
        ({"split": "all", "row": "004.png,1,1 99999"}, "row 6: 004.png class 1: .*"),
        ({"split": "all", "row": "nowhere.png,1,1 1"}, "row 6: nowhere.png not in"),
        ({"split": "all", "dir": "missing"}, "missing: no such folder"),
        ({"split": "all", "weights_dir": "missing"}, "-weights_dir .*missing: no such file or folder"),
        ({"split": "all", "threshold": -0.1}, "-threshold -0.1: expected a probability 0..1"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(make_dataset, make_weights, tmp_path, flags, message):
    root = make_dataset()
    flags = dict(flags)
    if classes := flags.pop("classes", None):
        (root / "classes.txt").write_text(classes.replace(",", "\n"))
    if row := flags.pop("row", None):
        with open(root / "train.csv", "a") as file:
            file.write(f"{row}\n")
    places = {key: tmp_path / flags[key] for key in ("dir", "weights_dir") if key in flags}
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(InputError, match=message) as error:
        evaluate(EvaluateConfig(**{"dir": root, "weights_dir": make_weights(), **flags, **places}))
    assert "\n" not in str(error.value)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("name", ["config.yaml", "checkpoints"])
def test_the_folder_of_a_run_keeps_its_own_metrics(make_dataset, make_weights, tmp_path, name):
    run = tmp_path / "run"
    (run / name).mkdir(parents=True)
    (run / "metrics.json").write_text("{}")
    with pytest.raises(InputError, match=f"-out .*run: is the folder of a training run, which has {name}"):
        evaluate(EvaluateConfig(dir=make_dataset(), weights_dir=make_weights(), split="all", out=run))
    assert sorted(path.name for path in run.iterdir()) == sorted([name, "metrics.json"])


def test_paths_that_are_not_utf8_are_written_as_their_codes(make_dataset, make_weights, tmp_path):
    root = make_dataset().rename(tmp_path / os.fsdecode(b"Br\xfccke"))
    evaluate(
        EvaluateConfig(dir=root, weights_dir=make_weights(), split="all", out=tmp_path / "out", resamples=0, examples=0)
    )
    assert json.loads((tmp_path / "out/metrics.json").read_bytes())["dataset"] == str(root)
    assert "Br\\udcfccke" in (tmp_path / "out/report.html").read_text("utf-8")
    predict(PredictConfig(dir=root, weights_dir=make_weights(), out=tmp_path / "masks"))
    assert json.loads((tmp_path / "masks/summary.json").read_bytes())["ground_truth"] == str(root / "train.csv")


def test_a_split_of_other_images_is_an_error(make_dataset, make_weights, tmp_path):
    run = run_folder(make_weights(), tmp_path / "run", ["elsewhere.png"], ["000.png"])
    with pytest.raises(InputError, match=r"split\.csv.*elsewhere\.png"):
        evaluate(EvaluateConfig(dir=make_dataset(), weights_dir=run, out=tmp_path / "out"))


def read(path: Path) -> list[dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_tables_agree_with_the_metrics(make_dataset, make_weights, tmp_path):
    result = evaluate(
        EvaluateConfig(dir=make_dataset(), weights_dir=make_weights(), split="all", out=tmp_path, examples=0)
    )
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    classes = {row["name"]: row for row in read(tmp_path / "classes.csv")}
    assert list(classes) == ["pits", "cracks", "together"]
    for name, told in [*metrics["classes"].items(), ("together", metrics)]:
        assert float(classes[name]["recall"]) == told["recall"]
        ends = [float(classes[name][f"mean_dice_{end}"]) for end in ("low", "high")]
        assert ends == metrics["interval"]["mean_dice"][name]
        assert ends[0] <= told["mean_dice"] <= ends[1]
    objects, sizes = read(tmp_path / "objects.csv"), read(tmp_path / "sizes.csv")
    for side in ("labelled", "predicted"):
        number = sum(row["side"] == side for row in objects)
        assert number == sum(int(row[side]) for row in sizes) > 0
    curves = read(tmp_path / "curves.csv")
    assert {(row["label"], row["curve"]) for row in curves} >= {
        ("hasDefect_1", "roc"),
        ("NoDefect", "precision_recall"),
    }
    assert result.written == (
        "report.html",
        "metrics.json",
        "scores.csv",
        "classes.csv",
        "sizes.csv",
        "curves.csv",
        "confusion.csv",
        "objects.csv",
        "submission.csv",
    )


@pytest.mark.parametrize("tile", [None, (32, 32)])
def test_submission_is_that_of_the_prediction(make_dataset, make_weights, tmp_path, tile):
    root, weights = make_dataset(), make_weights(min_area=3)
    evaluate(
        EvaluateConfig(
            dir=root, weights_dir=weights, split="all", tile=tile, out=tmp_path / "scores", resamples=0, examples=0
        )
    )
    predict(PredictConfig(dir=root, weights_dir=weights, tile=tile, out=tmp_path / "out", save=("submission",)))
    for name in ("scores/metrics.json", "out/summary.json"):
        told = json.loads((tmp_path / name).read_text("utf-8"))
        assert told["tile"] == (list(tile) if tile else None)
        assert told["network"].endswith("tiles of 32x32") == (tile is not None)
    both = [(tmp_path / folder / "submission.csv").read_bytes() for folder in ("scores", "out")]
    assert both[0] == both[1]


@pytest.mark.draws
@pytest.mark.parametrize(
    "task", ["multilabel", *(pytest.param(task, marks=pytest.mark.slow) for task in ("multiclass", "binary"))]
)
def test_report_shows_every_section_and_the_learning_curves_of_the_run(make_dataset, make_weights, tmp_path, task):
    root = make_dataset(count=6)
    run = run_folder(make_weights(task=task), tmp_path / "run", [f"{n:03d}.png" for n in range(6)], [])
    rows = ["epoch,train_loss,valid_loss,valid_dice,valid_defect_dice,valid_dice_pits,lr_encoder"]
    rows += ["1,0.9,0.8,0.2,0.1,nan,0.001", "2,0.5,0.6,0.7,0.4,0.3,0.0005"]
    (run / "history.csv").write_text("\n".join(rows))
    evaluate(EvaluateConfig(dir=root, weights_dir=run, out=tmp_path / "out", examples=2))
    page = (tmp_path / "out/report.html").read_text("utf-8")
    titles = re.findall(r"<h2>(.*?)</h2>", page)
    assert titles == [
        "Contents", "Summary", "Classes", "Images", "Defects", "Exact and smooth Dice", "Learning curves",
        "Worst images", "Best images", "What was scored",
    ]  # fmt: skip
    assert "2 epochs; the best mean Dice came in epoch 2." in page
    assert page.count("data:image/jpeg") == 4
    assert "http" not in page
    assert "Not a number" not in page
    assert ">nan<" not in page


def test_classes_that_the_weights_do_not_know_are_said(make_dataset, make_weights, tmp_path):
    root = make_dataset(class_names=("pits", "scale", "cracks"))
    class_map = ("pits=pits", "cracks=cracks")
    result = evaluate(
        EvaluateConfig(
            dir=root,
            weights_dir=make_weights(),
            split="all",
            out=tmp_path,
            examples=0,
            resamples=0,
            class_map=class_map,
        )
    )
    (line,) = result.left_out
    assert re.fullmatch(r"class scale of the data \(\d images?\) is not known to the weights and is not scored", line)
    assert line in result.text().splitlines()
    assert line in (tmp_path / "report.html").read_text("utf-8")
    assert json.loads((tmp_path / "metrics.json").read_text())["not_scored"] == [line]


def test_report_without_run_folder_and_without_pictures(make_dataset, make_weights, tmp_path):
    config = EvaluateConfig(
        dir=make_dataset(), weights_dir=make_weights(), split="all", out=tmp_path, examples=0, resamples=0
    )
    result = evaluate(config)
    page = (tmp_path / "report.html").read_text("utf-8")
    assert "does not lie in a run folder" in page
    assert "image/jpeg" not in page
    assert json.loads((tmp_path / "metrics.json").read_text())["interval"] is None
    assert "interval of the mean Dice" not in result.text()


# Equal numbers, equal plots: tests/reporting/test_plots.py.
@pytest.mark.parametrize("drawn", [False, pytest.param(True, marks=[pytest.mark.slow, pytest.mark.draws])])
def test_same_images_same_report(make_dataset, make_weights, tmp_path, drawn):
    root, weights = make_dataset(), make_weights()
    pages = []
    for name in ("a", "b"):
        evaluate(EvaluateConfig(dir=root, weights_dir=weights, split="all", out=tmp_path / name, examples=1))
        text = (tmp_path / name / "report.html").read_text("utf-8")
        pages.append(re.sub(r"on \d{4}-\d\d-\d\d \d\d:\d\d|[\d.]+ s, [\d.]+ images/s", "", text))
    assert pages[0] == pages[1]
    assert (tmp_path / "a/objects.csv").read_bytes() == (tmp_path / "b/objects.csv").read_bytes()


def test_images_in_folders_within_have_the_scores_of_a_flat_folder(make_dataset, make_weights, tmp_path):
    root, weights = make_dataset(), make_weights()
    flags = {"dir": root, "weights_dir": weights, "split": "all", "device": "cpu", "batch_size": 1}
    flat = evaluate(EvaluateConfig(**flags, out=tmp_path / "flat"))
    (root / "train_images" / "b").mkdir()
    (root / "train_images" / "004.png").rename(root / "train_images" / "b" / "000.png")
    table = root / "train.csv"
    table.write_text(table.read_text().replace("004.png", "b/000.png"))
    deep = evaluate(EvaluateConfig(**flags, out=tmp_path / "deep"))
    assert deep.scores.together == flat.scores.together
    for name in ("scores.csv", "objects.csv", "submission.csv"):
        expected = (tmp_path / "flat" / name).read_text().replace("004.png", "b/000.png")
        assert sorted((tmp_path / "deep" / name).read_text().splitlines()) == sorted(expected.splitlines()), name
    assert "b/000.png" in (tmp_path / "deep" / "report.html").read_text()


@pytest.mark.parametrize(("split", "seen"), [("all", ["000.png", "002.png"]), ("train", None)])
def test_copies_of_training_images_are_told_and_left_out_of_a_second_score(
    make_dataset, make_weights, tmp_path, split, seen
):
    root = make_dataset(count=4)
    dataset = open_dataset(root)
    hashes = np.stack([hash_of(describe(dataset.read(f"{k:03}.png", 1)[..., 0], 1.0)) for k in (0, 2)])
    folder = run_folder(make_weights(), tmp_path / "run", ["001.png"], ["000.png", "002.png"])
    (path,) = folder.glob("*.pth")
    dataclasses.replace(load(path), image_hashes=of_images(1.0, hashes, hashes[:0])).save(folder / "hashed.pth")
    path.unlink()
    for name in ("000.png", "002.png"):  # a copy need not be the same file
        image = cv2.imread(str(root / "train_images" / name))
        cv2.imwrite(str(root / "train_images" / name), np.clip(image * 0.9 + 9, 0, 255).astype(np.uint8))
    result = evaluate(EvaluateConfig(dir=root, weights_dir=folder, split=split, out=tmp_path / "scores", resamples=0))
    metrics = json.loads((tmp_path / "scores/metrics.json").read_text())
    if seen is None:
        assert result.about_copies == ""
        assert "copies_of_training_images" not in metrics
        return
    assert metrics["copies_of_training_images"]["whole_picture"] == seen
    assert metrics["copies_of_training_images"]["scores_without"]["images"] == 2
    others = result.evaluation.counts.without(seen)
    assert result.unseen.mean_dice == pytest.approx(float(pair_dice(others).mean()))
    line = f"2 of 4 images have a copy among the 2 training images (2 whole, 0 in part); without them mean Dice {result.unseen.mean_dice:.4f}"
    assert line in result.text()
    assert line in (tmp_path / "scores/report.html").read_text()


def test_weights_without_hashes_say_that_copies_cannot_be_looked_for(make_dataset, make_weights, tmp_path):
    config = EvaluateConfig(dir=make_dataset(), weights_dir=make_weights(), split="all", out=tmp_path / "scores")
    assert "the weights file has no hashes of its training images" in evaluate(config).text()

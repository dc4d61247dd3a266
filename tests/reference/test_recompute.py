"""The numbers of metrics.json computed again by a script that shares nothing with the project."""

import csv
import json

import numpy as np
import pytest
import torch

from config import EvaluateConfig
from tests.reference import recompute
from utils.commands.evaluate import evaluate
from utils.data.dataset_folder import open_dataset
from utils.data.images import read_image
from utils.weights.finding import find
from utils.weights.weights_file import load

pytestmark = pytest.mark.usefixtures("no_drawing", "own_networks")


@pytest.fixture
def evaluated(make_dataset, make_weights, tmp_path, monkeypatch):
    # The report, which is tested elsewhere, takes longer than the numbers.
    monkeypatch.setattr("utils.commands.evaluate._write_report", lambda *_: None)

    def run(task="multilabel", min_area=3, count=9):
        target = "cracks" if task == "per-class" else None
        root, weights = make_dataset(count=count), make_weights(task=task, min_area=min_area, target=target)
        config = EvaluateConfig(
            dir=root, weights_dir=weights, split="all", out=tmp_path / "out", batch_size=1, examples=0, resamples=200
        )
        evaluate(config)
        return root, tmp_path / "out", weights

    return run


@pytest.mark.parametrize(("task", "min_area"), [("multilabel", 3), ("multiclass", 0), ("binary", 20), ("per-class", 3)])
def test_every_number_is_the_same(evaluated, task, min_area):
    root, out, _ = evaluated(task, min_area)
    told = json.loads((out / "metrics.json").read_text())
    told = {key: value for key, value in told.items() if key not in recompute.SETTINGS}
    computed = recompute.recompute(root, out)
    assert recompute.differences(told, computed) == []
    assert recompute.numbers(computed) > 100


def test_nothing_found_and_only_clean_images(make_dataset, make_weights, tmp_path):
    root, weights = make_dataset(count=9), make_weights(min_area=3)
    (root / "train.csv").write_text("ImageId,ClassId,EncodedPixels\n")
    for name, threshold in (("nothing", 1.0), ("everything", 0.0)):
        config = EvaluateConfig(
            dir=root,
            weights_dir=weights,
            split="all",
            out=tmp_path / name,
            threshold=threshold,
            examples=0,
            resamples=5,
        )
        result = evaluate(config)
        told = json.loads((tmp_path / name / "metrics.json").read_text())
        told = {key: value for key, value in told.items() if key not in recompute.SETTINGS}
        assert recompute.differences(told, recompute.recompute(root, tmp_path / name)) == []
        assert result.scores.mean_dice == (1.0 if name == "nothing" else 0.0)
        assert told["object_level"]["alarmed_per_1000_clean"] == (0.0 if name == "nothing" else 1000.0)


def test_a_wrong_number_is_noticed(evaluated, capsys):
    root, out, _ = evaluated()
    assert recompute.main(root, out) == 0
    metrics = json.loads((out / "metrics.json").read_text())
    metrics["classes"]["pits"]["recall"] += 1e-8
    metrics["object_level"]["classes"]["cracks"]["found"][2] += 1
    (out / "metrics.json").write_text(json.dumps(metrics))
    assert recompute.main(root, out) == 1
    printed = capsys.readouterr().out
    assert "/classes/pits/recall" in printed
    assert "/object_level/classes/cracks/found/2" in printed
    assert "2 differ" in printed


@pytest.mark.parametrize("task", ["multilabel", "multiclass", "binary"])
def test_scores_and_soft_sums_are_those_of_the_network(evaluated, task):
    root, out, weights = evaluated(task, count=5)
    model, dataset = load(find(weights, None)).build(), open_dataset(root)
    labels = recompute.read_codes(root / "train.csv")
    with open(out / "scores.csv", newline="") as file:
        rows = {(row["image"], int(row["class_id"])): row for row in csv.DictReader(file)}
    for name in dataset.images:
        image = read_image(dataset.path(name), channels=3)
        # In memory as the pipeline lays it: another layout rounds otherwise.
        batch = torch.from_numpy(image[None]).permute(0, 3, 1, 2)
        with torch.inference_mode():
            logits = model.to(memory_format=torch.channels_last)(batch)[0].numpy().astype(float)
        if task == "multiclass":
            powers = np.exp(logits - logits.max(axis=0))
            probability = (powers / powers.sum(axis=0))[1:]
        else:
            probability = 1 / (1 + np.exp(-logits))
        truth = np.stack([recompute.decode(labels.get((name, k), ""), *image.shape[:2]) for k in (1, 2)])
        truth = truth.any(axis=0, keepdims=True) if task == "binary" else truth
        for k, (plane, labelled) in enumerate(zip(probability, truth, strict=True), start=1):
            told = [float(rows[name, k][column]) for column in ("score", "soft_tp", "soft_predicted")]
            expected = [plane.max(), plane[labelled].sum(), plane.sum()]
            assert told == pytest.approx(expected, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp"])
def test_size_of_an_image_from_its_header(tmp_path, suffix):
    import cv2

    cv2.imwrite(str(tmp_path / f"a{suffix}"), np.zeros((37, 53, 3), np.uint8))
    assert recompute.image_size(tmp_path / f"a{suffix}") == (37, 53)

"""Evaluate.py -calibrate on small images and a random network: what is written is what the next command uses."""

import csv
import dataclasses
import errno
import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

import Evaluate
from config import EvaluateConfig, PredictConfig
from utils import files
from utils.calibration.calibrator import label_areas
from utils.commands.evaluate import evaluate
from utils.commands.predict import predict
from utils.data.dataset_folder import open_dataset
from utils.decision.decision import Decision
from utils.decision.gate import Gate
from utils.errors import InputError
from utils.inference.ground_truth import GroundTruth
from utils.models.factory import build
from utils.models.spec import ModelSpec
from utils.weights.finding import find
from utils.weights.system_file import SystemFile, read_system
from utils.weights.weights_file import WeightsFile, load

pytestmark = pytest.mark.usefixtures("no_drawing")


def run_folder(weights: Path, folder: Path) -> Path:
    """Make a run folder: a weights file, and a split with a near-duplicate pair."""
    shutil.copytree(weights, folder)
    rows = [f"{number:03d}.png,valid,{min(number, 10)}" for number in range(12)]
    (folder / "split.csv").write_text("\n".join(["image,side,group", *rows]) + "\n")
    return folder


@pytest.fixture
def run(make_weights, tmp_path) -> Path:
    return run_folder(make_weights(), tmp_path / "run")


def everything(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("limits", ["search", pytest.param("percentiles", marks=pytest.mark.slow)])
def test_the_next_command_uses_the_calibrated_settings_without_being_told(make_dataset, run, tmp_path, limits):
    root, old = make_dataset(count=12), find(run)
    flags = {"dir": root, "weights_dir": run, "examples": 0, "resamples": 0}
    before = evaluate(EvaluateConfig(**flags, out=tmp_path / "before"))
    calibrate = {**flags, "out": tmp_path / "out", "calibrate": True, "area_limits": limits}
    files = everything(run)
    refused = evaluate(EvaluateConfig(**calibrate))
    assert refused.calibrated is None
    assert everything(run) == files
    assert "this network finds nothing better than nothing: mean Dice" in refused.text()
    result = evaluate(EvaluateConfig(**calibrate, force=True))
    assert "these scores are by the thresholds in use until now; those of the new weights file follow" in result.text()
    assert "is replaced" not in result.text()  # the same weights
    found = result.calibration
    assert result.scores == before.scores
    assert found.before.mean_dice == pytest.approx(before.scores.mean_dice, abs=1e-12)
    assert found.before.mean_dice < found.cross_fitted.mean_dice <= found.in_sample.mean_dice
    assert (found.images, found.groups, found.folds) == (12, 11, 5)

    assert find(run) == result.calibrated != old
    new = load(result.calibrated)
    assert (run / "uncalibrated" / old.name).is_file()
    assert new.decision == found.decision
    assert new.metrics["calibration"]["cross_fitted"]["mean_dice"] == found.cross_fitted.mean_dice
    after = evaluate(EvaluateConfig(**flags, out=tmp_path / "after"))
    expected = f"is too good; expect {found.cross_fitted.mean_dice:.4f} on others (cross-fitted)"
    assert (expected in after.text(), "too good" in before.text()) == (True, False)
    for name, one in found.classes.items():
        expected = one.dice_in_sample if one.after == one.best else one.dice_before
        assert after.scores.classes[name].mean_dice == pytest.approx(expected, abs=1e-12)
    predict(PredictConfig(images=root / "train_images", weights_dir=run, out=tmp_path / "predicted"))
    summary = json.loads((tmp_path / "predicted/summary.json").read_text())
    assert summary["thresholds"] == dict(zip(("pits", "cracks"), new.decision.thresholds, strict=True))
    assert summary["max_areas"] == dict(zip(("pits", "cracks"), new.decision.max_areas, strict=True))

    metrics = json.loads((tmp_path / "out/metrics.json").read_text())
    assert metrics["calibration"]["in_sample"]["mean_dice"] == found.in_sample.mean_dice
    assert metrics["calibration"]["classes"]["pits"]["after"]["threshold"] == new.decision.thresholds[0]
    assert metrics["calibrated_weights"] == str(result.calibrated)
    with open(tmp_path / "out/calibration.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["class"] for row in rows} <= {"pits", "cracks", "together"}
    assert max(float(row["recall"]) for row in rows) <= 1


def test_a_second_calibration_replaces_the_first_and_keeps_the_file_from_training(make_dataset, make_weights, tmp_path):
    run = run_folder(make_weights(encoder="resnet18"), tmp_path / "run")
    root, old = make_dataset(count=12), find(run)
    flags = {"dir": root, "weights_dir": run, "out": tmp_path / "out", "calibrate": True, "force": True}
    flags |= {"resamples": 0, "examples": 0}
    first = evaluate(EvaluateConfig(**flags)).calibrated
    second = evaluate(EvaluateConfig(**flags, false_alarms=0)).calibrated
    assert first != second == find(run)
    assert [path.name for path in (run / "uncalibrated").iterdir()] == [old.name]
    again = evaluate(EvaluateConfig(**flags, false_alarms=0))
    assert again.calibrated is None
    assert "keeps what it has" in again.text()
    assert find(run) == second


@pytest.mark.parametrize("when", ["metrics.json", "report.html"])
def test_a_full_disk_leaves_tables_report_and_weights_as_they_were(make_dataset, run, tmp_path, monkeypatch, when):
    out = tmp_path / "out"
    out.mkdir()
    for name in ("report.html", "scores.csv", "mine.txt"):
        (out / name).write_text("earlier")
    before = everything(run), everything(out)

    def full(path, *_):
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    def write(path, text):
        return full(path) if path.name == when else files.write_text(path, text)

    monkeypatch.setattr("utils.commands.evaluate.write_text", write)
    monkeypatch.setattr("utils.reporting.page.write_text", write)
    config = EvaluateConfig(
        dir=make_dataset(count=12), weights_dir=run, out=out, calibrate=True, force=True, examples=0
    )
    with pytest.raises(OSError, match="No space left") as error:
        evaluate(config)
    assert error.value.filename == str(out / when)
    assert (everything(run), everything(out)) == before


def test_what_flags_set_is_written_where_nothing_better_is_found(make_dataset, make_weights, tmp_path):
    common = {"dir": make_dataset(count=12), "split": "all", "out": tmp_path / "out", "calibrate": True, "resamples": 0}
    common["examples"] = 0
    common["force"] = True  # a random network finds nothing better than nothing
    folders = [shutil.copytree(make_weights(task="binary"), tmp_path / name) for name in ("first", "second")]
    (found,) = evaluate(EvaluateConfig(**common, weights_dir=folders[0])).calibration.decision.per_class
    words = {**vars(found), "max_area": found.max_area or 0}
    result = evaluate(EvaluateConfig(**common, weights_dir=folders[1], **words))
    assert not result.calibration.changed
    assert result.calibrated == find(folders[1])
    assert "with what the flags set: nothing better was found that holds" in result.text()
    new = load(result.calibrated)
    assert new.decision.per_class == (found,)


def test_published_weights_stay_as_they_are(make_dataset, run, tmp_path):
    empty = {"format": "steel-defect-segmentation weights index", "version": 1, "default": None, "weights": []}
    (run / "index.json").write_text(json.dumps(empty))
    before = everything(run)
    config = EvaluateConfig(
        dir=make_dataset(count=12),
        weights_dir=run,
        out=tmp_path / "out",
        calibrate=True,
        force=True,
        examples=0,
        resamples=0,
    )
    result = evaluate(config)
    assert result.calibrated.parent == tmp_path / "out"
    assert everything(run) == before


def test_the_command_prints_both_gains_and_the_new_file(make_dataset, run, capsys):
    words = ["-dir", make_dataset(count=12), "-weights_dir", run, "-calibrate", "-area_limits", "keep", "-force"]
    assert Evaluate.main([str(word) for word in words]) == 0
    printed = capsys.readouterr().out
    for line in ("in-sample", "cross-fitted", "finds nothing better than nothing: mean Dice", "new weights file: "):
        assert line in printed
    assert load(find(run)).decision.min_areas == (0, 0)
    assert load(find(run)).decision.max_areas == (None, None)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"num_of_images": 2}, "-calibrate: 2 images, fewer than 3 that differ"),
        ({"threshold": 1.0}, "-calibrate: starts from thresholds above 0 and below 1"),
    ],
)
def test_what_cannot_be_calibrated_is_refused_before_anything_is_written(make_dataset, run, tmp_path, flags, message):
    root, before = make_dataset(count=12), everything(run)
    with pytest.raises(InputError, match=message):
        evaluate(EvaluateConfig(dir=root, weights_dir=run, out=tmp_path / "out", calibrate=True, **flags))
    assert everything(run) == before
    assert not (tmp_path / "out").exists()


def test_a_member_of_a_system_is_calibrated_with_the_whole(make_dataset, run, tmp_path):
    member = run / "network"
    member.mkdir()
    for path in [*run.glob("*.pth"), run / "split.csv"]:
        path.replace(member / path.name)
    content = {"members": {"network": {"file": f"network/{find(member).name}", "sha256": "0"}}}
    (run / "whole.system.json").write_text(json.dumps(content))
    config = EvaluateConfig(dir=make_dataset(count=12), weights_dir=member, out=tmp_path / "out", calibrate=True)
    before = everything(run)
    with pytest.raises(InputError, match=r"^-calibrate: .*whole.system.json needs .*-weights_dir .*whole.system.json"):
        evaluate(config)
    assert everything(run) == before
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.parametrize("task", ["multilabel", "multiclass"])
def test_what_is_calibrated_behind_a_gate_is_what_prediction_draws(make_dataset, tmp_path, task):
    """Softmax gives the pixels of a class that the gate turned away to another one."""
    root, folder = make_dataset(count=12), tmp_path / "system"
    spec = ModelSpec("two-head", "resnet18", task, ("pits", "cracks"))
    torch.manual_seed(1)
    model = build(spec)
    torch.nn.init.normal_(model.net.segmentation_head[0].weight, std=0.5)
    WeightsFile(spec, model.net.state_dict(), model.mean, model.std, None, Decision.uniform(2, 0.5)).save(
        folder / "n.pth"
    )
    member = load(folder / "n.pth")

    def save(*thresholds: float) -> Path:
        gate = Gate("hard", None, thresholds)
        path = folder / "whole.system.json"
        SystemFile("two-head", {"network": member}, gate, Decision.uniform(2, 0.5)).save(path)
        return path

    path = save(0.0, 0.0)
    predict(PredictConfig(dir=root, weights_dir=path, out=tmp_path / "out", save=("labels",), precision="f32"))
    with open(tmp_path / "out/labels.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    path = save(*(float(np.median([float(row[name]) for row in rows])) for name in spec.class_names))
    config = EvaluateConfig(dir=root, weights_dir=path, split="all", precision="f32", resamples=0, area_limits="keep")
    plain = evaluate(dataclasses.replace(config, out=tmp_path / "plain"))
    found = evaluate(dataclasses.replace(config, out=tmp_path / "calibrated", calibrate=True))
    assert found.scores == plain.scores
    left, expected = found.evaluation, plain.evaluation
    np.testing.assert_allclose(left.sums, expected.sums, rtol=1e-6)  # some images were turned away
    np.testing.assert_array_equal(left.image_scores, expected.image_scores)
    assert (expected.sums[:, 1] == 0).any()
    assert found.calibration.before.mean_dice == pytest.approx(plain.scores.mean_dice)
    again = evaluate(dataclasses.replace(config, out=tmp_path / "again"))
    assert again.scores.mean_dice >= plain.scores.mean_dice


@pytest.mark.parametrize("force", [False, True])
def test_a_classifier_gets_thresholds_for_its_labels(make_dataset, tmp_path, force):
    spec = ModelSpec("classifier", "test_resnet", "classify-multilabel", ("pits", "cracks"))
    torch.manual_seed(1)
    model = build(spec)
    weights = WeightsFile(
        spec, model.net.state_dict(), model.mean, model.std, None, Decision((), ()), label_thresholds=(0.5, 0.5)
    )
    old = weights.save_named(tmp_path / "run", "classifier")
    config = EvaluateConfig(
        dir=make_dataset(count=12),
        weights_dir=old.parent,
        split="all",
        out=tmp_path / "out",
        calibrate=True,
        force=force,
    )
    result = evaluate(config)
    metrics = json.loads((tmp_path / "out/metrics.json").read_text())
    assert metrics["calibration"] == result.calibration.to_dict()
    assert metrics["log_loss"] == result.scores.together.log_loss > 0
    assert "Calibration" in (tmp_path / "out/report.html").read_text()
    assert "log loss" in result.text()
    written = result.calibration.changed and (force or not result.calibration.finds_nothing)
    assert (result.calibrated is not None) == written
    assert find(old.parent) == (result.calibrated or old)
    assert load(find(old.parent)).label_thresholds == (result.calibration.thresholds if written else (0.5, 0.5))
    assert not list(tmp_path.rglob("*.part*"))


def test_areas_of_the_labels_are_those_of_their_connected_defects(make_dataset, make_weights):
    dataset = open_dataset(make_dataset(count=6))
    for task, expected in (("multilabel", [{180}, {360}]), ("binary", [{180, 360}])):
        spec = load(find(make_weights(task=task))).spec
        areas = label_areas(dataset, GroundTruth(dataset.annotations, spec), dataset.images)
        assert [set(np.unique(one)) for one in areas] == expected


def test_areas_of_a_class_in_an_image_add_up_its_defects(tmp_path):
    (tmp_path / "train_images").mkdir()
    cv2.imwrite(str(tmp_path / "train_images/a.png"), np.zeros((10, 10), np.uint8))
    (tmp_path / "train.csv").write_text("ImageId,ClassId,EncodedPixels\na.png,1,1 2 41 3\na.png,2,91 4\n")
    dataset = open_dataset(tmp_path)
    labels = GroundTruth(dataset.annotations, ModelSpec("unet", "resnet18", "multilabel", ("1", "2")))
    for of, expected in (("defect", [[2, 3], [4]]), ("image", [[5], [4]])):
        assert [sorted(one) for one in label_areas(dataset, labels, ["a.png"], of)] == expected


def test_networks_put_together_are_scored_and_calibrated_into_a_system_file(make_dataset, make_weights, run, tmp_path):
    other = run_folder(make_weights(class_names=("cracks", "pits"), input_size=(32, 64)), tmp_path / "other")
    together = Path(f"{find(other)},{run}")
    before = everything(run) | everything(other)
    common = {"dir": make_dataset(count=12), "examples": 0, "resamples": 0}
    result = evaluate(EvaluateConfig(**common, weights_dir=together, out=tmp_path / "out", calibrate=True, force=True))
    assert result.calibrated == tmp_path / "out/ensemble-test_resnet+test_resnet.system.json"
    assert everything(run) | everything(other) == before
    assert result.calibration.groups == 11, "the split beside the first network is used"
    assert result.network.startswith("ensemble of 2, ")
    system = read_system(result.calibrated)
    assert [member.source.resolve() for member in system.members.values()] == [find(other), find(run)]
    assert system.decision == result.calibration.decision
    # The data's order of the classes, whichever of the networks comes first.
    turned = evaluate(EvaluateConfig(**common, weights_dir=Path(f"{run},{other}"), out=tmp_path / "turned"))
    for name in ("pits", "cracks"):
        assert turned.scores.classes[name].mean_dice == pytest.approx(result.scores.classes[name].mean_dice, abs=1e-6)
    after = evaluate(
        EvaluateConfig(**common, weights_dir=result.calibrated, split="all", out=tmp_path / "after", backend="torch")
    )
    assert after.scores.mean_dice == pytest.approx(result.calibration.after.mean_dice, abs=1e-6)


def test_what_one_of_several_networks_has_learnt_from_is_no_validation_image(make_dataset, run, tmp_path):
    other = run_folder(run, tmp_path / "other")
    frame = (other / "split.csv").read_text().replace("003.png,valid", "003.png,train")
    (other / "split.csv").write_text(frame)
    flags = {"dir": make_dataset(count=12), "weights_dir": Path(f"{run},{other}"), "out": tmp_path / "out"}
    with pytest.raises(
        InputError, match=r"-split valid: .*other/split\.csv has 1 of these 12 images on its train side"
    ):
        evaluate(EvaluateConfig(**flags))
    assert not (tmp_path / "out").exists()

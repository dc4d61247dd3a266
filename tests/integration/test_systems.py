"""Systems through the entry points: trained for real on small images, killed and resumed, predicted with, scored."""

import csv
import gc
import json
import os
import signal
import subprocess
import sys
import weakref
from pathlib import Path

import numpy as np
import pytest
import yaml

import Evaluate
import Predict_masks
import Train
from utils.errors import InputError
from utils.weights.finding import find
from utils.weights.system_file import read_system

pytestmark = pytest.mark.usefixtures("no_drawing", "no_converting")


ROOT = Path(__file__).parents[2]
SMALL = (
    "-encoder test_resnet -encoder_weights none -image_size 32,64 -subset all -batch_size 4 -device cpu -num_of_workers 0"
    " -group_duplicates false -valid_fraction 0.34 -num_epochs 1 -lr_encoder 1e-3 -lr_decoder 1e-3 -augmentation none -threads 1"
)


def train(folder: Path, data: Path, words: str) -> Path:
    assert Train.main([*f"-dir {data} -out {folder}".split(), *SMALL.split(), *words.split()]) == 0
    return folder


def rows(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def sums(folder: Path) -> dict[str, bytes]:
    return {path.parent.name: path.read_bytes() for path in folder.glob("*/*.pth")}


@pytest.mark.parametrize(
    ("words", "roles", "labels"),
    [
        ("-system two-stage -classifier_size 32,32", ["classifier", "segmenter"], ["pits", "cracks"]),
        pytest.param("-system shared-backbone -gate soft", ["network"], ["pits", "cracks"], marks=pytest.mark.slow),
        pytest.param("-system two-stage -task binary", ["classifier", "segmenter"], ["defect"], marks=pytest.mark.slow),
    ],
)
def test_a_system_is_trained_scored_and_run_by_the_three_commands(make_dataset, tmp_path, capsys, words, roles, labels):
    data = make_dataset(count=18)
    run = train(tmp_path / "run", data, f"{words} -test_fraction 0.2 -decoder_channels 16,16,16,8,8")
    path = find(run)
    system = read_system(path)
    assert list(system.members) == roles
    assert all((run / role / "history.csv").exists() for role in roles)
    assert all(member.source.parent.resolve() == run / role for role, member in system.members.items())
    splits = {(run / role / "split.csv").read_text() for role in roles} | {(run / "split.csv").read_text()}
    assert len(splits) == 1, "all members have the same split"
    assert list(system.label_names) == labels
    assert system.gate.mode == ("soft" if "soft" in words else "hard")
    found = json.loads((run / "evaluation/metrics.json").read_text())["calibration"]
    written = "calibration" in system.metrics
    assert written == (found["changed"] and not found["finds_nothing"]), "calibrated on the validation images"
    if "-classifier_size" in words:
        assert (system.members["classifier"].input_size, system.members["segmenter"].input_size) == ((32, 32), (32, 64))
    printed = capsys.readouterr().out
    assert f"system file: {path}" in printed
    test = sorted(row["image"] for row in rows(run / "split.csv") if row["side"] == "test")
    assert len(test) >= 3
    assert printed.count("used for nothing else") == 1, "the whole is scored, not each network"
    assert sorted({row["image"] for row in rows(run / "test/scores.csv")}) == test
    of_test = json.loads((run / "test/metrics.json").read_text())
    assert system.metrics["test"]["images"] == len(test)
    assert system.metrics["test"]["mean_dice"] == of_test["mean_dice"]
    assert all("test" not in member.metrics for member in system.members.values())
    written = path.read_bytes()
    assert Train.main(["-resume", str(run)]) == 0
    assert "nothing is left to train" in capsys.readouterr().out
    assert path.read_bytes() == written
    assert json.loads((run / "test/metrics.json").read_text()) == of_test

    words = f"-dir {data} -weights_dir {run} -out {tmp_path / 'out'} -device cpu -save submission,defects,labels"
    assert Predict_masks.main(words.split()) == 0
    table = rows(tmp_path / "out/labels.csv")
    assert list(table[0]) == ["image", *labels]
    assert len(table) == 18
    summary = json.loads((tmp_path / "out/summary.json").read_text())
    assert (summary["system"], summary["tta"]) == (system.kind, "none")
    assert set(summary["images_with_label"]) == set(labels)
    assert Evaluate.main(f"-dir {data} -weights_dir {path} -out {tmp_path / 'scores'} -tta flips".split()) == 0
    metrics = json.loads((tmp_path / "scores/metrics.json").read_text())
    assert (metrics["system"], metrics["tta"]) == (system.kind, "flips")
    assert "4 flips" in metrics["network"]


@pytest.mark.slow
def test_six_models(make_dataset, tmp_path):
    run = train(tmp_path / "run", make_dataset(count=24), "-system six-model")
    system = read_system(find(run))
    assert list(system.members) == ["binary", "multilabel", "segmenter-1", "segmenter-2"]
    assert system.label_names == ("defect", "pits", "cracks")
    images = {role: {row["image"] for row in rows(run / role / "split.csv")} for role in system.members}
    # make_dataset: of three images one has pits, one cracks, one nothing.
    assert images["binary"] == {f"{k:03d}.png" for k in range(24)}
    assert images["multilabel"] == {f"{k:03d}.png" for k in range(24) if k % 3 < 2}
    assert images["segmenter-1"] == {f"{k:03d}.png" for k in range(0, 24, 3)}
    assert images["segmenter-2"] == {f"{k:03d}.png" for k in range(1, 24, 3)}
    whole = {row["image"]: row["side"] for row in rows(run / "split.csv")}
    for role in system.members:
        assert all(whole[row["image"]] == row["side"] for row in rows(run / role / "split.csv"))


@pytest.mark.slow
def test_an_ensemble_is_trained_calibrated_and_used(make_dataset, tmp_path, capsys):
    data = make_dataset(count=18)
    run = train(tmp_path / "run", data, "-system ensemble -encoder test_resnet,test_resnet")
    path = find(run)
    assert path.name == "ensemble-test_resnet+test_resnet-data.system.json"
    system = read_system(path)
    assert list(system.members) == ["network-1", "network-2"]
    first, second = (member.state_dict for member in system.members.values())
    assert any((first[name] != second[name]).any() for name in first), "they differ by their seeds"
    splits = {(folder / "split.csv").read_text() for folder in (run, *(run / role for role in system.members))}
    assert len(splits) == 1
    assert (run / "evaluation/metrics.json").is_file()
    out = tmp_path / "out"
    words = f"-dir {data} -weights_dir {run} -out {out} -device cpu -save submission,defects"
    assert Predict_masks.main(words.split()) == 0
    summary = json.loads((out / "summary.json").read_text())
    assert (summary["system"], summary["encoder"]) == ("ensemble", "test_resnet,test_resnet")
    assert Train.main(["-resume", str(run)]) == 0
    assert "nothing is left to train" in capsys.readouterr().out


@pytest.mark.slow  # processes that import everything
def test_a_killed_system_goes_on_where_it_was(make_dataset, tmp_path):
    data = make_dataset(count=18)
    whole = train(tmp_path / "whole", data, "-system two-stage -num_epochs 2")
    script = (
        "import os, signal, sys\n"
        "from utils.training import stepping\n"
        "import Train\n"
        "before = stepping.GuardedBackward.on_batch_end\n"
        "def after(self, runner):\n"
        "    second = runner.folder.name == 'segmenter'\n"
        "    if second and runner.epoch_step == 2: os.kill(os.getpid(), signal.SIGKILL)\n"
        "    before(self, runner)\n"
        "stepping.GuardedBackward.on_batch_end = after\n"
        "Train.main(sys.argv[1:])\n"
    )
    killed = tmp_path / "killed"
    words = f"-dir {data} -out {killed} {SMALL} -system two-stage -num_epochs 2".split()
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", script, *words], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert sums(killed).keys() == {"classifier"}
    assert not list(killed.glob("*.system.json"))
    times = {path: path.stat().st_mtime_ns for path in (killed / "classifier").rglob("*") if path.is_file()}

    assert Train.main(["-resume", str(killed)]) == 0
    assert {path: path.stat().st_mtime_ns for path in times} == times, "what was trained is left alone"
    assert sums(killed) == sums(whole)
    one, other = (read_system(find(folder)) for folder in (killed, whole))
    assert (one.gate, one.decision) == (other.gate, other.decision)

    # A third time there is nothing to do, wherever the data lies now, and what was calibrated since is kept.
    content = json.loads(find(killed).read_text())
    content["thresholds"] = dict.fromkeys(content["thresholds"], 0.125)
    find(killed).write_text(json.dumps(content))
    data.rename(tmp_path / "moved")
    assert Train.main(["-resume", str(killed), "-dir", str(tmp_path / "moved")]) == 0
    assert set(read_system(find(killed)).decision.thresholds) == {0.125}
    assert sums(killed) == sums(whole)


def test_interrupting_names_the_systems_folder(make_dataset, tmp_path, monkeypatch):
    from utils.commands import train_members as members

    def interrupted(run):
        raise KeyboardInterrupt("go on with: python Train.py -resume somewhere/classifier")

    monkeypatch.setattr(members, "train_network", interrupted)
    with pytest.raises(KeyboardInterrupt, match=f"go on with: python Train.py -resume {tmp_path / 'run'}$"):
        train(tmp_path / "run", make_dataset(count=18), "-system two-stage")
    assert yaml.safe_load((tmp_path / "run/config.yaml").read_text())["system"] == "two-stage"


def test_images_decoded_for_one_network_are_gone_when_those_of_the_next_are(make_dataset, tmp_path, monkeypatch):
    from utils.commands import train_network as room

    decode_once, decoded = room.decode_once, []

    def decode(*words):
        if decoded:
            assert decoded[0]() is None
            raise KeyboardInterrupt
        images = decode_once(*words)
        decoded.append(weakref.ref(images))
        return images

    monkeypatch.setattr(room, "decode_once", decode)
    gc.disable()
    try:
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path / "run", make_dataset(count=18), "-system two-stage -cache ram")
    finally:
        gc.enable()


def test_balanced_systems_see_clean_images_too(make_dataset, tmp_path, monkeypatch):
    from utils.commands import train_members as members

    monkeypatch.setattr(members, "train_network", lambda run: (_ for _ in ()).throw(KeyboardInterrupt))
    data, words = make_dataset(count=30), "-system two-stage -subset balanced -per_class 3"
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "run", data, words)
    kinds = [int(row["image"][:3]) % 3 for row in rows(tmp_path / "run/split.csv")]
    assert [kinds.count(kind) for kind in range(3)] == [3, 3, 6]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("-system six-model -task binary", "-task binary: a six-model system has a network for each class"),
        ("-system two-stage -task classify-binary", "-task classify-binary: a system draws masks; choose from"),
        ("-system two-head -classifier_epochs 3", "-classifier_epochs: -system two-head is one network"),
        ("-system two-stage -classifier_encoder resnet999", "-encoder resnet999: neither SMP nor timm has it"),
        ("-system two-stage -class_weights 1,2,3", "-class_weights 1,2,3: 3 for 2 classes"),
        ("-system two-stage -loss nothing", "-loss nothing"),
        (
            "-system two-stage -classifier_encoder test_coatnet",
            "-system two-stage, classifier: -encoder test_coatnet: cannot take images of 32x64",
        ),
        ("-system two-stage -min_area 200 -max_area 100", "-max_area 100: is below -min_area 200; correct one of them"),
        ("-system two-stage -num_of_workers 1000", "-num_of_workers 1000: this machine has .* or fewer, or auto"),
        ("-system two-stage -threshold 1", "-threshold 1: a system is calibrated from a threshold above 0 and below 1"),
        ("-system two-head -architecture fpn", "-architecture fpn: -system two-head has its own; leave it out"),
        ("-system two-head -architecture unet", "-architecture unet: -system two-head has its own; leave it out"),
        (
            "-system two-stage -classifier_size 96,96 -architecture deeplabv3plus -batch_size 1",
            "-system two-stage, segmenter: -batch_size 1: deeplabv3plus cannot train on batches of a single image",
        ),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_written(make_dataset, tmp_path, words, message):
    with pytest.raises(InputError, match=message):
        train(tmp_path / "run", make_dataset(count=18), words)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("", r"-system six-model, segmenter-3: .*train\.csv: no image shows rust; add images that do"),
        ("002.png,3,1 9\n", "-system six-model, segmenter-3: .*data: 1 images leave none to validate on; add images"),
    ],
)
def test_what_one_network_of_a_system_lacks_is_said_before_the_first_is_trained(make_dataset, tmp_path, rows, message):
    data = make_dataset(count=18, class_names=("pits", "cracks", "rust"))
    with open(data / "train.csv", "a") as file:
        file.write(rows)
    with pytest.raises(InputError, match=message):
        train(tmp_path / "run", data, "-system six-model")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("groups", "fits"), [("0,1,1", False), ("0,1,2", True)])
def test_too_few_images_to_calibrate_by_are_told_before_any_training(make_dataset, tmp_path, monkeypatch, groups, fits):
    from utils.commands import train_members as members

    monkeypatch.setattr(members, "train_network", lambda run: (_ for _ in ()).throw(KeyboardInterrupt))
    data, split = make_dataset(count=18), tmp_path / "split.csv"
    lines = [f"{k:03d}.png,valid,{group}" for k, group in enumerate(groups.split(","))]
    lines += [f"{k:03d}.png,train,{k}" for k in range(3, 18)]
    split.write_text("\n".join(["image,side,group", *lines]))
    message = (
        r"split\.csv: the validation images, fewer than 3 that differ, are too few to calibrate a system by; put more"
    )
    small = SMALL.replace("-subset all", "").replace("-valid_fraction 0.34", "")  # the split says which images
    words = f"-dir {data} -out {tmp_path / 'run'} {small} -system two-stage -split {split}"
    with pytest.raises(KeyboardInterrupt) if fits else pytest.raises(InputError, match=message):
        Train.main(words.split())
    assert (tmp_path / "run").exists() == fits


@pytest.mark.parametrize("task", ["classify-binary", "classify-multilabel"])
def test_a_classifier_alone_gives_probabilities_and_its_own_scores(make_dataset, tmp_path, capsys, task):
    data = make_dataset(count=18)
    run = train(tmp_path / "run", data, f"-task {task}")
    names = ["defect"] if task == "classify-binary" else ["pits", "cracks"]
    assert (
        Predict_masks.main(
            f"-dir {data} -weights_dir {run} -out {tmp_path / 'out'} -device cpu -backend torch -precision f32".split()
        )
        == 0
    )
    printed = capsys.readouterr().out
    assert "judges whole images: it gives probabilities instead of masks and overlays" in printed
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"labels.csv", "summary.json"}
    table = rows(tmp_path / "out/labels.csv")
    assert list(table[0]) == ["image", *names]

    out = tmp_path / "scores"
    words = (
        f"-dir {data} -weights_dir {run} -split all -out {out} -device cpu -backend torch -precision f32 -threshold 0.4"
    )
    assert Evaluate.main(words.split()) == 0
    printed = capsys.readouterr().out
    assert all(word in printed for word in ("accuracy", "precision", "recall", "F1", "ROC-AUC", "avg. precision"))
    said = np.array([[float(row[name]) for name in names] for row in table])
    shown = np.array([[int(row["image"][:3]) % 3 == k for k in range(2)] for row in table])
    truth = shown.any(axis=1, keepdims=True) if task == "classify-binary" else shown
    metrics = json.loads((out / "metrics.json").read_text())
    for column, name in enumerate(names):
        right = ((said[:, column] >= 0.4) == truth[:, column]).mean()
        assert metrics["classes"][name]["accuracy"] == pytest.approx(right)
    assert rows(out / "labels.csv") == table
    matrix = metrics["presence"]["confusion"]["hasDefect_1"]
    assert sum(map(sum, matrix)) == len(table)
    assert matrix[1][1] == ((said[:, 0] >= 0.4) & truth[:, 0]).sum()
    page = (out / "report.html").read_text("utf-8")
    assert all(f"<h2>{title}</h2>" in page for title in ("Images", "Learning curves", "What was scored"))

    flipped = tmp_path / "flipped"
    assert (
        Predict_masks.main(
            f"-dir {data} -weights_dir {run} -out {flipped} -device cpu -backend torch -precision f32 -tta flips".split()
        )
        == 0
    )
    assert rows(flipped / "labels.csv") != table


def test_a_segmenter_has_no_labels_to_save(make_dataset, make_weights, tmp_path):
    words = f"-dir {make_dataset()} -weights_dir {make_weights()} -out {tmp_path / 'out'} -save labels"
    with pytest.raises(InputError, match=r"-save labels: .* judges no whole images"):
        Predict_masks.main(words.split())
    assert not (tmp_path / "out").exists()


@pytest.mark.slow  # processes that import everything
@pytest.mark.parametrize(
    ("words", "roles"),
    [
        pytest.param("-system two-stage -classifier_size 32,32", ["classifier", "segmenter"], marks=pytest.mark.slow),
        ("-system shared-backbone", ["network"]),
    ],
)
def test_several_processes_train_one_system(make_dataset, tmp_path, words, roles):
    data, run = make_dataset(count=18), tmp_path / "run"
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc_per_node=2",
        str(ROOT / "Train.py"),
    ]
    command += [*f"-dir {data} -out {run}".split(), *SMALL.split(), *words.split()]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("system file:") == 1
    assert done.stdout.count("epoch 1/1") == len(roles)
    assert list(read_system(find(run)).members) == roles
    assert [len(list((run / role).glob("*.pth"))) for role in roles] == [1] * len(roles)
    assert len(list(run.glob("*.system.json"))) == 1
    # What is complete stays as it is, whoever resumes it.
    before = sums(run)
    assert Train.main(["-resume", str(run)]) == 0
    assert sums(run) == before

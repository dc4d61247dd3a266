"""A run of folds through the entry points: trained for real on small images, stopped and resumed, scored, calibrated."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import Evaluate
import Train
from tests.integration.small_training import draw_strips, weights_of
from utils.data import rle
from utils.data.soft_masks import CERTAIN, read_soft_mask
from utils.data.splits import read_split
from utils.errors import InputError
from utils.weights.finding import find
from utils.weights.weights_file import load

pytestmark = pytest.mark.usefixtures("no_drawing", "no_converting")


ROOT = Path(__file__).parents[2]
SMALL = (
    "-encoder test_resnet -encoder_weights none -image_size 32,64 -subset all -batch_size 4"
    " -device cpu -num_of_workers 0 -group_duplicates false -num_epochs 1 -lr_encoder 1e-3 -lr_decoder 1e-3"
    " -augmentation none -threads 1"
)

NARROW = "-decoder_channels 16,16,16,8,8"


@pytest.fixture(scope="module")
def strips(tmp_path_factory) -> Path:
    return draw_strips(tmp_path_factory.mktemp("strips"))


def train(folder: Path, data: Path, words: str) -> Path:
    assert Train.main([*f"-dir {data} -out {folder}".split(), *SMALL.split(), *words.split()]) == 0
    return folder


def rows(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_every_image_is_answered_by_the_network_that_has_not_learnt_it(strips, tmp_path, capsys):
    run = train(tmp_path / "run", strips, f"{NARROW} -folds 2 -test_fraction 0.2 -threshold 0.4 -oof probabilities")
    folds = pd.read_csv(run / "folds.csv", dtype={"image": str})
    sides = read_split(run / "split.csv").set_index("image")["side"]
    assert set(sides) == {"train", "test"}
    assert set(folds["image"]) == set(sides[sides == "train"].index)
    for fold in (1, 2):
        own = read_split(run / f"fold-{fold}/split.csv").set_index("image")["side"]
        assert set(own[own == "valid"].index) == set(folds.loc[folds["fold"] == fold, "image"])
        assert set(own.index) == set(folds["image"]), "test images are used for nothing"
    answers = rows(run / "oof.csv")
    assert [(row["image"], row["name"]) for row in answers] == [
        (name, one) for name in sorted(folds["image"]) for one in ("1", "2")
    ]
    assert {(row["image"], int(row["fold"])) for row in answers} == set(zip(folds["image"], folds["fold"], strict=True))
    for row in answers:
        assert rle.parse(row["EncodedPixels"])[:, 1].sum() == int(row["tp"]) + int(row["fp"])
        soft = read_soft_mask(run / "oof" / row["image"], 40, 72)[int(row["class_id"]) - 1]
        assert abs(soft.max() / CERTAIN - float(row["score"])) < 1 / CERTAIN
        assert np.count_nonzero(soft > 0.41 * CERTAIN) <= int(row["tp"]) + int(row["fp"]) <= (soft >= 101).sum()
    assert len(list((run / "oof").iterdir())) == len(folds)
    metrics = json.loads((run / "evaluation/metrics.json").read_text())
    assert metrics["split"] == "out-of-fold"
    assert metrics["images"] == len(folds)
    assert metrics["interval"]["mean_dice"]["together"][0] <= metrics["mean_dice"]
    printed = capsys.readouterr().out
    assert f"out-of-fold answers: {run / 'oof.csv'}" in printed
    assert "mean Dice of each network on its own fold: " in printed
    # What its own network says of the images of a fold, scored by itself.
    assert (
        Evaluate.main(f"-dir {strips} -weights_dir {run / 'fold-1'} -out {tmp_path / 'one'} -device cpu".split()) == 0
    )
    alone = {(row["image"], row["class_id"]): (row["tp"], row["fp"]) for row in rows(tmp_path / "one/scores.csv")}
    assert alone == {(r["image"], r["class_id"]): (r["tp"], r["fp"]) for r in answers if r["fold"] == "1"}
    written = (run / "oof.csv").read_bytes()
    assert Train.main(["-resume", str(run)]) == 0
    assert "nothing is left to train" in capsys.readouterr().out
    assert (run / "oof.csv").read_bytes() == written

    words = f"-dir {strips} -weights_dir {run} -split out-of-fold -calibrate -force -out {tmp_path / 'out'} -device cpu"
    assert Evaluate.main(words.split()) == 0
    printed = capsys.readouterr().out
    first, second = (load(find(run / f"fold-{fold}")) for fold in (1, 2))
    assert first.decision == second.decision, "all networks have what was chosen on all images"
    assert (first.metrics["calibration"]["split"], first.decision.thresholds != (0.4, 0.4)) == ("out-of-fold", True)
    assert all((run / f"fold-{fold}/uncalibrated").is_dir() for fold in (1, 2))
    assert f"new weights file: {first.source} and those of 1 network beside it" in printed
    assert not [path for path in (tmp_path / "out").iterdir() if path.is_dir()], "nothing of the staging is left"


@pytest.mark.slow  # four trainings
def test_a_stopped_run_goes_on_where_it_was_and_ends_with_the_same_weights(strips, tmp_path, monkeypatch):
    whole = train(tmp_path / "whole", strips, f"{NARROW} -folds 2")
    import utils.commands.train_members as members

    done = []

    def second_stops(run):
        if done:
            raise KeyboardInterrupt
        done.append(run)
        return original(run)

    original = members.train_network
    with monkeypatch.context() as patch:
        patch.setattr(members, "train_network", second_stops)
        with pytest.raises(KeyboardInterrupt, match=r"python Train\.py -resume"):
            train(tmp_path / "stopped", strips, f"{NARROW} -folds 2")
    first = find(tmp_path / "stopped/fold-1").read_bytes()
    assert not (tmp_path / "stopped/oof.csv").exists()
    with pytest.raises(InputError, match=r"fold-2 not trained yet; go on with: python Train\.py -resume"):
        Evaluate.main(f"-dir {strips} -weights_dir {tmp_path / 'stopped'} -split out-of-fold".split())
    assert Train.main(["-resume", str(tmp_path / "stopped")]) == 0
    assert find(tmp_path / "stopped/fold-1").read_bytes() == first
    for fold in (1, 2):
        ours, theirs = weights_of(tmp_path / f"stopped/fold-{fold}"), weights_of(whole / f"fold-{fold}")
        assert all((ours[name] == theirs[name]).all() for name in theirs)
    assert (tmp_path / "stopped/oof.csv").read_bytes() == (whole / "oof.csv").read_bytes()


@pytest.mark.slow  # a pair of processes
def test_two_processes_train_all_folds_one_after_the_other_and_write_one_table(strips, tmp_path):
    run = tmp_path / "run"
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    command += [str(ROOT / "Train.py"), "-dir", str(strips), "-out", str(run), *SMALL.split()]
    done = subprocess.run(
        [*command, *NARROW.split(), "-folds", "2"],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("epoch 1/1") == 2
    assert done.stdout.count("out-of-fold answers:") == 1
    assert [len(list((run / name).glob("*.pth"))) for name in ("fold-1", "fold-2")] == [1, 1]
    folds = pd.read_csv(run / "folds.csv", dtype={"image": str})
    answers = rows(run / "oof.csv")
    assert {row["image"] for row in answers} == set(folds["image"])
    assert len(answers) == 2 * len(folds)
    # Whoever resumes what is complete changes nothing.
    before = (run / "oof.csv").read_bytes()
    assert Train.main(["-resume", str(run)]) == 0
    assert (run / "oof.csv").read_bytes() == before


def test_a_folder_without_folds_answers_nothing_out_of_fold(strips, make_weights):
    with pytest.raises(InputError, match=r"no run of Train\.py -folds"):
        Evaluate.main(f"-dir {strips} -weights_dir {make_weights()} -split out-of-fold".split())


@pytest.mark.slow  # the same for another kind of network
def test_classifiers_answer_out_of_fold(strips, tmp_path):
    run = train(
        tmp_path / "run", strips, "-folds 2 -task classify-multilabel -oof table".replace("-decoder_channels", "")
    )
    answers = rows(run / "oof.csv")
    assert list(answers[0]) == ["image", "fold", "1", "2"]
    assert len(answers) == 24
    words = f"-dir {strips} -weights_dir {run} -split out-of-fold -calibrate -force -out {tmp_path / 'out'} -device cpu"
    assert Evaluate.main(words.split()) == 0
    first, second = (load(find(run / f"fold-{fold}")) for fold in (1, 2))
    assert first.label_thresholds == second.label_thresholds

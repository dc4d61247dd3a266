"""Trainings with a teacher, through the entry point."""

import csv
import dataclasses
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

import Train
from tests.integration.small_training import draw_strips, same, weights_of
from utils.commands import teacher_answers
from utils.data.bit_depth import BitDepth
from utils.data.images import read_image
from utils.decision.masks import DEFECT
from utils.inference.backends import choice
from utils.inference.inspected import Inspected
from utils.weights.finding import find
from utils.weights.weights_file import load

SMALL = (
    "-encoder test_resnet -encoder_weights none -decoder_channels 16,16,16,8,8 -image_size 32,64 -subset all -batch_size 4"
    " -device cpu -num_of_workers 0 -group_duplicates false -num_epochs 1 -lr_encoder 1e-3 -lr_decoder 1e-3"
    " -augmentation flips -threads 1"
)


@pytest.fixture
def strips(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "strips").mkdir()
    return draw_strips(tmp_path / "strips")


def train(folder: Path, data: Path, words: str) -> Path:
    assert Train.main([*f"-dir {data} -out {folder}".split(), *SMALL.split(), *words.split()]) == 0
    return folder


def unlabelled(folder: Path, count: int, seed: int = 1) -> Path:
    """Strips as ``draw_strips`` makes them, without labels."""
    folder.mkdir()
    random = np.random.default_rng(seed)
    for number in range(count):
        image = random.normal(120, 6, (40, 72)).clip(0, 255).astype(np.uint8)
        for class_id, (shade, height, width) in {1: (220, 14, 14), 2: (20, 6, 40)}.items():
            if number % 3 in (0, class_id):
                top, left = random.integers(0, 40 - height), random.integers(0, 72 - width)
                image[top : top + height, left : left + width] = shade
        cv2.imwrite(str(folder / f"{number:02d}.png"), image)
    return folder


class Perfect:
    """In place of a pipeline: a teacher that is nearly sure of what is bright (class 1) and what is dark (class 2)."""

    def __init__(self, *args, **flags):
        self.system = type("System", (), {"task": "multilabel"})
        self.depth = BitDepth()

    def run(self, paths, finish, folder=None):
        import torch

        for path in paths:
            image = read_image(path, 3)
            planes = np.stack([image[..., 0] > 170, image[..., 0] < 70])
            logits = torch.from_numpy(np.where(planes, 4.0, -4.0).astype(np.float32))
            yield path, finish(path, Inspected(path.name, image, planes, np.zeros(0, DEFECT), None, (0, 0), logits))


def named_teacher(made: Path, folder: Path) -> Path:
    """Copy weights into a folder, with the class names of ``draw_strips``."""
    stored = load(find(made))
    folder.mkdir()
    dataclasses.replace(stored, spec=dataclasses.replace(stored.spec, class_names=("1", "2"))).save_named(
        folder, "unet"
    )
    return folder


def test_a_network_learns_from_a_teacher_and_from_images_without_labels(
    strips, tmp_path, make_weights, monkeypatch, capsys
):
    monkeypatch.setattr(choice, "FEWEST", 99)  # torch answers: to convert the teacher takes longer
    teacher, more = named_teacher(make_weights(), tmp_path / "teacher"), unlabelled(tmp_path / "more", 5)
    taught = f"-teacher {teacher} -teacher_weight 0.4 -unlabelled {more} -accept all -dice_of image"
    student = train(tmp_path / "student", strips, taught)
    assert "20 images to train on and 5 without labels, 4 to validate on" in capsys.readouterr().out
    file = load(find(student))
    assert [one["file"] for one in file.provenance["teachers"]] == [find(teacher).name]
    assert file.image_hashes.trained == 25
    assert json.loads((student / "teacher.json").read_text())["unlabelled"] == sorted(map(str, more.iterdir()))
    # It learns something else than without.
    alone = train(tmp_path / "alone", strips, "-dice_of image")
    assert not same(weights_of(student), weights_of(alone))


@pytest.mark.slow  # five trainings; of a teacher without folds above, which network answers in test_teachers.py
def test_a_network_learns_from_a_run_of_folds_and_goes_on_where_it_was_stopped(strips, tmp_path, capsys):
    frame = [("image", "side", "group"), *((f"{k:02d}.png", "valid" if k % 4 == 3 else "train", k) for k in range(24))]
    with open(tmp_path / "split.csv", "w", newline="") as file:
        csv.writer(file).writerows(frame)
    words = SMALL.replace("-subset all", f"-split {tmp_path / 'split.csv'}").split()
    folds, student = tmp_path / "folds", tmp_path / "student"
    assert Train.main([*f"-dir {strips} -out {folds} -folds 2".split(), *words]) == 0
    more = unlabelled(tmp_path / "more", 5)
    taught = f"-teacher {folds} -teacher_weight 0.4 -unlabelled {more} -accept all -dice_of image".split()
    assert Train.main([*f"-dir {strips} -out {student}".split(), *words, *taught]) == 0
    printed = capsys.readouterr().out
    assert "18 images to train on and 5 without labels, 6 to validate on" in printed
    assert "repeats the labels" not in printed
    file = load(find(student))
    assert [one["file"] for one in file.provenance["teachers"]] == [find(folds / f"fold-{k}").name for k in (1, 2)]
    assert file.image_hashes.trained == 23
    assert json.loads((student / "teacher.json").read_text())["unlabelled"] == sorted(
        str(path) for path in more.iterdir()
    )
    before = weights_of(student)
    find(student).unlink()
    (student / "checkpoints/last.pth").unlink()
    (student / "checkpoints/best.pth").unlink()
    assert Train.main(["-resume", str(student)]) == 0
    assert same(weights_of(student), before)


@pytest.mark.slow  # some hundred steps
def test_a_student_of_a_perfect_teacher_learns_without_labels(strips, tmp_path, monkeypatch, make_weights):
    # Labels of the validation images alone: to the others the table says that they are clean.
    valid = {f"{k:02d}.png" for k in range(0, 24, 3)} | {f"{k:02d}.png" for k in range(1, 24, 3)}
    with open(strips / "train.csv", newline="") as file:
        header, *rows = csv.reader(file)
    with open(strips / "train.csv", "w", newline="") as file:
        csv.writer(file).writerows([header, *(row for row in rows if row[0] in valid)])
    frame = [
        ("image", "side", "group"),
        *((f"{k:02d}.png", "valid" if f"{k:02d}.png" in valid else "train", k) for k in range(24)),
    ]
    with open(tmp_path / "split.csv", "w", newline="") as file:
        csv.writer(file).writerows(frame)
    named_teacher(make_weights(), tmp_path / "teacher")
    more = unlabelled(tmp_path / "more", 36)
    monkeypatch.setattr(teacher_answers, "open_pipeline", Perfect)
    words = SMALL.replace("-subset all", f"-split {tmp_path / 'split.csv'}").replace("-num_epochs 1", "-num_epochs 25")
    words += " -dice_of image -schedule onecycle -optimizer adamw"
    taught = f"-teacher {tmp_path / 'teacher'} -teacher_weight 1 -unlabelled {more} -accept all"
    assert Train.main([*f"-dir {strips} -out {tmp_path / 'taught'}".split(), *words.split(), *taught.split()]) == 0
    assert Train.main([*f"-dir {strips} -out {tmp_path / 'alone'}".split(), *words.split()]) == 0
    found = {name: load(find(tmp_path / name)).metrics for name in ("taught", "alone")}
    assert found["taught"]["defect_dice"] > 0.6
    assert found["alone"]["defect_dice"] < 0.2, "its training images are clean, as far as it knows"

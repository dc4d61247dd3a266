"""Prepare_data.py suspect: answers out of fold, copies and odd masks against labels."""

import shutil
import sys

import cv2
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from config import PackConfig, SuspectConfig
from utils.commands.suspect import differing, suspect
from utils.data.annotation_table import write_annotations
from utils.data.annotations import make_rows
from utils.data.dataset_folder import open_dataset
from utils.data.duplicates.copies import Copies, Copy, Masks, Member
from utils.data.folds import write_folds
from utils.data.packing import pack
from utils.data.rle import encode
from utils.data.soft_masks import to_levels, write_soft_mask
from utils.errors import InputError

SIZE = (96, 128)
TRUE = np.zeros((2, *SIZE), np.uint8)
TRUE[0, 30:60, 30:80] = 1
LABELS = {
    "right.png": TRUE,
    "swapped.png": TRUE[::-1],
    "dropped.png": np.zeros_like(TRUE),
    "shifted.png": np.roll(TRUE, (0, 8), (1, 2)),
    "twice.png": np.stack([TRUE[0], TRUE[0]]),
}


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data"
    (folder / "train_images").mkdir(parents=True)
    records = []
    for seed, (name, masks) in enumerate(LABELS.items()):
        noise = np.random.default_rng(seed).normal(0, 90, SIZE).astype(np.float32)
        image = np.clip(120 + cv2.GaussianBlur(noise, (0, 0), 2), 0, 255).astype(np.uint8)
        Image.fromarray(image).save(folder / "train_images" / name)
        records += [(name, k, encode(np.ascontiguousarray(mask)), 0) for k, mask in enumerate(masks, 1) if mask.any()]
    write_annotations(make_rows(sorted(records)), folder / "train.csv")
    (folder / "classes.txt").write_text("pits\ncracks\n")
    return folder


@pytest.fixture
def folds(data, make_weights, tmp_path):
    """A finished run whose networks know the truth: their answers lie there as pictures."""
    run = tmp_path / "folds"
    names = sorted(LABELS)
    write = [(name, 1 + number % 2, number) for number, name in enumerate(names)]
    for fold in (1, 2):
        shutil.copytree(make_weights(), run / f"fold-{fold}")
    write_folds(pd.DataFrame(write, columns=["image", "fold", "group"]), run / "folds.csv")
    (run / "oof.csv").write_text("image,fold\n")
    for name in names:
        write_soft_mask(run / "oof" / name, to_levels(np.where(TRUE, 0.95, 0.02)))
    return run


def test_wrong_labels_come_first_with_the_reason(data, folds):
    result = suspect(SuspectConfig(dir=data, folds_run=folds, copies=False), show=False)
    table = pd.read_csv(data / "suspects/suspects.csv").set_index("image")
    assert table["kind"].to_dict() == {
        "swapped.png": "class",
        "dropped.png": "missing",
        "shifted.png": "place",
        "twice.png": "twice",
    }
    assert list(table["rank"]) == [1, 2, 3, 4]
    assert table["score"].is_monotonic_decreasing
    assert table.loc["swapped.png", "why"] == "labelled cracks, the network sees pits"
    assert table.loc["shifted.png", ["down_px", "right_px"]].tolist() == [0, -8]
    assert table.loc["shifted.png", "why"] == "the mask fits where it is moved by 8 px left"
    assert "4 suspects of 5 images" in result.text()
    page = (data / "suspects/suspects.html").read_text("utf-8")
    assert page.count("data:image/jpeg") == 4 * 3 + 1
    aside = open_dataset(data / "suspects/to_review")
    assert set(aside.images) == set(table.index)
    assert aside.annotations.runs("swapped.png") == open_dataset(data).annotations.runs("swapped.png")
    with pytest.raises(InputError, match="exists already"):
        suspect(SuspectConfig(dir=data, folds_run=folds), show=False)


def test_suspects_of_a_packed_dataset_are_put_aside_as_files(data, folds, tmp_path):
    pack(PackConfig(dir=data, out=tmp_path / "packed"), progress=False)
    suspect(SuspectConfig(dir=tmp_path / "packed", folds_run=folds, out=tmp_path / "out"), show=False)
    for name in ("swapped.png", "dropped.png", "shifted.png", "twice.png"):
        aside = tmp_path / "out/to_review/train_images" / name
        assert aside.read_bytes() == (data / "train_images" / name).read_bytes()


def test_without_networks_masks_and_copies_are_looked_at(data):
    shutil.copyfile(data / "train_images/right.png", data / "train_images/same.png")
    result = suspect(SuspectConfig(dir=data, num_of_images=1), show=False)
    found = {one.image: one.kind for one in result.found}
    assert found == {"right.png": "copies", "same.png": "copies", "twice.png": "twice"}
    assert "1 copy labelled otherwise: same.png" in result.text()
    assert "no network was asked" in result.text()
    assert len(open_dataset(data / "suspects/to_review").images) == 1


def test_of_three_copies_alike_the_fourth_is_wrong():
    members = [Member(None, name) for name in "abcd"]
    found = [
        Copy(one, other, 0, 0, 0, 1.0, 0.99, Masks(0.2 if other == 3 else 1.0, (), 9))
        for one in range(4)
        for other in range(one + 1, 4)
    ]
    said = differing(Copies(members, np.ones((4, 2), np.int64), found, ("pits",)))
    assert {name: round(value, 2) for name, (value, _) in said.items()} == {"a": 0, "b": 0, "c": 0, "d": 0.8}
    assert said["d"][1] == ["a", "b", "c"]


def test_what_cannot_be_done_is_told_before_anything_is_written(data, folds, tmp_path, monkeypatch):
    for flags, message in (
        ({"folds_run": tmp_path / "none"}, "-folds_run .*no run of Train.py -folds"),
        ({"copies": False}, "nothing is left to look at"),
        ({"rank": "cleanlab"}, "-folds_run"),
    ):
        with pytest.raises(InputError, match=message):
            suspect(SuspectConfig(dir=data, **flags), show=False)
    monkeypatch.setitem(sys.modules, "cleanlab.segmentation.rank", None)
    monkeypatch.setitem(sys.modules, "cleanlab", None)
    with pytest.raises(InputError, match=r"-r requirements-labels\.txt"):
        suspect(SuspectConfig(dir=data, folds_run=folds, rank="cleanlab"), show=False)
    (folds / "oof.csv").unlink()
    with pytest.raises(InputError, match="not finished"):
        suspect(SuspectConfig(dir=data, folds_run=folds), show=False)
    assert not (data / "suspects").exists()


def test_images_in_no_fold_are_counted(data, folds):
    shutil.copyfile(data / "train_images/right.png", data / "train_images/new.png")
    result = suspect(SuspectConfig(dir=data, folds_run=folds, copies=False), show=False)
    assert f"1 image in no fold of {folds}" in result.text()

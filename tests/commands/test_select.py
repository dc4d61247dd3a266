"""Prepare_data.py select: what to label next, beside a random draw."""

import shutil

import cv2
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from config import PackConfig, SelectConfig, TrainConfig
from utils.commands import select as selecting
from utils.commands.select import select
from utils.commands.train import train
from utils.data.annotation_table import write_annotations
from utils.data.annotations import make_rows
from utils.data.packing import pack
from utils.errors import InputError
from utils.settings import note_given


def picture(seed):
    noise = np.random.default_rng(seed).normal(0, 90, (96, 128)).astype(np.float32)
    return np.clip(120 + cv2.GaussianBlur(noise, (0, 0), 2), 0, 255).astype(np.uint8)


@pytest.fixture
def flags(tmp_path, make_weights):
    """Two labelled images; six new pictures, one of them twice and one a turned copy of a labelled image."""
    data, new = tmp_path / "data", tmp_path / "new"
    (data / "train_images").mkdir(parents=True)
    (new / "line2").mkdir(parents=True)
    for seed in range(2):
        Image.fromarray(picture(seed)).save(data / "train_images" / f"{seed}.png")
    write_annotations(make_rows([("0.png", 1, "1 5", 0)]), data / "train.csv")
    for seed in range(2, 7):
        Image.fromarray(picture(seed)).save(new / f"{seed}.png")
    Image.fromarray(picture(7)).save(new / "line2" / "7.png")
    Image.fromarray(np.ascontiguousarray(picture(2)[:, ::-1])).save(new / "again.png")
    Image.fromarray(np.ascontiguousarray(np.rot90(picture(0)))).save(new / "labelled.png")
    return {"dir": data, "images": new, "weights_dir": make_weights(), "device": "cpu"}


def test_both_lists_hold_one_of_each_picture(flags, tmp_path):
    result = select(SelectConfig(**flags, num_of_images=3), show=False)
    out = tmp_path / "new_select"
    table = pd.read_csv(out / "select.csv")
    assert table.groupby("list")["image"].nunique().to_dict() == {"chosen": 3, "random": 3}
    assert not {"labelled.png", "again.png", "2.png"} <= set(table["image"])
    assert "labelled.png" not in set(table["image"])
    for kind, rows in table.groupby("list"):
        lying = {path.relative_to(out / kind).as_posix() for path in (out / kind).rglob("*.png")}
        assert lying == set(rows["image"])
        assert rows["rank"].tolist() == [1, 2, 3]
    chosen = table[table["list"] == "chosen"]
    assert chosen["score"].is_monotonic_decreasing
    assert chosen["why"].str.contains("uncertainty among the highest").all()
    text = result.text()
    assert "8 images, 2 left out as copies: 3 chosen" in text
    assert "random" in result.about
    assert f"next: python Serve.py -dir {out / 'random'}" in text, "what is not measured is not recommended"
    with pytest.raises(InputError, match="exists already"):
        select(SelectConfig(**flags), show=False)


def test_packed_images_are_chosen_from_as_files(flags, tmp_path):
    shutil.copytree(flags["images"], tmp_path / "more/train_images")
    write_annotations(make_rows([("3.png", 1, "1 5", 0)]), tmp_path / "more/train.csv")
    packed = {"dir": tmp_path / "packed", "images": tmp_path / "more_packed"}
    pack(PackConfig(dir=flags["dir"], out=packed["dir"]), progress=False)
    pack(PackConfig(dir=tmp_path / "more", out=packed["images"]), progress=False)
    select(SelectConfig(**flags, num_of_images=3, out=tmp_path / "files"), show=False)
    select(SelectConfig(**{**flags, **packed}, num_of_images=3, out=tmp_path / "packs"), show=False)
    files, packs = (
        {path.relative_to(tmp_path / kind): path.read_bytes() for path in sorted((tmp_path / kind).rglob("*.*"))}
        for kind in ("files", "packs")
    )
    assert files == packs


def test_labelled_and_new_images_are_read_by_one_depth(flags, tmp_path, monkeypatch):
    shutil.rmtree(flags["images"])
    flags["images"].mkdir()
    for folder, seeds, bits in ((flags["dir"] / "train_images", range(2), 10), (flags["images"], range(2, 5), 12)):
        for seed in seeds:
            Image.fromarray(picture(seed).astype(np.uint16) << (bits - 8)).save(folder / f"{seed}.png")
    read, depths = selecting.read_image, {}

    def noted(path, channels, depth=None):
        if depth is None:  # to look for copies
            return read(path, channels)
        depths[path.name] = depth.bits
        return read(path, channels, depth)

    monkeypatch.setattr(selecting, "read_image", noted)
    select(SelectConfig(**flags, num_of_images=2, out=tmp_path / "o"), show=False)
    assert depths == {f"{seed}.png": 12 for seed in range(5)}


def test_fewer_images_than_wanted_and_one_that_cannot_be_read(flags, tmp_path):
    (flags["images"] / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    result = select(SelectConfig(**flags, num_of_images=50, out=tmp_path / "o"), show=False)
    table = pd.read_csv(tmp_path / "o" / "select.csv")
    assert (result.number, result.skipped, result.copies) == (6, 1, 2)
    assert "bad.png" not in set(table["image"])
    assert "1 image could not be read" in result.text()


def test_the_same_seed_gives_the_same_lists(flags, tmp_path):
    tables = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        select(SelectConfig(**flags, num_of_images=3, out=tmp_path / name, seed=seed), show=False)
        tables.append((tmp_path / name / "select.csv").read_text())
    assert tables[0] == tables[1] != tables[2]


def test_weights_of_anomalies_choose_the_most_unusual_images(flags, tmp_path):
    clean = tmp_path / "clean"
    clean.mkdir()
    for seed in range(20, 32):
        Image.fromarray(picture(seed)).save(clean / f"{seed}.png")
    odd = picture(8)
    odd[24:72, 32:96] = 255 * (np.indices((48, 64)).sum(0) // 4 % 2)
    Image.fromarray(odd).save(flags["images"] / "odd.png")
    given = {"dir": clean, "out": tmp_path / "run", "task": "anomaly", "encoder": "test_resnet", "device": "cpu"}
    given |= {"encoder_weights": "none", "memory": 1, "num_of_workers": 1}
    train(note_given(TrainConfig(**given), given))
    flags = {**flags, "dir": clean, "weights_dir": tmp_path / "run"}
    result = select(SelectConfig(**flags, num_of_images=50), show=False)
    table = pd.read_csv(tmp_path / "new_select" / "select.csv")
    chosen = table[table["list"] == "chosen"]
    assert (chosen["image"].iloc[0], chosen["uncertainty"].idxmax()) == ("odd.png", 0)
    assert chosen["why"].iloc[0].startswith("anomaly score among the highest")
    assert result.better
    assert "chosen by how unusual an image is" in result.text()


def test_what_cannot_be_chosen_from_is_told(flags, tmp_path):
    with pytest.raises(InputError, match="are those of -dir"):
        select(SelectConfig(**{**flags, "images": flags["dir"] / "train_images"}), show=False)
    only = tmp_path / "only"
    only.mkdir()
    shutil.copyfile(flags["images"] / "labelled.png", only / "x.png")
    with pytest.raises(InputError, match="copy of a labelled one"):
        select(SelectConfig(**{**flags, "images": only}), show=False)
    assert not (tmp_path / "only_select").exists()

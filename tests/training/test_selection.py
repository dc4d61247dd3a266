"""Whether a run is told that the weights it goes on from were trained on images that it validates by."""

import dataclasses
from pathlib import Path

import pandas as pd
import pytest

from config import TrainConfig
from utils.data.annotations import open_dataset
from utils.data.splits import write_split
from utils.settings import to_plain
from utils.training.provenance import data_fingerprint
from utils.training.selection import seen_before


@pytest.fixture
def case(make_dataset, tmp_path):
    """The dataset, settings that go on from a run's weights, their origin, and a split."""
    dataset = open_dataset(make_dataset(count=6))
    config = TrainConfig(dir=dataset.root, init_encoder=tmp_path / "earlier" / "net.pth")
    origin = {"flag": "init_encoder", "data_fingerprint": data_fingerprint(dataset), "config": to_plain(config)}
    return dataset, config, origin, split(dataset.images, dataset.images[:2])


def split(images, valid) -> pd.DataFrame:
    sides = ["valid" if name in valid else "train" for name in images]
    return pd.DataFrame({"image": list(images), "side": sides, "group": range(len(images))})


def test_the_split_beside_the_weights_tells(case, tmp_path):
    dataset, config, origin, frame = case
    csv = tmp_path / "earlier" / "split.csv"
    csv.parent.mkdir()
    write_split(split(dataset.images, dataset.images[1:3]), csv)
    assert seen_before(config, dataset, origin, frame) == [
        f"-init_encoder {config.init_encoder}: was trained on 1 of the 2 validation images, so their scores flatter;"
        f" -split {csv} keeps them apart"
    ]
    write_split(frame, csv)
    assert seen_before(config, dataset, origin, frame) == []


def test_without_it_runs_that_chose_alike_have_the_same_split(case):
    dataset, config, origin, frame = case
    assert seen_before(config, dataset, origin, frame) == []
    for change in ({"seed": 7}, {"subset": "all"}, {"task": "binary"}):
        (line,) = seen_before(dataclasses.replace(config, **change), dataset, origin, frame)
        assert "was trained on these images, perhaps on some that are for validation now" in line
    chosen = dataclasses.replace(config, seed=7, split=Path("runs/earlier/split.csv"))
    assert seen_before(chosen, dataset, origin, frame) == []


def test_other_images_and_weights_of_others_flatter_nobody(case):
    dataset, config, origin, frame = case
    config = dataclasses.replace(config, seed=7)
    for other in (None, {"file": "net.pth", "sha256": "0123"}, {**origin, "data_fingerprint": "0123"}):
        assert seen_before(config, dataset, other, frame) == []

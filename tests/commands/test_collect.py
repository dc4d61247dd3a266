"""What was reviewed becomes a dataset folder that training reads."""

import csv

import numpy as np
import pytest

from config import CollectConfig
from tests.desk.desks import bench, strip
from utils.commands.collect import TABLE, collect
from utils.data.annotations import open_dataset
from utils.errors import InputError

SIZE = (40, 60)


def test_reviewed_images_are_a_dataset(tmp_path):
    with bench(tmp_path / "kept") as desk:
        visit = desk.begin()
        desk.add(visit, accepted=strip(), corrected=strip(221), clean=strip(222), unsure=strip(223), open=strip(224))
        desk.services.adding.add(visit, "left/accepted.png", strip(5))
        desk.wait(visit)
        desk.act(visit, 1, "accept", defect=1)
        desk.act(visit, 2, "class", defect=1, class_id=2)
        desk.act(visit, 2, "add", class_id=1, polygon=[[0, 0], [9, 0], [9, 5], [0, 5]])
        desk.act(visit, 3, "clean")
        desk.act(visit, 4, "unsure")
        desk.act(visit, 6, "done", who="=Bo")
        result = collect(CollectConfig(review=tmp_path / "kept", dir=tmp_path / "data"))  # while the desk is open
    assert (result.images, result.clean, result.undecided, result.left_out) == (4, 1, 1, ())
    assert result.per_class == {"bright": 2, "dark": 2}
    data = open_dataset(tmp_path / "data")
    assert sorted(data.images) == ["accepted.png", "clean.png", "corrected.png", "left_accepted.png"]
    masks = {name: data.annotations.mask(name, *SIZE) for name in data.images}
    assert {name: mask.sum(axis=(0, 1)).tolist() for name, mask in masks.items()} == {
        "accepted.png": [200, 0],
        "corrected.png": [45, 200],
        "clean.png": [0, 0],
        "left_accepted.png": [0, 200],
    }
    assert np.flatnonzero(masks["corrected.png"][..., 0].any(axis=1)).tolist() == [0, 1, 2, 3, 4]
    rows = list(csv.DictReader((tmp_path / "data" / TABLE).open(encoding="utf-8")))
    assert {row["name"]: row["who"] for row in rows}["left/accepted.png"] == "'=Bo"


def test_files_that_are_gone_are_named(tmp_path):
    with bench(tmp_path / "kept") as desk:
        visit = desk.begin()
        desk.add(visit, a=strip(), b=strip(221))
        for key in (1, 2):
            desk.act(visit, key, "accept", defect=1)
        desk.desk.files.forget(desk.desk.row(visit, 1)["sha256"])
    result = collect(CollectConfig(review=tmp_path / "kept", dir=tmp_path / "data"))
    assert (result.images, result.left_out) == (1, ("a.png",))


def test_nothing_is_written_where_nothing_is_ready(tmp_path):
    with bench(tmp_path / "kept") as desk:
        desk.add(desk.begin(), a=strip())
    for review, match in ((tmp_path / "kept", "none of them finished"), (tmp_path, "holds no desk.sqlite")):
        with pytest.raises(InputError, match=match):
            collect(CollectConfig(review=review, dir=tmp_path / "data"))
    (tmp_path / "junk").mkdir()
    (tmp_path / "junk/desk.sqlite").write_bytes(b"not a database" * 100)
    with pytest.raises(InputError, match="no database"):
        collect(CollectConfig(review=tmp_path / "junk", dir=tmp_path / "data"))
    assert not (tmp_path / "data").exists()
    (tmp_path / "data").mkdir()
    (tmp_path / "data/mine.txt").write_text("mine")
    with pytest.raises(InputError, match="has something in it"):
        collect(CollectConfig(review=tmp_path / "kept", dir=tmp_path / "data"))

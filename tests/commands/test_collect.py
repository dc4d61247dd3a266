"""What was reviewed becomes a dataset folder that training reads."""

import csv

import numpy as np
import pytest

from config import CollectConfig
from tests.desk.desks import bench, strip
from utils.commands.collect import TABLE, collect
from utils.data.dataset_folder import open_dataset
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


def test_alarms_are_no_class_once_people_have_named_what_they_mean(tmp_path):
    changes = {"class_names": ("anomaly", "other"), "task": "anomaly"}
    with bench(tmp_path / "kept", further=("pit", "crack"), changes=changes) as desk:
        visit = desk.begin()
        desk.add(visit, named=strip(), rejected=strip(221), clean=strip(222), accepted=strip(223))
        desk.act(visit, 1, "class", defect=1, class_id=4)
        desk.act(visit, 2, "reject", defect=1)  # and not painted yet
        desk.act(visit, 3, "clean")
        result = collect(CollectConfig(review=tmp_path / "kept", dir=tmp_path / "data"))
        assert (result.images, result.per_class, result.unnamed) == (2, {"other": 0, "pit": 0, "crack": 1}, 0)
        assert open_dataset(tmp_path / "data").annotations.class_names == ("other", "pit", "crack")
        desk.act(visit, 4, "accept", defect=1)
        result = collect(CollectConfig(review=tmp_path / "kept", dir=tmp_path / "more", add=tmp_path / "data"))
    assert (result.unnamed, result.per_class["anomaly"]) == (1, 1)
    assert "1 image with defects of class anomaly: nobody said of which class they are" in result.text()


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


def test_reviews_go_beside_the_labels_that_are_there(tmp_path):
    old = tmp_path / "old"
    (old / "train_images" / "line2").mkdir(parents=True)
    (old / "train_images" / "before.png").write_bytes(strip(221))
    (old / "train_images" / "line2" / "other.png").write_bytes(strip(5))
    (old / "train_images" / "a.png").write_bytes(strip(6))
    (old / "classes.txt").write_text("scratch\ndark\n")
    (old / "train.csv").write_text("ImageId,ClassId,EncodedPixels\nbefore.png,1,1 5\nline2/other.png,2,3 4\n")
    (old / "ignore.csv").write_text("ImageId,EncodedPixels\nline2/other.png,9 2\nbefore.png,1 2\n")
    with bench(tmp_path / "kept") as desk:
        visit = desk.begin()
        desk.add(visit, a=strip(), b=strip(221))
        for key in (1, 2):
            desk.act(visit, key, "accept", defect=1)
    result = collect(CollectConfig(review=tmp_path / "kept", dir=tmp_path / "data", add=old))
    assert (result.images, result.added, result.replaced, result.clean) == (4, 2, 1, 1)
    assert (
        "2 reviewed images, 1 of them in -add too, whose label the review replaces, and 2 more of -add" in result.text()
    )
    data = open_dataset(tmp_path / "data")
    assert data.annotations.class_names == ("scratch", "dark", "bright")
    assert set(data.images) > {"a.png", "b.png", "line2/other.png"}, "a name that is taken stays with whose it is"
    assert len(data.images) == 4
    assert data.annotations.runs("line2/other.png") == {2: "3 4"}
    assert data.annotations.runs("a.png") == {}
    assert set(data.annotations.runs("b.png")) == {3}, "the review counts"
    assert set(data.annotations.ignored) == {"line2/other.png"}


def test_a_folder_to_add_that_is_none_is_told_before_anything(tmp_path):
    with pytest.raises(InputError, match="none"):
        collect(CollectConfig(review=tmp_path, dir=tmp_path / "data", add=tmp_path / "none"))
    assert not (tmp_path / "data").exists()

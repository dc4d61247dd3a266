import shutil

import cv2
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from config import CopiesConfig, PackConfig
from utils.commands.copies import copies
from utils.data.annotation_table import write_annotations
from utils.data.annotations import make_rows
from utils.data.dataset_folder import open_dataset
from utils.data.packing import pack
from utils.data.rle import encode
from utils.data.splits import read_split
from utils.errors import InputError

MASK = np.zeros((120, 160), np.uint8)
MASK[30:70, 40:90] = 1


@pytest.fixture(autouse=True)
def users_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "users_cache"))


def surface(seed):
    rng = np.random.default_rng(seed)
    image = np.clip(120 + cv2.GaussianBlur(rng.normal(0, 90, (120, 160)).astype(np.float32), (0, 0), 2), 0, 255)
    return image.astype(np.uint8)


def write(folder, pictures, classes="pit"):
    """Write a dataset folder of name -> (picture, mask or None)."""
    (folder / "train_images").mkdir(parents=True)
    records = []
    for name, (picture, mask) in pictures.items():
        Image.fromarray(np.ascontiguousarray(picture)).save(folder / "train_images" / name)
        if mask is not None:
            records.append((name, 1, encode(np.ascontiguousarray(mask)), 0))
    write_annotations(make_rows(records), folder / "train.csv")
    (folder / "classes.txt").write_text(f"{classes}\n")
    return folder


@pytest.fixture
def data(tmp_path):
    """a and b are one picture, labelled alike; c is it too, labelled otherwise; d is another one."""
    return write(
        tmp_path / "data",
        {
            "a.png": (surface(0), MASK),
            "b.png": (np.rot90(surface(0)), np.rot90(MASK)),
            "c.png": (surface(0)[::-1], MASK),
            "d.png": (surface(1), None),
        },
    )


def test_copies_in_a_folder(data):
    result = copies(CopiesConfig(dir=data), progress=False)
    table = pd.read_csv(data / "copies/copies.csv")
    assert (table["image"] + table["copy"]).tolist() == ["a.pngb.png", "a.pngc.png", "b.pngc.png"]
    assert list(table["copy_is_laid"])[:2] == ["turned by 90 degrees clockwise", "mirrored up to down"]
    assert table["iou_pit"].tolist() == pytest.approx([1.0, 1 / 3, 1 / 3], abs=1e-4)
    assert table["pixels_that_differ"].tolist() == [0, 2000, 2000]
    text = result.text()
    assert f"3 of 4 images of {data} have a copy in it" in text
    assert "labels differ on 2 of 3 labelled pairs whose pixels agree" in text
    # Dice of 1, 1/2 and 1/2, the one class in each.
    assert "two labels of the same steel agree by mean Dice 0.667, defect-only 0.667: 3 pairs of whole pictures" in text
    assert (data / "copies/copies.html").read_text("utf-8").count(
        "data:image/jpeg"
    ) == 3 * 3 + 2  # pictures and legends


def test_one_of_each_picture_is_kept_as_a_dataset_folder(data):
    result = copies(CopiesConfig(dir=data, keep="one", examples=0), progress=False)
    left = pd.read_csv(data / "copies/left_out.csv")
    kept = open_dataset(data / "copies/kept")
    assert kept.images == ("a.png", "d.png")
    assert kept.annotations.rows["rle"].tolist() == [encode(MASK)]
    assert kept.annotations.class_names == ("pit",)
    assert left.values.tolist() == [["b.png", "a.png"], ["c.png", "a.png"]]
    assert f"next: python Train.py -dir {data / 'copies/kept'}" in result.text()
    with pytest.raises(InputError, match=r"kept: exists already"):
        copies(CopiesConfig(dir=data, keep="one"), progress=False)


def test_copies_between_two_folders(data, tmp_path):
    other = write(
        tmp_path / "other", {"x.png": (surface(0)[:, ::-1], MASK[:, ::-1]), "y.png": (surface(2), None)}, "pit"
    )
    result = copies(CopiesConfig(dir=data, against=other, keep="one"), progress=False)
    assert result.text().splitlines()[0] == f"1 of 2 images of {other} has a copy in {data}"
    assert [one.name for one in (data / "copies/kept/train_images").iterdir()] == ["d.png"]
    table = pd.read_csv(data / "copies/copies.csv")
    assert set(table["copy"]) == {"x.png"}
    assert set(table["side_of_copy"]) == {str(other)}


def test_classes_of_other_names_are_not_compared(data, tmp_path):
    other = write(tmp_path / "other", {"x.png": (surface(0), MASK)}, "crack")
    result = copies(CopiesConfig(dir=data, against=other, examples=0), progress=False)
    assert "in one folder only: pit, crack" in result.text()
    assert "labels differ" not in result.text()


def test_copies_between_the_sides_of_a_split(data):
    split = data / "split.csv"
    split.write_text("image,side,scene\na.png,train,0\nd.png,train,1\nb.png,valid,0\nc.png,test,0\n")
    result = copies(CopiesConfig(dir=data, split=split, keep="one", out=data / "there", examples=1), progress=False)
    assert result.text().splitlines()[:3] == [
        "1 of 1 images on side valid has a copy on side train",
        "1 of 1 images on side test has a copy on side train",
        "1 of 1 images on side test has a copy on side valid",
    ]
    cleaned = read_split(data / "there/split.csv")
    assert cleaned[["image", "side"]].values.tolist() == [["c.png", "test"], ["d.png", "train"]]
    assert f"next: python Train.py -dir DATA -split {data / 'there/split.csv'}" in result.text()


@pytest.mark.parametrize(("column", "groups"), [("group", [0, 1, 0]), ("scene", [0, 1, 2])])
def test_images_that_stay_keep_their_groups(data, column, groups):
    for source, name in (("c", "e"), ("d", "f")):
        shutil.copyfile(data / f"train_images/{source}.png", data / f"train_images/{name}.png")
    split = data / "split.csv"
    rows = ["a.png,train,7", "f.png,train,3", "b.png,valid,7", "c.png,test,7", "d.png,test,3", "e.png,test,7"]
    split.write_text("\n".join([f"image,side,{column}", *rows]) + "\n")
    copies(CopiesConfig(dir=data, split=split, keep="one", out=data / "there", examples=0), progress=False)
    cleaned = read_split(data / "there/split.csv")
    assert cleaned["image"].tolist() == ["c.png", "d.png", "e.png"]
    assert cleaned["group"].tolist() == groups


def test_no_copies_and_no_labels(tmp_path):
    for seed in range(2):
        Image.fromarray(surface(seed)).save(tmp_path / f"{seed}.png")
    result = copies(CopiesConfig(dir=tmp_path), progress=False)
    assert result.text().startswith(f"0 of 2 images of {tmp_path} have a copy in it\nin ")
    assert pd.read_csv(tmp_path / "copies/copies.csv").empty
    assert "No copies were found" in (tmp_path / "copies/copies.html").read_text("utf-8")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"against": "data", "split": "split.csv"}, "leave one out"),
        ({"against": "data"}, "its images are those of -dir"),
        ({"against": "nowhere"}, "no such folder"),
        ({"split": "one_side.csv"}, "on one side only"),
        ({"split": "strange.csv"}, "zz.png is not in the dataset"),
        ({"split": "no_side.csv"}, "missing column side"),
    ],
)
def test_what_is_refused_writes_nothing(data, tmp_path, changes, message):
    (tmp_path / "one_side.csv").write_text("image,side\na.png,train\n")
    (tmp_path / "strange.csv").write_text("image,side\nzz.png,train\n")
    (tmp_path / "no_side.csv").write_text("image\na.png\n")
    with pytest.raises(InputError, match=message):
        copies(CopiesConfig(dir=data, **{name: tmp_path / value for name, value in changes.items()}), progress=False)
    assert not (data / "copies").exists()


def test_copies_in_a_packed_dataset_are_those_of_the_folder(data, tmp_path):
    copies(CopiesConfig(dir=data, out=tmp_path / "plain"), progress=False)
    pack(PackConfig(dir=data, out=tmp_path / "packed"), progress=False)
    copies(CopiesConfig(dir=tmp_path / "packed", keep="one", out=tmp_path / "out"), progress=False)
    assert (tmp_path / "out/copies.csv").read_text() == (tmp_path / "plain/copies.csv").read_text()
    kept = open_dataset(tmp_path / "out/kept")
    assert set(kept.images) == {"a.png", "d.png"}
    assert (tmp_path / "out/kept/train_images/a.png").read_bytes() == (data / "train_images/a.png").read_bytes()
    between = copies(CopiesConfig(dir=data, against=tmp_path / "packed", out=tmp_path / "between"), progress=False)
    assert "4 of 4 images" in between.text()

"""Clean images are found in dataset folders, labelled or not, and in plain folders; labelled ones are told apart."""

import cv2
import numpy as np
import pytest

from utils.data.clean import open_clean
from utils.errors import InputError


def write(folder, *names: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        cv2.imwrite(str(folder / name), np.full((20, 20), 90, np.uint8))


def test_plain_folder(tmp_path):
    write(tmp_path / "day", "a.png", "b.png")
    found = open_clean(tmp_path)
    assert found.clean == ("day/a.png", "day/b.png")
    assert found.defective == ()
    assert found.dataset.read("day/a.png").shape == (20, 20, 3)


@pytest.mark.parametrize("table", [None, "ImageId,ClassId,EncodedPixels\n"])
def test_dataset_folder_without_labels(tmp_path, table):
    write(tmp_path / "train_images", "a.png", "b.png")
    if table:
        (tmp_path / "train.csv").write_text(table)
    assert open_clean(tmp_path).clean == ("a.png", "b.png")


def test_labelled_images_are_told_apart(tmp_path):
    write(tmp_path / "train_images", "a.png", "b.png", "c.png")
    (tmp_path / "train.csv").write_text("ImageId,ClassId,EncodedPixels\nb.png,1,1 5\n")
    found = open_clean(tmp_path)
    assert (found.clean, found.defective) == (("a.png", "c.png"), ("b.png",))


def test_a_defect_in_every_image_is_one_line(tmp_path):
    write(tmp_path / "train_images", "a.png")
    (tmp_path / "train.csv").write_text("ImageId,ClassId,EncodedPixels\na.png,1,1 5\n")
    with pytest.raises(InputError, match="none is clean"):
        open_clean(tmp_path)


@pytest.mark.parametrize(("name", "words"), [("", "holds no images"), ("nowhere", "no such folder")])
def test_nothing_there_is_one_line(tmp_path, name, words):
    with pytest.raises(InputError, match=words):
        open_clean(tmp_path / name)

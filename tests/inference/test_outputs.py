"""Files of a run: names, contents, and nothing half-written."""

import csv
import dataclasses
import errno
import resource
import signal
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from utils.data.rle import decode
from utils.decision.masks import find_defects
from utils.inference.inspected import Inspected
from utils.inference.outputs import Defects, IndexMasks, Submission, picture_names, write_png

PATH = Path("folder/a, b.jpg")


@pytest.fixture
def result() -> Inspected:
    """Two classes that overlap on one column of a 6x8 image."""
    masks = np.zeros((2, 6, 8), dtype=bool)
    masks[0, 1:4, 1:4] = True
    masks[1, 2:6, 3:7] = True
    logits = torch.zeros(2, 6, 8)
    logits[0] = 2.0
    logits[1] = 1.0
    masks, defects = find_defects(masks, logits.numpy(), "multilabel", (0, 0))
    return Inspected(PATH.name, np.zeros((6, 8, 3), np.uint8), masks, defects, None, (0, 0), logits)


def test_submission_has_a_row_for_every_image_and_class_and_decodes_again(tmp_path, result):
    with Submission(tmp_path / "submission.csv") as sink:
        sink.collect(result.name, sink.render(result))
        sink.collect("clean.png", ["", ""])
        assert not (tmp_path / "submission.csv").exists()
    rows = list(csv.reader((tmp_path / "submission.csv").read_text().splitlines()))
    assert [row[0] for row in rows] == ["ImageId_ClassId", "a, b.jpg_1", "a, b.jpg_2", "clean.png_1", "clean.png_2"]
    assert rows[3][1] == rows[4][1] == ""
    for row, mask in zip(rows[1:3], result.masks, strict=True):
        np.testing.assert_array_equal(decode(row[1], 6, 8), mask)


def test_defects_have_their_box_and_probability(tmp_path, result):
    with Defects(tmp_path / "defects.csv", ("pits", "cracks")) as sink:
        sink.collect(result.name, sink.render(result))
    assert (tmp_path / "defects.csv").read_text() == (
        "image,class_id,name,area_px,x,y,width,height,mean_probability\n"
        '"a, b.jpg",1,pits,9,1,1,3,3,0.8808\n'
        '"a, b.jpg",2,cracks,16,3,2,4,4,0.7311\n'
    )


def test_a_table_of_a_run_that_fails_does_not_replace_the_last_one(tmp_path):
    table = tmp_path / "submission.csv"
    table.write_text("the last one")

    def interrupted_run():
        with Submission(table) as sink:
            sink.collect("a.png", ["1 1"])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted_run()
    assert table.read_text() == "the last one"
    assert list(tmp_path.iterdir()) == [table]


def test_index_masks_show_the_likeliest_of_overlapping_classes(tmp_path, result):
    IndexMasks(tmp_path, {result.name: "a.png"}, "multilabel").render(result)
    index = cv2.imread(str(tmp_path / "a.png"), cv2.IMREAD_UNCHANGED)
    assert index.dtype == np.uint8
    np.testing.assert_array_equal(index, np.where(result.masks[0], 1, np.where(result.masks[1], 2, 0)))


def test_images_of_equal_names_in_different_folders_have_files_of_their_own(tmp_path, result):
    names = ["first/a.png", "second/a.png"]
    sink = IndexMasks(tmp_path, picture_names(names), "multilabel")
    for name, masks in zip(names, (result.masks, result.masks & False), strict=True):
        sink.render(dataclasses.replace(result, name=name, masks=masks))
    first, second = (cv2.imread(str(tmp_path / name), cv2.IMREAD_UNCHANGED) for name in names)
    assert first.any()
    assert not second.any()


@pytest.mark.parametrize(
    ("images", "pictures"),
    [
        (["a.jpg", "b.png"], ["a.png", "b.png"]),
        (["a.jpg", "a.png", "b.jpg"], ["a.jpg.png", "a.png.png", "b.png"]),
        (["a.jpg", "A.jpg"], ["a.jpg.png", "A.jpg.png"]),
        (["a.b.jpg"], ["a.b.png"]),
        (["a.jpg", "a.png", "A.jpg.png", "b.jpg"], ["a.jpg.png", "a.png.png", "A.jpg.png.png", "b.jpg.png"]),
        (["x/a.jpg", "y/a.jpg", "a.jpg"], ["x/a.png", "y/a.png", "a.png"]),
        (["x/a.jpg", "x/a.png", "y/a.jpg"], ["x/a.jpg.png", "x/a.png.png", "y/a.png"]),
        (["x.y/a.jpg", "x.y/b.c.jpg"], ["x.y/a.png", "x.y/b.c.png"]),
        (["a.jpg", "a.png/b.jpg"], ["a.jpg.png", "a.png/b.jpg.png"]),  # a file and a folder of one name
        (["a.jpg", "A.png/c/b.jpg"], ["a.jpg.png", "A.png/c/b.jpg.png"]),
    ],
)
def test_pictures_of_different_images_have_different_names(images, pictures):
    assert list(picture_names(images).values()) == pictures


def test_a_picture_replaces_the_one_of_an_earlier_run(tmp_path):
    for value in (10, 20):
        write_png(tmp_path / "x.png", np.full((3, 4, 3), value, np.uint8))
    assert (cv2.imread(str(tmp_path / "x.png")) == 20).all()
    assert [path.name for path in tmp_path.iterdir()] == ["x.png"]


def test_a_table_that_does_not_fit_on_the_disk_is_named_and_leaves_nothing(tmp_path):
    size, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    table = tmp_path / "submission.csv"
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, size[1]))
        # So few rows stay in the buffer: it is closing that fails.
        with pytest.raises(OSError) as error, Submission(table) as sink:  # noqa: PT011 - its number is checked below
            sink.collect("a.png", ["1 1"] * 50)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, size)
        signal.signal(signal.SIGXFSZ, handler)
    assert (error.value.errno, error.value.filename) == (errno.EFBIG, str(table))
    assert list(tmp_path.iterdir()) == []

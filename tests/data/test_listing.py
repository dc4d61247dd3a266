"""Which images a folder holds, and what they are called."""

import os
import sys
from pathlib import Path

import pytest

from utils.data.listing import about_folders, about_links, as_name, image_names, list_images, name_in
from utils.errors import InputError

LINKS = pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")


def put(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")


def test_images_are_listed_by_name_without_hidden_and_other_files(tmp_path):
    for name in ["b.PNG", "a.jpg", "c.tiff", "._a.jpg", ".hidden.png", "train.csv", "noext"]:
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "folder.jpg").mkdir()
    assert [path.name for path in list_images(tmp_path)] == ["a.jpg", "b.PNG", "c.tiff"]


@pytest.mark.parametrize(("make", "reason"), [(False, "no such folder"), (True, "expected a folder")])
def test_listing_no_folder_is_an_error(tmp_path, make, reason):
    path = tmp_path / "images"
    if make:
        path.write_text("")
    with pytest.raises(InputError, match=reason):
        list_images(path)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
@pytest.mark.parametrize("folder", [b"", b"line2/", b"L\xf6cher/"])
def test_a_name_that_is_not_utf8_is_an_error_of_one_line(tmp_path, folder):
    put(tmp_path, os.fsdecode(folder + b"L\xf6cher.png"))
    with pytest.raises(InputError, match=r"L\udcf6cher.png: the file's name is not UTF-8, .*; rename the file$"):
        list_images(tmp_path)


# What lies in a folder beside x.png -> the names that are listed besides.
WITHIN = {
    "folders within folders": (
        ["a/x.jpg", "a/deep/x.png", "b/x.tif", "b/y.txt"],
        ["a/deep/x.png", "a/x.jpg", "b/x.tif"],
    ),
    "sorted as text": (["a.png", "a/b.png", "a-b.png"], ["a-b.png", "a.png", "a/b.png"]),
    "hidden": ([".hidden/x.png", "a/.x.png", "__MACOSX/._x.png", ".x.png"], []),
    "named like an image": (["a.png/x.png"], ["a.png/x.png"]),
    "results within": (["results/summary.json", "results/overlays/x.png", "results/masks/a/x.png"], []),
    "results broken off": (["results/.unfinished", "results/overlays/x.png"], []),
    "results beside": (["summary.json", "overlays/x.png", "masks/x.png", "a/x.png"], ["a/x.png"]),
    "results of a folder": (["a/x.png", "a/summary.json", "a/overlays/x.png"], ["a/x.png"]),
    "masks of nobody's": (["masks/x.png"], ["masks/x.png"]),
}


@pytest.mark.parametrize("case", WITHIN)
def test_an_image_in_a_folder_within_is_named_by_its_path(tmp_path, case):
    files, expected = WITHIN[case]
    put(tmp_path, "x.png", *files)
    assert image_names(tmp_path) == sorted([*expected, "x.png"])
    assert [name_in(tmp_path, path) for path in list_images(tmp_path)] == image_names(tmp_path)


def test_folders_that_belong_to_something_else_are_left_out(tmp_path):
    put(tmp_path, "a/x.png", "a/masks/x.png", "data/train_images/x.png")
    assert image_names(tmp_path, [tmp_path / "a/masks", tmp_path / "data", tmp_path]) == ["a/x.png"]


@LINKS
def test_links_to_folders_are_left_out_and_named_and_linked_files_are_images(tmp_path):
    put(tmp_path, "elsewhere/x.png", "images/a/x.png")
    images = tmp_path / "images"
    (images / "a/out").symlink_to(tmp_path / "elsewhere")
    (images / "a/circle").symlink_to(images)
    (images / "again").symlink_to(images / "a")
    (images / ".hidden").symlink_to(tmp_path / "elsewhere")
    (images / "a/y.png").symlink_to(tmp_path / "elsewhere/x.png")
    (images / "dead").symlink_to(tmp_path / "gone")
    (images / "a/dead.png").symlink_to(tmp_path / "gone.png")
    assert image_names(images) == ["a/dead.png", "a/x.png", "a/y.png"]
    assert about_links(images) == f"{images / 'a/circle'} (and 2 more): a link to a folder, which is left out"
    assert about_links(tmp_path / "elsewhere") == ""
    (tmp_path / "linked").symlink_to(images)
    assert image_names(tmp_path / "linked") == image_names(images)


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="root may read everything")
def test_a_folder_within_that_may_not_be_read_is_no_empty_folder(tmp_path):
    put(tmp_path, "a/x.png")
    (tmp_path / "a").chmod(0)
    with pytest.raises(PermissionError, match="a"):
        image_names(tmp_path)


@pytest.mark.parametrize(
    ("listed", "name"),
    [
        ("a.png", "a.png"),
        ("line2/a.png", "line2/a.png"),
        ("line2\\a.png", "line2/a.png"),
        ("line2\\deep\\a.png", "line2/deep/a.png"),
        pytest.param("odd\\a.png", "odd\\a.png", marks=LINKS),  # that is the file's name
    ],
)
def test_tables_may_name_images_as_windows_does(tmp_path, listed, name):
    put(tmp_path, "line2/a.png", *([] if sys.platform == "win32" else ["odd\\a.png"]))
    assert as_name(listed, tmp_path) == name


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["a.png"], ""),
        (["a.png", "b/x.png", "b/c/x.png", "a/x.png"], "3 in folders within: a/ 1, b/ 2"),
        ([f"{k}/x.png" for k in range(5)], "5 in folders within: 0/ 1, 1/ 1, 2/ 1 and 2 more"),
    ],
)
def test_images_in_folders_within_are_counted(names, said):
    assert about_folders(names) == said

import os
import shutil
import sys

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from config import PROJECT, CheckConfig
from utils.data import cache, checks
from utils.data.bit_depth import BitDepth
from utils.data.dataset_folder import open_dataset
from utils.data.images import ImageError
from utils.errors import InputError

HEADER = "ImageId,ClassId,EncodedPixels\n"


@pytest.fixture(autouse=True)
def users_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "users_cache"))


@pytest.fixture
def folder(tmp_path):
    """A dataset folder of three images, 4 high and 6 wide."""
    root = tmp_path / "data"
    (root / "train_images").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name in ["a.png", "b.png", "c.jpg"]:
        Image.fromarray(rng.integers(0, 256, (4, 6, 3), dtype=np.uint8)).save(root / "train_images" / name)
    (root / "train.csv").write_text(HEADER + "a.png,1,1 2\nb.png,2,24 1\n")
    return root


@pytest.fixture
def opened(monkeypatch):
    """Names of the images that were opened, in order."""
    names = []
    original = checks.verify_image
    monkeypatch.setattr(checks, "verify_image", lambda path: (names.append(path.name), original(path))[1])
    return names


def truncate(path):
    path.write_bytes(path.read_bytes()[:-30])


def test_a_good_folder_has_sizes_and_no_problems(folder):
    report = checks.check(CheckConfig(dir=folder))
    assert report.sizes == {"a.png": (4, 6), "b.png": (4, 6), "c.jpg": (4, 6)}
    assert report.problems.empty
    assert report.csv is None
    assert not (folder / "problems.csv").exists()
    assert "images per class: 1 1, 2 1" in report.facts
    assert "with a defect: 2, clean: 1" in report.facts


def test_all_problems_are_reported_together(folder):
    truncate(folder / "train_images" / "a.png")
    (folder / "train_images" / "c.jpg").write_bytes(b"")
    (folder / "train.csv").write_text(HEADER + "a.png,1,1 2\nb.png,2,24 2\nb.png,0,1 1\nx.png,1,1 1\nb.png,1,1\n")
    (folder / "test_images").mkdir()
    (folder / "test_images" / "t.png").write_text("no image")
    report = checks.check(CheckConfig(dir=folder))
    found = [(p.file, None if pd.isna(p.row) else p.row, p.problem.split(";")[0]) for p in report.problems.itertuples()]
    assert found == [
        ("train.csv", 4, "class 0"),
        ("train.csv", 6, "b.png class 1: 1 numbers"),
        ("train.csv", 5, f"x.png not in {folder / 'train_images'}"),
        ("train_images/a.png", None, "truncated image"),
        ("train_images/c.jpg", None, "empty file"),
        ("train.csv", 3, "b.png class 2: pair 1: run ends at 25, past the image's 24 pixels"),
        ("test_images/t.png", None, "not an image"),
    ]
    assert (report.problems["remedy"].str.len() > 0).all()
    assert report.csv == folder / "problems.csv"
    assert pd.read_csv(report.csv)["problem"].tolist() == report.problems["problem"].tolist()
    assert "train.csv, row 4: class 0; classes are counted from 1" in report.text()


def test_an_unreadable_table_is_one_of_the_problems(folder):
    (folder / "train.csv").write_text("")
    report = checks.check(CheckConfig(dir=folder, out=folder / "found.csv"))
    assert report.problems[["file", "problem"]].values.tolist() == [["train.csv", "empty file"]]
    assert report.csv == folder / "found.csv"


def test_a_long_table_is_cut(folder):
    rows = "".join(f"x{k}.png,1,1 1\n" for k in range(50))
    (folder / "train.csv").write_text(HEADER + rows)
    assert checks.check(CheckConfig(dir=folder)).text(most=3).splitlines()[-1] == "  ... and 47 more"


@pytest.mark.parametrize("make", [False, True])
def test_no_dataset_is_an_error(tmp_path, make):
    if make:
        (tmp_path / "data").mkdir()
    with pytest.raises(InputError, match=r"data: (no such folder|neither train_images)"):
        checks.check(CheckConfig(dir=tmp_path / "data"))


def test_a_folder_of_test_images_alone_is_checked(folder):
    (folder / "train_images").rename(folder / "test_images")
    report = checks.check(CheckConfig(dir=folder))
    assert report.problems.empty
    assert report.facts[0] == "test images: 3, height x width 4x6 (3)"


def test_labels_and_lists_of_test_images_are_checked_too(folder):
    shutil.copytree(folder / "train_images", folder / "test_images")
    truncate(folder / "test_images" / "b.png")
    (folder / "test.csv").write_text("ImageId\na.png\nx.png\ny.png\n")
    (folder / "test_labels.csv").write_text(HEADER + "a.png,1,24 2\na.png,0,1 1\nc.jpg,2,1 1\n")
    report = checks.check(CheckConfig(dir=folder))
    found = [(p.file, None if pd.isna(p.row) else p.row, p.problem.split(";")[0]) for p in report.problems.itertuples()]
    assert found == [
        ("test.csv", 3, f"x.png not in {folder / 'test_images'}"),
        ("test.csv", 4, f"y.png not in {folder / 'test_images'}"),
        ("test_labels.csv", 3, "class 0"),
        ("test_images/b.png", None, "truncated image"),
        ("test_labels.csv", 2, "a.png class 1: pair 1: run ends at 25, past the image's 24 pixels"),
    ]
    assert report.facts[3:5] == ["test images: 3, height x width 4x6 (2)", "with a defect: 2, clean: 1"]


def test_a_second_check_opens_no_image(folder, opened):
    first = checks.check(CheckConfig(dir=folder))
    assert sorted(opened) == ["a.png", "b.png", "c.jpg"]
    opened.clear()
    second = checks.check(CheckConfig(dir=folder))
    assert opened == []
    assert second.sizes == first.sizes


def test_a_bad_image_alone_is_read_again(folder, opened):
    truncate(folder / "train_images" / "b.png")
    first = checks.check(CheckConfig(dir=folder))
    opened.clear()
    second = checks.check(CheckConfig(dir=folder))
    assert opened == ["b.png"]
    assert second.problems.equals(first.problems)


def test_a_failure_that_leaves_no_trace_on_the_file_is_not_remembered(folder, monkeypatch):
    def refuse(path):
        raise ImageError(path, "no permission to read", "change the file's permissions")

    with monkeypatch.context() as protected:
        protected.setattr(checks, "verify_image", refuse)
        assert len(checks.check(CheckConfig(dir=folder)).problems) == 3
    assert checks.check(CheckConfig(dir=folder)).problems.empty


def test_a_failure_that_an_earlier_version_stored_is_forgotten(folder):
    stored = cache.FileCache(folder, "images")
    stored.put(folder / "train_images" / "b.png", ["no permission to read", "change the file's permissions"])
    stored.save()
    assert checks.check(CheckConfig(dir=folder)).problems.empty


def test_problems_are_shown_where_they_cannot_be_saved(folder):
    (folder / "train.csv").write_text(HEADER + "a.png,0,1 2\n")
    (folder / "problems.csv").mkdir()  # stands for a disk that nobody may write to, which root may
    (folder / "classes.txt").write_text("pit\n")
    report = checks.check(CheckConfig(dir=folder))
    assert report.csv is None
    assert "train.csv, row 2: class 0" in report.text()
    assert (
        f"{folder / 'problems.csv'}: not saved (Is a directory); -out FILE saves the problems elsewhere" in report.facts
    )
    with pytest.raises(IsADirectoryError):
        checks.check(CheckConfig(dir=folder, out=folder / "problems.csv"))


@pytest.mark.parametrize("what", ["content", "time"])
def test_a_changed_image_is_read_again(folder, opened, what):
    checks.check(CheckConfig(dir=folder))
    opened.clear()
    path = folder / "train_images" / "b.png"
    if what == "content":
        truncate(path)
    else:
        os.utime(path, ns=(1, 1))
    report = checks.check(CheckConfig(dir=folder))
    assert opened == ["b.png"]
    assert len(report.problems) == (what == "content")


def test_a_broken_cache_is_ignored(folder, opened):
    checks.check(CheckConfig(dir=folder))
    (folder / ".cache" / "images.jsonl").write_text("{")
    opened.clear()
    assert checks.check(CheckConfig(dir=folder)).problems.empty
    assert len(opened) == 3


def test_a_read_only_folder_is_remembered_in_the_users_cache(folder, opened, tmp_path, monkeypatch):
    def refuse(path, write=cache.replacing):
        if path.is_relative_to(folder):
            raise PermissionError(path)
        return write(path)

    monkeypatch.setattr(cache, "replacing", refuse)
    checks.check(CheckConfig(dir=folder))
    assert not (folder / ".cache").exists()
    assert list((tmp_path / "users_cache" / PROJECT).glob("*/images.jsonl"))
    opened.clear()
    checks.check(CheckConfig(dir=folder))
    assert opened == []


def test_a_folder_marked_read_only_stays_as_it_is_even_for_root(folder, opened, tmp_path):
    folder.chmod(0o555)
    try:
        checks.check(CheckConfig(dir=folder))
        assert sorted(path.name for path in folder.iterdir()) == ["train.csv", "train_images"]
        opened.clear()
        checks.check(CheckConfig(dir=folder))
        assert opened == []
    finally:
        folder.chmod(0o755)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_a_folder_whose_name_is_not_utf8_is_checked_and_remembered(folder, opened):
    folder = folder.rename(folder.with_name(os.fsdecode(b"L\xf6cher")))
    (folder / "train.csv").write_text(HEADER + "a.png,0,1 1\nx.png,1,1 1\n")
    assert len(checks.check(CheckConfig(dir=folder)).problems) == 2
    assert "L\\udcf6cher" in (folder / "problems.csv").read_text("utf-8")
    opened.clear()
    checks.check(CheckConfig(dir=folder))
    assert opened == []


def test_training_gets_sizes_or_the_first_problem(folder):
    dataset = open_dataset(folder)
    assert checks.verified(dataset, 1, False).sizes["a.png"] == (4, 6)
    truncate(folder / "train_images" / "a.png")
    with pytest.raises(InputError, match=r"a.png: truncated image; restore the file or remove it$"):
        checks.verified(dataset, 1, False)
    truncate(folder / "train_images" / "b.png")
    with pytest.raises(InputError, match=r"a.png: .*\(one of 2 problems; Prepare_data.py check -dir .* lists all\)"):
        checks.verified(dataset, 1, False)


def deep(folder, name, *levels):
    Image.fromarray(np.array([levels] * 4, np.uint16)).save(folder / "train_images" / name)


def test_the_bit_depth_is_measured_and_an_image_that_uses_little_of_it_is_a_warning(folder):
    deep(folder, "a.png", 320, 700, 900, 1800, 3000, 3760)
    deep(folder, "b.png", 20, 60, 90, 100, 200, 230)
    report = checks.check(CheckConfig(dir=folder))
    assert report.problems.empty
    assert report.depth == BitDepth(12)
    assert "images with more than 8 bits are read as 12 bits (0 to 4095)" in report.facts
    (line,) = report.warnings
    assert line.startswith("train_images/b.png: uses grey 1 to 14 of 0 to 255; its numbers 20 to 230 fit 8 bits: give")
    assert report.text().endswith("no problems, 1 warning")
    again = checks.check(CheckConfig(dir=folder))  # by what is remembered of the images
    assert (again.depth, again.warnings) == (report.depth, report.warnings)


def test_one_bright_pixel_does_not_hide_that_an_image_is_black(folder):
    samples = np.random.default_rng(0).integers(200, 4096, (40, 50)).astype(np.uint16)
    samples[0, :2] = 4095, 65535
    Image.fromarray(samples).save(folder / "train_images" / "a.png")
    report = checks.check(CheckConfig(dir=folder))
    assert report.depth == BitDepth(16)
    assert "largest number of files of 16 bits: 65535; if your camera has other bits than 16, give -bit_depth" in (
        report.facts
    )
    (line,) = report.warnings
    assert line.startswith("train_images/a.png: uses grey 0 to 15 of 0 to 255; its numbers 200 to ")
    assert "fit 12 bits but for a few pixels up to 65535: give -bit_depth 12" in line
    told = checks.check(CheckConfig(dir=folder, bit_depth="12"))
    assert told.problems.empty
    assert told.warnings == ["train_images/a.png: a few numbers, up to 65535, exceed 12 bits; they become white"]


def test_a_given_bit_depth_that_images_exceed_is_a_problem(folder):
    deep(folder, "a.png", 0, 0, 0, 0, 0, 3760)
    report = checks.check(CheckConfig(dir=folder, bit_depth="10"))
    (row,) = report.problems.itertuples()
    assert row.file == "train_images/a.png"
    assert row.problem.startswith("holds numbers up to 3760, more than the 10 bits")
    assert checks.check(CheckConfig(dir=folder, bit_depth="14")).problems.empty


def test_test_images_are_read_as_training_images(folder):
    deep(folder, "a.png", 0, 0, 0, 0, 0, 1000)
    (folder / "test_images").mkdir()
    Image.fromarray(np.full((4, 6), 2000, np.uint16)).save(folder / "test_images" / "t.png")
    report = checks.check(CheckConfig(dir=folder))
    assert [row.file for row in report.problems.itertuples()] == ["test_images/t.png"]


def test_a_black_image_of_8_bits_and_pages_are_warnings(folder):
    Image.fromarray(np.full((4, 6), 9, np.uint8)).save(folder / "train_images" / "a.png")
    page = Image.fromarray(np.array([[0, 255]] * 4, np.uint8))
    page.save(folder / "train_images" / "d.tif", save_all=True, append_images=[page])
    black, pages = checks.check(CheckConfig(dir=folder)).warnings
    assert black.startswith("train_images/a.png: uses grey 9 to 9 of 0 to 255; convert it anew")
    assert pages == "train_images/d.tif: holds 2 pages, and the first alone is read; save each as a file of its own"


def test_links_that_lead_nowhere_are_problems(folder):
    (folder / "train_images" / "d.png").symlink_to("gone.png")
    (folder / "train_images" / "e.png").symlink_to("e.png")
    problems = checks.check(CheckConfig(dir=folder)).problems
    assert problems["problem"].tolist() == ["a dead link to gone.png", "a link that leads back to itself"]


def test_images_in_folders_within_are_checked_and_counted(folder):
    images = folder / "train_images"
    (images / "line2").mkdir()
    shutil.copy(images / "a.png", images / "line2" / "a.png")
    (images / "line2" / "bad.png").write_bytes(b"x")
    (images / "linked").symlink_to(images / "line2")
    report = checks.check(CheckConfig(dir=folder))
    assert report.problems["file"].tolist() == ["train_images/line2/bad.png"]
    assert "line2/a.png" in report.sizes
    assert report.facts[0].startswith("training images: 5 (2 in folders within: line2/ 2), height x width ")
    assert report.warnings == [f"{images / 'linked'}: a link to a folder, which is left out; copy its images"]

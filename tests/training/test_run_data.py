"""A run does not go on over classes or labels that have changed."""

import hashlib
import json
import re
import shutil

import pytest

from utils.data.dataset_folder import open_dataset
from utils.errors import InputError
from utils.training.run_data import check_data, write_data


@pytest.fixture
def root(make_dataset):
    return make_dataset(count=6)


def rewrite(path, change):
    path.write_text(change(path.read_text()))


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        ("classes.txt", lambda _: "cracks\npits\n", "the classes were pits, cracks and are now cracks, pits; put it"),
        ("classes.txt", lambda _: "pits\ncracks\nscale\n", "are now pits, cracks, scale"),
        ("train.csv", lambda text: text.replace("\n003.png,1,", "\n003.png,2,"), r"1 image of 4 .*\(003\.png first\)"),
        ("train.csv", lambda text: "\n".join(text.split("\n")[:2]), "2 images of 4"),
        ("train_images/000.png", lambda _: "other", r"1 image of 4 .*\(000\.png first\)"),
    ],
)
def test_what_changed_is_said(root, tmp_path, file, change, message):
    write_data(tmp_path, open_dataset(root), [f"00{number}.png" for number in range(4)])
    check_data(tmp_path, open_dataset(root))
    path = root / file
    path.write_text(change(path.read_text() if path.suffix != ".png" else ""))
    with pytest.raises(InputError, match=message) as error:
        check_data(tmp_path, open_dataset(root))
    assert "\n" not in str(error.value)
    (tmp_path / "data.json").unlink()
    check_data(tmp_path, open_dataset(root))


def test_changed_pixels_that_count_for_nothing_are_said(root, tmp_path):
    table = root / "ignore.csv"
    table.write_text("ImageId,EncodedPixels\n001.png,1 4\n005.png,1 4\n")
    write_data(tmp_path, open_dataset(root), ["000.png", "001.png"])
    check_data(tmp_path, open_dataset(root))
    table.write_text("ImageId,EncodedPixels\n001.png,1 4\n")  # the run does not use the other image
    check_data(tmp_path, open_dataset(root))
    table.write_text("ImageId,EncodedPixels\n001.png,1 5\n")
    with pytest.raises(InputError, match=r"count for nothing \(ignore\.csv\) have changed"):
        check_data(tmp_path, open_dataset(root))
    rewrite(tmp_path / "data.json", lambda text: re.sub(' "ignored": .*\n', "", text))  # of an earlier version
    check_data(tmp_path, open_dataset(root))


def test_an_image_replaced_by_one_of_equal_size_is_said(root, tmp_path):
    write_data(tmp_path, open_dataset(root), ["000.png", "001.png"])
    path = root / "train_images" / "001.png"
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"1 image of 2 .*\(001\.png first\)"):
        check_data(tmp_path, open_dataset(root))


def test_fingerprints_of_earlier_versions_are_compared_by_size(root, tmp_path):
    dataset = open_dataset(root)
    words = f"{dataset.path('001.png').stat().st_size} {sorted(dataset.annotations.runs('001.png').items())}"
    known = {"001.png": hashlib.sha256(words.encode()).hexdigest()[:16]}
    content = {"class_names": dataset.annotations.class_names, "images": known}
    (tmp_path / "data.json").write_text(json.dumps(content))
    check_data(tmp_path, dataset)
    dataset.path("001.png").write_bytes(b"longer" * 1000)
    with pytest.raises(InputError, match="1 image of 1"):
        check_data(tmp_path, dataset)


def test_images_that_the_run_does_not_use_may_change(root, tmp_path):
    write_data(tmp_path, open_dataset(root), ["000.png", "001.png"])
    shutil.copy(root / "train_images" / "000.png", root / "train_images" / "999.png")
    rewrite(root / "train.csv", lambda text: text.replace("\n003.png,1,", "\n003.png,2,"))
    check_data(tmp_path, open_dataset(root))


def test_a_damaged_file_is_said(root, tmp_path):
    (tmp_path / "data.json").write_text("{")
    with pytest.raises(InputError, match=r"data\.json: damaged"):
        check_data(tmp_path, open_dataset(root))

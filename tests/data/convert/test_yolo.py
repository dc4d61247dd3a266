"""Class names of YOLO labels, thin outlines, and lines that cannot be meant."""

import time

import numpy as np
import pytest
from PIL import Image

from config import ConvertConfig
from utils.data.convert import convert
from utils.data.dataset_folder import open_dataset
from utils.errors import InputError

SQUARE = "0.2 0.2 0.4 0.2 0.4 0.4 0.2 0.4"


@pytest.fixture
def root(tmp_path):
    for name in ("a", "b"):
        path = tmp_path / "images" / "train" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((30, 50), 90, np.uint8)).save(path)
    (tmp_path / "labels" / "train").mkdir(parents=True)
    return tmp_path


def converted(root, line, **changes):
    folder = root / "labels" / "train"
    (folder / "a.txt").write_text(line)
    given = {"source": "yolo", "dir": root / "data", "images": root / "images" / "train", "annotations": folder}
    return convert(ConvertConfig(**{**given, **changes}))


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("names: [pit, crack]\n", ("pit", "crack")),
        ("nc: 2\nnames:\n  0: pit\n  1: crack\n", ("pit", "crack")),
        ("names:\n  '1': crack\n  '0': pit\n", ("pit", "crack")),
        ("names:\n- 7\n- crack\n", ("7", "crack")),
        ("names: [no, yes]\n", ("no", "yes")),
        ("names:\n  0: 1.10\n  1: null\n", ("1.10", "null")),
        ("train: images/train\n", ("1",)),
        ("day: 2020-13-45\n", ("1",)),
        (None, ("1",)),
    ],
)
@pytest.mark.parametrize("place", ["data.yaml", "labels/train/data.yaml", "labels/dataset.yml"])
def test_names_come_from_the_nearest_data_yaml(root, place, text, names):
    if text is not None:
        (root / place).write_text(text)
    summary = converted(root, f"0 {SQUARE}")
    assert open_dataset(root / "data").annotations.class_names == names
    assert (f"class names from {root / place}" in summary.notes) == (len(names) == 2)


@pytest.mark.parametrize(
    "text",
    ["names: 7", "names: []", "names: [a, a]", "names: [[a]]", "names:\n  1: a\n  2: b", "a: [", "[" * 500,
     "names:\n- 'a\n\n  b'"],
)  # fmt: skip
def test_a_data_yaml_that_cannot_be_meant_is_one_line(root, text):
    (root / "data.yaml").write_text(text)
    with pytest.raises(InputError, match=r"data.yaml: (nam|not a YAML file).*give -class_names") as error:
        converted(root, f"0 {SQUARE}")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("number", ["1", "1.0", "1.000000000000000000e+00"])
def test_whole_floats_are_class_numbers(root, number):
    assert converted(root, f"{number} {SQUARE}", class_names=("pit", "crack")).per_class == {"pit": 0, "crack": 1}


@pytest.mark.parametrize("number", ["0.5", "nan", "inf", "x"])
def test_other_class_numbers_are_refused(root, number):
    with pytest.raises(InputError, match=r"a.txt, line 1: expected numbers 'class x1"):
        converted(root, f"{number} {SQUARE}")


@pytest.mark.parametrize("number", ["99999999999", "255", "9" * 5000, "-1"])
def test_a_class_number_beyond_all_masks_is_refused_at_once(root, number):
    start = time.perf_counter()
    with pytest.raises(InputError, match=r"a.txt, line 1: (class -?\d+, but classes are 0 to 254|expected numbers)"):
        converted(root, f"{number} {SQUARE}")
    assert time.perf_counter() - start < 5


def test_a_scratch_of_one_pixel_is_kept_and_images_without_a_file_are_told(root):
    there_and_back = [(x / 50, 0.5) for x in (10, 20, 30, 20)]
    summary = converted(root, "0 " + " ".join(f"{x:.6f} {y:.6f}" for x, y in there_and_back))
    assert open_dataset(root / "data").annotations.mask("a.png", 30, 50)[15, 10:31, 0].all()
    assert summary.notes == [
        "1 image without a label file taken as clean: b.png",
        "1 outline thinner than a pixel, wholly or in places: drawn there as a line of one pixel",
    ]


def test_skip_bad_leaves_out_the_image_of_a_bad_line(root):
    summary = converted(root, f"0 {SQUARE}\n0 0.1 0.1 0.2 0.2\n", class_names=("pit",), skip_bad=True)
    assert open_dataset(root / "data").images == ("b.png",)
    assert [(entry.image, "line 2: is a box" in entry.problem) for entry in summary.left_out] == [("a.png", True)]


def test_labels_in_folders_within_belong_to_the_images_in_folders_of_those_names(root):
    images, labels = root / "images" / "train", root / "labels" / "train"
    for name, place in (("a", "line1"), ("b", "line2")):
        (labels / place).mkdir()
        (images / place).mkdir()
        (images / f"{name}.png").replace(images / place / "a.png")
    (labels / "line1" / "a.txt").write_text(f"0 {SQUARE}")
    (labels / "line2" / "classes.txt").write_text("pit")
    (labels / "line2" / "gone.txt").write_text("")
    summary = converted(root, "", class_names=("pit",))
    dataset = open_dataset(root / "data")
    assert dataset.images == ("line1/a.png", "line2/a.png")
    assert [bool(dataset.annotations.runs(name)) for name in dataset.images] == [True, False]
    assert "left out 2 label files without an image: a.txt, line2/gone.txt" in summary.notes

"""What is written in a layout and read back is the same dataset folder, bit for bit."""

import json

import numpy as np
import pytest
from PIL import Image

from config import ConvertConfig
from utils.data import rle
from utils.data.annotation_table import write_annotations
from utils.data.annotations import make_rows
from utils.data.convert import convert
from utils.data.convert.writers import WRITERS
from utils.errors import InputError

HEIGHT, WIDTH = 21, 34
NAMES = ("zebra crossing", "pit")  # not in the order of the alphabet


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """A dataset folder: nested folders with equal names, a clean image, holes, single pixels, noise, borders."""
    root = tmp_path_factory.mktemp("dataset")
    random = np.random.default_rng(3)
    noise = random.random((HEIGHT, WIDTH)) < 0.5
    ring = np.zeros((HEIGHT, WIDTH), bool)
    ring[2:15, 3:20] = True
    ring[4:12, 5:17] = False
    ring[6:9, 8:12] = True
    ring[7, 9] = False
    dots = np.zeros((HEIGHT, WIDTH), bool)
    dots[0, 0] = dots[1, 1] = dots[20, 33] = dots[20, 0] = True
    full = np.ones((HEIGHT, WIDTH), bool)
    labelled = {
        "line1/a.png": {1: ring, 2: dots & ~ring},
        "line2/a.png": {2: noise},
        "line2/b c.png": {1: full},
        "line2/clean.png": {},
    }
    for name in labelled:
        path = root / "train_images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 255, (HEIGHT, WIDTH), np.uint8)).save(path)
    records = [(name, k, rle.encode(mask), 0) for name, masks in labelled.items() for k, mask in masks.items()]
    write_annotations(make_rows(records), root / "train.csv")
    (root / "classes.txt").write_text("".join(f"{name}\n" for name in NAMES))
    return root


def reading(target, out, dataset):
    """Return the flags that read a written layout back."""
    return {
        "index-masks": {"images": dataset / "train_images", "masks": out, "class_names": NAMES},
        "colour-masks": {"images": out / "JPEGImages", "masks": out},
        "coco": {"images": out / "images", "annotations": out / "annotations.json"},
        "yolo": {"images": out / "images", "annotations": out / "labels"},
        "cvat": {"images": out / "images", "annotations": out / "annotations.xml"},
        "labelstudio": {"images": out / "images", "annotations": out / "tasks.json"},
        "labelme": {"images": out},
        "supervisely": {"annotations": out},
    }[target]


def images_of(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.png")}


@pytest.mark.parametrize("target", WRITERS)
def test_there_and_back_is_the_same(tmp_path, dataset, target):
    summary = convert(ConvertConfig(source="dataset", dir=dataset, to=target, out=tmp_path / "out"))
    assert summary.per_class == {"zebra crossing": 2, "pit": 2}
    back = tmp_path / "back"
    convert(ConvertConfig(source=target, dir=back, **reading(target, tmp_path / "out", dataset)))
    for name in ("train.csv", "classes.txt"):
        assert (back / name).read_bytes() == (dataset / name).read_bytes()
    assert images_of(back / "train_images") == images_of(dataset / "train_images")


@pytest.mark.parametrize("target", [target for target in WRITERS if target != "index-masks"])
def test_a_written_folder_is_taken_as_archive(tmp_path, dataset, target):
    convert(ConvertConfig(source="dataset", dir=dataset, to=target, out=tmp_path / "out", link=True))
    changes = {"skip_bad": True} if target == "coco" else {}
    convert(ConvertConfig(source=target, dir=tmp_path / "back", archive=tmp_path / "out", **changes))
    assert (tmp_path / "back" / "train.csv").read_bytes() == (dataset / "train.csv").read_bytes()


@pytest.mark.parametrize(
    ("source", "target"), [("cvat", "labelme"), ("labelme", "labelstudio"), ("labelstudio", "coco")]
)
def test_one_program_to_another(tmp_path, dataset, source, target):
    convert(ConvertConfig(source="dataset", dir=dataset, to=source, out=tmp_path / "out"))
    config = ConvertConfig(
        source=source, to=target, dir=tmp_path / "other", **reading(source, tmp_path / "out", dataset)
    )
    assert convert(config).images == 4
    convert(ConvertConfig(source=target, dir=tmp_path / "back", **reading(target, tmp_path / "other", dataset)))
    assert (tmp_path / "back" / "train.csv").read_bytes() == (dataset / "train.csv").read_bytes()


def test_coco_tools_read_what_is_written(tmp_path, dataset):
    tool = pytest.importorskip("pycocotools.mask")
    convert(ConvertConfig(source="dataset", dir=dataset, to="coco", out=tmp_path / "out"))
    content = json.loads((tmp_path / "out" / "annotations.json").read_text())
    drawn = {}
    for annotation in content["annotations"]:
        mask = tool.decode(annotation["segmentation"]).astype(bool)
        assert tool.area(annotation["segmentation"]) == annotation["area"] == mask.sum()
        assert tool.toBbox(annotation["segmentation"]).tolist() == annotation["bbox"]
        key = annotation["image_id"], annotation["category_id"]
        drawn[key] = drawn.get(key, False) | mask
    names = {image["id"]: image["file_name"] for image in content["images"]}
    rows = sorted((names[image], k, rle.encode(mask)) for (image, k), mask in drawn.items())
    lines = (dataset / "train.csv").read_text().splitlines()[1:]
    assert [f"{name},{k},{code}" for name, k, code in rows] == lines


def test_cvat_tools_read_what_is_written(tmp_path, dataset):
    sdk = pytest.importorskip("cvat_sdk.masks")
    from xml.etree import ElementTree

    convert(ConvertConfig(source="dataset", dir=dataset, to="cvat", out=tmp_path / "out"))
    tree = ElementTree.parse(tmp_path / "out" / "annotations.xml")
    drawn = {}
    for image in tree.iter("image"):
        for mask in image.iter("mask"):
            left, top, width, height = (int(mask.get(key)) for key in ("left", "top", "width", "height"))
            code = [*map(int, mask.get("rle").split(",")), left, top, left + width - 1, top + height - 1]
            part = sdk.decode_mask(code, image_width=WIDTH, image_height=HEIGHT)
            assert list(map(int, sdk.encode_mask(part))) == code
            key = image.get("name"), NAMES.index(mask.get("label")) + 1
            drawn[key] = drawn.get(key, False) | part
    lines = (dataset / "train.csv").read_text().splitlines()[1:]
    assert [f"{name},{k},{rle.encode(mask)}" for (name, k), mask in sorted(drawn.items())] == lines


def test_labelme_reads_what_is_written(tmp_path, dataset):
    labelme = pytest.importorskip("labelme._label_file")
    utils = pytest.importorskip("labelme.utils")
    convert(ConvertConfig(source="dataset", dir=dataset, to="labelme", out=tmp_path / "out"))
    shapes = labelme.LabelFile(str(tmp_path / "out" / "line1" / "a.json")).shapes
    numbers = {"_background_": 0, **{name: k for k, name in enumerate(NAMES, 1)}}
    classes, _ = utils.shapes_to_label((HEIGHT, WIDTH), shapes, numbers)
    lines = [line.split(",") for line in (dataset / "train.csv").read_text().splitlines()]
    expected = [code for name, _, code in lines if name == "line1/a.png"]
    assert [rle.encode(classes == k) for k in (1, 2)] == expected


def test_supervisely_reads_what_is_written(tmp_path, dataset):
    sly = pytest.importorskip("supervisely")
    convert(ConvertConfig(source="dataset", dir=dataset, to="supervisely", out=tmp_path / "out"))
    meta = sly.ProjectMeta.from_json(json.loads((tmp_path / "out" / "meta.json").read_text()))
    content = json.loads((tmp_path / "out" / "line1" / "ann" / "a.png.json").read_text())
    annotation = sly.Annotation.from_json(content, meta)
    lines = [line.split(",") for line in (dataset / "train.csv").read_text().splitlines()]
    for name, number, code in lines:
        if name == "line1/a.png":
            drawn = np.zeros((HEIGHT, WIDTH), np.uint8)
            for label in annotation.labels:
                if label.obj_class.name == NAMES[int(number) - 1]:
                    label.geometry.draw(drawn, 1)
            assert rle.encode(drawn) == code


def test_datumaro_reads_cvat_masks_that_are_written(tmp_path, dataset):
    datumaro = pytest.importorskip("datumaro")
    convert(ConvertConfig(source="dataset", dir=dataset, to="colour-masks", out=tmp_path / "out"))
    read = datumaro.Dataset.import_from(str(tmp_path / "out"), "voc_segmentation")
    item = read.get("line2/b c", "default")
    assert [int(found.image.sum()) for found in item.annotations] == [HEIGHT * WIDTH]


def test_a_folder_that_has_something_in_it_is_left_alone(tmp_path, dataset):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("x")
    with pytest.raises(InputError, match="out: exists already"):
        convert(ConvertConfig(source="dataset", dir=dataset, to="cvat", out=tmp_path / "out"))
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "mine.txt"]


@pytest.mark.parametrize("target", ["labelme", "yolo", "colour-masks", "index-masks"])
def test_images_that_differ_in_the_suffix_are_refused(tmp_path, dataset, target):
    root = tmp_path / "data"
    (root / "train_images").mkdir(parents=True)
    for ending in ("png", "bmp"):
        Image.fromarray(np.zeros((4, 4), np.uint8)).save(root / "train_images" / f"a.{ending}")
    (root / "train.csv").write_text("ImageId,ClassId,EncodedPixels\na.png,1,1 2\n")
    with pytest.raises(InputError, match=r"a\.bmp has the same name but for the suffix"):
        convert(ConvertConfig(source="dataset", dir=root, to=target, out=tmp_path / "out"))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"to": "dataset"}, "is one already"),
        ({"to": "cvat", "masks": "x"}, "-masks: with -from dataset it is the folder of index masks"),
        ({"masks": "x", "out": "y"}, "-masks: with -from dataset"),
        ({"link": True}, "-link: -from dataset does not use it"),
        ({"annotations": "x"}, "-annotations: -from dataset does not use it"),
    ],
)
def test_flags_that_contradict_are_refused(dataset, changes, reason):
    with pytest.raises(InputError, match=reason):
        convert(ConvertConfig(source="dataset", dir=dataset, **changes))

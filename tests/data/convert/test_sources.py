"""Exports as the programs write them become the masks that were drawn, bit for bit.

``recorded/`` was written by the programs' own libraries (see ``exports.py``); where these are installed, they write anew.
"""

import shutil
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from config import ConvertConfig
from tests.data.convert import exports
from utils.data.convert import convert
from utils.data.convert.labels import refuse_other_size, upright_size
from utils.data.dataset_folder import open_dataset
from utils.errors import InputError

RECORDED = Path(__file__).parent / "recorded"
LIBRARIES = {
    "coco": "pycocotools",
    "cvat": "cvat_sdk",
    "cvat_masks": "datumaro",
    "labelstudio": "label_studio_sdk",
    "labelme": "labelme",
    "supervisely": "supervisely",
}


def flags(kind, folder):
    """Return the flags that read an export: where its files are, unless it is taken as an archive."""
    return {
        "coco": {"images": folder, "annotations": folder / "_annotations.coco.json"},
        "cvat": {"images": folder / "images", "annotations": folder / "annotations.xml"},
        "cvat_masks": {"images": folder / "JPEGImages", "masks": folder, "class_names": ("scratch", "pit")},
        "labelstudio": {"images": folder / "images", "annotations": folder / "export.json"},
        "labelme": {"images": folder},
        "supervisely": {"annotations": folder},
    }[kind]


SOURCES = {"cvat_masks": "colour-masks"}
NAMES = ("scratch", "pit")


def masks_in(folder, kind, data, **changes):
    """Convert an export and return (C, H, W) bool of both pictures, in the order of ``NAMES``."""
    given = {"class_names": NAMES, **flags(kind, folder), **changes}
    convert(ConvertConfig(source=SOURCES.get(kind, kind), dir=data, **given))
    dataset = open_dataset(data)
    assert dataset.images == ("a.png", "b.png")
    assert dataset.annotations.class_names == NAMES
    drawn = [dataset.annotations.mask(name, exports.HEIGHT, exports.WIDTH) for name in dataset.images]
    return [mask.transpose(2, 0, 1).astype(bool) for mask in drawn]


def check(kind, found):
    assert np.array_equal(found[0], np.stack(list(exports.masks().values())))
    if kind != "supervisely":
        assert not found[1].any()


@pytest.fixture(params=[(kind, anew) for kind in LIBRARIES for anew in (False, True)], ids=str)
def export(request, tmp_path):
    """An export: recorded, or written anew by the program's library."""
    kind, anew = request.param
    if not anew:
        return kind, RECORDED / kind
    pytest.importorskip(LIBRARIES[kind])
    exports.EXPORTS[kind](tmp_path / "export")
    return kind, tmp_path / "export"


def test_an_export_is_read_bit_for_bit(tmp_path, export):
    kind, folder = export
    check(kind, masks_in(folder, kind, tmp_path / "data"))


@pytest.mark.parametrize("kind", LIBRARIES)
@pytest.mark.parametrize("ending", ["zip", "tar", "gztar"])
def test_an_export_is_read_from_its_archive(tmp_path, kind, ending):
    """What lies where is found; the JSON of Label Studio has to be told from its second form."""
    copy = tmp_path / "project"
    shutil.copytree(RECORDED / kind, copy, ignore=shutil.ignore_patterns("min", "brush"))
    archive = Path(shutil.make_archive(str(tmp_path / "export"), ending, tmp_path, "project"))
    config = {"source": SOURCES.get(kind, kind), "dir": tmp_path / "data", "archive": archive, "class_names": NAMES}
    convert(ConvertConfig(**config))
    dataset = open_dataset(tmp_path / "data")
    mask = dataset.annotations.mask("a.png", exports.HEIGHT, exports.WIDTH)
    check(kind, [mask.transpose(2, 0, 1).astype(bool), np.zeros(1)])
    assert {path.name for path in tmp_path.iterdir()} == {"project", archive.name, "data"}  # nothing unpacked is left


def test_json_min_of_label_studio_is_read_too(tmp_path):
    folder = RECORDED / "labelstudio"
    check("labelstudio", masks_in(folder, "labelstudio", tmp_path / "data", annotations=folder / "min" / "result.json"))


def test_brush_pictures_of_label_studio_belong_to_tasks(tmp_path):
    folder = RECORDED / "labelstudio"
    assert {path.name for path in (folder / "brush").iterdir()} == {
        "task-11-annotation-81-by-1-tag-scratch-0.png",
        "task-11-annotation-81-by-1-tag-pit-0.png",
    }
    check("labelstudio", masks_in(folder, "labelstudio", tmp_path / "data", masks=folder / "brush"))


def test_a_polygon_of_supervisely_covers_what_supervisely_draws(tmp_path):
    """Its own library drew the recorded picture: corners belong to the polygon, those of the hole do not."""
    expected = np.array([list(row) for row in POLYGON.split()]) == "#"
    found = masks_in(RECORDED / "supervisely", "supervisely", tmp_path / "data")[1]
    assert np.array_equal(found[1], expected)
    assert not found[0].any()


POLYGON = """
....................
..##############....
..##############....
..##############....
..####.....######...
..#####....######...
...#####..#######...
...######.#######...
...###############..
...###############..
...########.........
....................
"""


def test_the_recorded_polygon_is_what_supervisely_draws():
    sly = pytest.importorskip("supervisely")
    drawn = np.zeros((exports.HEIGHT, exports.WIDTH), np.uint8)
    exports.polygon(sly).draw(drawn, 1)
    assert ["".join(".#"[value] for value in row) for row in drawn] == POLYGON.split()


# Layouts of Roboflow, which is no library: its documentation shows them.


def roboflow_yolo(root, sides=("train", "valid")):
    """Write a YOLOv8 export: a folder for each side, and data.yaml."""
    names = {side: f"{'p' if side == 'train' else 'q'}_png.rf.0123456789abcdef" for side in sides}
    for side, name in names.items():
        exports.save_images(root / side / "images")
        (root / side / "images" / "b.png").unlink()
        (root / side / "images" / "a.png").rename(root / side / "images" / f"{name}.png")
        (root / side / "labels").mkdir()
        (root / side / "labels" / f"{name}.txt").write_text("1 0.1 0.25 0.5 0.25 0.5 0.75 0.1 0.75\n")
    (root / "data.yaml").write_text(
        "train: ../train/images\nval: ../valid/images\ntest: ../test/images\n\nnc: 2\nnames: ['pit', 'scratch']\n\n"
        "roboflow:\n  workspace: w\n  project: p\n  version: 1\n  license: CC BY 4.0\n  url: https://universe\n"
    )
    (root / "README.roboflow.txt").write_text("Roboflow.com")
    return names


@pytest.mark.parametrize("sides", [("train",), ("train", "valid")])
def test_yolo_of_roboflow_is_read_with_its_names(tmp_path, sides):
    names = roboflow_yolo(tmp_path / "export", sides)
    convert(ConvertConfig(source="yolo", dir=tmp_path / "data", archive=tmp_path / "export"))
    dataset = open_dataset(tmp_path / "data")
    assert dataset.annotations.class_names == ("pit", "scratch")
    expected = {f"{side}/images/{name}.png" if len(sides) > 1 else f"{name}.png" for side, name in names.items()}
    assert set(dataset.images) == expected
    for name in dataset.images:
        areas = dataset.annotations.mask(name, exports.HEIGHT, exports.WIDTH).sum((0, 1)).tolist()
        assert areas == [0, 8 * 6]


def test_coco_of_roboflow_is_read_one_side_at_a_time(tmp_path):
    for side in ("train", "valid"):
        shutil.copytree(RECORDED / "coco", tmp_path / "export" / side)
    with pytest.raises(InputError, match=r"has several files .*train/_annotations\.coco\.json"):
        convert(ConvertConfig(source="coco", dir=tmp_path / "data", archive=tmp_path / "export"))
    convert(ConvertConfig(source="coco", dir=tmp_path / "data", archive=tmp_path / "export" / "train"))
    assert open_dataset(tmp_path / "data").annotations.class_names == NAMES  # not the heading


def test_an_archive_without_labels_is_told(tmp_path):
    archive = Path(shutil.make_archive(str(tmp_path / "export"), "zip", RECORDED / "labelme"))
    with pytest.raises(InputError, match=r"-archive: has no file that may be annotations\.xml"):
        convert(ConvertConfig(source="cvat", dir=tmp_path / "data", archive=archive))
    with pytest.raises(InputError, match="-link: what is unpacked of an archive goes away again"):
        convert(ConvertConfig(source="labelme", dir=tmp_path / "data", archive=archive, link=True))


def test_an_image_that_says_it_is_larger_than_any_is_refused(tmp_path):
    """A header costs nothing: masks of so many pixels would take the memory of the machine."""
    head = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 0, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b"")]
    data = b"".join(
        struct.pack(">I", len(part)) + kind + part + struct.pack(">I", zlib.crc32(kind + part)) for kind, part in chunks
    )
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + data)
    with pytest.raises(InputError, match=r"a\.png: says it is 100000x100000, more than 500,000,000 pixels"):
        upright_size(tmp_path / "a.png")


def test_a_mask_of_another_size_is_refused_before_it_is_decoded(tmp_path):
    (tmp_path / "a.png").write_bytes(b"")
    Image.new("L", (4, 3)).save(tmp_path / "a.png")
    data = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(data[:45])  # the header is whole
    with pytest.raises(InputError, match=r"a\.png: is 3x4, but b\.jpg is 3x5; they must match"):
        refuse_other_size(tmp_path / "a.png", "b.jpg", (3, 5))

"""Projects of Supervisely: objects, datasets within datasets, what is malformed."""

import base64
import json
import zlib

import numpy as np
import pytest
from PIL import Image

from config import ConvertConfig
from utils.data.convert import convert
from utils.data.convert.png_mask import encode_mask_png, encode_palette_png
from utils.data.dataset_folder import open_dataset
from utils.errors import InputError

HEIGHT, WIDTH = 10, 20
PART = np.array([[1, 1, 1], [1, 0, 1]], bool)


def packed(data):
    return base64.b64encode(zlib.compress(data)).decode()


def bitmap(data=None, origin=(3, 2), **more):
    data = packed(encode_palette_png(PART)) if data is None else data
    return {"classTitle": "pit", "geometryType": "bitmap", "bitmap": {"data": data, "origin": list(origin)}, **more}


def points(kind, exterior, interior=()):
    return {"classTitle": "pit", "geometryType": kind, "points": {"exterior": exterior, "interior": list(interior)}}


def project(root, files, classes=("pit", "crack"), endings=(".png.json",)):
    """Write a project: dataset/image -> objects, or the text of a file."""
    root.mkdir(parents=True, exist_ok=True)
    listed = [{"title": name, "shape": "bitmap", "color": "#FF0000"} for name in classes]
    (root / "meta.json").write_text(json.dumps({"classes": listed, "tags": []}))
    for name, found in files.items():
        home, _, stem = name.rpartition("/")
        for place in ("img", "ann"):
            (root / home / place).mkdir(parents=True, exist_ok=True)
        Image.new("L", (WIDTH, HEIGHT)).save(root / home / "img" / f"{stem}.png")
        content = {"size": {"height": HEIGHT, "width": WIDTH}, "tags": [], "objects": found}
        text = found if isinstance(found, str) else json.dumps(content)
        for ending in endings:
            (root / home / "ann" / f"{stem}{ending}").write_text(text)
    return root


def converted(root, files, **changes):
    given = {"source": "supervisely", "dir": root / "data", "annotations": project(root / "project", files, **changes)}
    summary = convert(ConvertConfig(**given))
    return open_dataset(root / "data").annotations, summary


@pytest.mark.parametrize(
    ("found", "area"),
    [
        (bitmap(), 5),
        (bitmap(packed(encode_mask_png(PART))), 5),
        (bitmap(base64.b64encode(encode_palette_png(PART)).decode()), 5),  # not packed once more
        (bitmap(geometryType=None), 5),
        (points("rectangle", [[2, 1], [5, 3]]), 12),  # corners belong to it
        (points("polygon", [[2, 1], [5, 1], [5, 3], [2, 3]]), 12),
        (points("polygon", [[0, 0], [6, 0], [6, 6], [0, 6]], [[[2, 2], [4, 2], [4, 4], [2, 4]]]), 40),
        (points("line", [[0, 0], [9, 0]]), 10),
        (points("point", [[3, 3]]), 1),
    ],
)
def test_each_object_labels_its_pixels(tmp_path, found, area):
    annotations, _ = converted(tmp_path, {"ds/a": [found]})
    assert annotations.class_names == ("pit", "crack")
    assert annotations.mask("a.png", HEIGHT, WIDTH).sum() == area


def test_datasets_keep_their_names_and_old_projects_call_files_without_suffix(tmp_path):
    files = {"one/a": [bitmap()], "two/a": [], "two/datasets/three/a": [bitmap()]}
    annotations, summary = converted(tmp_path, files, endings=(".json",))
    assert open_dataset(tmp_path / "data").images == ("one/a.png", "two/a.png", "two/three/a.png")
    assert annotations.listed == ("one/a.png", "two/three/a.png")
    assert "1 images without an object taken as clean: two/a.png" in summary.notes


BOMB = packed(bytes(50_000_000))
HUGE = packed(encode_mask_png(np.ones((3000, 3000), bool)))


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        ([bitmap("!!!")], "its mask is cut short"),
        ([bitmap(7)], "its mask is no base64 text"),
        ([bitmap(base64.b64encode(b"x" * 50).decode())], "its mask is damaged"),
        ([bitmap(BOMB)], "unpacks to more than"),
        ([bitmap(packed(b"no picture"))], "not a whole PNG picture"),
        ([bitmap(HUGE)], "its mask is 3000x3000, the image 10x20"),
        ([bitmap(packed(encode_palette_png(PART)[:40]))], "not a whole PNG picture"),
        ([bitmap(origin=(18, 0))], "reaches from 18,0 to 21,2"),
        ([bitmap(origin=(float("nan"), 0))], "not a finite number"),
        ([bitmap(origin=(1,))], "x,y pair"),
        ([bitmap(bitmap=None)], "has no bitmap"),
        ([points("cuboid", [[0, 0]])], "a cuboid labels no area"),
        ([{"classTitle": "pit", "geometryType": "graph", "nodes": {}}], "a graph labels no area"),
        ([points("polygon", [[0, 0], [1, 1]])], "at least 3 x,y pairs"),
        ([points("polygon", [[0, 0], [1, 1], [float("inf"), 3]])], "not a finite number"),
        ([{"geometryType": "bitmap"}], "has no classTitle"),
        ('{"size": {"height": 9, "width": 20}, "objects": []}', "says a.png is 9x20, but the image is 10x20"),
        ("{}", "has no list 'objects'"),
        ("[", "not a JSON file"),
    ],
)
def test_malformed_objects_are_one_line(tmp_path, found, reason):
    with pytest.raises(InputError, match=reason) as caught:
        converted(tmp_path, {"ds/a": found})
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "data").exists()


def test_folders_that_are_no_project_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"meta\.json: no such file"):
        convert(ConvertConfig(source="supervisely", dir=tmp_path / "data", annotations=tmp_path))
    with pytest.raises(InputError, match="has no dataset"):
        converted(tmp_path, {})


def test_an_annotation_without_its_image_is_told(tmp_path):
    root = project(tmp_path / "project", {"ds/a": []})
    (root / "ds" / "img" / "a.png").unlink()
    with pytest.raises(InputError, match=r"no image a\.png in .*export the project with its images"):
        convert(ConvertConfig(source="supervisely", dir=tmp_path / "data", annotations=root))

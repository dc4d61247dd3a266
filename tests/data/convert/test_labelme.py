"""Files of LabelMe: kinds of shapes, where the image is, what is malformed."""

import base64
import json

import numpy as np
import pytest
from PIL import Image

from config import ConvertConfig
from utils.data.convert import convert
from utils.data.convert.png_mask import encode_mask_png
from utils.data.dataset_folder import open_dataset
from utils.errors import InputError

HEIGHT, WIDTH = 10, 16


def shape(kind, points, label="pit", **more):
    return {"label": label, "points": points, "group_id": None, "shape_type": kind, "flags": {}, **more}


def mask(points, array):
    return shape("mask", points, mask=base64.b64encode(encode_mask_png(np.array(array, bool))).decode())


def content(*shapes, **changes):
    return {
        "version": "5.4.1",
        "flags": {},
        "shapes": list(shapes),
        "imagePath": "a.png",
        "imageData": None,
        "imageHeight": HEIGHT,
        "imageWidth": WIDTH,
        **changes,
    }


def converted(root, files, images=("a.png",), **changes):
    for name in images:
        path = root / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (WIDTH, HEIGHT)).save(path)
    for name, found in files.items():
        path = root / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(found if isinstance(found, str) else json.dumps(found))
    summary = convert(ConvertConfig(source="labelme", dir=root / "data", images=root / "images", **changes))
    return open_dataset(root / "data").annotations, summary


@pytest.mark.parametrize(
    ("found", "area"),
    [
        (shape("polygon", [[2, 1], [6, 1], [6, 4], [2, 4]]), 12),
        (shape(None, [[2, 1], [6, 1], [6, 4], [2, 4]]), 12),  # files of old versions
        (shape("rectangle", [[6, 4], [2, 1]]), 12),
        (shape("oriented_rectangle", [[2, 1], [6, 1], [6, 4], [2, 4]]), 12),
        (shape("circle", [[8, 5], [8, 2]]), 32),
        (shape("line", [[0, 0], [9, 0]]), 10),
        (shape("linestrip", [[0, 0], [9, 0], [9, 4]]), 14),
        (shape("point", [[3, 3]]), 1),
        (shape("points", [[3, 3], [5, 5]]), 2),
        (mask([[2, 1], [4, 2]], [[1, 0, 1], [1, 1, 1]]), 5),
        (mask([[2.0, 1.0], [2.0, 1.0]], [[1]]), 1),
    ],
)
def test_each_shape_labels_its_pixels(tmp_path, found, area):
    annotations, _ = converted(tmp_path, {"a.json": content(found)})
    assert annotations.mask("a.png", HEIGHT, WIDTH).sum() == area


def test_an_image_without_a_file_is_left_out_and_one_without_a_shape_is_clean(tmp_path):
    files = {"a.json": content(shape("circle", [[8, 5], [8, 2]])), "b.json": content(imagePath="b.png")}
    annotations, summary = converted(tmp_path, files, ("a.png", "b.png", "c.png"))
    assert open_dataset(tmp_path / "data").images == ("a.png", "b.png")
    assert annotations.listed == ("a.png",)
    assert any("left out 1 image" in line and "c.png" in line for line in summary.notes)
    assert "1 file without a shape, image taken as clean: b.png" in summary.notes


@pytest.mark.parametrize(
    "written", ["..\\\\photos\\\\a.png", "C:\\\\x\\\\a.png", "/home/me/a.png", "../images/a.png", "a.png"]
)
def test_paths_of_another_computer_lead_to_the_image(tmp_path, written):
    found = content(shape("circle", [[8, 5], [8, 2]]), imagePath=written.replace("\\\\", "\\"))
    assert converted(tmp_path, {"a.json": found})[0].listed == ("a.png",)


def test_files_apart_and_equal_names_in_folders(tmp_path):
    found = content(shape("point", [[3, 3]]))
    for place in ("x", "y"):
        (tmp_path / "json" / place).mkdir(parents=True)
        (tmp_path / "json" / place / "a.json").write_text(json.dumps(found))
    annotations, _ = converted(tmp_path, {}, ("x/a.png", "y/a.png"), annotations=tmp_path / "json")
    assert annotations.listed == ("x/a.png", "y/a.png")


def test_names_of_classes_lie_beside_the_files(tmp_path):
    files = {
        "a.json": content(shape("point", [[3, 3]]), shape("point", [[4, 4]], "crack")),
        "classes.txt": "pit\ncrack\n",
    }
    assert converted(tmp_path, files)[0].class_names == ("pit", "crack")


def test_the_picture_within_the_file_is_not_taken(tmp_path):
    data = base64.b64encode(b"no picture").decode()
    assert converted(tmp_path, {"a.json": content(shape("point", [[3, 3]]), imageData=data)})[0].listed == ("a.png",)


BOX = [[2, 1], [4, 2]]
NAN = '{"label": "pit", "points": [[NaN, 1], [2, 2], [3, 3]], "shape_type": "polygon"}'


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (content(shape("polygon", [[2, 1], [6, 1]])), "shape 0 'pit': needs at least 3 x,y pairs"),
        (json.dumps(content()).replace('"shapes": []', f'"shapes": [{NAN}]'), "not a finite number"),
        (content(shape("polygon", [[2, 1], [6, 1], [1e300, 2]])), "more than 1,000,000 pixels away"),
        (content(shape("polygon", [[2, 1], [6, 1], ["x", 2]])), "no pairs of numbers"),
        (content(shape("polygon", "none")), "no pairs of numbers"),
        (content(shape("star", [[2, 1]])), "shape_type 'star' is not known"),
        (content(shape("point", [[2, 1]], label=3)), "shape 0: has no label"),
        (content(shape("point", [[2, 1]], label="a\nb")), "not one line of text"),
        (content("x"), "shape 0: has no label"),
        (content(shapes=None), "has no list 'shapes'"),
        (content(imagePath=7), "has no imagePath"),
        (content(imagePath="gone.png"), "no such image"),
        (content(shape("point", [[2, 1]]), imageHeight=9), "says a.png is 9x16, but the image is 10x16"),
        (content(shape("mask", BOX)), "its mask is no base64 text"),
        (content(shape("mask", BOX, mask="!!!!")), "not a whole PNG picture"),
        (content(mask([[2, 1], [9, 9]], [[1, 1]])), "its mask is 1x2, its corners say 9x8"),
        (content(mask([[0, 0], [999, 999]], np.ones((1000, 1000)))), "its mask is 1000x1000, the image 10x16"),
        (content(mask([[14, 1], [16, 1]], [[1, 1, 1]])), "reaches from 14,1 to 17,2"),
        ("[" * 100_000, "thousands deep"),
        ("no json", "not a JSON file"),
        ("[]", "has no imagePath"),
    ],
)
def test_malformed_files_are_one_line(tmp_path, found, reason):
    with pytest.raises(InputError, match=reason) as caught:
        converted(tmp_path, {"a.json": found})
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "data").exists()


def test_two_files_about_one_image_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"b\.json: .*a\.json is about the same image; remove one"):
        converted(tmp_path, {"a.json": content(), "b.json": content()})


def test_a_folder_without_files_is_refused(tmp_path):
    with pytest.raises(InputError, match="holds no JSON files"):
        converted(tmp_path, {})

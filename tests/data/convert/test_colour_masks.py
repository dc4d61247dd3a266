"""Colours mean classes by a table: a flag, a file, labelmap.txt of CVAT."""

import numpy as np
import pytest
from PIL import Image

from config import ConvertConfig
from utils.data.convert import convert
from utils.data.dataset_folder import open_dataset
from utils.errors import InputError

SIZE = (6, 8)
RED, GREEN, GREY = (255, 0, 0), (0, 255, 0), (128, 128, 128)


def mask(**boxes):
    """Make a colour mask of boxes: three columns each from the left."""
    picture = np.zeros((*SIZE, 3), np.uint8)
    for place, colour in enumerate(boxes.values()):
        picture[:2, 3 * place : 3 * place + 2] = colour
    return Image.fromarray(picture)


def converted(root, masks, ending="png", **changes):
    for folder in ("images", "masks"):
        (root / folder).mkdir(exist_ok=True)
    for name, picture in masks.items():
        Image.new("L", SIZE[::-1]).save(root / "images" / f"{name}.jpg")
        picture.save(root / "masks" / f"{name}.{ending}")
    given = {"source": "colour-masks", "dir": root / "data", "images": root / "images", "masks": root / "masks"}
    convert(ConvertConfig(**given, **changes))
    return open_dataset(root / "data").annotations


BOTH = {"a": mask(red=RED, green=GREEN), "b": mask()}
TABLE = ("pit=#ff0000", "crack=#00ff00")


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
def test_colours_of_the_flag_are_classes_in_its_order(tmp_path, mode):
    pictures = {name: picture.convert(mode) for name, picture in BOTH.items()}
    annotations = converted(tmp_path, pictures, colours=TABLE)
    assert annotations.class_names == ("pit", "crack")
    assert annotations.runs("a.jpg") == {1: "1 2 7 2", 2: "19 2 25 2"}
    assert annotations.runs("b.jpg") == {}


@pytest.mark.parametrize(
    "text",
    [
        "# label:color_rgb:parts:actions\nbackground:0,0,0::\npit:255,0,0::\ncrack:0,255,0::\n",
        "pit #ff0000\ncrack #00ff00\n",
        "pit,255,0,0\ncrack,0,255,0\n",
        "pit=#FF0000\n\ncrack = #00FF00\nbackground=#000000\n",
    ],
)
@pytest.mark.parametrize("place", ["flag", "beside", "above"])
def test_a_file_of_colours(tmp_path, text, place):
    file = {
        "flag": tmp_path / "t.txt",
        "beside": tmp_path / "masks" / "labelmap.txt",
        "above": tmp_path / "labelmap.txt",
    }
    (tmp_path / "masks").mkdir()
    file[place].write_text(text)
    changes = {"colours": (str(file["flag"]),)} if place == "flag" else {}
    assert converted(tmp_path, BOTH, **changes).runs("a.jpg") == {1: "1 2 7 2", 2: "19 2 25 2"}


def test_wanted_classes_alone_in_their_order(tmp_path):
    annotations = converted(tmp_path, BOTH, colours=TABLE, class_names=("crack",))
    assert annotations.runs("a.jpg") == {1: "19 2 25 2"}


def test_a_background_of_another_colour(tmp_path):
    picture = Image.new("RGB", SIZE[::-1], GREY)
    picture.putpixel((0, 0), RED)
    annotations = converted(tmp_path, {"a": picture}, colours=("pit=#ff0000", "background=#808080"))
    assert annotations.runs("a.jpg") == {1: "1 1"}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, r"masks: no labelmap\.txt beside them says which colour means which class; give -colours"),
        ({"colours": ("pit=#ff0000",)}, r"a\.png: colour #00ff00 has no class in -colours"),
        ({"colours": ("pit=red",)}, r"-colours: 'red' is no colour"),
        ({"colours": ("pit=#ff0000", "crack")}, r"-colours crack: expected NAME=#RRGGBB"),
        ({"colours": ("pit=#ff0000", "crack=#ff0000")}, r"#ff0000 means two classes"),
        ({"colours": ("pit=#ff0000", "pit=#00ff00")}, r"two have one"),
        ({"colours": ("background=#ff0000", "BACKGROUND=#00ff00")}, r"names no class beside the background"),
        ({"colours": ("missing.txt",)}, r"missing\.txt: no such file"),
        ({"colours": TABLE, "class_names": ("scale",)}, r"-class_names scale: -colours has pit, crack"),
        ({"colours": TABLE, "ending": "jpg"}, r"a\.jpg: JPEG has changed the colours"),
    ],
)
def test_a_table_that_does_not_fit_is_refused(tmp_path, changes, reason):
    with pytest.raises(InputError, match=reason):
        converted(tmp_path, BOTH, **changes)
    assert not (tmp_path / "data").exists()


def test_only_what_cvat_lists_is_clean_without_a_mask(tmp_path):
    (tmp_path / "ImageSets" / "Segmentation").mkdir(parents=True)
    (tmp_path / "ImageSets" / "Segmentation" / "default.txt").write_text("a\nb\n")
    for name in "bc":
        (tmp_path / "images").mkdir(exist_ok=True)
        Image.new("L", SIZE[::-1]).save(tmp_path / "images" / f"{name}.jpg")
    with pytest.raises(InputError, match=r"no mask for c\.jpg"):
        converted(tmp_path, {"a": BOTH["a"]}, colours=TABLE)
    (tmp_path / "images" / "c.jpg").unlink()
    assert converted(tmp_path, {"a": BOTH["a"]}, colours=TABLE).runs("b.jpg") == {}

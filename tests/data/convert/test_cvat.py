"""Annotations of CVAT: shapes, what counts as clean, files that are malformed or made to harm."""

import numpy as np
import pytest
from PIL import Image

from config import ConvertConfig
from utils.data.convert import convert
from utils.data.convert.cvat_file import decode_runs, encode_runs
from utils.data.dataset_folder import open_dataset
from utils.errors import InputError

HEIGHT, WIDTH = 10, 16
META = "<meta><task><labels>{}</labels></task></meta>"
LABEL = "<label><name>{}</name><type>any</type><attributes></attributes></label>"
MASK = '<mask label="pit" source="manual" occluded="0" rle="{}" left="{}" top="{}" width="{}" height="{}" z_order="0"></mask>'


def image(shapes="", name="a.png", more=""):
    return f'<image id="0" name="{name}" width="{WIDTH}" height="{HEIGHT}"{more}>{shapes}</image>'


def document(body, labels=("pit", "crack")):
    listed = "".join(map(LABEL.format, labels))
    return f'<?xml version="1.0" encoding="utf-8"?><annotations><version>1.1</version>{META.format(listed)}{body}</annotations>'


def converted(root, text, images=("a.png",), **changes):
    for name in images:
        path = root / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (WIDTH, HEIGHT)).save(path)
    (root / "annotations.xml").write_text(text, encoding="utf-8")
    given = {"source": "cvat", "dir": root / "data", "images": root / "images"}
    summary = convert(ConvertConfig(annotations=root / "annotations.xml", **given, **changes))
    return open_dataset(root / "data").annotations, summary


def masks(root, text, **changes):
    return converted(root, text, **changes)[0].mask("a.png", HEIGHT, WIDTH)


@pytest.mark.parametrize(
    ("shape", "area", "note"),
    [
        ('<polygon label="pit" points="2.00,1.00;6.00,1.00;6.00,4.00;2.00,4.00"/>', 12, None),
        ('<polygon label="pit" points="-5,1;3,1;3,3;-5,3"/>', 6, None),
        ('<box label="pit" xtl="2" ytl="1" xbr="6" ybr="4"/>', 12, "1 rectangle filled"),
        ('<box label="pit" xtl="2" ytl="1" xbr="6" ybr="3" rotation="90.00"/>', 8, "1 rectangle filled"),
        ('<ellipse label="pit" cx="8" cy="5" rx="4" ry="2"/>', 28, None),
        ('<ellipse label="pit" cx="8" cy="5" rx="2" ry="4" rotation="90"/>', 28, None),
        ('<ellipse label="pit" cx="3.5" cy="3.5" rx="0.1" ry="0.1"/>', 1, None),
        ('<polyline label="pit" points="0,0;9,0"/>', 10, "1 line or points drawn one pixel wide"),
        ('<points label="pit" points="1,1;5,5"/>', 2, "1 line or points drawn one pixel wide"),
        (MASK.format("0, 3, 2, 1", 4, 2, 3, 2), 4, None),
        (MASK.format("0, 1", 15, 9, 1, 1), 1, None),
        (MASK.format("2, 2", 0, 0, 2, 2) + MASK.format("0, 2, 2", 0, 0, 2, 2), 4, None),
    ],
)
def test_each_shape_labels_its_pixels(tmp_path, shape, area, note):
    annotations, summary = converted(tmp_path, document(image(shape)))
    assert annotations.mask("a.png", HEIGHT, WIDTH).sum((0, 1)).tolist() == [area, 0]
    assert [line for line in summary.notes if note and note in line] or note is None


def test_labels_keep_the_order_of_the_task_and_may_be_chosen(tmp_path):
    body = image('<polygon label="crack" points="0,0;4,0;4,4;0,4"/>' + MASK.format("0, 1", 0, 0, 1, 1))
    assert masks(tmp_path / "all", document(body)).sum((0, 1)).tolist() == [1, 16]
    annotations, summary = converted(tmp_path / "one", document(body), class_names=("crack",))
    assert annotations.class_names == ("crack",)
    assert annotations.mask("a.png", HEIGHT, WIDTH).sum() == 16
    assert "left out 1 shapes of labels that -class_names does not name: pit" in summary.notes


def test_parts_of_skeletons_are_no_classes(tmp_path):
    part = "<label><name>joint</name><type>points</type><parent>s</parent></label>"
    text = document(image(MASK.format("0, 1", 0, 0, 1, 1))).replace("</labels>", f"{part}</labels>")
    assert converted(tmp_path, text)[0].class_names == ("pit", "crack")


def test_images_of_subsets_and_folders_with_equal_names(tmp_path):
    shape = MASK.format("0, 1", 0, 0, 1, 1)
    text = document(image(shape, more=' subset="train"') + image(more=' subset="val"') + image(shape, "line/a.png"))
    annotations, summary = converted(tmp_path, text, ("train/a.png", "val/a.png", "line/a.png", "other.png"))
    assert annotations.listed == ("line/a.png", "train/a.png")
    assert any("left out 1 image of" in line and "other.png" in line for line in summary.notes)
    assert "1 image without a shape taken as clean: val/a.png" in summary.notes


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (image('<polygon label="pit" points="1,1;2,2"/>'), "needs at least 3 x,y pairs"),
        (image('<polygon label="pit" points="nan,1;2,2;3,3"/>'), "not a finite number"),
        (image('<polygon label="pit" points="1,1;2,inf;3,3"/>'), "not a finite number"),
        (image('<polygon label="pit" points="1e9,1;2,2;3,3"/>'), "more than 1,000,000 pixels away"),
        (image('<polygon label="pit"/>'), "no pairs of numbers"),
        (image('<polygon points="1,1;2,2;3,3"/>'), "has no label"),
        (image('<box label="pit" xtl="nan" ytl="1" xbr="6" ybr="4"/>'), "not a finite number"),
        (image('<box label="pit" xtl="1"/>'), "numbers|finite"),
        (image('<cuboid label="pit"/>'), "labels no area"),
        (image(MASK.format("0, 3", 4, 2, 3, 2)), "do not add up to the 6 pixels"),
        (image(MASK.format("-3, 9", 4, 2, 3, 2)), "do not add up"),
        (image(MASK.format("9223372036854775807, 9223372036854775807, 8", 4, 2, 3, 2)), "do not add up"),
        (image(MASK.format("99999999999999999999", 4, 2, 3, 2)), "lacks rle"),
        (image(MASK.format("0, 6", 14, 2, 3, 2)), "reaches from 14,2 to 17,4, but the image is 10x16"),
        (image(MASK.format("0, 6", -1, 2, 3, 2)), "reaches from -1,2"),
        (image(MASK.format("0, 1", 0, 0, 1000000, 1000000)), "mask is 1000000x1000000, the image 10x16"),
        (image() + image(), "lists image a.png twice"),
        (image(name="../a.png/../../etc/passwd"), "not of an image"),
        (image(name="gone.png"), "no such image"),
        ('<image id="0" name="a.png" width="9" height="9"></image>', "says a.png is 9x9, but the image is 10x16"),
        ('<image id="0" name="a.png" width="x" height="9"></image>', "width or height is no number"),
        ('<track id="0" label="pit"></track>', "has tracks of a video; export it as 'CVAT for images 1.1'"),
        ("", "names no images"),
    ],
)
def test_malformed_annotations_are_one_line(tmp_path, body, reason):
    with pytest.raises(InputError, match=reason) as caught:
        converted(tmp_path, document(body))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "data").exists()


BOMB = '<!DOCTYPE annotations [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]><annotations>&b;</annotations>'


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (BOMB, "has a DOCTYPE"),
        ('<!DOCTYPE a SYSTEM "file:///etc/passwd"><annotations/>', "has a DOCTYPE"),
        ("<annotations>", "not a whole XML file"),
        ("{}", "not a whole XML file"),
        ("", "not a whole XML file"),
        ('<?xml version="1.0" encoding="klingon"?><annotations/>', "not a whole XML file"),
        ("<other/>", "has no element <annotations>"),
        ("<a>" * 100_000, "not a whole XML file"),
    ],
)
def test_other_files_are_one_line(tmp_path, text, reason):
    with pytest.raises(InputError, match=reason):
        converted(tmp_path, text)


def test_skip_bad_leaves_out_the_image(tmp_path):
    text = document(image(MASK.format("0, 3", 4, 2, 3, 2)) + image(MASK.format("0, 1", 0, 0, 1, 1), "b.png"))
    annotations, summary = converted(tmp_path, text, ("a.png", "b.png"), skip_bad=True)
    assert annotations.listed == ("b.png",)
    assert [entry.image for entry in summary.left_out] == ["a.png"]
    assert str(tmp_path / "data" / "summary.json") in summary.text()


def test_runs_go_along_rows_and_begin_with_background():
    part = np.array([[1, 0, 1], [1, 1, 0]], bool)
    assert encode_runs(part) == "0, 1, 1, 3, 1"
    assert encode_runs(~part) == "1, 1, 3, 1"
    attributes = {"rle": "0, 1, 1, 3, 1", "left": "2", "top": "3", "width": "3", "height": "2"}
    again, left, top = decode_runs("here", attributes, (9, 9))
    assert (again == part).all()
    assert (left, top) == (2, 3)

"""Annotations of Label Studio: shapes, which annotation counts, addresses of images, what is malformed."""

import base64
import json

import numpy as np
import pytest
from PIL import Image

from config import ConvertConfig
from utils.data.convert import convert
from utils.data.convert.brush_rle import encode_brush
from utils.data.convert.png_mask import encode_palette_png
from utils.data.dataset_folder import open_dataset
from utils.errors import InputError

HEIGHT, WIDTH = 10, 20
PART = np.zeros((HEIGHT, WIDTH), bool)
PART[2:5, 3:9] = True
PART[3, 4] = False


def result(value, kind="brushlabels", label="pit", **more):
    size = {"original_width": WIDTH, "original_height": HEIGHT, "image_rotation": 0}
    labels = {} if label is None else {kind: [label]}
    return {
        "id": "r",
        "type": kind,
        "from_name": "tag",
        "to_name": "image",
        **size,
        "value": {**value, **labels},
        **more,
    }


def brush(mask=PART, **more):
    return result({"format": "rle", "rle": encode_brush(mask)}, **more)


def bitmask(mask=PART):
    text = base64.b64encode(encode_palette_png(mask)).decode()
    return result({"imageDataURL": f"data:image/png;base64,{text}"}, "bitmasklabels")


def annotation(*results, number=1, **more):
    return {"id": number, "completed_by": 1, "result": list(results), "was_cancelled": False, **more}


def task(*annotations, image="/data/upload/1/0a1b2c3d-a.png", number=5, **more):
    return {"id": number, "data": {"image": image}, "annotations": list(annotations), "predictions": [], **more}


def converted(root, content, images=("a.png",), **changes):
    for name in images:
        path = root / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (WIDTH, HEIGHT)).save(path)
    file = root / "export.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    given = {"source": "labelstudio", "dir": root / "data", "images": root / "images", "annotations": file}
    summary = convert(ConvertConfig(**given, **changes))
    return open_dataset(root / "data").annotations, summary


def area(root, content, **changes):
    return int(converted(root, content, **changes)[0].mask("a.png", HEIGHT, WIDTH).sum())


@pytest.mark.parametrize(
    ("found", "size"),
    [
        (brush(), 17),
        (bitmask(), 17),
        (result({"points": [[10, 10], [50, 10], [50, 50], [10, 50]], "closed": True}, "polygonlabels"), 32),
        (result({"x": 10, "y": 10, "width": 40, "height": 40, "rotation": 0}, "rectanglelabels"), 32),
        (result({"x": 50, "y": 10, "width": 10, "height": 40, "rotation": 90}, "rectanglelabels"), 8),
        (result({"x": 50, "y": 50, "radiusX": 20, "radiusY": 20, "rotation": 0}, "ellipselabels"), 28),
        (result({"x": 51, "y": 51, "width": 1}, "keypointlabels"), 1),
        (result({"format": "rle", "rle": encode_brush(PART)}, "labels"), 17),
    ],
)
def test_each_shape_labels_its_pixels(tmp_path, found, size):
    assert area(tmp_path, [task(annotation(found))]) == size


def test_a_shape_and_its_label_may_be_two_results_of_one_id(tmp_path):
    form = result({"format": "rle", "rle": encode_brush(PART)}, "brush", label=None)
    both = {**form, "type": "labels", "value": {**form["value"], "labels": ["pit"]}}
    assert area(tmp_path / "a", [task(annotation(form, both))]) == 17
    words = {"type": "choices", "value": {"choices": ["bad"]}, "id": "c", "from_name": "c", "to_name": "image"}
    assert area(tmp_path / "b", [task(annotation(brush(), words))]) == 17


def test_of_several_annotations_the_newest_counts_or_the_ground_truth(tmp_path):
    old = annotation(brush(~PART), number=1, updated_at="2026-01-01T00:00:00Z")
    new = annotation(brush(), number=2, updated_at="2026-01-02T00:00:00Z")
    cancelled = annotation(brush(~PART), number=3, updated_at="2026-01-03T00:00:00Z", was_cancelled=True)
    assert area(tmp_path / "newest", [task(new, old, cancelled)]) == 17
    assert area(tmp_path / "truth", [task(new, {**old, "ground_truth": True})]) == HEIGHT * WIDTH - 17


def test_what_nobody_submitted_is_no_label_and_an_empty_annotation_is_clean(tmp_path):
    content = [
        task(annotation(brush())),
        task(annotation(), image="/data/upload/1/0a1b2c3d-b.png", number=6),
        task(image="c.png", number=7, predictions=[{"result": [brush()]}]),
        task(annotation(brush(), was_cancelled=True), image="d.png", number=8),
    ]
    annotations, summary = converted(tmp_path, content, ("a.png", "b.png", "c.png", "d.png"))
    assert open_dataset(tmp_path / "data").images == ("a.png", "b.png")
    assert annotations.listed == ("a.png",)
    assert any(line.startswith("left out 2 tasks that nobody has submitted: c.png, d.png") for line in summary.notes)
    with pytest.raises(InputError, match="proposals alone are no labels"):
        converted(tmp_path / "none", [content[2]], ("c.png",))


@pytest.mark.parametrize(
    "address",
    [
        "/data/upload/1/0a1b2c3d-a.png",
        "/data/local-files/?d=steel%2Fimages/a.png",
        "/data/local-files/?d=a.png",
        "s3://bucket/steel/a.png",
        "https://host/x/a.png?X-Amz-Signature=1",
        "a.png",
    ],
)
def test_addresses_lead_to_the_image(tmp_path, address):
    assert area(tmp_path, [task(annotation(brush()), image=address)]) == 17


def test_a_dash_in_the_name_of_an_image_is_its_own(tmp_path):
    content = [task(annotation(brush()), image="/data/upload/1/0a1b2c3d-deadbeef-a.png")]
    annotations, _ = converted(tmp_path, content, ("deadbeef-a.png",))
    assert annotations.listed == ("deadbeef-a.png",)


def test_equal_names_in_folders(tmp_path):
    content = [
        task(annotation(brush()), image="/data/local-files/?d=root/images/x/a.png"),
        task(annotation(), image="/data/local-files/?d=root/images/y/a.png", number=6),
    ]
    annotations, _ = converted(tmp_path, content, ("x/a.png", "y/a.png"))
    assert annotations.listed == ("x/a.png",)


def bad_brush(code):
    return result({"format": "rle", "rle": code})


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (bad_brush([1, 2, 3]), "its brush code ends early"),
        (bad_brush(encode_brush(PART)[:-4]), "its brush code ends early"),
        (bad_brush("text"), "its brush code ends early"),
        (bad_brush([256] * 9), "is not a list of bytes"),
        (bad_brush([255] * 30), "has 4294967295 values"),
        (bad_brush(encode_brush(np.ones((3, 3), bool))), "has 36 values, but an image of 10x20 has 800"),
        (result({"imageDataURL": "http://x/a.png"}, "bitmasklabels"), "its bitmask is no PNG"),
        (bitmask(np.ones((3, 3), bool)), "its bitmask is 3x3, the image 10x20"),
        (bitmask(np.ones((3000, 3), bool)), "its mask is 3000x3"),
        (result({"points": [[float("nan"), 1], [2, 2], [3, 3]]}, "polygonlabels"), "not a finite number"),
        (result({"points": [[1], [2], [3]]}, "polygonlabels"), "x,y pair of numbers"),
        (result({"x": 1e12, "y": 1, "width": 3, "height": 3}, "rectanglelabels"), "pixels away"),
        (result({"x": "a", "y": 1, "width": 3, "height": 3}, "rectanglelabels"), "no pairs of numbers"),
        (brush(label=None), "shape 0 has no label"),
        ({**brush(), "original_width": None}, "lacks original_height or original_width"),
        ({**brush(), "image_rotation": 90}, "the image was turned in Label Studio"),
        ({**brush(), "original_width": 21}, "says a.png is 10x21, but the image is 10x20"),
    ],
)
def test_malformed_shapes_are_one_line(tmp_path, found, reason):
    with pytest.raises(InputError, match=reason) as caught:
        converted(tmp_path, [task(annotation(found))])
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ([], "holds no tasks"),
        ([1], "holds no tasks"),
        ([task(annotation(brush())), {"id": 1}], "a task has no 'data'"),
        ([task(annotation(brush()), image="a.txt")], "its data name no image"),
        ([{"id": 1, "data": {"one": "a.png", "two": "b.png"}, "annotations": []}], r"several images \(one, two\)"),
        ([task(annotation(brush())), task(annotation())], "two tasks are about a.png"),
        ([task(annotation(brush()), image="../../a.jpg")], "no such image"),
        ("[" * 100_000, "thousands deep"),
        ("{", "not a JSON file"),
    ],
)
def test_malformed_files_are_one_line(tmp_path, content, reason):
    with pytest.raises(InputError, match=reason):
        converted(tmp_path, content)


@pytest.mark.parametrize(
    ("name", "changes", "reason"),
    [
        ("mask.png", {}, "not called as Label Studio calls brush pictures"),
        ("task-9-annotation-9-by-1-tag-pit-0.png", {}, "no task of the JSON is 9 with annotation 9"),
        (None, {}, "holds no PNG pictures"),
    ],
)
def test_other_pictures_are_refused(tmp_path, name, changes, reason):
    (tmp_path / "brush").mkdir()
    if name:
        Image.fromarray(PART).save(tmp_path / "brush" / name)
    with pytest.raises(InputError, match=reason):
        converted(tmp_path, [task(annotation(brush()))], masks=tmp_path / "brush", **changes)


@pytest.mark.parametrize("label", ["pit", "deep-pit", "a/b"])
def test_labels_in_names_of_pictures_may_have_dashes(tmp_path, label):
    (tmp_path / "brush").mkdir()
    name = f"task-5-annotation-1-by-me@x.org-my-tag-{label.replace('/', '-')}-0.png"
    Image.fromarray(PART.astype(np.uint8) * 255).save(tmp_path / "brush" / name)
    content = [task(annotation(brush()))]
    annotations, _ = converted(tmp_path, content, masks=tmp_path / "brush", class_names=(label,))
    assert annotations.class_names == (label,)
    assert annotations.mask("a.png", HEIGHT, WIDTH).sum() == 17


def test_a_picture_of_another_size_is_refused(tmp_path):
    (tmp_path / "brush").mkdir()
    Image.new("L", (3, 3)).save(tmp_path / "brush" / "task-5-annotation-1-by-1-tag-pit-0.png")
    with pytest.raises(InputError, match="is 3x3, but the image is 10x20"):
        converted(tmp_path, [task(annotation(brush()))], masks=tmp_path / "brush")

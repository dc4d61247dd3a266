"""COCO files as programs write them, and as attackers do."""

import json

import numpy as np
import pytest
from PIL import Image

from config import ConvertConfig
from utils.data.convert import convert
from utils.data.dataset_folder import open_dataset
from utils.errors import InputError

SQUARE = [10, 10, 20, 10, 20, 20, 10, 20]
OTHER = [30, 10, 40, 10, 40, 20, 30, 20]


@pytest.fixture
def root(tmp_path):
    """A folder of four images of 30x50: one in a folder, one with a blank in its name, and one outside."""
    for name in ("images/a.png", "images/cam 1/b.png", "images/c d.png", "outside/secret.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((30, 50), 90, np.uint8)).save(tmp_path / name)
    return tmp_path


def image(name="a.png", key=1, **more):
    return {"id": key, "file_name": name, **more}


def outline(segmentation=(SQUARE,), key=1, image_id=1, category_id=1):
    return {"id": key, "image_id": image_id, "category_id": category_id, "segmentation": segmentation}


def content(**parts):
    return {"images": [image()], "annotations": [outline()], "categories": [{"id": 1, "name": "pit"}], **parts}


def converted(root, labels, **changes):
    (root / "coco.json").write_text(labels if isinstance(labels, str) else json.dumps(labels))
    given = {"source": "coco", "dir": root / "data", "images": root / "images", "annotations": root / "coco.json"}
    return convert(ConvertConfig(**{**given, **changes}))


def pixels(root):
    """Labelled pixels of each class in each image."""
    dataset = open_dataset(root / "data")
    return {name: dataset.annotations.mask(name, 30, 50).sum((0, 1)).tolist() for name in dataset.images}


TWO_CLASSES = [{"id": 1, "name": "pit"}, {"id": 2, "name": "crack"}]


def test_a_file_without_labels_is_told_and_one_without_classes_refused(root):
    assert "warning: no image has a label; all 1 count as clean" in converted(root, content(annotations=[])).notes
    with pytest.raises(InputError, match=r"coco.json: the list of categories is empty; add the classes"):
        converted(root, content(annotations=[], categories=[]), dir=root / "other")


def test_polygons_in_shares_of_the_image_are_refused(root):
    shares = [0.2, 0.2, 0.4, 0.2, 0.4, 1.0, 0.2, 0.4]
    with pytest.raises(
        InputError, match=r"coco.json: annotation 7: its corners, and all others, lie in 0..1, but COCO"
    ):
        converted(root, content(annotations=[outline([shares], 7)]))
    converted(root, content(annotations=[outline([[0, 0, 1, 0, 1, 1, 0, 1]], 7), outline()]))
    assert pixels(root) == {"a.png": [101]}


def test_images_of_one_id_are_named(root):
    images = [image(), image("cam 1/b.png")]
    with pytest.raises(InputError, match=r"images a.png and cam 1/b.png share a name or an id"):
        converted(root, content(images=images))


@pytest.mark.parametrize("link", [False, True])
@pytest.mark.parametrize(
    ("annotations", "counts"),
    [
        ([outline(), outline([OTHER], 2, 2, 2)], [100, 100]),
        ([outline(), outline([OTHER], 2, 2, 1)], [200, 0]),
        ([outline()], [100, 0]),
        ([outline(image_id=2)], [100, 0]),
    ],
)
def test_a_file_under_two_ids_keeps_the_outlines_of_both(root, annotations, counts, link):
    labels = content(images=[image(), image(key=2)], annotations=annotations, categories=TWO_CLASSES)
    summary = converted(root, labels, link=link)
    assert pixels(root) == {"a.png": counts}
    assert summary.images == 1
    assert "joined the outlines of 1 image under several ids: a.png" in summary.notes


@pytest.mark.parametrize(
    "name",
    ["cam 1\\b.png", "cam 1/b.png", "./cam 1/b.png", "cam%201/b.png", "D:\\data\\cam 1\\b.png", "/mnt/x/cam 1/b.png",
     "../images/cam 1/b.png", "https://host/export/cam%201/b.png"],
)  # fmt: skip
def test_names_of_other_computers_are_found_in_the_folder(root, name):
    converted(root, content(images=[image(name)]))
    assert pixels(root) == {"b.png": [100]}


@pytest.mark.parametrize("name", ["../outside/secret.png", "{root}/outside/secret.png", "..%2Foutside%2Fsecret.png",
                                  "cam 1/../../outside/secret.png", "..\\outside\\secret.png"])  # fmt: skip
@pytest.mark.parametrize("link", [False, True])
def test_no_name_leads_out_of_the_folder(root, name, link):
    with pytest.raises(InputError, match=r"secret.png: no such image, but coco.json lists"):
        converted(root, content(images=[image(name.format(root=root))]), link=link)
    assert not (root / "data").exists()


def test_a_linked_folder_does_not_lead_out_either(root):
    (root / "images" / "cam 2").symlink_to(root / "outside")
    with pytest.raises(InputError, match=r"secret.png: a link on the way leads out of -images"):
        converted(root, content(images=[image("cam 2/secret.png")]))


@pytest.mark.parametrize(
    "labels",
    [
        content(images=[image(height="30", width="50.0")]),
        content(images=[image(height=30.0, width=None)]),
        content(images=[image(key="1")]),
        content(annotations=[outline(image_id="1", category_id=1.0)]),
        content(annotations=[outline(SQUARE)]),
        content(annotations=[outline([[10, 10], [20, 10], [20, 20], [10, 20]])]),
        content(annotations=[outline([[[10, 10], [20, 10], [20, 20], [10, 20]]])]),
        content(annotations=[outline([SQUARE, [15, 15, 16, 15]])]),
        content(annotations=[outline([SQUARE, [12, 12]])]),
        content(annotations=[outline({"counts": [310, *[10, 20] * 9, 10, 1500 - 310 - 280], "size": ["30", 50.0]})]),
        content(annotations=[outline([{"counts": [310, *[10, 20] * 9, 10, 910], "size": [30, 50]}])]),
    ],
)
def test_what_programs_write_otherwise_means_the_same(root, labels):
    converted(root, labels)
    assert pixels(root) == {"a.png": [100]}


ROOT_CATEGORY = [
    {"id": 0, "name": "defects", "supercategory": "none"},
    {"id": 1, "name": "crack", "supercategory": "defects"},
    {"id": 2, "name": "pit", "supercategory": "defects"},
]


@pytest.mark.parametrize(
    ("categories", "wanted", "names"),
    [
        (ROOT_CATEGORY, None, ("crack", "pit")),
        (ROOT_CATEGORY, ("pit", "crack"), ("pit", "crack")),
        ([{"id": 0, "name": "crack"}, {"id": 1, "name": "crack", "supercategory": "crack"}], None, ("crack",)),
        ([{"id": 0, "name": "crack"}, {"id": 1, "name": "crack", "supercategory": "crack"}], ("crack",), ("crack",)),
        ([{"id": 1, "name": "pit", "supercategory": "pit"}, {"id": 2, "name": "dent"}], None, ("pit", "dent")),
        ([{"id": "10", "name": "dent"}, {"id": "1", "name": "pit"}], None, ("pit", "dent")),
    ],
)
def test_the_heading_of_the_categories_is_no_class(root, categories, wanted, names):
    converted(root, content(categories=categories), class_names=wanted)
    assert open_dataset(root / "data").annotations.class_names == names


def test_images_that_the_file_does_not_list_are_told(root):
    summary = converted(root, content())
    assert summary.notes == [
        f"left out 2 images of {root / 'images'} that coco.json does not list: c d.png, cam 1/b.png"
    ]


DEEP = 100_000


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        ("[" * DEEP + "]" * DEEP, r"coco.json: lists within lists, thousands deep"),
        (content(images=[image(key=[1])]), r"images\[0\] has id \[1\]; expected a number or a text"),
        (content(images=[image(key={"a": 1})]), r"images\[0\] has id \{\"a\": 1\}; expected"),
        (content(images=[image(key=None)]), r"images\[0\] has id None; expected"),
        (content(images=[image(key=True)]), r"images\[0\] has id True; expected"),
        (content(images=[image("a\0.png")]), r"images\[0\] has file_name 'a\\x00.png'; expected a name"),
        (content(images=[image("a\r\nb.png")]), r"images\[0\] has file_name 'a\\r\\nb.png'; expected a name"),
        (content(annotations=[outline([], "x\ny")]), r"annotation 'x\\ny': has no segmentation"),
        (content(annotations=[outline(image_id="x\ny")]), r"no image has id 'x\\ny'"),
        (content(categories=[{"id": 1, "name": "a\x1b[2J"}]), r"name of category 1 is not one line"),
        (content(images=[image("x" * 5000 + ".png")]), r"no such image"),
        (content(annotations=[outline(image_id=[1])]), r"annotations\[0\] has image_id \[1\]; expected"),
        (content(annotations=[outline(category_id={})]), r"annotations\[0\] has category_id \{\}; expected"),
        (content(categories=[{"id": [], "name": "x"}]), r"categories\[0\] has id \[\]; expected"),
        (content(annotations=[outline([[1e308, 0, 5, 5, -1e308, 9]])]), r"annotation 1: a corner lies more than"),
        (content(annotations=[outline([[10**400, 0, 5, 5, 1, 9]])]), r"annotation 1: a polygon needs"),
        (content(annotations=[outline([{"x": 1}])]), r"annotation 1: run lengths cannot be read"),
        (content(annotations=[outline([[[[1]]], 3])]), r"annotation 1: a polygon needs"),
        (content(annotations=[outline("abc")]), r"annotation 1: a polygon needs"),
        (content(annotations=[outline({"counts": [2**62, 2**62, 2**62, 2**62 + 1500], "size": [30, 50]})]), r"do not add up"),
        (content(annotations=[outline({"counts": "o" * 10_000, "size": [30, 50]})]), r"annotation 1: run lengths cannot"),
        (content(images=[image("a.png"), image("x/a.png", 2)]), r"images a.png and x/a.png share a name or an id"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_one_line(root, labels, reason):
    with pytest.raises(InputError, match=reason) as error:
        converted(root, labels)
    assert "\n" not in str(error.value)
    assert not (root / "data").exists()


@pytest.mark.parametrize(
    ("labels", "kept", "left_out"),
    [
        (
            content(images=[image(), image("c d.png", 2)], annotations=[outline(), outline([[1, 2]], 2, 2)]),
            {"a.png": [100]},
            ["c d.png"],
        ),
        (content(images=[image(), image("gone.png", 2)]), {"a.png": [100]}, ["gone.png"]),
        (content(images=[image(), image("c d.png", 2, height=7)]), {"a.png": [100]}, ["c d.png"]),
        (content(annotations=[outline(), outline(key=2, image_id=9)]), {"a.png": [100]}, [""]),
        (
            content(images=[image(), image("c d.png", 2)], annotations=[outline(), outline(image_id=2, category_id=9)]),
            {"a.png": [100]},
            ["c d.png"],
        ),
    ],
)
def test_skip_bad_leaves_out_whole_images_and_lists_them(root, labels, kept, left_out):
    summary = converted(root, labels, skip_bad=True)
    assert pixels(root) == kept
    assert [entry.image for entry in summary.left_out] == left_out
    stored = json.loads((root / "data" / "summary.json").read_text())
    assert [entry["image"] for entry in stored["left_out"]] == left_out
    assert stored["left_out"][0]["problem"] in summary.text()
    with pytest.raises(InputError):
        converted(root, labels, dir=root / "other")


def test_skip_bad_does_not_write_a_folder_of_nothing(root):
    with pytest.raises(InputError, match=r"coco.json: every image was left out; the first: .*annotation 1: has no seg"):
        converted(root, content(annotations=[outline([])]), skip_bad=True)
    assert not (root / "data").exists()


def test_equal_names_in_different_folders_are_images_of_their_own(root):
    Image.fromarray(np.full((30, 50), 10, np.uint8)).save(root / "images" / "cam 1" / "a.png")
    images = [image(), image("cam 1\\a.png", 2)]
    converted(root, content(images=images, annotations=[outline(image_id=2)]))
    assert pixels(root) == {"a.png": [0], "cam 1/a.png": [100]}
    assert open_dataset(root / "data").read("cam 1/a.png").max() == 10


def test_an_image_in_a_hidden_folder_is_refused_since_nobody_would_read_it(root):
    (root / "images" / "cam 1").rename(root / "images" / ".cam")
    with pytest.raises(InputError, match=r"\.cam/b.png: hidden files and folders hold no images; rename"):
        converted(root, content(images=[image(".cam/b.png")]))

import json
import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import ExifTags, Image

from config import ConvertConfig
from utils.data import rle
from utils.data.annotation_table import read_annotations
from utils.data.convert import convert
from utils.data.convert.coco import mask_of
from utils.data.convert.polygons import fill
from utils.data.dataset_folder import open_dataset, open_test_images
from utils.errors import InputError

HEIGHT, WIDTH = 12, 20


@pytest.fixture
def source(tmp_path):
    """A folder of three pictures with index masks: pit and crack, pit, clean."""
    generator = np.random.default_rng(0)
    masks = {name: np.zeros((HEIGHT, WIDTH), np.uint8) for name in "abc"}
    masks["a"][2:5, 3:9] = 1
    masks["a"][8:, 15:] = 2
    masks["b"][0, :] = 1
    for name, mask in masks.items():
        picture = generator.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
        save(tmp_path / "images" / f"{name}.jpg", picture)
        save(tmp_path / "masks" / f"{name}.png", mask)
    return tmp_path


def save(path, array):
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(array).save(path)


def settings(source, kind="index-masks", **changes):
    given = {"source": kind, "dir": source / "data", "images": source / "images"}
    if kind == "index-masks":
        given["masks"] = source / "masks"
    return ConvertConfig(**{**given, **changes})


def files(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


# index masks


def test_index_masks_become_a_dataset_folder(source):
    summary = convert(settings(source, class_names=("pit", "crack")))
    dataset = open_dataset(source / "data")
    assert dataset.images == ("a.jpg", "b.jpg", "c.jpg")
    assert dataset.annotations.class_names == ("pit", "crack")
    assert dataset.annotations.listed == ("a.jpg", "b.jpg")
    mask = dataset.annotations.mask("a.jpg", HEIGHT, WIDTH)
    assert mask[..., 0].sum() == 18
    assert mask[..., 1].sum() == 20
    assert dataset.path("a.jpg").read_bytes() == (source / "images" / "a.jpg").read_bytes()
    assert summary.per_class == {"pit": 2, "crack": 1}
    assert files(source / "data") == ["classes.txt", "train.csv", *(f"train_images/{n}.jpg" for n in "abc")]


def test_masks_and_back_are_the_same_masks(source):
    convert(settings(source))
    convert(ConvertConfig(source="dataset", dir=source / "data"))
    for name in "abc":
        back = np.array(Image.open(source / "data" / "masks" / f"{name}.png"))
        assert np.array_equal(back, np.array(Image.open(source / "masks" / f"{name}.png")))


def test_images_are_linked_on_request(source):
    convert(settings(source, link=True))
    link = source / "data" / "train_images" / "a.jpg"
    assert link.is_symlink()
    assert link.resolve() == (source / "images" / "a.jpg").resolve()


def test_a_test_set_is_listed_and_its_labels_are_kept_apart(source):
    convert(settings(source, split="test"))
    root = source / "data"
    assert [path.name for path in open_test_images(root)] == ["a.jpg", "b.jpg", "c.jpg"]
    assert (root / "test.csv").read_text() == "ImageId\na.jpg\nb.jpg\nc.jpg\n"
    assert len(read_annotations(root / "test_labels.csv").rows) == 3
    assert not (root / "train.csv").exists()


def test_any_name_of_an_image_is_listed_as_it_is(source):
    (source / "images" / "b.jpg").rename(source / "images" / 'coil 1,5 "mm".jpg')
    convert(settings(source, split="test", masks=None))
    assert [path.name for path in open_test_images(source / "data")] == ["a.jpg", "c.jpg", 'coil 1,5 "mm".jpg']


def test_a_test_set_needs_no_masks(source):
    summary = convert(settings(source, split="test", masks=None))
    assert files(source / "data") == ["test.csv", *(f"test_images/{n}.jpg" for n in "abc")]
    assert "no labels" in summary.text()


def test_both_splits_go_into_one_folder(source):
    convert(settings(source, class_names=("pit", "crack")))
    convert(settings(source, split="test", class_names=("pit", "crack")))
    assert open_dataset(source / "data").images == ("a.jpg", "b.jpg", "c.jpg")
    assert len(open_test_images(source / "data")) == 3


def test_numbered_classes_take_the_names_that_the_folder_has(source):
    convert(settings(source, class_names=("pit", "crack")))
    assert convert(settings(source, split="test")).per_class == {"pit": 2, "crack": 1}
    assert (source / "data" / "classes.txt").read_text() == "pit\ncrack\n"


def test_the_folders_names_say_which_values_are_classes(source):
    """Where a test set shows fewer classes than the training images, and what is left of a mask that is black and white."""
    convert(settings(source, class_names=("pit", "crack", "spot")))
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    for name, value in (("a", 3), ("b", 0), ("c", 0)):
        save(source / "masks" / f"{name}.png", mask + np.uint8(value))
    assert convert(settings(source, split="test")).per_class == {"pit": 0, "crack": 0, "spot": 1}
    shutil.rmtree(source / "data" / "test_images")
    for table in ("test.csv", "test_labels.csv"):
        (source / "data" / table).unlink()
    save(source / "masks" / "a.png", mask + np.uint8(255))
    with pytest.raises(InputError, match=r"masks/a: pixel value 255, but .*data/classes.txt has pit,crack,spot; cor"):
        convert(settings(source, split="test"))


def test_masks_of_the_test_images_are_written_too(source):
    convert(settings(source, split="test"))
    convert(ConvertConfig(source="dataset", dir=source / "data", split="test"))
    for name in "abc":
        back = np.array(Image.open(source / "data" / "masks" / f"{name}.png"))
        assert np.array_equal(back, np.array(Image.open(source / "masks" / f"{name}.png")))


@pytest.mark.parametrize(
    ("kind", "flag"),
    [("index-masks", "annotations"), ("coco", "masks"), ("yolo", "masks"), ("dataset", "images"), ("dataset", "link")],
)
def test_a_flag_of_another_source_is_refused(source, kind, flag):
    value = True if flag == "link" else source / "masks"
    with pytest.raises(InputError, match=rf"-{flag}: -from {kind} does not use it; leave it out"):
        convert(ConvertConfig(source=kind, dir=source / "data", **{flag: value}))
    assert not (source / "data").exists()


@pytest.mark.parametrize(
    ("there", "remedy"),
    [("pit\nhole\n", "choose another -dir or give -class_names pit,hole"), ("pit\n", "choose another -dir")],
)
def test_other_names_than_the_folder_has_are_refused_with_a_remedy_that_helps(source, there, remedy):
    (source / "data").mkdir()
    (source / "data" / "classes.txt").write_text(there)
    with pytest.raises(InputError, match=rf"classes.txt: has .*, not pit,crack; {remedy}$"):
        convert(settings(source, class_names=("pit", "crack")))


def test_images_that_lie_in_the_dataset_folder_already_are_not_called_in_the_way(source):
    (source / "images").rename(source / "train_images")
    with pytest.raises(
        InputError, match=r"-images .*train_images: the dataset's images would be written there; name another"
    ):
        convert(settings(source, dir=source, images=source / "train_images"))


def test_a_link_to_an_empty_folder_is_filled(source):
    (source / "large disk").mkdir()
    (source / "data").mkdir()
    (source / "data" / "train_images").symlink_to("../large disk")
    convert(settings(source))
    assert (source / "data" / "train_images").is_symlink()
    assert open_dataset(source / "data").images == ("a.jpg", "b.jpg", "c.jpg")
    assert files(source / "large disk") == ["a.jpg", "b.jpg", "c.jpg"]


def test_black_and_white_masks_are_one_class(source):
    for name in "abc":
        mask = np.array(Image.open(source / "masks" / f"{name}.png"))
        save(source / "masks" / f"{name}.png", (mask > 0).astype(np.uint8) * 255)
    assert convert(settings(source, class_names=("defect",))).per_class == {"defect": 2}


def test_masks_without_an_image_are_left_out_and_named(source):
    save(source / "masks" / "z.png", np.zeros((2, 2), np.uint8))
    assert convert(settings(source)).notes == ["left out 1 masks without an image: z.png"]


def remove(name):
    return lambda source: (source / name).unlink()


@pytest.mark.parametrize(
    ("spoil", "changes", "reason"),
    [
        (remove("masks/b.png"), {}, r"masks: no mask for b.jpg; a clean image needs"),
        (lambda s: save(s / "masks" / "b.png", np.zeros((3, 4), np.uint8)), {}, r"b.png: is 3x4, but b.jpg is 12x20"),
        (lambda s: save(s / "masks" / "b.png", np.full((12, 20), 9, np.uint8)), {}, r"masks/b: pixel value 9, but the masks"),
        (lambda s: save(s / "masks" / "b.png", np.zeros((12, 20, 3), np.uint8)), {}, r"b.png: mode RGB"),
        (lambda s: (s / "masks" / "b.png").write_bytes(b""), {}, r"b.png: empty file"),
        (lambda s: (s / "images" / "b.jpg").write_bytes(b"x"), {}, r"b.jpg: not an image"),
        (lambda s: save(s / "images" / "a.png", np.zeros((12, 20), np.uint8)), {}, r"a.png: a.jpg has the same name"),
        (lambda s: None, {"class_names": ("pit",)}, r"masks/a: pixel value 2, but -class_names has 1"),
        (lambda s: None, {"class_names": ("pit", "pit")}, r"a class name occurs twice"),
        (lambda s: None, {"class_names": ("pit", "together")}, r"a class is called together"),
        (lambda s: None, {"masks": None}, r"needs -masks"),
        (lambda s: None, {"images": None}, r"needs -images"),
        (lambda s: (s / "none").mkdir(), {"images_from": "none"}, r"none: holds no images"),
        (lambda s: None, {"images_from": "nowhere"}, r"nowhere: no such folder"),
        (lambda s: (s / "data" / "train_images").mkdir(parents=True), {"extra": True}, r"train_images: exists already"),
        (lambda s: ((s / "data").mkdir(), (s / "data" / "train.csv").touch()), {}, r"train.csv: exists already"),
        (lambda s: ((s / "data").mkdir(), (s / "data" / "test.csv").touch()), {"split": "test"}, r"test.csv: exists already"),
        (lambda s: ((s / "data").mkdir(), (s / "data" / "classes.txt").write_text("x\n")), {}, r"value 2, but .*classes.txt has x; correct the masks or choose another -dir"),
    ],
)  # fmt: skip
def test_bad_masks_are_a_named_error_and_nothing_is_written(source, spoil, changes, reason):
    spoil(source)
    changes = dict(changes)
    if "images_from" in changes:
        changes["images"] = source / changes.pop("images_from")
    if changes.pop("extra", False):
        (source / "data" / "train_images" / "x.jpg").touch()
    before = files(source)
    with pytest.raises(InputError, match=reason):
        convert(settings(source, **changes))
    assert files(source) == before
    assert not list(source.rglob("*.part"))


def test_a_failing_copy_leaves_nothing_behind(source, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("utils.data.convert.folder.shutil.copyfile", fail)
    with pytest.raises(OSError, match="No space"):
        convert(settings(source))
    assert files(source / "data") == []
    assert list((source / "data").iterdir()) == []


def test_pixels_of_two_classes_keep_the_higher_number_and_are_told(source):
    convert(settings(source))
    (source / "data" / "train.csv").write_text("ImageId,ClassId,EncodedPixels\na.jpg,1,1 3\na.jpg,2,3 2\n")
    summary = convert(ConvertConfig(source="dataset", dir=source / "data", masks=source / "out"))
    assert np.array(Image.open(source / "out" / "a.png"))[:5, 0].tolist() == [1, 1, 2, 2, 0]
    assert summary.notes == ["1 images have pixels of two classes; a mask keeps the higher class number"]


# polygons


def inside(polygon, x, y):
    """Count the edges that a ray to the left crosses, one point at a time; None when an edge touches the point."""
    odd = False
    for (x1, y1), (x2, y2) in zip(polygon, [*polygon[1:], polygon[0]], strict=True):
        if (y1 <= y) != (y2 <= y):
            crossing = x1 + (y - y1) * (x2 - x1) / (y2 - y1)
            if abs(crossing - x) < 1e-6:
                return None
            odd ^= crossing < x
    return odd


@given(
    hnp.arrays(np.float64, st.tuples(st.integers(3, 7), st.just(2)), elements=st.integers(-8, 40).map(lambda v: v / 3)),
    st.integers(1, 9),
    st.integers(1, 9),
)
def test_a_pixel_is_filled_when_its_centre_is_inside(polygon, height, width):
    filled = fill([polygon], height, width)
    corners = [tuple(corner) for corner in polygon.tolist()]
    for y, x in np.ndindex(height, width):
        assert inside(corners, x + 0.5, y + 0.5) in (filled[y, x], None)


def test_a_rectangle_has_exactly_its_pixels_and_polygons_are_joined():
    rectangle = np.array([[2, 1], [6, 1], [6, 4], [2, 4]])
    filled = fill([rectangle, rectangle + 3], 10, 10)
    assert filled[1:4, 2:6].all()
    assert filled.sum() == 12 + 12
    assert not fill([rectangle - 20], 10, 10).any()


# COCO

POLYGON = [3, 2, 9, 2, 9, 5, 3, 5]  # the rectangle of class 1 in picture a


def pack(lengths):
    """Write COCO's text form of run lengths as maskApi.c (rleToString) does."""
    text = ""
    for k, length in enumerate(lengths):
        value = length - (lengths[k - 2] if k > 2 else 0)
        more = True
        while more:
            bits = value & 0x1F
            value >>= 5
            more = value != -1 if bits & 0x10 else value != 0
            text += chr(48 + (bits | 0x20 if more else bits))
    return text


def run_lengths(mask):
    flat = np.asarray(mask, bool).ravel(order="F")
    lengths, current = [0], False
    for pixel in flat:
        if pixel != current:
            lengths.append(0)
            current = bool(pixel)
        lengths[-1] += 1
    return lengths


@given(hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, max_side=40)))
def test_run_lengths_of_coco_are_read_as_list_and_as_text(mask):
    lengths = run_lengths(mask)
    for counts in (lengths, pack(lengths)):
        drawn = mask_of("", {"counts": counts, "size": list(mask.shape)}, *mask.shape)
        assert np.array_equal(drawn, mask)


def test_packed_text_of_an_empty_mask_is_the_known_one():
    assert pack([25]) == "i0"
    assert not mask_of("", {"counts": "i0", "size": [5, 5]}, 5, 5).any()


@pytest.fixture
def coco(source):
    """Labels of the three pictures; returns the content, write it with ``coco_settings``."""
    mask = np.array(Image.open(source / "masks" / "a.png")) == 2
    counts = {"counts": pack(run_lengths(mask)), "size": [HEIGHT, WIDTH]}
    return {
        "images": [{"id": k, "file_name": f"{n}.jpg", "height": HEIGHT, "width": WIDTH} for k, n in enumerate("abc")],
        "categories": [{"id": 7, "name": "crack"}, {"id": 3, "name": "pit"}],
        "annotations": [
            {"id": 1, "image_id": 0, "category_id": 3, "segmentation": [POLYGON]},
            {"id": 2, "image_id": 0, "category_id": 7, "segmentation": counts},
            {"id": 3, "image_id": 1, "category_id": 3, "segmentation": [[0, 0, 12, 0, 12, 1, 0, 1]]},
            {"id": 4, "image_id": 1, "category_id": 3, "segmentation": [[10, 0, 20, 0, 20, 1, 10, 1]]},
        ],
    }


def coco_settings(source, content, **changes):
    (source / "coco.json").write_text(content if isinstance(content, str) else json.dumps(content))
    return settings(source, "coco", annotations=source / "coco.json", **changes)


def same_table(source, root):
    convert(settings(source, dir=source / "reference", class_names=("pit", "crack")))
    return (root / "train.csv").read_text() == (source / "reference" / "train.csv").read_text()


@pytest.mark.parametrize("folder", ["", "train/", "JPEGImages\\"])
def test_coco_gives_the_table_of_the_same_masks(source, coco, folder):
    for image in coco["images"]:
        image["file_name"] = folder + image["file_name"]
    summary = convert(coco_settings(source, coco))
    assert summary.per_class == {"pit": 2, "crack": 1}
    assert same_table(source, source / "data")
    assert open_dataset(source / "data").images == ("a.jpg", "b.jpg", "c.jpg")


def test_class_names_choose_and_order_the_categories_of_coco(source, coco):
    summary = convert(coco_settings(source, coco, class_names=("crack",)))
    assert summary.per_class == {"crack": 1}
    assert summary.notes == ["left out 3 outlines of categories that -class_names does not name"]


def broken(**parts):
    return lambda coco: {**coco, **parts}


def segmentation(value):
    return broken(annotations=[{"id": 5, "image_id": 0, "category_id": 3, "segmentation": value}])


@pytest.mark.parametrize(
    ("spoil", "changes", "reason"),
    [
        (lambda c: "{", {}, r"coco.json: not a JSON file"),
        (lambda c: "[]", {}, r"coco.json: no list 'images'"),
        (lambda c: {"images": []}, {}, r"no list 'annotations'"),
        (broken(images=[{"id": 1}]), {}, r"images\[0\] has no 'file_name'"),
        (broken(images=[{"id": 1, "file_name": 7}]), {}, r"images\[0\] has file_name 7; expected a name"),
        (broken(images=[{"id": 1, "file_name": "q.jpg"}]), {}, r"q.jpg: no such image"),
        (
            broken(images=[{"id": 1, "file_name": "a.jpg", "height": 5, "width": 5}]),
            {},
            r"says a.jpg is 5x5, but .* 12x20",
        ),
        (broken(images=[{"id": 1, "file_name": n} for n in ("a.jpg", "b.jpg")]), {}, r"share a name or an id"),
        (broken(images=[], annotations=[]), {}, r"coco.json: names no images"),
        (broken(annotations=[{"image_id": 9, "category_id": 3}]), {}, r"annotation \?: no image has id 9"),
        (broken(annotations=[{"image_id": 0, "category_id": 9}]), {}, r"no category has id 9"),
        (broken(categories=[{"id": 3, "name": "x"}, {"id": 3, "name": "y"}]), {}, r"two categories share"),
        (
            broken(categories=[{"id": 3, "name": " "}, {"id": 7, "name": "y"}]),
            {},
            r"name of category 3 is not one line",
        ),
        (
            broken(categories=[{"id": 3, "name": "x\ny"}, {"id": 7, "name": "y"}]),
            {},
            r"name of category 3 is not one line",
        ),
        (
            broken(categories=[{"id": 3, "name": "x "}, {"id": 7, "name": "x"}]),
            {},
            r"two categories share an id or a name",
        ),
        (broken(images=[{"id": 1, "file_name": "a.jfif"}]), {}, r"coco.json: a.jfif is not of an image \(.bmp, .jpeg"),
        (broken(images=[{"id": 1, "file_name": "\udcf6.jpg"}]), {}, r"coco.json: .*name is not UTF-8"),
        (segmentation([]), {}, r"annotation 5: has no segmentation, a box is not enough"),
        (segmentation([[1, 2, 3, 4]]), {}, r"annotation 5: a polygon needs at least three"),
        (segmentation([[1, 2, 3, 4, 5, "x"]]), {}, r"annotation 5: a polygon needs"),
        (segmentation({"counts": [5, 5], "size": [HEIGHT, WIDTH]}), {}, r"annotation 5: run lengths do not add up"),
        (segmentation({"counts": [5, 5], "size": [2, 5]}), {}, r"annotation 5: run lengths for size \[2, 5\]"),
        (
            segmentation({"counts": [5, 5], "size": None}),
            {},
            r"annotation 5: run lengths for size None, the image is 12x20",
        ),
        (segmentation({"counts": "\x7f", "size": [HEIGHT, WIDTH]}), {}, r"annotation 5: run lengths cannot be read"),
        (lambda c: c, {"class_names": ("pit", "dent")}, r"-class_names dent: not in .*coco.json, which has crack, pit"),
        (lambda c: c, {"images": None}, r"needs -images FOLDER and -annotations FILE"),
    ],
)
def test_bad_coco_labels_are_a_named_error_and_nothing_is_written(source, coco, spoil, changes, reason):
    with pytest.raises(InputError, match=reason):
        convert(coco_settings(source, spoil(coco), **changes))
    assert not (source / "data").exists()


def test_no_coco_file_is_a_named_error(source):
    with pytest.raises(InputError, match=r"nothing.json: no such file"):
        convert(settings(source, "coco", annotations=source / "nothing.json"))


# YOLO


def yolo(source, **lines):
    folder = source / "labels"
    folder.mkdir(exist_ok=True)
    for name, text in lines.items():
        (folder / f"{name}.txt").write_text(text)
    return settings(source, "yolo", annotations=folder, class_names=("pit", "crack"))


def as_shares(corners):
    return " ".join(str(value / (WIDTH, HEIGHT)[k % 2]) for k, value in enumerate(corners))


def test_yolo_outlines_give_the_table_of_the_same_masks(source):
    crack = [15, 8, 20, 8, 20, 12, 15, 12]
    row = [0, 0, 20, 0, 20, 1, 0, 1]
    a = f"0 {as_shares(POLYGON)}\n\n1 {as_shares(crack)}\n"
    assert convert(yolo(source, a=a, b=f"0 {as_shares(row)}")).per_class == {"pit": 2, "crack": 1}
    assert same_table(source, source / "data")


def test_yolo_names_come_from_the_label_folder(source):
    config = yolo(source, a=f"1 {as_shares(POLYGON)}")
    (source / "labels" / "classes.txt").write_text("spot\nline\n")
    assert convert(settings(source, "yolo", annotations=config.annotations)).per_class == {"spot": 0, "line": 1}


def test_yolo_names_that_are_not_utf8_are_a_named_error(source):
    config = yolo(source, a=f"0 {as_shares(POLYGON)}")
    (source / "labels" / "classes.txt").write_bytes("Löcher\n".encode("latin-1"))
    with pytest.raises(InputError, match=r"classes.txt: not UTF-8 text; save it as UTF-8"):
        convert(settings(source, "yolo", annotations=config.annotations))


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("0 0.5 0.5 0.2 0.2", r"a.txt, line 1: is a box"),
        ("0 0.1 0.1 0.2 0.1 0.2", r"line 1: 5 coordinates"),
        ("0 1 2 30 4 50 60", r"line 1: a coordinate is outside 0..1"),
        ("0 nan 0.1 0.2 0.1 0.2 0.3", r"line 1: a coordinate is outside 0..1"),
        ("x 0.1 0.1 0.2 0.1 0.2 0.3", r"line 1: expected numbers"),
        ("2 0.1 0.1 0.2 0.1 0.2 0.3", r"line 1: class 2, but there are 2 class names"),
        ("-1 0.1 0.1 0.2 0.1 0.2 0.3", r"line 1: class -1"),
    ],
)
def test_bad_yolo_lines_are_a_named_error(source, line, reason):
    with pytest.raises(InputError, match=reason):
        convert(yolo(source, a=line))
    assert not (source / "data").exists()


@pytest.mark.parametrize("kind", ["yolo", "index-masks"])
def test_labels_of_images_that_viewers_turn_are_refused(source, kind):
    """Nobody knows whether they mean the picture that was seen or the pixels that are stored."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 3  # upside down: no size tells
    image = Image.open(source / "images" / "a.jpg").copy()
    image.save(source / "images" / "a.jpg", exif=exif)
    config = yolo(source, a=f"0 {as_shares(POLYGON)}") if kind == "yolo" else settings(source)
    with pytest.raises(
        InputError, match=r"images/a.jpg: viewers turn it \(EXIF orientation\), its labels may too; save it"
    ):
        convert(config)
    exif[ExifTags.Base.Orientation] = 1
    image.save(source / "images" / "a.jpg", exif=exif)
    assert convert(config).images == 3


def test_label_files_of_other_images_are_an_error(source):
    with pytest.raises(InputError, match=r"labels: no label file has the name of an image"):
        convert(yolo(source, z=""))
    with pytest.raises(InputError, match=r"nowhere: no such folder"):
        convert(settings(source, "yolo", annotations=source / "nowhere"))


def test_every_conversion_writes_valid_run_lengths(source, coco):
    convert(coco_settings(source, coco))
    for _, _, text in read_annotations(source / "data" / "train.csv").rows[["image", "class_id", "rle"]].to_numpy():
        assert rle.encode(rle.decode(text, HEIGHT, WIDTH)) == text

"""What the values of masks mean: classes, grey levels, colours, pixels that do not count."""

import json

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from config import ConvertConfig
from utils.data import rle
from utils.data.convert import convert
from utils.data.dataset_folder import open_dataset
from utils.errors import InputError

HEIGHT, WIDTH = 40, 60


def save(path, array, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = array if isinstance(array, Image.Image) else Image.fromarray(array)
    picture.save(path, **options)


def plain(value=0, *boxes):
    """Make a mask of ``value`` with boxes (top, bottom, left, right, value)."""
    mask = np.full((HEIGHT, WIDTH), value, np.uint8)
    for top, bottom, left, right, inside in boxes:
        mask[top:bottom, left:right] = inside
    return mask


def converted(root, files, ending="png", **changes):
    random = np.random.default_rng(1)
    for name, mask in files.items():
        save(root / "images" / f"{name}.jpg", random.integers(0, 255, (HEIGHT, WIDTH), np.uint8))
        save(root / "masks" / f"{name}.{ending}", mask)
    given = {"source": "index-masks", "dir": root / "data", "images": root / "images", "masks": root / "masks"}
    return convert(ConvertConfig(**{**given, **changes}))


def drawn(root, name="a.jpg"):
    return open_dataset(root / "data").annotations.mask(name, HEIGHT, WIDTH)


BOX = plain(0, (10, 30, 20, 50, 255))
SOFT = Image.fromarray(BOX).filter(ImageFilter.GaussianBlur(4))


def ellipse():
    """An anti-aliased ellipse: drawn four times as large and made smaller."""
    large = Image.new("L", (WIDTH * 4, HEIGHT * 4))
    ImageDraw.Draw(large).ellipse((40, 40, 180, 120), fill=255)
    return large.resize((WIDTH, HEIGHT), Image.Resampling.BILINEAR)


@pytest.mark.parametrize(
    ("mask", "ending", "reason"),
    [
        (SOFT, "png", r"masks/a.png: \d+ values besides 0 are grey levels, .*give -mask_threshold 128"),
        (
            Image.fromarray(np.tile(np.arange(60, dtype=np.uint8), (40, 1))),
            "png",
            r"a.png: 59 values besides 0 are grey",
        ),
        (BOX, "jpg", r"masks/a.jpg: JPEG has changed the mask's values, .*give -mask_threshold 128"),
        (Image.fromarray(plain(0, (9, 30, 20, 50, 1))).resize((WIDTH, HEIGHT)), "jpg", None),
        (ellipse(), "png", r"a.png: .*give -mask_threshold 128"),
        (plain(0, (10, 30, 20, 50, 127), (0, 5, 0, 5, 255)), "png", r"a: pixel value 127, .*-mask_values 0,V1,V2"),
        (
            plain(0, (10, 30, 20, 50, 1), (9, 10, 20, 50, 255)),
            "png",
            r"value 255, .*or -ignore_value 255 where it marks",
        ),
    ],
)
def test_grey_levels_are_not_taken_for_classes(tmp_path, mask, ending, reason):
    if reason is None:
        reason = r"JPEG has changed|every mask is empty"
    with pytest.raises(InputError, match=reason):
        converted(tmp_path, {"a": mask}, ending)
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("kind", ["soft", "ellipse", "jpeg", "rgb", "rgb jpeg", "one bit", "palette"])
def test_a_threshold_makes_one_class_of_grey_levels(tmp_path, kind):
    mask = {
        "soft": SOFT,
        "ellipse": ellipse(),
        "rgb": SOFT.convert("RGB"),
        "rgb jpeg": SOFT.convert("RGB"),
        "one bit": Image.fromarray(BOX).convert("1"),
        "palette": Image.fromarray(BOX).convert("P"),
    }.get(kind, Image.fromarray(BOX))
    ending = "jpg" if "jpeg" in kind else "png"
    converted(tmp_path, {"a": mask}, ending, mask_threshold=128)
    expected = np.array(mask.convert("L")) >= 128
    wrong = drawn(tmp_path)[..., 0].astype(bool) ^ expected
    assert wrong.sum() <= (30 if "jpeg" in kind else 0)
    assert open_dataset(tmp_path / "data").annotations.class_names == ("1",)


@pytest.mark.parametrize(
    ("mask", "changes", "reason"),
    [
        (plain(0, (1, 5, 1, 5, 1)), {}, r"-mask_threshold 128, their grey levels are 0, 1; give -mask_threshold 1$"),
        (plain(0, (1, 5, 1, 5, 1)), {"class_names": ("pit",)}, r"give -mask_threshold 1$"),
        ("red", {}, r"grey levels are 0, 76; give -mask_threshold 38$"),
        (BOX, {"ignore_value": 255}, r"grey levels are 0, 255; leave out -ignore_value 255"),
        (plain(), {}, r"every mask is empty"),
    ],
)
def test_a_threshold_that_finds_no_defect_is_refused(tmp_path, mask, changes, reason):
    if isinstance(mask, str):
        mask = palette(plain(0, (1, 5, 1, 5, 1)), [BLACK, RED])
    with pytest.raises(InputError, match=reason):
        converted(tmp_path, {"a": mask, "b": plain()}, mask_threshold=128, **changes)
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("changes", [{}, {"mask_threshold": 128}, {"mask_values": ("0", "255")}])
def test_masks_without_any_label_are_told(tmp_path, changes):
    summary = converted(tmp_path, {"a": plain(), "b": plain()}, class_names=("pit",), **changes)
    assert summary.notes == ["warning: no image has a label; all 2 count as clean"]


def test_values_are_mapped_to_classes_in_their_order(tmp_path):
    mask = plain(0, (5, 10, 5, 10, 255), (20, 30, 20, 40, 127))
    converted(tmp_path, {"a": mask}, mask_values=("0", "127", "255"), class_names=("scratch", "pit"))
    assert drawn(tmp_path).sum((0, 1)).tolist() == [200, 25]
    save(tmp_path / "masks" / "a.png", plain(255, (5, 10, 5, 10, 0)))  # white is the background
    converted(tmp_path, {}, dir=tmp_path / "other", mask_values=("255", "0"))
    assert open_dataset(tmp_path / "other").annotations.mask("a.jpg", HEIGHT, WIDTH).sum() == 25


def test_jpeg_takes_the_nearest_value_and_says_so(tmp_path):
    mask = plain(0, (8, 16, 8, 16, 255), (24, 32, 24, 40, 127))
    summary = converted(tmp_path, {"a": mask}, "jpg", mask_values=("0", "127", "255"))
    assert drawn(tmp_path)[9:15, 9:15, 1].all()
    assert drawn(tmp_path)[25:31, 25:39, 0].all()
    assert any("JPEG masks: each pixel took the nearest of -mask_values" in note for note in summary.notes)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"mask_values": ("0", "127")}, r"masks/a.png: pixel value 255 is none of -mask_values 0,127"),
        ({"mask_values": ("0",)}, r"-mask_values 0: expected different grey levels"),
        ({"mask_values": ("0", "0")}, r"-mask_values 0,0: expected different"),
        ({"mask_values": ("0", "256")}, r"-mask_values 0,256: expected different grey levels 0..255"),
        ({"mask_values": ("0", "x")}, r"-mask_values 0,x: expected"),
        ({"mask_values": ("0", "255"), "mask_threshold": 5}, r"-mask_values 0,255: not beside -mask_threshold"),
        ({"mask_values": ("0", "255"), "ignore_value": 255}, r"-ignore_value 255: is one of -mask_values"),
        ({"mask_values": ("0", "255"), "class_names": ("a", "b")}, r"background and 1 classes, but -class_names has 2"),
        ({"mask_threshold": 128, "class_names": ("a", "b")}, r"-mask_threshold: gives one class, but 2 have names"),
    ],
)
def test_flags_that_contradict_are_one_line(tmp_path, changes, reason):
    with pytest.raises(InputError, match=reason):
        converted(tmp_path, {"a": plain(0, (1, 5, 1, 5, 255))}, **changes)


def test_ignored_pixels_are_no_class_and_get_their_table(tmp_path):
    mask = plain(0, (9, 31, 19, 51, 255), (10, 30, 20, 50, 1))
    summary = converted(tmp_path, {"a": mask, "b": plain(0, (1, 5, 1, 5, 1))}, ignore_value=255)
    annotations = open_dataset(tmp_path / "data").annotations
    assert drawn(tmp_path)[..., 0].sum() == 600
    assert np.array_equal(annotations.ignored_mask("a.jpg", HEIGHT, WIDTH), mask == 255)
    assert annotations.ignored_mask("b.jpg", HEIGHT, WIDTH) is None
    assert (tmp_path / "data" / "ignore.csv").read_text() == f"ImageId,EncodedPixels\na.jpg,{rle.encode(mask == 255)}\n"
    assert "ignored pixels (-ignore_value 255) in 1 image" in summary.notes
    convert(ConvertConfig(source="dataset", dir=tmp_path / "data", masks=tmp_path / "back"))
    assert np.array_equal(np.array(Image.open(tmp_path / "back" / "a.png")), mask)


def palette(index, colours):
    picture = Image.fromarray(index).convert("P")
    picture = Image.frombytes("P", (WIDTH, HEIGHT), index.tobytes())
    picture.putpalette([channel for colour in colours for channel in colour])
    return picture


BLACK, RED, GREEN, BLUE = (0, 0, 0), (255, 0, 0), (0, 255, 0), (0, 0, 255)


def test_palettes_that_differ_are_mapped_by_colour(tmp_path):
    """As programs write them that keep the colours of each file only: red is 1 in one file and green in another."""
    masks = {
        "a": palette(plain(0, (0, 5, 0, 5, 1)), [BLACK, RED]),
        "b": palette(plain(0, (0, 5, 0, 6, 1)), [BLACK, GREEN]),
        "c": palette(plain(0, (0, 5, 0, 7, 1), (10, 15, 0, 8, 2)), [BLACK, RED, GREEN]),
        "d": palette(plain(1, (0, 5, 0, 9, 0)), [GREEN, BLACK]),
    }
    summary = converted(tmp_path, masks)
    counts = {name: drawn(tmp_path, f"{name}.jpg").sum((0, 1)).tolist() for name in "abcd"}
    assert counts == {"a": [25, 0], "b": [0, 30], "c": [35, 40], "d": [0, 45]}
    assert summary.notes == [
        "the palettes of the masks differ; numbered by colour as in c.png: 0 = #000000, 1 = #ff0000, 2 = #00ff00"
    ]


@pytest.mark.parametrize("whole", [[BLACK, GREEN, RED], None])
def test_names_are_given_to_colours_only_where_a_file_says_their_order(tmp_path, whole):
    masks = {
        "a": palette(plain(0, (0, 5, 0, 5, 1)), [BLACK, RED]),
        "b": palette(plain(0, (0, 5, 0, 6, 1)), [BLACK, GREEN]),
    }
    if whole:
        masks["c"] = palette(plain(0, (0, 5, 0, 7, 1), (10, 15, 0, 8, 2)), whole)
        converted(tmp_path, masks, class_names=("pit", "crack"))
        assert drawn(tmp_path, "c.jpg").sum((0, 1)).tolist() == [35, 40]
        save(tmp_path / "masks" / "b.png", palette(plain(0, (0, 5, 0, 6, 1), (9, 10, 0, 1, 2)), [BLACK, RED, GREEN]))
        masks = {}
    reason = r"which of the colours #.*each class name means; save all with one palette, or .*-mask_values 0,(76,150|150,76)$"
    with pytest.raises(InputError, match=reason):
        converted(tmp_path, masks, dir=tmp_path / "other", class_names=("pit", "crack"))
    converted(tmp_path, {}, dir=tmp_path / "other", class_names=("pit", "crack"), mask_values=("0", "150", "76"))
    assert open_dataset(tmp_path / "other").annotations.mask("a.jpg", HEIGHT, WIDTH).sum((0, 1)).tolist() == [0, 25]


def test_inverted_masks_are_told(tmp_path):
    summary = converted(tmp_path, {"a": plain(255, (0, 10, 0, 24, 0))})
    assert summary.notes == ["warning: 90% of all pixels are labelled as defects; are the masks inverted?"]


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_grey_that_was_saved_in_colour_is_told_with_the_flag(tmp_path, mode):
    with pytest.raises(InputError, match=rf"a.png: mode {mode}, .*grey saved in colour: give -mask_threshold 128"):
        converted(tmp_path, {"a": Image.fromarray(BOX).convert(mode)})


def test_one_palette_for_all_keeps_its_numbers(tmp_path):
    masks = {
        "a": palette(plain(0, (0, 5, 0, 5, 2)), [BLACK, RED, GREEN, BLUE]),
        "b": palette(plain(0, (0, 5, 0, 5, 1)), [BLACK, RED]),
    }
    assert converted(tmp_path, masks).notes == []
    assert drawn(tmp_path, "a.jpg").sum((0, 1)).tolist() == [0, 25]


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        (plain(0, (0, 5, 0, 5, 1)), r"b.png: has no palette, and the palettes of the others differ"),
        (
            palette(plain(0, (0, 5, 0, 5, 1), (9, 10, 0, 5, 2)), [BLACK, RED, RED]),
            r"b.png: two numbers have one colour",
        ),
    ],
)
def test_palettes_that_differ_and_cannot_be_mapped_are_refused(tmp_path, other, reason):
    masks = {"a": palette(plain(0, (0, 5, 0, 5, 1)), [BLACK, GREEN]), "b": other}
    masks["c"] = palette(plain(0, (0, 5, 0, 5, 1)), [BLACK, BLUE])
    with pytest.raises(InputError, match=reason):
        converted(tmp_path, masks)


@pytest.mark.parametrize("ending", ["_label.bmp", "_mask.png", "_gt.png"])
def test_one_folder_of_images_and_masks_is_told_apart_by_the_names(tmp_path, ending):
    for name in ("Part0", "Part1"):
        save(tmp_path / "all" / f"{name}.jpg", np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH), np.uint8))
        save(tmp_path / "all" / f"{name}{ending}", BOX if name == "Part1" else plain())
    summary = converted(tmp_path, {}, images=tmp_path / "all", masks=tmp_path / "all")
    assert open_dataset(tmp_path / "data").images == ("Part0.jpg", "Part1.jpg")
    assert summary.per_class == {"1": 1}


def test_masks_in_their_own_folder_may_have_the_ending_too(tmp_path):
    converted(tmp_path, {"a": BOX})
    (tmp_path / "masks" / "a.png").rename(tmp_path / "masks" / "a_mask.png")
    assert converted(tmp_path, {}, dir=tmp_path / "other").per_class == {"1": 1}


def test_photographs_are_never_their_own_masks(tmp_path):
    save(tmp_path / "all" / "a.png", plain())
    (tmp_path / "link").symlink_to(tmp_path / "all")
    with pytest.raises(
        InputError, match=r"-masks .*link: is the folder of the images, and no file in it is called NAME_mask"
    ):
        converted(tmp_path, {}, images=tmp_path / "all", masks=tmp_path / "link")


@pytest.mark.parametrize("spoil", ["missing", "size", "value", "damaged"])
def test_skip_bad_leaves_out_the_image_of_a_bad_mask(tmp_path, spoil):
    masks = {"a": plain(0, (0, 5, 0, 5, 1)), "b": plain(0, (0, 5, 0, 5, 9)) if spoil == "value" else plain()}
    converted(tmp_path, {"a": masks["a"], "b": plain()}, dir=tmp_path / "first")
    save(tmp_path / "masks" / "b.png", masks["b"])
    bad = tmp_path / "masks" / "b.png"
    if spoil == "missing":
        bad.unlink()
    elif spoil == "size":
        save(bad, np.zeros((3, 4), np.uint8))
    elif spoil == "damaged":
        bad.write_bytes(bad.read_bytes()[:40])
    summary = converted(tmp_path, {}, class_names=("pit",), skip_bad=True)
    assert open_dataset(tmp_path / "data").images == ("a.jpg",)
    assert [entry.image for entry in summary.left_out] == ["b.jpg"]
    assert [entry["image"] for entry in json.loads((tmp_path / "data" / "summary.json").read_text())["left_out"]] == [
        "b.jpg"
    ]


def test_equal_names_in_different_folders_stay_apart_there_and_back(tmp_path):
    masks = {"line1/a": plain(0, (0, 5, 0, 5, 1)), "line2/a": plain(0, (7, 9, 0, 5, 2)), "b": plain()}
    summary = converted(tmp_path, masks)
    assert "2 in folders within: line1/ 1, line2/ 1" in summary.notes
    assert open_dataset(tmp_path / "data").images == ("b.jpg", "line1/a.jpg", "line2/a.jpg")
    convert(ConvertConfig(source="dataset", dir=tmp_path / "data", masks=tmp_path / "again"))
    for name, mask in masks.items():
        np.testing.assert_array_equal(np.array(Image.open(tmp_path / "again" / f"{name}.png")), mask)


@pytest.mark.parametrize("masks", ["images/masks", "."])
def test_masks_and_results_within_the_folder_of_images_are_no_images(tmp_path, masks):
    """Folders may lie in each other: the masks in that of the images, the images in that of the masks."""
    save(tmp_path / "images" / "a.jpg", plain(90))
    save(tmp_path / masks / "a.png", BOX)
    data = tmp_path / "images" / "data"
    for split in ("train", "test"):
        assert converted(tmp_path, {}, masks=tmp_path / masks, dir=data, split=split).images == 1
    assert open_dataset(data).images == ("a.jpg",)


def test_an_interrupted_conversion_with_folders_is_taken_away(tmp_path):
    converted(tmp_path, {"line1/a": BOX})
    (tmp_path / "data" / "train.csv").unlink()
    (tmp_path / "data" / "train_images" / ".unfinished").write_text("")
    assert converted(tmp_path, {}).images == 1

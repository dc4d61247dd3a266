"""What happens to image and masks before the network sees them."""

import numpy as np
import pytest

from utils.data import transforms
from utils.data.rectangles import Rectangles
from utils.data.rle import encode, parse


def rectangles_of(masks: np.ndarray) -> list[Rectangles]:
    height, width = masks.shape[:2]
    return [Rectangles.of_runs(parse(encode(mask), height, width), height, width) for mask in np.moveaxis(masks, 2, 0)]


def strip(height=40, width=60, classes=6):
    """Masks whose class k marks its pixels in the image with the value 40 k."""
    image = np.zeros((height, width, 3), np.uint8)
    masks = np.zeros((height, width, classes), np.uint8)
    for index in range(classes):
        rows = slice(3 + 6 * index, 7 + 6 * index)
        image[rows, 10:50] = 40 * (index + 1)
        masks[rows, 10:50, index] = 1
    return image, masks


@pytest.mark.parametrize("name", ["published", "flips", "d4", "strong"])
def test_an_augmentation_follows_its_seed(name):
    image, masks = strip(60, 60)
    change = transforms.augmentation(name)
    outputs = []
    for seed in (1, 1, 2):
        change.set_random_seed(seed)
        outputs.append(change(image=image, mask=masks))
    assert np.array_equal(outputs[0]["image"], outputs[1]["image"])
    assert not np.array_equal(outputs[0]["image"], outputs[2]["image"])
    assert outputs[0]["mask"].shape == masks.shape
    assert set(np.unique(outputs[0]["mask"])) <= {0, 1}


# Scales of 0.75 leave of a defect four pixels wide little but its edges.
@pytest.mark.parametrize(("name", "times"), [("published", 1), ("flips", 1), ("d4", 1), ("strong", 3)])
def test_masks_move_with_the_image(name, times):
    image, masks = (array.repeat(times, axis=0).repeat(times, axis=1) for array in strip(60, 60))
    change = transforms.augmentation(name)
    overlap = []
    for seed in range(40):
        change.set_random_seed(seed)
        out = change(image=image, mask=masks)
        bright = out["image"].max(axis=2) > out["image"].min() + 15
        labelled = out["mask"].any(axis=2)
        overlap.append((bright & labelled).sum() / max(1, (bright | labelled).sum()))
    # Brightness moves the threshold and bilinear edges blur it, so the bound is on the typical sample.
    assert np.median(overlap) > 0.85


def test_d4_gives_all_eight_symmetries_of_a_square_and_no_other():
    masks = np.arange(9, dtype=np.uint8).reshape(3, 3, 1)
    image = np.full((3, 3, 3), 128, np.uint8)
    square = masks[..., 0]
    expected = {np.rot90(turned, quarter).tobytes() for turned in (square, square.T) for quarter in range(4)}
    change = transforms.augmentation("d4")
    change.set_random_seed(0)
    assert {change(image=image, mask=masks)["mask"].tobytes() for _ in range(200)} == expected
    assert len(expected) == 8


@pytest.mark.parametrize("name", ["published", "flips", "strong"])
@pytest.mark.parametrize("size", [(1, 1), (1, 50), (2, 7), (3, 3), (40, 4), (7, 7), (8, 8), (8, 60)])
def test_images_of_few_pixels_can_be_changed(name, size):
    size = (min(size),) * 2 if name == "strong" else size  # quarter turns are for squares
    change = transforms.augmentation(name)
    image, masks = np.full((*size, 3), 128, np.uint8), np.ones((*size, 2), np.uint8)
    for seed in range(40):
        change.set_random_seed(seed)
        out = change(image=image, mask=masks)
        assert out["image"].shape == image.shape
        assert out["mask"].shape == masks.shape


def test_none_changes_nothing():
    assert transforms.augmentation("none") is None


def test_resize_keeps_the_channel_axis_of_grey_images():
    image, _ = strip()
    assert transforms.resize(image[..., :1], 20, 30).shape == (20, 30, 1)


def crop_by_drawn_masks(masks, height, width, defect_share, random):
    """What ``crop_window`` chooses, from masks instead of rectangles."""
    most_top, most_left = max(masks.shape[0] - height, 0), max(masks.shape[1] - width, 0)
    present = np.flatnonzero(masks.any(axis=(0, 1)))
    if present.size and random.random() < defect_share:
        pixels = np.flatnonzero(masks[:, :, random.choice(present)])
        row, column = divmod(int(random.choice(pixels)), masks.shape[1])
        top = random.integers(max(0, row - height + 1), min(row, most_top) + 1)
        left = random.integers(max(0, column - width + 1), min(column, most_left) + 1)
        return int(top), int(left)
    return int(random.integers(0, most_top + 1)), int(random.integers(0, most_left + 1))


@pytest.mark.parametrize("size", [(8, 8), (16, 64), (40, 60), (100, 7)])
@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_crops_are_the_same_as_from_drawn_masks(size, share):
    for seed in range(20):
        random = np.random.default_rng(seed)
        masks = (random.random((40, 60, 3)) < (0.2, 0, 0.01)).astype(np.uint8)
        expected = crop_by_drawn_masks(masks, *size, share, np.random.default_rng(seed))
        assert transforms.crop_window(rectangles_of(masks), *size, share, np.random.default_rng(seed)) == expected


def test_a_crop_on_a_defect_holds_it():
    _, masks = strip()
    random = np.random.default_rng(0)
    for _ in range(50):
        top, left = transforms.crop_window(rectangles_of(masks), 8, 8, 1.0, random)
        assert 0 <= top <= 32
        assert 0 <= left <= 52
        assert masks[top : top + 8, left : left + 8].any()


def test_crops_reach_every_place_of_a_clean_image():
    random = np.random.default_rng(0)
    clean = rectangles_of(np.zeros((4, 5, 1), np.uint8))
    places = {transforms.crop_window(clean, 3, 3, 1.0, random) for _ in range(200)}
    assert places == {(top, left) for top in (0, 1) for left in (0, 1, 2)}


def test_black_out_removes_whole_defects_and_their_labels():
    image, masks = strip()
    out, out_masks = transforms.black_out(image, masks, 0.5, np.random.default_rng(3))
    for index in range(6):
        rows = slice(3 + 6 * index, 7 + 6 * index)
        kept = out_masks[rows, 10:50, index]
        assert kept.min() == kept.max()
        assert np.array_equal(out[rows, 10:50].any(), bool(kept.max()))
    assert 0 < out_masks.sum() < masks.sum()


def test_black_out_leaves_what_it_was_given_as_it_was():
    image, masks = strip()
    for given in ((image, masks), (image[:, ::-1], masks[:, ::-1]), (image[3:, 5:, :1], masks[3:, 5:])):
        before = given[0].copy(), given[1].copy()
        out, out_masks = transforms.black_out(*given, 1.0, np.random.default_rng(0))
        assert np.array_equal(given[0], before[0])
        assert np.array_equal(given[1], before[1])
        assert not out_masks.any()
        assert np.array_equal(out, np.where(before[1].any(axis=2, keepdims=True), 0, before[0]))


@pytest.mark.parametrize(("height", "width"), [(40, 60), (41, 64), (100, 200)])
def test_padding_mirrors_image_and_masks_alike(height, width):
    image, masks = strip()
    out, out_masks = transforms.pad(image, masks, height, width)
    assert out.shape == (height, width, 3)
    assert np.array_equal(out[..., 0] > 0, out_masks.any(axis=2))


@pytest.mark.parametrize(
    ("share", "size"), [(0, (96, 96)), (0.1, (96, 160)), (0.5, (160, 416)), (0.99, (192, 704)), (1, (200, 720))]
)
def test_a_size_on_its_way_is_a_multiple_of_32(share, size):
    assert transforms.grown((96, 96), (200, 720), share) == size


def test_no_side_starts_above_the_full_size():
    assert [transforms.grown((96, 512), (200, 300), share) for share in (0, 0.5, 1)] == [
        (96, 300),
        (160, 300),
        (200, 300),
    ]


def test_resizing_keeps_masks_on_their_defects():
    image, masks = strip(80, 120)
    small, labels = transforms.resize_both(image, masks, 40, 60)
    assert small.shape == (40, 60, 3)
    assert labels.shape == (40, 60, 6)
    assert set(np.unique(labels)) == {0, 1}
    for index in range(6):
        inside = small[..., 0][labels[..., index] == 1]
        assert inside.min() >= 20 * (index + 1)  # half its value where half of a pixel is background
        assert labels[..., index].sum() == pytest.approx(masks[..., index].sum() / 4, rel=0.3)

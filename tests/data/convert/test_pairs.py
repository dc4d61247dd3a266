"""Masks are found by the names that data sets give them, also in the folder of the images."""

import numpy as np
import pytest
from PIL import Image

from config import ConvertConfig
from utils.data.convert import convert
from utils.data.convert.pairs import find_pairs
from utils.data.dataset_folder import open_dataset
from utils.errors import InputError

SIZE = (6, 8)


def save(path, box=0, value=255):
    """Save a picture with a square of ``box`` pixels a side."""
    picture = np.zeros(SIZE, np.uint8)
    picture[:box, :box] = value
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(path)


def converted(root, images, masks, **changes):
    config = {"source": "index-masks", "dir": root / "data", "class_names": ("defect",)}
    summary = convert(ConvertConfig(images=root / images, masks=root / masks, **config, **changes))
    dataset = open_dataset(root / "data")
    areas = {name: int(dataset.annotations.mask(name, *SIZE).sum()) for name in dataset.images}
    return areas, summary


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("Part0.jpg", "Part0_label.bmp"),  # KolektorSDD
        ("10000.png", "10000_GT.png"),  # KolektorSDD2
        ("exp1_num_4727.jpg", "exp1_num_4727.png"),  # magnetic tiles
        ("a.jpg", "a.jpg.png"),
        ("a.png", "a_mask.png"),
        ("a.tif", "A_MASK.png"),
        ("0576.PNG", "0576_label.PNG"),  # DAGM
        ("a.bmp", "a_matte.png"),
    ],
)
def test_images_and_masks_in_one_folder_or_in_two(tmp_path, image, mask):
    for kind, images, masks in (("one", "all", "all"), ("two", "images", "masks")):
        root = tmp_path / kind
        for place, area in (("kos01", 2), ("kos02", 3)):  # equal names in different folders
            save(root / images / place / image)
            save(root / masks / place / mask, area)
        areas, summary = converted(root, images, masks)
        assert areas == {f"kos01/{image}": 4, f"kos02/{image}": 9}
        assert not any("left out" in note for note in summary.notes)


def test_images_of_mvtec_without_a_mask_are_clean_where_they_are_good(tmp_path):
    for name in ("crack/000", "good/000", "good/001"):
        save(tmp_path / "test" / f"{name}.png")
    save(tmp_path / "truth" / "crack" / "000_mask.png", 2)
    areas, summary = converted(tmp_path, "test", "truth")
    assert areas == {"crack/000.png": 4, "good/000.png": 0, "good/001.png": 0}
    assert "2 images without a mask in a folder of good ones: good/000.png, good/001.png" in summary.notes


def test_elsewhere_an_image_without_a_mask_is_an_error(tmp_path):
    for name in ("crack/000", "crack/001", "bad/000"):
        save(tmp_path / "test" / f"{name}.png")
    save(tmp_path / "truth" / "crack" / "000_mask.png", 2)
    with pytest.raises(InputError, match=r"truth: no mask for .*bad/000\.png"):
        converted(tmp_path, "test", "truth")


def test_a_folder_called_good_says_nothing_where_no_image_has_a_mask(tmp_path):
    save(tmp_path / "good" / "a.png")
    save(tmp_path / "masks" / "other.png")
    assert find_pairs(tmp_path, tmp_path / "masks", tmp_path / "data").good == []


def test_masks_of_no_image_are_told(tmp_path):
    save(tmp_path / "images" / "a.jpg")
    save(tmp_path / "masks" / "a.png", 2)
    save(tmp_path / "masks" / "z.png", 2)
    _, summary = converted(tmp_path, "images", "masks")
    assert "left out 1 masks without an image: z.png" in summary.notes


def test_two_photographs_of_one_name_in_one_folder_are_refused(tmp_path):
    for name in ("a.jpg", "a.tif", "b.jpg", "b_mask.png"):
        save(tmp_path / "all" / name)
    with pytest.raises(InputError, match=r"a\.jpg has the same name but for the suffix; rename one"):
        converted(tmp_path, "all", "all")


def test_an_image_is_the_mask_of_no_two(tmp_path):
    """A picture called NAME_mask is a mask, also where another is called NAME_mask_label."""
    save(tmp_path / "all" / "a.png")
    save(tmp_path / "all" / "a_mask.png", 2)
    save(tmp_path / "all" / "b.png")
    save(tmp_path / "all" / "b_label.png", 3)
    areas, _ = converted(tmp_path, "all", "all")
    assert areas == {"a.png": 4, "b.png": 9}

"""Find the mask of each image by its name, as data sets and programs call masks, also in the folder of the images."""

import os
from dataclasses import dataclass, field
from pathlib import Path

from utils.data.convert.labels import by_stem
from utils.data.listing import image_names
from utils.errors import InputError

# What programs add to an image's name for its mask; capital letters or not.
ENDINGS = (
    "_mask",
    "_label",
    "_masks",
    "_labels",
    "_gt",
    "_seg",
    "_segmentation",
    "_annotation",
    "-mask",
    "-label",
    "_matte",
    "_groundtruth",
    "_ground_truth",
)
PHOTOS = (".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
MASKS = (".png", ".bmp")
GOOD = {"good", "ok", "normal"}  # what anomaly data sets call the folder of images without a defect


@dataclass(frozen=True)
class Pairs:
    """Images and their masks.

    Attributes:
        images: name of an image without its suffix -> its name.
        masks: the same -> its mask, of images that have one.
        unused: masks of no image, names in their folder.
        good: names of images without a mask that lie in a folder of images without defects.
    """

    images: dict[str, str]
    masks: dict[str, Path]
    unused: list[str] = field(default_factory=list)
    good: list[str] = field(default_factory=list)


def find_pairs(folder: Path, mask_folder: Path, written: Path) -> Pairs:
    """Find images and their masks: of the same name, with one of ``ENDINGS``, or called NAME.jpg.png.

    Masks may lie in a folder within that of the images, or the other way round, and so may the folder that is written.

    Args:
        folder: of the images.
        mask_folder: of the masks; may be the same.
        written: the folder that is written.

    Raises:
        InputError: a folder holds no images, or in one folder no file is called like a mask.
    """
    if folder.is_dir() and mask_folder.is_dir() and folder.samefile(mask_folder):
        return _in_one_folder(folder, mask_folder, written)
    images = by_stem(folder, apart=[mask_folder, written])
    masks = by_stem(mask_folder, apart=[folder, written])
    named = {}
    lower = {stem.casefold(): stem for stem in masks}
    for stem, image in images.items():
        found = [one for one in (stem, image) if one in masks]
        found += [lower[key] for ending in ENDINGS if (key := (stem + ending).casefold()) in lower]
        if found:
            named[stem] = mask_folder / masks[found[0]]
    taken = set(named.values())
    unused = [name for name in masks.values() if mask_folder / name not in taken]
    return _good(Pairs(images, named, unused))


def _in_one_folder(folder: Path, mask_folder: Path, written: Path) -> Pairs:
    """Tell images and masks in one folder apart: by an ending, else a PNG or BMP beside a photograph of that name."""
    names = image_names(folder, apart=[written])
    stems = {name: os.path.splitext(name)[0] for name in names}  # noqa: PTH122 - 50,000 names
    by_lower: dict[str, list[str]] = {}
    for name, stem in stems.items():
        by_lower.setdefault(stem.casefold(), []).append(name)
    mask_of: dict[str, str] = {}
    for name, stem in stems.items():
        keys = [(stem + ending).casefold() for ending in ENDINGS] + [name.casefold()]
        others = [other for key in keys for other in by_lower.get(key, []) if other != name]
        if not others and name.lower().endswith(PHOTOS):
            others = [
                other
                for other in by_lower[stem.casefold()]
                if other != name and other.lower().endswith(MASKS) and stems[other] == stem
            ]
        if others:
            mask_of[name] = others[0]
    masks = set(mask_of.values())
    if not masks:
        raise InputError(
            f"-masks {mask_folder}: is the folder of the images, and no file in it is called NAME{ENDINGS[0]} or"
            f" NAME{ENDINGS[1]}; put the masks into a folder of their own"
        )
    images: dict[str, str] = {}
    for name in names:
        if name in masks:
            continue
        if (other := images.setdefault(stems[name], name)) != name:
            raise InputError(f"{folder / name}: {other} has the same name but for the suffix; rename one")
    return _good(Pairs(images, {stem: folder / mask_of[name] for stem, name in images.items() if name in mask_of}))


def _good(pairs: Pairs) -> Pairs:
    """Name the images without a mask that lie in a folder called good; where all do, nothing is known of any."""
    good = [
        name
        for stem, name in pairs.images.items()
        if stem not in pairs.masks and GOOD & set(name.casefold().split("/")[:-1])
    ]
    return Pairs(pairs.images, pairs.masks, pairs.unused, good if pairs.masks else [])

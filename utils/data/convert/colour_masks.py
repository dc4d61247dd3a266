"""Read masks in which a colour means a class, such as CVAT's "Segmentation mask 1.1"."""

from pathlib import Path

import numpy as np
from PIL import Image

from config import ConvertConfig
from utils.data import rle
from utils.data.convert.colour_table import Rgb, colour_table
from utils.data.convert.labels import Labels, Skipping, refuse_other_size, some, upright_size
from utils.data.convert.pairs import find_pairs
from utils.data.images import ImageError, open_image
from utils.errors import InputError
from utils.text import plural

CLASSES, LIST = "SegmentationClass", "ImageSets"


def read_colour_masks(config: ConvertConfig) -> Labels:
    """Pair images and masks by name and encode each colour.

    Args:
        config: ``images``, ``masks`` (may be the same folder, or the one that has SegmentationClass), ``colours`` (none:
            labelmap.txt), ``class_names`` (none: those of the table, in its order; else these and no others) and
            ``skip_bad``.

    Raises:
        InputError: an image without a mask, a mask of another size, or a colour that the table does not have.
    """
    if config.images is None or config.masks is None:
        raise InputError("convert -from colour-masks needs -images FOLDER and -masks FOLDER")
    masks = config.masks / CLASSES if (config.masks / CLASSES).is_dir() else config.masks
    table, where = colour_table(config)
    names = [name for name in table.values() if name is not None]
    if config.class_names:
        unknown = [name for name in config.class_names if name not in names]
        if unknown:
            raise InputError(f"-class_names {some(unknown)}: {where} has {some(names, 10)}")
        names = list(config.class_names)
    numbers = {colour: names.index(name) + 1 if name in names else 0 for colour, name in table.items()}
    pairs = find_pairs(config.images, masks, config.dir)
    clean = set(pairs.good) | _listed_clean(masks, pairs.images)
    skipping = Skipping(config.skip_bad)
    missing = [name for stem, name in pairs.images.items() if stem not in pairs.masks and name not in clean]
    if missing:
        error = InputError(f"{masks}: no mask for {some(missing)}; a clean image needs a mask of background")
        for name in missing:
            skipping.leave_out(name, error)
    folder = config.images

    def read(stem: str) -> dict[int, str]:
        path = pairs.masks[stem]
        refuse_other_size(path, pairs.images[stem], upright_size(folder / pairs.images[stem]))
        index = _read(path, numbers, where)
        return {number: rle.encode(index == number) for number in np.unique(index).tolist() if number}

    there = [stem for stem in pairs.images if stem in pairs.masks]
    found = skipping.try_each(read, there, lambda stem: pairs.images[stem], "reading masks")
    codes = {pairs.images[stem]: code for stem, code in found.items()}
    codes |= {name: {} for name in clean if name not in codes}
    notes = [f"colours of the classes from {where}"]
    if clean:
        notes.append(f"{plural(len(clean), 'image')} without a mask taken as clean: {some(sorted(clean))}")
    if pairs.unused:
        notes.append(f"left out {len(pairs.unused)} masks without an image: {some(pairs.unused)}")
    kept = {name: folder / name for name in sorted(codes)}
    return Labels(kept, codes, tuple(names), notes, left_out=skipping.left_out)


def _read(path: Path, numbers: dict[Rgb, int], where: str) -> np.ndarray:
    """Read a mask as class numbers, (H, W) uint8."""
    with open_image(path) as image:
        if image.format in ("JPEG", "MPO"):
            raise ImageError(path, "JPEG has changed the colours", "save the masks as PNG")
        if image.mode not in ("P", "1", "L", "RGB", "RGBA", "LA"):
            raise ImageError(path, f"mode {image.mode}, expected 8 bits a colour", "save the masks as PNG in colour")
        # A palette's transparent number keeps its colour.
        rgb = np.asarray(Image.Image.convert(image, "RGB"), dtype=np.uint32)
    packed = rgb[..., 0] << 16 | rgb[..., 1] << 8 | rgb[..., 2]
    values, inverse = np.unique(packed, return_inverse=True)
    table = {int.from_bytes(bytes(colour), "big"): number for colour, number in numbers.items()}
    unknown = [value for value in values.tolist() if value not in table]
    if unknown:
        shown = some((f"#{value:06x}" for value in unknown), 4)
        raise ImageError(path, f"colour {shown} has no class in {where}", "add it, or correct the mask")
    index: np.ndarray = np.array([table[value] for value in values.tolist()], dtype=np.uint8)[inverse]
    return index.reshape(packed.shape)


def _listed_clean(masks: Path, images: dict[str, str]) -> set[str]:
    """Name the images that ``ImageSets`` beside the masks lists: CVAT writes no mask where nothing was drawn."""
    listed: set[str] = set()
    for file in sorted((masks.parent / LIST).rglob("*.txt")):
        try:
            listed.update(line.strip().partition(" ")[0] for line in file.read_text("utf-8-sig").splitlines())
        except (UnicodeDecodeError, OSError):
            raise InputError(f"{file}: not a text file; expected a name of an image on each line") from None
    there = {path.with_suffix("").relative_to(masks).as_posix() for path in masks.rglob("*.png")}
    return {name for stem, name in images.items() if stem in listed and stem not in there}

"""Read one mask file: which number each pixel has, by the file's own numbers, by grey level or by colour."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from config import ConvertConfig
from utils.data import rle
from utils.data.images import ImageError, index_of_mask, open_image
from utils.errors import InputError

Colour = tuple[int, ...]
MOST_UNNAMED = 32  # classes that masks may have without names; grey levels are a likelier reading of more
MOST_DIFFERENCE = 2  # between the channels of a grey picture that was saved in colour
BINARY = 255  # what black and white masks have instead of 1
REMEDY = "give -mask_threshold 128 for one class, or -mask_values 0,V1,V2 for the values of several"


@dataclass(frozen=True)
class MaskFile:
    """What a mask shows.

    Attributes:
        shape: (height, width) in pixels.
        codes: pixel value, never 0 and never the ignored one -> run-length code.
        ignored: run-length code of ignored pixels, "" without any.
        colours: value that occurs, 0 too -> colour of a palette file; None where values are numbers by themselves.
        zeros: of a palette file, run-length code of the pixels of value 0.
        lossy: a JPEG file, whose values are no longer those that were written.
        levels: with ``-mask_threshold``, the grey levels that occur in a mask where it finds no defect.
    """

    shape: tuple[int, int]
    codes: dict[int, str]
    ignored: str
    colours: dict[int, Colour] | None = None
    zeros: str = ""
    lossy: bool = False
    levels: tuple[int, ...] = ()


def value_numbers(config: ConvertConfig) -> dict[int, int] | None:
    """Return the flag ``-mask_values`` as value -> class number, 0 for background; None when it is not given.

    Raises:
        InputError: the values are no different grey levels, or contradict another flag.
    """
    if config.mask_values is None:
        return None
    given = ",".join(config.mask_values)
    if config.mask_threshold is not None:
        raise InputError(f"-mask_values {given}: not beside -mask_threshold; leave one of them out")
    words = [word for word in config.mask_values if word.isdecimal() and len(word) <= 3 and int(word) <= 255]
    numbers = {int(word): index for index, word in enumerate(words)}
    if len(numbers) < max(2, len(config.mask_values)):
        raise InputError(f"-mask_values {given}: expected different grey levels 0..255, that of the background first")
    if config.ignore_value in numbers:
        raise InputError(f"-ignore_value {config.ignore_value}: is one of -mask_values {given}; leave it out of one")
    if config.class_names and len(config.class_names) != len(numbers) - 1:
        raise InputError(
            f"-mask_values {given}: background and {len(numbers) - 1} classes, but -class_names has"
            f" {len(config.class_names)}; give one value for each and the background's first"
        )
    return numbers


def read_mask(path: Path, config: ConvertConfig, named: int) -> MaskFile:
    """Read a mask.

    Args:
        path: the file.
        config: its ``mask_threshold``, ``mask_values`` and ``ignore_value`` are used.
        named: number of the classes that have names; 0 when nobody names them.

    Raises:
        ImageError: the file cannot be read, or is a colour picture.
        InputError: its values are grey levels and not numbers of classes.
    """
    with open_image(path) as image:
        lossy = image.format in ("JPEG", "MPO")
        numbers = value_numbers(config)
        grey = None
        ignored = np.zeros((image.height, image.width), dtype=bool)
        if lossy and config.ignore_value is not None:
            raise ImageError(path, "JPEG changes the values, also that of -ignore_value", "save the masks as PNG")
        if config.mask_threshold is not None:
            grey = _grey(path, image)
            if config.ignore_value is not None:
                ignored = grey == config.ignore_value
            index = (grey >= config.mask_threshold).astype(np.uint8)
        elif numbers is not None:
            index, ignored = _by_values(path, image, numbers, config.ignore_value, lossy)
        else:
            if image.mode in ("RGB", "RGBA", "LA") and not _has_colour(image):
                remedy = f"it is grey saved in colour: {REMEDY}"
                raise ImageError(path, f"mode {image.mode}, expected 8-bit grey or palette", remedy)
            index = index_of_mask(path, image)
            if config.ignore_value is not None:
                ignored = index == config.ignore_value
        palette = image.getpalette("RGB") if image.mode == "P" and numbers is None else None
    values = np.unique(index[~ignored]).tolist()
    index[ignored] = 0
    if config.mask_threshold is None and numbers is None:
        _refuse_grey_levels(path, [value for value in values if value], lossy, named)
    codes = {value: rle.encode(index == value) for value in values if value}
    if palette is None or config.mask_threshold is not None:
        levels = () if grey is None or codes else tuple(np.unique(grey).tolist())
        return MaskFile(index.shape, codes, rle.encode(ignored), lossy=lossy, levels=levels)
    colours = {value: tuple(palette[3 * value : 3 * value + 3]) for value in values}
    return MaskFile(index.shape, codes, rle.encode(ignored), colours, rle.encode((index == 0) & ~ignored))


def _refuse_grey_levels(path: Path, values: list[int], lossy: bool, named: int) -> None:
    if lossy and values not in ([], [BINARY]):
        raise ImageError(path, f"JPEG has changed the mask's values, which are {len(values)} now besides 0", REMEDY)
    if len(values) > max(named, MOST_UNNAMED):
        raise ImageError(path, f"{len(values)} values besides 0 are grey levels, not numbers of classes", REMEDY)


def _by_values(
    path: Path, image: Image.Image, numbers: dict[int, int], ignore: int | None, lossy: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Map values to class numbers; a palette's values are its own numbers or, where those do not fit, its grey levels."""
    known = set(numbers) | ({ignore} if ignore is not None else set())
    pixels = np.array(image, dtype=np.uint8) if image.mode in ("P", "1") else _grey(path, image)
    if image.mode in ("P", "1") and not known.issuperset(np.unique(pixels).tolist()):
        pixels = _grey(path, image)
    found = np.unique(pixels).tolist()
    table = np.zeros(256, dtype=np.uint8)
    for value in found:
        if lossy:
            value_of = min(numbers, key=lambda other: abs(other - value))
        elif value in known:
            value_of = value
        else:
            said = ",".join(map(str, numbers))
            raise ImageError(
                path, f"pixel value {value} is none of -mask_values {said}", "name it, or correct the mask"
            )
        table[value] = numbers.get(value_of, 0)
    ignored = pixels == ignore if ignore is not None else np.zeros(pixels.shape, dtype=bool)
    return table[pixels], ignored


def _grey(path: Path, image: Image.Image) -> np.ndarray:
    """Return the grey levels of a picture without colour, (H, W) uint8."""
    if image.mode not in ("L", "1"):
        if image.mode not in ("P", "RGB", "RGBA", "LA", "YCbCr"):
            raise ImageError(path, f"mode {image.mode}, expected 8 bits", "save the masks as 8-bit grey PNG")
        if image.mode != "P" and _has_colour(image):
            raise ImageError(path, "is a colour picture, which has no grey levels", "save the masks in grey")
    return np.array(image.convert("L"), dtype=np.uint8)


def _has_colour(image: Image.Image) -> bool:
    colour = np.asarray(image.convert("RGB")).astype(np.int16)
    return bool(np.ptp(colour, axis=2).max(initial=0) > MOST_DIFFERENCE)


def number_colours(masks: dict[str, MaskFile], named: bool) -> tuple[dict[Colour, int], str] | None:
    """Number the colours of palette files whose palettes differ; None when one number has one colour in all of them.

    The file that shows most colours says which is the background (its number 0) and in which order the others are
    numbered; colours that it lacks follow.

    Args:
        masks: name -> mask.
        named: the classes have names, in the order of their numbers.

    Returns:
        Colour -> class number, 0 for background, and the name of the file that numbered them.

    Raises:
        InputError: palettes differ, and a file has no palette or two numbers of one colour, or none has the number 0, or
            the classes have names and the files do not tell which colour comes first.
    """
    coloured = {name: mask.colours for name, mask in masks.items() if mask.colours is not None}
    colour_of: dict[int, Colour] = {}
    if not any(
        colour_of.setdefault(v, colour) != colour for colours in coloured.values() for v, colour in colours.items()
    ):
        return None
    plain = next((name for name, mask in masks.items() if mask.colours is None and mask.codes), None)
    if plain:
        raise InputError(f"{plain}: has no palette, and the palettes of the others differ; save all masks alike")
    for name, colours in coloured.items():
        if len(set(colours.values())) < len(colours):
            raise InputError(
                f"{name}: two numbers have one colour, and the palettes of the masks differ; save all alike"
            )
    with_background = [name for name, colours in coloured.items() if 0 in colours]
    if not with_background:
        raise InputError(f"{next(iter(coloured))}: no mask has the number 0 for background; save all masks alike")
    base = max(with_background, key=lambda name: len(coloured[name]))  # of several the first
    first = [colour for _, colour in sorted(coloured[base].items())]
    others = [colour for name in coloured for _, colour in sorted(coloured[name].items())]
    order = list(dict.fromkeys([*first, *others]))
    # Files that show all colours, and in one order, say which colour the first name means; the order of files does not.
    whole = {
        tuple(c for _, c in sorted(coloured[name].items())) for name in coloured if len(coloured[name]) == len(order)
    }
    if named and len(order) > 2 and whole != {tuple(order)}:
        raise InputError(f"{base}: the palettes of the masks differ, so that {_by_grey(order)}")
    return {colour: number for number, colour in enumerate(order)}, base


def _by_grey(order: list[Colour]) -> str:
    """Say that the names of colours are not known, and how to give them."""
    said = ", ".join(f"#{bytes(colour).hex()}" for colour in order[1:])
    grey = [Image.new("RGB", (1, 1), colour).convert("L").getpixel((0, 0)) for colour in order]
    remedy = "save all with one palette"
    if len(set(grey)) == len(grey):
        values = ",".join(map(str, grey))
        remedy += f", or give the grey levels of the colours in the order of the names, as -mask_values {values}"
    return f"nothing says which of the colours {said} each class name means; {remedy}"

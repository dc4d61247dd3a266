"""Read COCO instance labels: one JSON file of images, categories and outlines (polygons or run lengths)."""

import json
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np

from config import ConvertConfig
from utils.data import rle
from utils.data.convert.labels import Labels, some, upright_size
from utils.data.convert.polygons import fill
from utils.data.images import IMAGE_SUFFIXES, NOT_UTF8, is_image_name, is_utf8
from utils.errors import InputError


def read_coco(config: ConvertConfig) -> Labels:
    """Read a COCO file; the instances of one class in one image are joined.

    Args:
        config: ``images`` (folder that ``file_name`` refers to), ``annotations`` (JSON file) and ``class_names``
            (None: all categories in the order of their ids; otherwise these, in this order, and no others).

    Raises:
        InputError: a malformed file, a missing image, or an outline that cannot be read.
    """
    if config.images is None or config.annotations is None:
        raise InputError("convert -from coco needs -images FOLDER and -annotations FILE")
    file = config.annotations
    content = _load(file)
    numbers, class_names, notes = _classes(file, content["categories"], config.class_names)
    paths: dict[Any, Path] = {}
    sizes: dict[Any, tuple[int, int]] = {}
    used: dict[str, str] = {}
    for image in content["images"]:
        name = image["file_name"]
        path = config.images / name
        path = path if path.is_file() else config.images / PureWindowsPath(name).name  # takes either slash
        if not is_image_name(path.name):
            raise InputError(
                f"{file}: {name} is not of an image ({', '.join(sorted(IMAGE_SUFFIXES))}); convert the image"
            )
        if not is_utf8(path.name):
            raise InputError(f"{file}: {name}: {NOT_UTF8}")
        other = used.setdefault(path.name, name)
        if other != name or image["id"] in paths:
            raise InputError(f"{file}: images {other} and {name} share a name or an id; make them differ")
        height, width = upright_size(path)
        if (image.get("height", height), image.get("width", width)) != (height, width):
            said = f"{image.get('height')}x{image.get('width')}"
            raise InputError(f"{file}: says {name} is {said}, but the image is {height}x{width}; correct the file")
        paths[image["id"]], sizes[image["id"]] = path, (height, width)
    outlines: dict[Any, dict[int, list[Any]]] = {key: {} for key in paths}
    left_out = 0
    for annotation in content["annotations"]:
        where = f"{file}: annotation {annotation.get('id', '?')}"
        if annotation["image_id"] not in paths:
            raise InputError(f"{where}: no image has id {annotation['image_id']}; add the image or remove it")
        if annotation["category_id"] not in numbers:
            raise InputError(f"{where}: no category has id {annotation['category_id']}; add it to categories")
        number = numbers[annotation["category_id"]]
        if number is None:
            left_out += 1
            continue
        outlines[annotation["image_id"]].setdefault(number, []).append((where, annotation.get("segmentation")))
    if left_out:
        notes.append(f"left out {left_out} outlines of categories that -class_names does not name")
    codes = {
        paths[key].name: {k: code for k, found in sorted(classes.items()) if (code := _join(found, *sizes[key]))}
        for key, classes in outlines.items()
    }
    return Labels(list(paths.values()), codes, class_names, notes)


def mask_of(where: str, segmentation: Any, height: int, width: int) -> np.ndarray:
    """Draw one COCO segmentation.

    Args:
        where: for messages.
        segmentation: polygons ``[[x1, y1, ...], ...]``, or ``{"counts": [...] or str, "size": [h, w]}``.
        height: of the image, pixels.
        width: of the image, pixels.

    Returns:
        (H, W) bool.

    Raises:
        InputError: there is only a box, or the outline is malformed.
    """
    if not segmentation:
        raise InputError(f"{where}: has no segmentation, a box is not enough; draw outlines or remove it")
    if isinstance(segmentation, dict):
        return _from_counts(where, segmentation, height, width)
    try:
        polygons = [np.array(polygon, dtype=np.float64) for polygon in segmentation]
    except (TypeError, ValueError):
        polygons = []
    if not polygons or any(p.ndim != 1 or p.size < 6 or p.size % 2 or not np.isfinite(p).all() for p in polygons):
        raise InputError(f"{where}: a polygon needs at least three x,y pairs of numbers; correct or remove it")
    return fill([polygon.reshape(-1, 2) for polygon in polygons], height, width)


def _from_counts(where: str, segmentation: dict[str, Any], height: int, width: int) -> np.ndarray:
    """Draw run lengths that alternate between background and object, down the columns, as list or as packed text."""
    counts = segmentation.get("counts")
    try:
        lengths = np.array(_unpack(counts) if isinstance(counts, str) else counts, dtype=np.int64)
    except (TypeError, ValueError, OverflowError):
        raise InputError(f"{where}: run lengths cannot be read; correct or remove it") from None
    if segmentation.get("size") != [height, width]:
        raise InputError(
            f"{where}: run lengths for size {segmentation.get('size')}, the image is {height}x{width}; correct it"
        )
    if lengths.ndim != 1 or (lengths < 0).any() or lengths.sum() != height * width:
        raise InputError(f"{where}: run lengths do not add up to the image's {height * width} pixels; correct it")
    flat = np.repeat(np.arange(len(lengths)) % 2 == 1, lengths)
    return flat.reshape(width, height).T


def _unpack(text: str) -> list[int]:
    """Unpack COCO's text form of run lengths (maskApi.c, rleFrString): 5 bits a character, then differences."""
    lengths: list[int] = []
    position = 0
    while position < len(text):
        value, shift, more = 0, 0, True
        while more:
            if position >= len(text) or not 48 <= ord(text[position]) < 112:
                raise ValueError
            bits = ord(text[position]) - 48
            value |= (bits & 0x1F) << shift
            more = bool(bits & 0x20)
            position += 1
            shift += 5
        if bits & 0x10:
            value -= 1 << shift
        lengths.append(value + (lengths[-2] if len(lengths) > 2 else 0))
    return lengths


def _join(found: list[Any], height: int, width: int) -> str:
    mask = np.zeros((height, width), dtype=bool)
    for where, segmentation in found:
        mask |= mask_of(where, segmentation, height, width)
    return rle.encode(mask)


def _load(file: Path) -> dict[str, list[dict[str, Any]]]:
    """Read the file and see to it that the keys that are needed exist."""
    try:
        content = json.loads(file.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise InputError(f"{file}: no such file; -annotations expects a COCO JSON file") from None
    except IsADirectoryError:
        raise InputError(f"{file}: is a folder; -annotations expects a COCO JSON file") from None
    except ValueError as error:  # of JSON and of UTF-8
        raise InputError(f"{file}: not a JSON file ({error}); -annotations expects COCO labels") from None
    needed = {
        "images": ("id", "file_name"),
        "annotations": ("image_id", "category_id"),
        "categories": ("id", "name"),
    }
    for part, keys in needed.items():
        entries = content.get(part) if isinstance(content, dict) else None
        if not isinstance(entries, list):
            raise InputError(f"{file}: no list {part!r}; expected COCO labels with {', '.join(needed)}")
        for index, entry in enumerate(entries):
            missing = [key for key in keys if not isinstance(entry, dict) or key not in entry]
            if missing:
                raise InputError(f"{file}: {part}[{index}] has no {missing[0]!r}; expected COCO labels")
    for index, image in enumerate(content["images"]):
        if not isinstance(image["file_name"], str):
            raise InputError(f"{file}: images[{index}] has file_name {image['file_name']!r}; expected a name")
    return content


def _classes(
    file: Path, categories: list[dict[str, Any]], wanted: tuple[str, ...] | None
) -> tuple[dict[Any, int | None], tuple[str, ...], list[str]]:
    """Number the categories: id -> class number, None for those that are not wanted."""
    # classes.txt has a line for each, and whoever reads it drops surrounding white space and blank lines.
    name_of = {entry["id"]: str(entry["name"]).strip() for entry in categories}
    unnamed = [key for key, name in name_of.items() if len(name.splitlines()) != 1]
    if unnamed:
        raise InputError(f"{file}: the name of category {unnamed[0]} is not one line; name it")
    if len(set(name_of.values())) < len(categories):
        raise InputError(f"{file}: two categories share an id or a name; make them differ")
    try:
        names = wanted or tuple(name_of[key] for key in sorted(name_of))
    except TypeError:
        raise InputError(f"{file}: category ids are not all numbers; correct the file") from None
    unknown = [name for name in names if name not in name_of.values()]
    if unknown:
        raise InputError(f"-class_names {some(unknown)}: not in {file}, which has {some(name_of.values(), 10)}")
    numbers = {key: names.index(name) + 1 if name in names else None for key, name in name_of.items()}
    return numbers, tuple(names), []

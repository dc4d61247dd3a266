"""Read COCO instance labels: one JSON file of images, categories and outlines (polygons or run lengths)."""

import contextlib
import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from config import ConvertConfig
from utils.data import rle
from utils.data.convert.coco_file import CocoFile, number_classes, read_coco_file, shown, side_of
from utils.data.convert.labels import Labels, Skipping, some, upright_size
from utils.data.convert.located import locate
from utils.data.convert.polygons import FARTHEST, draw_outlines, notes_of
from utils.data.listing import image_names, name_in
from utils.errors import InputError
from utils.text import plural

LARGEST_SHARE = 1.01  # programs write corners a little outside the image


def read_coco(config: ConvertConfig) -> Labels:
    """Read a COCO file; the instances of one class in one image are joined, also where a file stands under several ids.

    Args:
        config: ``images`` (folder that ``file_name`` refers to), ``annotations`` (JSON file), ``class_names`` (None: all
            categories in the order of their ids; otherwise these, in this order, and no others) and ``skip_bad``.

    Raises:
        InputError: a malformed file, a missing image, or an outline that cannot be read.
    """
    if config.images is None or config.annotations is None:
        raise InputError("convert -from coco needs -images FOLDER and -annotations FILE")
    if not config.images.is_dir():
        raise InputError(f"{config.images}: no such folder; -images expects the folder of the images")
    content = read_coco_file(config.annotations)
    if not content.categories:
        raise InputError(f"{content.file}: the list of categories is empty; add the classes, also for clean images")
    numbers, class_names, notes = number_classes(content, config.class_names)
    _refuse_shares(content)
    skipping = Skipping(config.skip_bad)
    listed = _find_images(content, config.images, skipping)
    name_of = listed.name_of
    twice = [name for name, count in Counter(name_of.values()).items() if count > 1 and name in listed.paths]
    if twice:
        notes.append(f"joined the outlines of {plural(len(twice), 'image')} under several ids: {some(twice)}")
    outlines: dict[str, dict[int, list[Any]]] = {name: {} for name in listed.paths}
    unwanted = 0
    for annotation in content.annotations:
        where = f"{content.file}: annotation {shown(annotation.get('id', '?'))}"
        image, category = annotation["image_id"], annotation["category_id"]
        if image not in name_of:
            error = InputError(f"{where}: no image has id {shown(image)}; add the image or remove it")
            skipping.leave_out("", error)
        elif category not in numbers:
            error = InputError(f"{where}: no category has id {shown(category)}; add it to categories")
            skipping.leave_out(name_of[image], error)
        elif numbers[category] is None:
            unwanted += 1
        elif name_of[image] in outlines:
            number = numbers[category] or 0
            outlines[name_of[image]].setdefault(number, []).append((where, annotation.get("segmentation")))
    if unwanted:
        notes.append(f"left out {unwanted} outlines of categories that -class_names does not name")
    tally: Counter[str] = Counter()
    codes = {}
    for name, classes in outlines.items():
        try:
            drawn = {k: _join(found, *listed.sizes[name], tally) for k, found in sorted(classes.items())}
        except InputError as error:
            skipping.leave_out(name, error)
        else:
            codes[name] = {k: code for k, code in drawn.items() if code}
    notes += [*notes_of(tally), *_unlisted(content, config.images, listed.found, [config.dir])]
    kept = {name: path for name, path in listed.paths.items() if name not in skipping.images}
    codes = {name: codes[name] for name in kept}
    return Labels(kept, codes, class_names, notes, left_out=skipping.left_out)


def _refuse_shares(content: CocoFile) -> None:
    """Refuse a file whose polygons are shares of width and height: as pixels, all lie in the upper left corner."""
    where = ""
    for annotation in content.annotations:
        segmentation = annotation.get("segmentation")
        polygons = _corners(segmentation) if isinstance(segmentation, list) else []
        if any(np.abs(polygon).max() > LARGEST_SHARE for polygon in polygons):
            return
        if polygons and not where:
            where = f"{content.file}: annotation {shown(annotation.get('id', '?'))}"
    if where:
        raise InputError(
            f"{where}: its corners, and all others, lie in 0..1, but COCO counts pixels; multiply x by the width and y"
            " by the height"
        )


@dataclass
class _Listed:
    """The images of a file.

    Attributes:
        found: every file that it lists, also those that are left out.
        paths: name -> file of those that are good.
        sizes: name -> (height, width) in pixels.
        name_of: id -> name; of images that are left out too.
    """

    found: set[Path] = field(default_factory=set)
    paths: dict[str, Path] = field(default_factory=dict)
    sizes: dict[str, tuple[int, int]] = field(default_factory=dict)
    name_of: dict[str, str] = field(default_factory=dict)


def _find_images(content: CocoFile, folder: Path, skipping: Skipping) -> _Listed:
    listed, base = _Listed(), _common_folder(content, folder)
    first: dict[str, str] = {}  # name -> how the file writes it
    for image in content.images:
        key, written = image["id"], image["file_name"]
        name = written
        try:
            path = locate(folder, written, content.file)
            name = name_in(base, path)
            listed.found.add(path)
            other = first.setdefault(name, written)
            # Of different names at least one has folders that are not there: nobody knows whether both are one image.
            of_id = listed.name_of.get(key, name)
            if not _same_name(other, written) or of_id != name:
                other = of_id if of_id != name else other
                raise InputError(
                    f"{content.file}: images {other} and {written} share a name or an id; make them differ"
                )
            size = listed.sizes.setdefault(name, (0, 0))
            if size == (0, 0):
                size = listed.sizes[name] = upright_size(path)
            said = [side_of(image.get(side)) for side in ("height", "width")]
            if any(side not in (None, there) for side, there in zip(said, size, strict=True)):
                words = (
                    f"{shown(image.get('height'))}x{shown(image.get('width'))}, but the image is {size[0]}x{size[1]}"
                )
                raise InputError(f"{content.file}: says {written} is {words}; correct the file")
            listed.paths[name] = path
        except InputError as error:
            skipping.leave_out(name, error)
        listed.name_of.setdefault(key, name)
    return listed


def _common_folder(content: CocoFile, folder: Path) -> Path:
    """Return the folder that names are relative to: the deepest one that holds all images of a file.

    Most files write one and the same folder before every name, which tells nothing.
    """
    parents = set()
    for image in content.images:
        with contextlib.suppress(InputError):  # whoever needs the image tells
            parents.add(locate(folder, image["file_name"], content.file).parent)
    return Path(os.path.commonpath(parents)) if parents else folder


def _same_name(one: str, other: str) -> bool:
    return os.path.normpath(one.replace("\\", "/")) == os.path.normpath(other.replace("\\", "/"))


def _unlisted(content: CocoFile, folder: Path, taken: set[Path], apart: list[Path]) -> list[str]:
    """Say which images of the folder the file does not list: they are neither clean nor labelled, as far as it tells."""
    left = [name for name in image_names(folder, apart=apart) if folder / name not in taken]
    if not left:
        return []
    return [f"left out {plural(len(left), 'image')} of {folder} that {content.file.name} does not list: {some(left)}"]


def mask_of(where: str, segmentation: Any, height: int, width: int, tally: "Counter[str] | None" = None) -> np.ndarray:
    """Draw one COCO segmentation.

    Args:
        where: for messages.
        segmentation: polygons ``[[x1, y1, ...], ...]``, or ``{"counts": [...] or str, "size": [h, w]}``; also one polygon
            without the outer list, pairs of x and y as lists of their own, and a list of run lengths. Of several
            polygons some may be a single point or a line, as programs that trace masks write them.
        height: of the image, pixels.
        width: of the image, pixels.
        tally: counts outlines that were drawn in a way to tell, see ``draw_outlines``.

    Returns:
        (H, W) bool.

    Raises:
        InputError: there is only a box, or the outline is malformed.
    """
    if not segmentation:
        raise InputError(f"{where}: has no segmentation, a box is not enough; draw outlines or remove it")
    if isinstance(segmentation, dict):
        return _from_counts(where, segmentation, height, width)
    if isinstance(segmentation, list) and all(isinstance(part, dict) for part in segmentation):
        return np.any([_from_counts(where, part, height, width) for part in segmentation], axis=0)
    polygons = _corners(segmentation)
    if not any(len(polygon) >= 3 for polygon in polygons):
        raise InputError(f"{where}: a polygon needs at least three x,y pairs of numbers; correct or remove it")
    if any(np.abs(polygon).max() > FARTHEST for polygon in polygons):
        raise InputError(f"{where}: a corner lies more than {FARTHEST:,.0f} pixels away; correct or remove it")
    return draw_outlines(polygons, height, width, tally)


def _corners(segmentation: Any) -> list[np.ndarray]:
    """Return the polygons as (n, 2) float each; none when any of them cannot be read."""
    parts = segmentation if isinstance(segmentation, list) else []
    flat = [part for part in parts if not isinstance(part, (list, tuple))]
    if len(flat) == len(parts):  # one polygon alone
        parts = [parts]
    elif all(isinstance(part, list) and len(part) == 2 for part in parts) and len(parts) >= 3:
        parts = [parts]  # one polygon of pairs
    try:
        polygons = [np.array(part, dtype=np.float64) for part in parts]
    except (TypeError, ValueError, OverflowError):
        return []
    for polygon in polygons:
        is_pairs = polygon.ndim == 2 and polygon.shape[1] == 2
        if (
            not (polygon.ndim == 1 or is_pairs)
            or polygon.size % 2
            or not polygon.size
            or not np.isfinite(polygon).all()
        ):
            return []
    return [polygon.reshape(-1, 2) for polygon in polygons]


def _from_counts(where: str, segmentation: dict[str, Any], height: int, width: int) -> np.ndarray:
    """Draw run lengths that alternate between background and object, down the columns, as list or as packed text."""
    counts, size = segmentation.get("counts"), segmentation.get("size")
    try:
        lengths = np.array(_unpack(counts) if isinstance(counts, str) else counts, dtype=np.int64)
    except (TypeError, ValueError, OverflowError):
        raise InputError(f"{where}: run lengths cannot be read; correct or remove it") from None
    if not isinstance(size, list) or [side_of(side) for side in size] != [height, width]:
        raise InputError(f"{where}: run lengths for size {shown(size)}, the image is {height}x{width}; correct it")
    pixels = height * width  # each length is compared first: the sum of large ones may overflow
    if lengths.ndim != 1 or (lengths < 0).any() or (lengths > pixels).any() or lengths.sum() != pixels:
        raise InputError(f"{where}: run lengths do not add up to the image's {pixels} pixels; correct it")
    flat = np.repeat(np.arange(len(lengths)) % 2 == 1, lengths)
    return flat.reshape(width, height).T


def _unpack(text: str) -> list[int]:
    """Unpack COCO's text form of run lengths (maskApi.c, rleFrString): 5 bits a character, then differences."""
    lengths: list[int] = []
    position = 0
    while position < len(text):
        value, shift, more = 0, 0, True
        while more:
            if position >= len(text) or not 48 <= ord(text[position]) < 112 or shift > 60:
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


def pack_counts(lengths: list[int]) -> str:
    """Write run lengths as COCO's text, what ``_unpack`` reads (maskApi.c, rleToString).

    Args:
        lengths: of runs down the columns, background first.
    """
    letters = []
    for index, length in enumerate(lengths):
        value = length - lengths[index - 2] if index > 2 else length
        more = True
        while more:
            bits = value & 0x1F
            value >>= 5
            more = value != -1 if bits & 0x10 else value != 0
            letters.append(chr(bits + (0x20 if more else 0) + 48))
    return "".join(letters)


def _join(found: list[Any], height: int, width: int, tally: "Counter[str]") -> str:
    mask = np.zeros((height, width), dtype=bool)
    for where, segmentation in found:
        mask |= mask_of(where, segmentation, height, width, tally)
    return rle.encode(mask)

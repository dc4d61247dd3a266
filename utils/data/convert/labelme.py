"""Read annotations of LabelMe: a JSON file for each image."""

import os
from pathlib import Path
from typing import Any

import numpy as np

from config import ConvertConfig
from utils.data.convert.drawn import Drawn, about_unlisted, labels_of
from utils.data.convert.json_file import list_in, read_json, side_in, text_in
from utils.data.convert.labels import Labels, Skipping, some
from utils.data.convert.located import locate
from utils.data.convert.png_mask import from_base64, read_png_mask
from utils.data.convert.shapes import Ellipse, Line, Outline, Patch, Shape, box, read_corners
from utils.data.folder_layout import read_class_names
from utils.data.listing import name_in
from utils.errors import InputError
from utils.text import plural

EXPECTED = "a file of LabelMe"
BACKGROUND = "__ignore__"  # what LabelMe's own scripts leave out


def read_labelme(config: ConvertConfig) -> Labels:
    """Read the shapes of each file; a file without any makes its image clean, an image without a file is left out.

    Args:
        config: ``images``, ``annotations`` (folder of the JSON files; none: they lie beside the images), ``class_names``
            (none: classes.txt of that folder, else the labels that occur, sorted) and ``skip_bad``.

    Raises:
        InputError: no file, a malformed one, a missing image, or a shape that cannot be read.
    """
    folder = config.annotations or config.images
    if config.images is None or folder is None:
        raise InputError(
            "convert -from labelme needs -images FOLDER; -annotations FOLDER where the JSON files lie apart"
        )
    if not config.images.is_dir() or not folder.is_dir():
        raise InputError(f"{folder if config.images.is_dir() else config.images}: no such folder")
    files = _json_files(folder)
    if not files:
        raise InputError(f"{folder}: holds no JSON files; -annotations expects the folder of LabelMe's files")
    skipping = Skipping(config.skip_bad)
    drawn: dict[str, Drawn] = {}
    for file in files:
        name = file.relative_to(folder).as_posix()
        try:
            content = read_json(file, EXPECTED)
            path = _image_of(file, content, folder, config.images)
            name = name_in(config.images, path)
            if name in drawn:
                raise InputError(f"{file}: {drawn[name].file} is about the same image; remove one")
            height, width = side_in(content, "imageHeight"), side_in(content, "imageWidth")
            found = Drawn(path, str(file), None if height is None or width is None else (height, width))
            for index, entry in enumerate(list_in(content, "shapes", str(file))):
                label = text_in(entry, "label", f"{file}: shape {index}").strip()
                if label != BACKGROUND:
                    found.shapes.append((label, _shape(f"{file}: shape {index} {label!r}", entry)))
            drawn[name] = found
        except InputError as error:
            skipping.leave_out(name, error)
    notes = about_unlisted(config.images, [image.path for image in drawn.values()], folder, [config.dir])
    clean = [name for name, image in drawn.items() if not image.shapes]
    if clean and len(clean) < len(drawn):
        notes.append(f"{plural(len(clean), 'file')} without a shape, image taken as clean: {some(clean)}")
    return labels_of(drawn, read_class_names(folder), config, skipping, notes)


def _json_files(folder: Path) -> list[Path]:
    """List the JSON files of a folder and of the folders within, without links and hidden ones, sorted."""
    files = []
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        files += [Path(place) / name for name in names if name.lower().endswith(".json") and not name.startswith(".")]
    return sorted(files)


def _image_of(file: Path, content: Any, folder: Path, images: Path) -> Path:
    """Find the image of a file: by the path that it has, seen from where it lies, else named like the file.

    The picture that LabelMe may keep within the file is not taken: it may be another than the one on the disk.
    """
    written = text_in(content, "imagePath", str(file))
    within = file.parent.relative_to(folder).as_posix()
    return locate(images, written if within == "." else f"{within}/{written}", file)


def _shape(where: str, entry: Any) -> Shape:
    kind = entry.get("shape_type") or "polygon"  # files of old versions have none
    if kind == "mask":
        corners = read_corners(where, entry.get("points"), 2)
        x, y = corners[0].astype(int).tolist()
        right, bottom = corners[1].astype(int).tolist()
        return Patch(where, x, y, lambda h, w: _mask(where, entry.get("mask"), (bottom - y + 1, right - x + 1), (h, w)))
    least = {"polygon": 3, "rectangle": 2, "circle": 2, "oriented_rectangle": 4, "line": 2, "linestrip": 1}
    points = {"point": 1, "points": 1, "points_with_labels": 1}
    if kind not in least and kind not in points:
        raise InputError(f"{where}: shape_type {kind!r} is not known; draw it as polygon, or remove it")
    corners = read_corners(where, entry.get("points"), {**least, **points}[kind])
    if kind in ("polygon", "oriented_rectangle"):
        return Outline(corners, is_box=kind == "oriented_rectangle")
    if kind == "rectangle":
        (left, top), (right, bottom) = corners[:2].min(axis=0), corners[:2].max(axis=0)
        return box(left, top, right, bottom)
    if kind == "circle":
        radius = float(np.hypot(*(corners[1] - corners[0])))
        x, y = corners[0].tolist()
        return Ellipse(x, y, radius, radius)
    return Line(corners, joined=kind not in points)


def _mask(where: str, text: object, shape: tuple[int, int], most: tuple[int, int]) -> np.ndarray:
    mask = read_png_mask(where, from_base64(where, text), most)
    if mask.shape != shape:
        raise InputError(
            f"{where}: its mask is {mask.shape[0]}x{mask.shape[1]}, its corners say {shape[0]}x{shape[1]}; correct it"
        )
    return mask

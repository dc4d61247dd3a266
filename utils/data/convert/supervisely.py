"""Read a project of Supervisely: meta.json, and in each dataset a folder of images and one of annotations."""

import os
from pathlib import Path
from typing import Any

import numpy as np

from config import ConvertConfig
from utils.data.convert.drawn import Drawn, labels_of
from utils.data.convert.json_file import list_in, read_json, side_in, text_in
from utils.data.convert.labels import Labels, Skipping, some
from utils.data.convert.png_mask import from_base64, inflate, read_png_mask
from utils.data.convert.shapes import Line, Patch, PixelCorners, Shape, box, read_corners
from utils.data.listing import is_image_name, is_utf8
from utils.errors import InputError

META, ANN, IMG = "meta.json", "ann", "img"
EXPECTED = "the folder of a Supervisely project, with meta.json"
MOST_PNG = 64  # bytes of PNG for a pixel of the image, and as many for its head: what zlib may unpack to


def read_supervisely(config: ConvertConfig) -> Labels:
    """Read the objects of each image of a project; an image without an object is clean.

    Args:
        config: ``annotations`` (folder of the project; images lie in it), ``class_names`` (none: those of meta.json, in
            their order) and ``skip_bad``.

    Raises:
        InputError: no project, a malformed file, a missing image, or an object that cannot be read.
    """
    project = config.annotations or config.images
    if project is None:
        raise InputError("convert -from supervisely needs -annotations PROJECT, the folder with meta.json")
    meta = read_json(project / META, EXPECTED)
    declared = [
        text_in(entry, "title", f"{project / META}: class {index}").strip()
        for index, entry in enumerate(list_in(meta, "classes", str(project / META)))
    ]
    skipping = Skipping(config.skip_bad)
    drawn: dict[str, Drawn] = {}
    datasets = _datasets(project)
    if not datasets:
        raise InputError(f"{project}: has no dataset; expected folders with {ANN}/ and {IMG}/ beside {META}")
    for dataset in datasets:
        _read_dataset(project, dataset, len(datasets) > 1, drawn, skipping)
    notes = []
    clean = [name for name, image in drawn.items() if not image.shapes]
    if clean and len(clean) < len(drawn):
        notes.append(f"{len(clean)} images without an object taken as clean: {some(clean)}")
    return labels_of(drawn, declared, config, skipping, notes)


def _datasets(project: Path) -> list[Path]:
    """List the folders of a project that have annotations, also those of datasets within datasets."""
    found = []
    for place, folders, _ in os.walk(project):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if ANN in folders:
            found.append(Path(place))
            folders[:] = [name for name in folders if name not in (ANN, IMG)]
    return found


def _read_dataset(project: Path, dataset: Path, several: bool, drawn: dict[str, Drawn], skipping: Skipping) -> None:
    """Read the files of a dataset: NAME.jpg.json of img/NAME.jpg; in old projects NAME.json."""
    there = {path.name: path for path in sorted((dataset / IMG).glob("*")) if is_image_name(path.name)}
    stems: dict[str, Path] = {}
    for path in there.values():
        stems.setdefault(path.stem, path)
    within = dataset.relative_to(project).as_posix() if several else ""
    within = within.replace("/datasets/", "/")
    for file in sorted((dataset / ANN).glob("*.json")):
        stem = file.name.removesuffix(".json")
        name = f"{within}/{stem}" if within else stem
        try:
            if not is_utf8(file.name):
                raise InputError(f"{file}: its name is not UTF-8; rename it")
            path = there.get(stem, stems.get(stem, file))
            if path == file:
                raise InputError(f"{file}: no image {stem} in {dataset / IMG}; export the project with its images")
            name = f"{within}/{path.name}" if within else path.name
            content = read_json(file, "annotations of Supervisely")
            size = content.get("size") if isinstance(content, dict) else None
            height, width = side_in(size, "height"), side_in(size, "width")
            found = Drawn(path, str(file), None if height is None or width is None else (height, width))
            for index, entry in enumerate(list_in(content, "objects", str(file))):
                label = text_in(entry, "classTitle", f"{file}: object {index}").strip()
                found.shapes.append((label, _shape(f"{file}: object {index} {label!r}", entry)))
            drawn[name] = found
        except InputError as error:
            skipping.leave_out(name, error)


def _shape(where: str, entry: dict[str, Any]) -> Shape:
    kind = entry.get("geometryType") or entry.get("shape") or ("bitmap" if "bitmap" in entry else "polygon")
    if kind == "bitmap":
        bitmap = entry.get("bitmap")
        if not isinstance(bitmap, dict):
            raise InputError(f"{where}: has no bitmap; correct or remove it")
        x, y = read_corners(where, [bitmap.get("origin")], 1)[0].astype(int).tolist()
        return Patch(where, x, y, lambda height, width: _bitmap(where, bitmap.get("data"), height, width))
    points = entry.get("points")
    if not isinstance(points, dict):
        raise InputError(f"{where}: a {kind} labels no area that can be read; draw it as mask or polygon, or remove it")
    if kind == "rectangle":
        corners = read_corners(where, points.get("exterior"), 2)
        (left, top), (right, bottom) = corners[:2].min(axis=0), corners[:2].max(axis=0)
        return box(left, top, right + 1, bottom + 1)  # its corners name pixels that belong to it
    if kind == "polygon":
        interior = points.get("interior")
        holes = interior if isinstance(interior, list) else []
        corners = np.round(read_corners(where, points.get("exterior"), 3))
        return PixelCorners(corners, tuple(np.round(read_corners(where, hole, 3)) for hole in holes))
    if kind in ("line", "point"):
        return Line(read_corners(where, points.get("exterior"), 1), joined=kind == "line")
    raise InputError(f"{where}: a {kind} labels no area that can be read; draw it as mask or polygon, or remove it")


def _bitmap(where: str, text: Any, height: int, width: int) -> np.ndarray:
    """Read the mask of an object: a PNG picture, usually packed once more by zlib, as base64 text."""
    data = from_base64(where, text)
    if not data.startswith(b"\x89PNG"):
        data = inflate(where, data, MOST_PNG * (height * width + 1024))
    return read_png_mask(where, data, (height, width))

"""Write a project of Supervisely: meta.json, and a dataset of images and bitmaps for each folder of images."""

import base64
import json
import zlib
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from utils.data.convert.labels import Labels, in_threads
from utils.data.convert.pages import hex_colours, page_of, place_image
from utils.data.convert.png_mask import encode_palette_png
from utils.data.convert.writers.yolo import write_label
from utils.errors import InputError
from utils.files import write_text

META, ANN, IMG = "meta.json", "ann", "img"
ONLY = "dataset"  # of images that lie in no folder


def write_supervisely(labels: Labels, folder: Path, link: bool) -> list[str]:
    """Write the project; images of a folder within become a dataset of that name, of a folder in it a dataset within."""
    names = labels.class_names or ()
    places = {name: _dataset_of(name) for name in labels.images}
    mixed = len(set(places.values())) > 1
    reserved = {part for place in places.values() for part in place.parts} & {ANN, IMG, "datasets"}
    if reserved or (mixed and any(name.startswith(f"{ONLY}/") for name in places)):
        word = next(iter(reserved), ONLY)
        raise InputError(f"images lie in a folder called {word}, which Supervisely needs itself; rename the folder")

    def draw(name: str) -> None:
        page = page_of(labels, name)
        home = folder / _nested(places[name])
        content = {
            "description": "",
            "tags": [],
            "size": {"height": page.height, "width": page.width},
            "objects": [
                _object(number, names[number - 1], part, x, y, bool(labels.proposed_by))
                for number, part, x, y in page.objects()
            ],
        }
        base = PurePosixPath(name).name
        place_image(page.path, home / IMG / base, link)
        write_label(home / ANN / f"{base}.json", json.dumps(content, ensure_ascii=False))

    in_threads(draw, list(labels.images), "writing labels")
    classes = [
        {"title": name, "shape": "bitmap", "color": colour.upper(), "geometry_config": {}, "id": number, "hotkey": ""}
        for number, (name, colour) in enumerate(zip(names, hex_colours(len(names)), strict=True), 1)
    ]
    meta = {"classes": classes, "tags": [], "projectType": "images"}
    write_text(folder / META, json.dumps(meta, ensure_ascii=False, indent=2) + "\n")
    if mixed and PurePosixPath(ONLY) in places.values():
        return [f"images that lie in no folder are in the dataset {ONLY}; read back, their names begin with {ONLY}/"]
    return []


def _dataset_of(name: str) -> PurePosixPath:
    parent = PurePosixPath(name).parent
    return PurePosixPath(ONLY) if parent == PurePosixPath() else parent


def _nested(place: PurePosixPath) -> str:
    """Return the folder of a dataset: datasets within others lie in folders called datasets."""
    return "/datasets/".join(place.parts)


def _object(number: int, label: str, part: np.ndarray, x: int, y: int, proposed: bool) -> dict[str, Any]:
    return {
        "classId": number,
        "classTitle": label,
        "description": "",
        "geometryType": "bitmap",
        "shape": "bitmap",
        "tags": [],
        "nnCreated": proposed,
        "nnUpdated": proposed,
        "bitmap": {
            "data": base64.b64encode(zlib.compress(encode_palette_png(part))).decode("ascii"),
            "origin": [x, y],
        },
    }

"""Write files for LabelMe: beside each image a JSON file with a mask for each connected defect."""

import base64
import json
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from utils.data.convert.labels import Labels, in_threads
from utils.data.convert.pages import page_of, place_image, stems_of
from utils.data.convert.png_mask import encode_mask_png
from utils.data.convert.writers.yolo import write_label
from utils.data.tables import CLASSES_FILE
from utils.files import write_text

VERSION = "5.5.0"  # of LabelMe: from 5.4 on it has masks, in this form


def write_labelme(labels: Labels, folder: Path, link: bool) -> list[str]:
    """Write the images, a JSON file beside each, and ``classes.txt`` for the flag -labels of LabelMe."""
    names = labels.class_names or ()
    stems = stems_of(list(labels.images))

    def draw(name: str) -> None:
        page = page_of(labels, name)
        content: dict[str, Any] = {
            "version": VERSION,
            "flags": {},
            "shapes": [
                _shape(names[number - 1], part, x, y, labels.proposed_by) for number, part, x, y in page.objects()
            ],
            "imagePath": PurePosixPath(name).name,
            "imageData": None,
            "imageHeight": page.height,
            "imageWidth": page.width,
        }
        place_image(page.path, folder / name, link)
        write_label(folder / f"{stems[name]}.json", json.dumps(content, ensure_ascii=False, indent=2) + "\n")

    in_threads(draw, list(labels.images), "writing labels")
    write_text(folder / CLASSES_FILE, "".join(f"{name}\n" for name in names))
    return []


def _shape(label: str, part: np.ndarray, x: int, y: int, proposed_by: str) -> dict[str, Any]:
    height, width = part.shape
    return {
        "label": label,
        "points": [[float(x), float(y)], [float(x + width - 1), float(y + height - 1)]],
        "group_id": None,
        "description": f"proposal of {proposed_by}" if proposed_by else "",
        "shape_type": "mask",
        "flags": {},
        "mask": base64.b64encode(encode_mask_png(part)).decode("ascii"),
    }

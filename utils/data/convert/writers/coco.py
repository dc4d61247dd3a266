"""Write COCO labels: a JSON file with a run-length code for each connected defect, and the images."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from utils.data.convert.coco import pack_counts
from utils.data.convert.labels import Labels, in_threads
from utils.data.convert.pages import Page, page_of, place_image
from utils.files import write_text

FILE, IMAGES = "annotations.json", "images"


def write_coco(labels: Labels, folder: Path, link: bool) -> list[str]:
    """Write ``annotations.json`` and ``images/``; categories are the classes by their numbers."""

    def draw(name: str) -> tuple[Page, list[dict[str, Any]]]:
        page = page_of(labels, name)
        place_image(page.path, folder / IMAGES / name, link)
        return page, [_annotation(page, *found) for found in page.objects()]

    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, (page, found) in enumerate(in_threads(draw, list(labels.images), "writing labels"), 1):
        images.append({"id": number, "file_name": page.name, "height": page.height, "width": page.width})
        for annotation in found:
            annotations.append({"id": len(annotations) + 1, "image_id": number, **annotation})
    names = labels.class_names or ()
    categories = [{"id": k, "name": name, "supercategory": "defect"} for k, name in enumerate(names, 1)]
    content: dict[str, Any] = {"images": images, "annotations": annotations, "categories": categories}
    if labels.proposed_by:
        content["info"] = {"description": f"proposals of {labels.proposed_by}"}
    write_text(folder / FILE, json.dumps(content, ensure_ascii=False) + "\n")
    return []


def _annotation(page: Page, number: int, part: np.ndarray, x: int, y: int) -> dict[str, Any]:
    height, width = part.shape
    mask = np.zeros((page.height, page.width), dtype=bool)
    mask[y : y + height, x : x + width] = part
    flat = mask.T.ravel()
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    counts = np.diff(np.concatenate([[0], changes, [flat.size]])).tolist()
    counts = [0, *counts] if flat[0] else counts
    return {
        "category_id": number,
        "segmentation": {"size": [page.height, page.width], "counts": pack_counts(counts)},
        "area": int(part.sum()),
        "bbox": [x, y, width, height],
        "iscrowd": 0,
    }

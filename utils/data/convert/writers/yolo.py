"""Write YOLO segmentation labels: outlines along the edges of pixels, data.yaml, and the images."""

from pathlib import Path

import numpy as np
import yaml

from utils.data.convert.labels import Labels, in_threads
from utils.data.convert.outlines import outline
from utils.data.convert.pages import page_of, place_image, stems_of
from utils.files import write_text

FILE, IMAGES, LABELS = "data.yaml", "images", "labels"
DIGITS = 8  # of a share of width or height: a pixel of the longest images is not missed


def write_yolo(labels: Labels, folder: Path, link: bool) -> list[str]:
    """Write ``data.yaml``, ``images/`` and ``labels/``, a text file for each image, empty for a clean one."""
    stems = stems_of(list(labels.images))
    (folder / LABELS).mkdir(parents=True)

    def draw(name: str) -> None:
        page = page_of(labels, name)
        lines = []
        for number, part, x, y in page.objects():
            corners = (outline(part) + np.array([x, y])) / np.array([page.width, page.height])
            words = " ".join(_share(value) for value in corners.ravel().tolist())
            lines.append(f"{number - 1} {words}\n")
        write_label(folder / LABELS / f"{stems[name]}.txt", "".join(lines))
        place_image(page.path, folder / IMAGES / name, link)

    in_threads(draw, list(labels.images), "writing labels")
    names = dict(enumerate(labels.class_names or ()))
    content = {"path": ".", "train": IMAGES, "val": IMAGES, "nc": len(names), "names": names}
    write_text(folder / FILE, yaml.safe_dump(content, allow_unicode=True, sort_keys=False))
    return []


def write_label(file: Path, text: str) -> None:
    """Write a label file of a folder that is not finished yet."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8", newline="\n")


def _share(value: float) -> str:
    return f"{value:.{DIGITS}f}".rstrip("0").rstrip(".") or "0"

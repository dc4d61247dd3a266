"""Write tasks for Label Studio: a brush stroke for each connected defect, the labelling interface, and the images."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import quoteattr

import numpy as np

from utils.data.convert.brush_rle import encode_brush
from utils.data.convert.labels import Labels, in_threads
from utils.data.convert.pages import Page, hex_colours, page_of, place_image
from utils.data.tables import CLASSES_FILE
from utils.files import replacing, write_text

TASKS, INTERFACE, IMAGES = "tasks.json", "label_config.xml", "images"
CONTROL, OBJECT = "label", "image"


def write_labelstudio(labels: Labels, folder: Path, link: bool) -> list[str]:
    """Write ``tasks.json``, ``label_config.xml``, ``classes.txt`` and ``images/``.

    Labels become annotations; proposals of a network become predictions, which a person accepts or corrects.
    """
    names = labels.class_names or ()
    root = labels.called or folder.name

    def draw(name: str) -> str:
        page = page_of(labels, name)
        place_image(page.path, folder / IMAGES / name, link)
        address = f"/data/local-files/?d={quote(f'{root}/{IMAGES}/{name}')}"
        results = [
            _result(page, names[number - 1], index, part, x, y)
            for index, (number, part, x, y) in enumerate(page.objects())
        ]
        task: dict[str, Any] = {"data": {OBJECT: address}}
        if labels.proposed_by:
            prediction: dict[str, Any] = {"model_version": labels.proposed_by, "result": results}
            if name in labels.scores:
                prediction["score"] = round(labels.scores[name], 4)
            task["predictions"] = [prediction]
        else:
            task["annotations"] = [{"result": results}]
        return json.dumps(task, ensure_ascii=False)

    tasks = in_threads(draw, list(labels.images), "writing labels")
    with replacing(folder / TASKS) as part, part.open("w", encoding="utf-8", newline="\n") as file:
        file.write("[\n" + ",\n".join(tasks) + "\n]\n")
    listed = "".join(
        f"    <Label value={quoteattr(name)} background={quoteattr(colour)}/>\n"
        for name, colour in zip(names, hex_colours(len(names)), strict=True)
    )
    write_text(
        folder / INTERFACE,
        f'<View>\n  <Image name="{OBJECT}" value="${OBJECT}" zoom="true"/>\n'
        f'  <BrushLabels name="{CONTROL}" toName="{OBJECT}">\n{listed}  </BrushLabels>\n</View>\n',
    )
    write_text(folder / CLASSES_FILE, "".join(f"{name}\n" for name in names))
    return []


def _result(page: Page, label: str, index: int, part: np.ndarray, x: int, y: int) -> dict[str, Any]:
    mask = np.zeros((page.height, page.width), dtype=bool)
    mask[y : y + part.shape[0], x : x + part.shape[1]] = part
    return {
        "id": f"defect{index}",
        "type": "brushlabels",
        "from_name": CONTROL,
        "to_name": OBJECT,
        "original_width": page.width,
        "original_height": page.height,
        "image_rotation": 0,
        "value": {"format": "rle", "rle": encode_brush(mask), "brushlabels": [label]},
    }

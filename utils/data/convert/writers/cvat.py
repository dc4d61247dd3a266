"""Write annotations for CVAT: annotations.xml with a mask for each connected defect, its labels, and the images."""

import json
from collections.abc import Iterator
from pathlib import Path

from utils.data.convert.cvat_file import head, image_element, mask_element
from utils.data.convert.labels import Labels, in_threads
from utils.data.convert.pages import Page, hex_colours, page_of, place_image
from utils.errors import InputError
from utils.files import replacing, write_text

FILE, IMAGES, RAW = "annotations.xml", "images", "labels.json"


def write_cvat(labels: Labels, folder: Path, link: bool) -> list[str]:
    """Write ``annotations.xml``, ``images/``, and ``labels.json`` for the field Raw of a new task.

    CVAT takes a mask of several parts badly, so each part is a mask of its own; holes stay in it.
    """
    names = labels.class_names or ()
    for text in (*names, *labels.images):
        if not text.isprintable():
            raise InputError(f"{text!r}: XML cannot hold this name; rename it")
    source = "auto" if labels.proposed_by else "manual"

    def elements(page: Page) -> Iterator[str]:
        for number, part, x, y in page.objects():
            yield mask_element(names[number - 1], part, x, y, source)

    def draw(numbered: tuple[int, str]) -> str:
        number, name = numbered
        page = page_of(labels, name)
        place_image(page.path, folder / IMAGES / name, link)
        return image_element(number, name, page.height, page.width, elements(page))

    images = in_threads(draw, list(enumerate(labels.images)), "writing labels")
    rows = list(zip(names, hex_colours(len(names)), strict=True))
    with replacing(folder / FILE) as part, part.open("w", encoding="utf-8", newline="\n") as file:
        file.write(head(rows, len(images)))
        file.writelines(images)
        file.write("</annotations>\n")
    raw = [{"name": name, "color": colour, "type": "any", "attributes": []} for name, colour in rows]
    write_text(folder / RAW, json.dumps(raw, ensure_ascii=False, indent=2) + "\n")
    return []

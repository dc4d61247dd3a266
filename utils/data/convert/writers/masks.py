"""Write masks as pictures: class numbers, or colours with the table of them that CVAT takes."""

from pathlib import Path

import numpy as np
from PIL import Image

from utils.data import rle
from utils.data.convert.labels import Labels, in_threads
from utils.data.convert.pages import Page, colours_of, index_of, page_of, place_image, stems_of
from utils.errors import InputError
from utils.files import write_text

IGNORED_VALUE = 255  # what written index masks have where labels do not count
LABELMAP = "labelmap.txt"
CLASSES, OBJECTS, PHOTOS, LIST = "SegmentationClass", "SegmentationObject", "JPEGImages", "ImageSets/Segmentation"


def write_index_masks(labels: Labels, folder: Path, link: bool) -> list[str]:
    """Write a grey PNG for each image, named like it: 0 is background, 1 the first class, 255 what does not count."""
    names = labels.class_names or ()
    most = IGNORED_VALUE - 1 if labels.ignored else IGNORED_VALUE
    if len(names) > most:
        what = "leave no value for the pixels that do not count" if labels.ignored else "are more than 8 bits hold"
        raise InputError(f"{len(names)} classes {what}; name fewer by -class_names")
    stems = stems_of(list(labels.images))

    def draw(name: str) -> bool:
        page = page_of(labels, name)
        index, overlap = index_of(page)
        if code := labels.ignored.get(name):
            index[rle.decode(code, page.height, page.width) == 1] = IGNORED_VALUE
        _save(Image.fromarray(index.astype(np.uint8)), folder / f"{stems[name]}.png")
        return overlap

    overlaps = in_threads(draw, list(labels.images), "writing masks")
    notes = _about_overlaps(sum(overlaps))
    if labels.ignored:
        notes.append(f"pixels that count neither in the loss nor in scores have the value {IGNORED_VALUE}")
    return notes


def write_colour_masks(labels: Labels, folder: Path, link: bool) -> list[str]:
    """Write what CVAT calls "Segmentation mask 1.1": colour masks, objects, labelmap.txt, and the images beside them."""
    names = labels.class_names or ()
    colours = colours_of(len(names))
    for name in names:
        if ":" in name or name.startswith("#"):
            raise InputError(f"class {name}: {LABELMAP} has names without : and # at their beginning; rename the class")
    if "background" in names:
        raise InputError(f"class background: {LABELMAP} means by it what shows no defect; rename the class")
    palette = np.array(colours, dtype=np.uint8)
    stems = stems_of(list(labels.images))

    def draw(name: str) -> bool:
        page = page_of(labels, name)
        index, overlap = index_of(page)
        _save(Image.fromarray(palette[index]), folder / CLASSES / f"{stems[name]}.png")
        _save(Image.fromarray(_objects(page)), folder / OBJECTS / f"{stems[name]}.png")
        place_image(page.path, folder / PHOTOS / name, link)
        return overlap

    overlaps = in_threads(draw, list(labels.images), "writing masks")
    rows = zip(["background", *names], colours, strict=True)
    lines = [f"{name}:{','.join(map(str, colour))}::" for name, colour in rows]
    write_text(folder / LABELMAP, "\n".join(["# label:color_rgb:parts:actions", *lines]) + "\n")
    (folder / LIST).mkdir(parents=True)
    write_text(folder / LIST / "default.txt", "".join(f"{stems[name]}\n" for name in labels.images))
    return _about_overlaps(sum(overlaps))


def _objects(page: Page) -> np.ndarray:
    """Draw each connected defect in a colour of its own, (H, W, 3) uint8."""
    numbers = np.zeros((page.height, page.width), dtype=np.int64)
    count = 0
    for _, part, x, y in page.objects():
        count += 1
        numbers[y : y + part.shape[0], x : x + part.shape[1]][part] = count
    drawn: np.ndarray = np.array(colours_of(count), dtype=np.uint8)[numbers]
    return drawn


def _save(picture: Image.Image, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    picture.save(target)


def _about_overlaps(count: int) -> list[str]:
    if not count:
        return []
    return [f"{count} images have pixels of two classes; a mask keeps the higher class number"]

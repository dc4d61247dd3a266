"""Make labels of the shapes that were drawn on images: what the readers of labelling programs have in common."""

import threading
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from config import ConvertConfig
from utils.data import rle
from utils.data.convert.labels import Labels, Skipping, some, upright_size
from utils.data.convert.polygons import notes_of
from utils.data.convert.shapes import Shape, about_shapes
from utils.data.listing import image_names
from utils.errors import InputError
from utils.text import plural


@dataclass
class Drawn:
    """What was drawn on one image.

    Attributes:
        path: the image.
        file: that has the labels, for messages.
        size: (height, width) that this file says; None: it does not say.
        shapes: label and shape, in the order of the file.
    """

    path: Path
    file: str
    size: tuple[int, int] | None = None
    shapes: list[tuple[str, Shape]] = field(default_factory=list)


def labels_of(
    drawn: dict[str, Drawn],
    declared: Sequence[str] | None,
    config: ConvertConfig,
    skipping: Skipping,
    notes: Sequence[str] = (),
) -> Labels:
    """Draw all shapes; those of one class in one image are joined.

    Args:
        drawn: name -> what was drawn on that image.
        declared: names of the classes in the order of the program's own list; None: it has none, the names that occur
            are sorted.
        config: its ``class_names`` say which classes are wanted and in which order; others are left out and told.
        skipping: knows what a malformed label means.
        notes: of the reader.

    Raises:
        InputError: a shape is malformed, or -class_names names what nobody drew or declared.
    """
    names, unwanted = _class_names(drawn, declared, config.class_names)
    numbers = {name: number for number, name in enumerate(names, 1)}
    tally: Counter[str] = Counter()
    lock = threading.Lock()

    def encode(name: str) -> dict[int, str]:
        image = drawn[name]
        size = upright_size(image.path)
        if image.size is not None and image.size != size:
            said = "x".join(map(str, image.size))
            raise InputError(f"{image.file}: says {name} is {said}, but the image is {size[0]}x{size[1]}; correct it")
        masks: dict[int, np.ndarray] = {}
        seen: Counter[str] = Counter()
        for label, shape in image.shapes:
            if label not in numbers:
                continue
            mask = shape.draw(*size, seen)
            number = numbers[label]
            masks[number] = masks[number] | mask if number in masks else mask
        with lock:  # the images are read in threads
            tally.update(seen)
        return {number: code for number, mask in sorted(masks.items()) if (code := rle.encode(mask))}

    order = sorted(drawn)
    codes = skipping.try_each(encode, order, lambda name: name, "reading labels")
    told = [*notes, *notes_of(tally), *about_shapes(tally)]
    if unwanted:
        count = sum(label in unwanted for image in drawn.values() for label, _ in image.shapes)
        told.append(f"left out {count} shapes of labels that -class_names does not name: {some(sorted(unwanted))}")
    kept = {name: drawn[name].path for name in order if name in codes}
    return Labels(kept, codes, names, told, left_out=skipping.left_out)


def about_unlisted(folder: Path, taken: Iterable[Path], file: Path, apart: Sequence[Path]) -> list[str]:
    """Say which images of a folder a file of labels does not list: as far as it tells they are neither clean nor labelled."""
    listed = set(taken)
    left = [name for name in image_names(folder, apart=apart) if folder / name not in listed]
    if not left:
        return []
    return [f"left out {plural(len(left), 'image')} of {folder} without labels in {file.name}: {some(left)}"]


def _class_names(
    drawn: dict[str, Drawn], declared: Sequence[str] | None, wanted: tuple[str, ...] | None
) -> tuple[tuple[str, ...], set[str]]:
    """Return the names of the classes in order, and those that occur and are not wanted."""
    used = {label for image in drawn.values() for label, _ in image.shapes}
    known = list(dict.fromkeys([*(declared or ()), *sorted(used)]))
    if not known and not wanted:
        raise InputError(f"{_a_file(drawn)}: nothing is labelled and no classes are listed; name them by -class_names")
    for label in used:
        if label != label.strip() or len(label.splitlines()) != 1 or not label.isprintable():
            raise InputError(f"{_a_file(drawn, label)}: label {label!r} is not one line of text; name it anew")
    if not wanted:
        return tuple(known), set()
    unknown = [name for name in wanted if name not in known]
    if unknown and used:
        raise InputError(f"-class_names {some(unknown)}: no label is called so; there are {some(known, 10)}")
    return wanted, used - set(wanted)


def _a_file(drawn: dict[str, Drawn], label: str | None = None) -> str:
    """Return a file of labels for a message: where it matters one that has the label."""
    for image in drawn.values():
        if label is None or any(label == one for one, _ in image.shapes):
            return image.file
    return "labels"

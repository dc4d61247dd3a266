"""Read YOLO segmentation labels: a text file per image, a line ``class x1 y1 x2 y2 ...`` per outline, 0..1."""

import os
import threading
from collections import Counter
from pathlib import Path

import numpy as np

from config import ConvertConfig
from utils.data import rle
from utils.data.convert.labels import Labels, Skipping, by_stem, some, upright_size
from utils.data.convert.polygons import draw_outlines, notes_of
from utils.data.convert.yolo_names import find_names
from utils.data.folder_layout import read_class_names
from utils.data.tables import CLASSES_FILE, MOST_CLASSES
from utils.errors import InputError
from utils.text import plural

TOLERANCE = 0.01  # programs write corners a little outside the image


def read_yolo(config: ConvertConfig) -> Labels:
    """Pair images and label files by name and fill the outlines; an image without a file is clean.

    Args:
        config: ``images``, ``annotations`` (folder of label files), ``class_names`` (None: ``classes.txt`` of that
            folder, the names of a ``data.yaml`` in it or up to two folders above, or numbers) and ``skip_bad``.

    Raises:
        InputError: no label file fits an image, or a line is malformed.
    """
    if config.images is None or config.annotations is None:
        raise InputError("convert -from yolo needs -images FOLDER and -annotations FOLDER")
    folder, home = config.annotations, config.images
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; -annotations expects a folder of YOLO label files")
    images = by_stem(config.images, apart=[config.dir])
    files = _label_files(folder)
    if home.samefile(folder):
        files = {stem: files[place] for stem in images if (place := _beside(stem)) in files}
    if not files.keys() & images.keys():
        raise InputError(f"{folder}: no label file has the name of an image in {config.images}; expected NAME.txt")
    names, notes = config.class_names or read_class_names(folder), []
    if names is None and (described := find_names(folder)):
        names = described.names
        notes.append(f"class names from {described.file}")
    skipping = Skipping(config.skip_bad)
    tally: Counter[str] = Counter()

    def encode(stem: str) -> dict[int, str]:
        if stem not in files:
            return {}
        height, width = upright_size(home / images[stem])
        outlines = _outlines(files[stem], names)
        scale = np.array([width, height])
        seen: Counter[str] = Counter()
        masks = {
            k: draw_outlines([corners * scale for corners in found], height, width, seen)
            for k, found in outlines.items()
        }
        with lock:  # the images are read in threads
            tally.update(seen)
        return {k: code for k, mask in sorted(masks.items()) if (code := rle.encode(mask))}

    lock = threading.Lock()
    encoded = skipping.try_each(encode, list(images), lambda stem: images[stem], "reading labels")
    if names is None:
        count = max((k for codes in encoded.values() for k in codes), default=0)
        if not count:
            raise InputError(f"{folder}: every label file is empty; name the classes by -class_names")
        names = tuple(str(k) for k in range(1, count + 1))
    unused = [f"{stem}.txt" for stem in files if stem not in images]
    notes += [f"left out {len(unused)} label files without an image: {some(unused)}"] if unused else []
    clean = [images[stem] for stem in images if stem not in files]
    notes += [f"{plural(len(clean), 'image')} without a label file taken as clean: {some(clean)}"] if clean else []
    codes = {images[stem]: code for stem, code in encoded.items()}
    kept = {name: home / name for name in codes}
    return Labels(kept, codes, names, notes + notes_of(tally), left_out=skipping.left_out)


def _label_files(folder: Path) -> dict[str, Path]:
    """List the label files of a folder and of the folders within by their names without suffix, as ``by_stem`` has them."""
    files = {}
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for path in (Path(place) / name for name in names if name.endswith(".txt") and name != CLASSES_FILE):
            files[path.relative_to(folder).with_suffix("").as_posix()] = path
    return dict(sorted(files.items()))


def _beside(stem: str) -> str:
    """Return where the label file of an image lies that is in a folder called images: in labels beside it."""
    places = stem.split("/")
    if "images" in places[:-1]:
        last = len(places) - 2 - places[-2::-1].index("images")
        places[last] = "labels"
    return "/".join(places)


def _class_of(word: str) -> int:
    """Return a class number, also one that is written as a float; ``ValueError`` for others."""
    number = float(word)
    if not number.is_integer():
        raise ValueError(word)
    return int(number)


def _outlines(file: Path, names: tuple[str, ...] | None) -> dict[int, list[np.ndarray]]:
    """Read one label file: class number (from 1) -> outlines, (n, 2) x and y as shares of width and height."""
    outlines: dict[int, list[np.ndarray]] = {}
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise InputError(f"{file}: not a text file; expected lines 'class x1 y1 x2 y2 ...'") from None
    for number, line in enumerate(lines, 1):
        words = line.split()
        if not words:
            continue
        where = f"{file}, line {number}"
        try:
            index, corners = _class_of(words[0]), np.array(words[1:], dtype=np.float64)
        except ValueError:
            raise InputError(f"{where}: expected numbers 'class x1 y1 x2 y2 ...'; correct or remove the line") from None
        if len(corners) == 4:
            raise InputError(f"{where}: is a box, which has no outline; label outlines (segmentation) instead")
        if len(corners) < 6 or len(corners) % 2:
            raise InputError(f"{where}: {len(corners)} coordinates; an outline needs at least three x,y pairs")
        if not ((corners >= -TOLERANCE) & (corners <= 1 + TOLERANCE)).all():
            raise InputError(f"{where}: a coordinate is outside 0..1; divide x by the width and y by the height")
        most = MOST_CLASSES if names is None else len(names)
        if not 0 <= index < most:
            said = f"there are {most} class names" if names else f"classes are 0 to {most - 1}"
            raise InputError(f"{where}: class {words[0][:40]}, but {said}; correct the line or -class_names")
        outlines.setdefault(index + 1, []).append(corners.reshape(-1, 2))
    return outlines

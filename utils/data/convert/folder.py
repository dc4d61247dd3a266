"""Write a dataset folder from labels of any layout, and index masks from a dataset folder."""

import json
import os
import shutil
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
from PIL import Image

from config import ConvertConfig
from utils.data.annotations import (
    IGNORED,
    IMAGES,
    LABELS,
    TEST_TABLE,
    make_rows,
    open_dataset,
    read_class_names,
    write_annotations,
    write_ignored,
)
from utils.data.convert.coco import read_coco
from utils.data.convert.index_masks import read_index_masks
from utils.data.convert.labels import Labels, LeftOut, by_stem, in_threads
from utils.data.convert.yolo import read_yolo
from utils.data.images import read_size
from utils.data.listing import about_folders, about_links
from utils.data.tables import CLASSES_FILE, MOST_CLASSES, write_listed
from utils.errors import InputError
from utils.files import new_folder, write_text
from utils.settings import flag_of, given_fields
from utils.text import plural

READERS = {"index-masks": read_index_masks, "coco": read_coco, "yolo": read_yolo}
# Source -> the flags that mean something for it, besides -from, -dir and -split.
USED = {
    "index-masks": {
        "images",
        "masks",
        "mask_threshold",
        "mask_values",
        "ignore_value",
        "class_names",
        "link",
        "skip_bad",
    },
    "coco": {"images", "annotations", "class_names", "link", "skip_bad"},
    "yolo": {"images", "annotations", "class_names", "link", "skip_bad"},
    "dataset": {"masks"},
}
UNFINISHED = ".unfinished"  # among the images until the last table is written
SUMMARY = "summary.json"  # in the dataset folder, lists what -skip_bad left out
MOST_SHOWN = 20  # of these on the terminal
IGNORED_VALUE = 255  # what written index masks have where labels do not count


@dataclass(frozen=True)
class ConvertSummary:
    """What was written.

    Attributes:
        folder: where the images or masks are.
        images: their number.
        per_class: class name -> images that show it; empty when there were no labels.
        notes: what the user should know, a line each.
        left_out: what ``-skip_bad`` left out.
    """

    folder: Path
    images: int
    per_class: dict[str, int]
    notes: list[str]
    left_out: list[LeftOut] = field(default_factory=list)

    def text(self) -> str:
        """Return as text for a terminal what was written."""
        counts = ", ".join(f"{name} {count}" for name, count in self.per_class.items()) or "no labels"
        lines = [f"{self.folder}: {self.images} images; images per class: {counts}", *self.notes]
        if self.left_out:
            listed = self.folder.parent / SUMMARY
            lines.append(f"{plural(len(self.left_out), 'problem')} left out by -skip_bad, listed in {listed}:")
            lines += [f"  {entry.problem}" for entry in self.left_out[:MOST_SHOWN]]
        if len(self.left_out) > MOST_SHOWN:
            lines.append(f"  ... and {len(self.left_out) - MOST_SHOWN} more")
        return "\n".join(lines)


def convert(config: ConvertConfig) -> ConvertSummary:
    """Convert labels into a dataset folder, or a dataset folder into index masks (``-from dataset``).

    Everything is read before anything is written, and the table comes last, so that a folder with a table is whole. What
    an interrupted conversion has left is taken away again, at the latest by the next one.

    Args:
        config: source, its folders, class names, split, folder to write, copy or link.

    Raises:
        InputError: the source is malformed, the target exists already, or a flag is not for this source.
    """
    unused = sorted(given_fields(config) - USED[config.source] - {"source", "dir", "split"})
    if unused:
        raise InputError(f"{flag_of(unused[0])}: -from {config.source} does not use it; leave it out")
    if config.source == "dataset":
        return _write_masks(config)
    folder = config.dir / IMAGES[config.split]
    if config.images and folder.exists() and config.images.exists() and folder.samefile(config.images):
        raise InputError(f"-images {config.images}: the dataset's images would be written there; name another -dir")
    tables = [LABELS[config.split], IGNORED[config.split]] + ([TEST_TABLE] if config.split == "test" else [])
    _remove_unfinished(folder, config.dir / LABELS[config.split])
    _refuse_existing(folder, *(config.dir / table for table in tables))
    labels = READERS[config.source](config)
    if not labels.images:
        why = f"; the first: {labels.left_out[0].problem}" if labels.left_out else "; nothing to convert"
        what = "every image was left out" if labels.left_out else "names no images"
        raise InputError(f"{config.annotations or config.images}: {what}{why}")
    assert config.images is not None
    labels.notes.extend(line for line in (about_folders(labels.images), about_links(config.images)) if line)
    if labels.labelled and not any(labels.codes.values()):
        labels.notes.append(f"warning: no image has a label; all {len(labels.images)} count as clean")
    labels = _named_by_folder(labels, config)
    _check_class_names(config.dir, labels.class_names)
    try:
        with new_folder(folder) as part:
            for place in sorted({(part / name).parent for name in labels.images}):
                place.mkdir(parents=True, exist_ok=True)
            in_threads(
                lambda name: _place(labels.images[name], part / name, config.link),
                list(labels.images),
                "writing images",
            )
            new_names = not (config.dir / CLASSES_FILE).exists()
            write_text(part / UNFINISHED, CLASSES_FILE if new_names else "")
        _write_tables(config, labels)
    except BaseException:
        _remove_unfinished(folder, config.dir / LABELS[config.split])
        raise
    (folder / UNFINISHED).unlink()
    return ConvertSummary(folder, len(labels.images), _per_class(labels), labels.notes, labels.left_out)


def _write_tables(config: ConvertConfig, labels: Labels) -> None:
    if labels.class_names:
        write_text(config.dir / CLASSES_FILE, "".join(f"{name}\n" for name in labels.class_names))
    if labels.left_out:
        summary = {"images": len(labels.images), "left_out": [asdict(entry) for entry in labels.left_out]}
        write_text(config.dir / SUMMARY, json.dumps(summary, indent=2) + "\n")
    if config.split == "test":
        write_listed(labels.images, config.dir / TEST_TABLE)
    if labels.ignored:
        write_ignored(labels.ignored, config.dir / IGNORED[config.split])
    if labels.labelled:
        records = [(name, k, code, 0) for name, codes in labels.codes.items() for k, code in codes.items()]
        write_annotations(make_rows(records), config.dir / LABELS[config.split])


def _remove_unfinished(folder: Path, table: Path) -> None:
    """Remove the images, and what else goes with them, of a conversion that was interrupted before its last table."""
    mark = folder / UNFINISHED
    try:
        new = mark.read_text("utf-8").split()
    except OSError:
        return
    if table.exists():  # interrupted after the last table
        mark.unlink()
        return
    side = next(side for side, name in IMAGES.items() if name == folder.name)
    for name in (*new, IGNORED[side], *([TEST_TABLE] if side == "test" else [])):
        if name in (CLASSES_FILE, TEST_TABLE, IGNORED[side]):
            (folder.parent / name).unlink(missing_ok=True)
    resolved = folder.resolve()
    for path in resolved.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path != resolved / UNFINISHED:
            path.unlink()
    (resolved / UNFINISHED).unlink()
    resolved.rmdir()


def _named_by_folder(labels: Labels, config: ConvertConfig) -> Labels:
    """Let the dataset folder's ``classes.txt`` name classes that the source only numbers, if it has enough names."""
    there = read_class_names(config.dir)
    numbered = labels.class_names == tuple(str(k) for k in range(1, len(labels.class_names or ()) + 1))
    if (
        config.class_names
        or config.source == "coco"
        or not numbered
        or len(there or ()) < len(labels.class_names or ())
    ):
        return labels
    return replace(labels, class_names=there)


def _per_class(labels: Labels) -> dict[str, int]:
    names = labels.class_names or ()
    return {
        name: sum(k in codes for codes in labels.codes.values()) for k, name in enumerate(names, 1) if labels.labelled
    }


def _write_masks(config: ConvertConfig) -> ConvertSummary:
    """Write an index mask for each labelled image of a side of a dataset folder."""
    dataset = open_dataset(config.dir, config.split)
    names = by_stem(dataset.image_dir)  # two images of one stem would share a mask
    folder = config.masks or config.dir / "masks"
    _refuse_existing(folder)
    annotations = dataset.annotations
    if annotations.ignored and annotations.num_classes >= IGNORED_VALUE:
        raise InputError(f"{config.dir}: {IGNORED_VALUE} classes leave no value for the pixels that do not count")

    def draw(stem: str, part: Path) -> bool:
        name = names[stem]
        height, width = read_size(dataset.path(name))
        mask = annotations.mask(name, height, width)
        index = np.zeros((height, width), dtype=np.uint8)
        for k in range(annotations.num_classes):
            index[mask[..., k] == 1] = k + 1
        ignored = annotations.ignored_mask(name, height, width)
        if ignored is not None:
            index[ignored] = IGNORED_VALUE
        target = part / f"{stem}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(index).save(target)
        return bool((mask.sum(axis=2) > 1).any())

    with new_folder(folder) as part:
        overlaps = in_threads(lambda stem: draw(stem, part), list(names), "writing masks")
    counts = annotations.rows["class_id"].value_counts()
    notes = []
    if any(overlaps):
        notes.append(f"{sum(overlaps)} images have pixels of two classes; a mask keeps the higher class number")
    if annotations.ignored:
        notes.append(f"pixels that count neither in the loss nor in scores have the value {IGNORED_VALUE}")
    per_class = {name: int(counts.get(k, 0)) for k, name in enumerate(annotations.class_names, 1)}
    return ConvertSummary(folder, len(dataset.images), per_class, notes)


def _place(source: Path, target: Path, link: bool) -> None:
    if link:
        os.symlink(source.resolve(), target)  # noqa: PTH211 - Path.symlink_to reads the wrong way round
    else:
        shutil.copyfile(source, target)


def _refuse_existing(*paths: Path) -> None:
    for path in paths:
        if path.is_file() or (path.is_dir() and any(path.iterdir())):
            raise InputError(f"{path}: exists already; choose another folder or remove it")


def _check_class_names(root: Path, names: tuple[str, ...] | None) -> None:
    if names is None:
        return
    if len(set(names)) < len(names):
        raise InputError(f"-class_names {','.join(names)}: a name occurs twice; names must differ")
    if len(names) > MOST_CLASSES:
        raise InputError(f"-class_names: {len(names)} classes; at most {MOST_CLASSES} are possible")
    there = read_class_names(root)
    if there not in (None, names):
        has = ",".join(there or ())
        remedy = "choose another -dir" + (f" or give -class_names {has}" if len(there or ()) >= len(names) else "")
        raise InputError(f"{root / CLASSES_FILE}: has {has}, not {','.join(names)}; {remedy}")

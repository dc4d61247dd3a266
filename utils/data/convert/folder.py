"""Write labels of any layout as a dataset folder, or in the layout of another program."""

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from config import ConvertConfig
from utils.data.annotation_table import write_annotations, write_ignored
from utils.data.annotations import make_rows
from utils.data.convert.labels import Labels, LeftOut, in_threads
from utils.data.convert.pages import place_image
from utils.data.convert.sources import check_flags, opened_source, read_source, target_of
from utils.data.convert.writers import WRITERS
from utils.data.folder_layout import IGNORED, IMAGES, LABELS, TEST_TABLE, check_class_names, read_class_names
from utils.data.listing import about_folders, about_links
from utils.data.tables import CLASSES_FILE, MOST_CLASSES, write_listed
from utils.errors import InputError
from utils.files import new_folder, write_text
from utils.text import plural

UNFINISHED = ".unfinished"  # among the images until the last table is written
SUMMARY = "summary.json"  # in the dataset folder, lists what -skip_bad left out
MOST_SHOWN = 20  # of these on the terminal


@dataclass(frozen=True)
class ConvertSummary:
    """What was written.

    Attributes:
        folder: where the images or masks are.
        images: their number.
        per_class: class name -> images that show it; empty when there were no labels.
        notes: what the user should know, a line each.
        left_out: what ``-skip_bad`` left out.
        listed: the file that lists it.
    """

    folder: Path
    images: int
    per_class: dict[str, int]
    notes: list[str]
    left_out: list[LeftOut] = field(default_factory=list)
    listed: Path = Path(SUMMARY)

    def text(self) -> str:
        """Return as text for a terminal what was written."""
        counts = ", ".join(f"{name} {count}" for name, count in self.per_class.items()) or "no labels"
        lines = [f"{self.folder}: {self.images} images; images per class: {counts}", *self.notes]
        if self.left_out:
            lines.append(f"{plural(len(self.left_out), 'problem')} left out by -skip_bad, listed in {self.listed}:")
            lines += [f"  {entry.problem}" for entry in self.left_out[:MOST_SHOWN]]
        if len(self.left_out) > MOST_SHOWN:
            lines.append(f"  ... and {len(self.left_out) - MOST_SHOWN} more")
        return "\n".join(lines)


def convert(config: ConvertConfig, read: Callable[[ConvertConfig], Labels] = read_source) -> ConvertSummary:
    """Convert labels into a dataset folder, or into the layout of another program (``-to``).

    Everything is read before anything is written, and the table comes last, so that a folder with a table is whole. What
    an interrupted conversion has left is taken away again, at the latest by the next one.

    Args:
        config: source, its folders, class names, split, layout and folder to write, copy or link.
        read: reads the labels; another than the reader of the source where a network proposes them.

    Raises:
        InputError: the source is malformed, the target exists already, or a flag is not for this source.
    """
    check_flags(config)
    with opened_source(config) as opened:
        if target_of(config) != "dataset":
            return _write_elsewhere(opened, read)
        return _write_dataset(opened, read)


def _write_elsewhere(config: ConvertConfig, read: Callable[[ConvertConfig], Labels]) -> ConvertSummary:
    """Write labels in the layout of another program, into a new folder."""
    target = target_of(config)
    folder = config.dir
    if config.source == "dataset":
        folder = config.out or config.masks or config.dir / ("masks" if target == "index-masks" else target)
    _refuse_existing(folder)
    labels = _read(config, read)
    notes = list(labels.notes)
    if labels.class_names is None:
        raise InputError(f"{config.images}: nothing says which classes there are; name them by -class_names")
    if labels.ignored and target != "index-masks":
        notes.append(f"ignored pixels of {plural(len(labels.ignored), 'image')} left out: {target} has none")
    with new_folder(folder) as part:
        notes += WRITERS[target](replace(labels, called=folder.absolute().name), part, config.link)
        if labels.left_out:
            _write_left_out(labels, part / SUMMARY)
    return ConvertSummary(folder, len(labels.images), _per_class(labels), notes, labels.left_out, folder / SUMMARY)


def _read(config: ConvertConfig, read: Callable[[ConvertConfig], Labels]) -> Labels:
    labels = read(config)
    if not labels.images:
        why = f"; the first: {labels.left_out[0].problem}" if labels.left_out else "; nothing to convert"
        what = "every image was left out" if labels.left_out else "names no images"
        raise InputError(f"{config.annotations or config.images or config.dir}: {what}{why}")
    if config.images is not None and config.source != "dataset":
        labels.notes.extend(line for line in (about_folders(labels.images), about_links(config.images)) if line)
    if labels.labelled and not any(labels.codes.values()):
        labels.notes.append(f"warning: no image has a label; all {len(labels.images)} count as clean")
    return labels


def _write_dataset(config: ConvertConfig, read: Callable[[ConvertConfig], Labels]) -> ConvertSummary:
    folder = config.dir / IMAGES[config.split]
    if config.images and folder.exists() and config.images.exists() and folder.samefile(config.images):
        raise InputError(f"-images {config.images}: the dataset's images would be written there; name another -dir")
    tables = [LABELS[config.split], IGNORED[config.split]] + ([TEST_TABLE] if config.split == "test" else [])
    _remove_unfinished(folder, config.dir / LABELS[config.split])
    _refuse_existing(folder, *(config.dir / table for table in tables))
    labels = _read(config, read)
    labels = _named_by_folder(labels, config)
    _check_class_names(config.dir, labels.class_names)
    try:
        with new_folder(folder) as part:
            in_threads(
                lambda name: place_image(labels.images[name], part / name, config.link),
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
    counts = _per_class(labels)
    return ConvertSummary(folder, len(labels.images), counts, labels.notes, labels.left_out, config.dir / SUMMARY)


def _write_tables(config: ConvertConfig, labels: Labels) -> None:
    if labels.class_names:
        write_text(config.dir / CLASSES_FILE, "".join(f"{name}\n" for name in labels.class_names))
    if labels.left_out:
        _write_left_out(labels, config.dir / SUMMARY)
    if config.split == "test":
        write_listed(labels.images, config.dir / TEST_TABLE)
    if labels.ignored:
        write_ignored(labels.ignored, config.dir / IGNORED[config.split])
    if labels.labelled:
        records = [(name, k, code, 0) for name, codes in labels.codes.items() for k, code in codes.items()]
        write_annotations(make_rows(records), config.dir / LABELS[config.split])


def _write_left_out(labels: Labels, file: Path) -> None:
    summary = {"images": len(labels.images), "left_out": [asdict(entry) for entry in labels.left_out]}
    write_text(file, json.dumps(summary, indent=2) + "\n")


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
        or config.source not in ("index-masks", "yolo")
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


def _refuse_existing(*paths: Path) -> None:
    for path in paths:
        if path.is_file() or (path.is_dir() and any(path.iterdir())):
            raise InputError(f"{path}: exists already; choose another folder or remove it")


def _check_class_names(root: Path, names: tuple[str, ...] | None) -> None:
    if names is None:
        return
    check_class_names(names, f"-class_names {','.join(names)}")
    if len(names) > MOST_CLASSES:
        raise InputError(f"-class_names: {len(names)} classes; at most {MOST_CLASSES} are possible")
    there = read_class_names(root)
    if there not in (None, names):
        has = ",".join(there or ())
        remedy = "choose another -dir" + (f" or give -class_names {has}" if len(there or ()) >= len(names) else "")
        raise InputError(f"{root / CLASSES_FILE}: has {has}, not {','.join(names)}; {remedy}")

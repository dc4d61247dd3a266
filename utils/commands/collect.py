"""Make a dataset folder of images that people reviewed: what they left as defects are its labels, clean images included."""

import datetime
import re
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from config import CollectConfig
from utils.data import rle
from utils.data.annotation_table import write_annotations, write_ignored
from utils.data.annotations import make_rows
from utils.data.dataset_folder import Dataset, open_dataset
from utils.data.folder_layout import IGNORED, IMAGES, LABELS
from utils.data.tables import CLASSES_FILE, TableWriter
from utils.desk.database import Database
from utils.desk.image_files import ImageFiles
from utils.desk.review import Review
from utils.desk.reviews import Reviews
from utils.errors import InputError
from utils.files import new_folder, write_text
from utils.models.spec import ANOMALY
from utils.text import plural
from utils.weights.torch_file import digest

TABLE = "review.csv"  # in the dataset folder: who said what of each image, and when


@dataclass(frozen=True)
class CollectResult:
    """What was written.

    Attributes:
        folder: the dataset folder.
        images: their number.
        clean: of them those without a defect.
        per_class: class name -> images that show it.
        undecided: reviewed images that are open or unsure, which are left out.
        left_out: images whose files are not there any more.
        added: images of ``-add``, which are counted among ``images`` too.
        replaced: images of ``-add`` whose label the review has replaced.
        unnamed: reviewed images with a defect that is of no class but that of ``-task anomaly``.
    """

    folder: Path
    images: int
    clean: int
    per_class: dict[str, int]
    undecided: int
    left_out: tuple[str, ...]
    added: int = 0
    replaced: int = 0
    unnamed: int = 0

    def text(self) -> str:
        """Return as text for a terminal what was written."""
        counts = ", ".join(f"{name} {count}" for name, count in self.per_class.items())
        lines = [f"{self.folder}: {plural(self.images, 'image')}, {self.clean} clean; images per class: {counts}"]
        if self.added or self.replaced:
            lines.append(
                f"{plural(self.images - self.added, 'reviewed image')}, {self.replaced} of them in -add too, whose label the"
                f" review replaces, and {self.added} more of -add"
            )
        if self.unnamed:
            lines.append(
                f"{plural(self.unnamed, 'image')} with defects of class {ANOMALY}: nobody said of which class they are; name the"
                " classes by Serve.py -class_names, and press their digits on the page"
            )
        if self.undecided:
            lines.append(f"{plural(self.undecided, 'image')} left out: review not finished, or marked unsure")
        if self.left_out:
            lines.append(
                f"{plural(len(self.left_out), 'image')} left out, their files are gone: {self.left_out[0]}, ..."
            )
        return "\n".join(lines)


def collect(config: CollectConfig) -> CollectResult:
    """Write ``train_images/``, ``train.csv``, ``classes.txt`` and ``review.csv``; all of them or nothing.

    Args:
        config: where the reviews are, and the folder to write.

    Raises:
        InputError: no reviews there, no image that is ready, or the folder to write has something in it.
    """
    if config.dir.exists() and (not config.dir.is_dir() or any(config.dir.iterdir())):
        raise InputError(f"-dir {config.dir}: has something in it; name a new folder")
    added = None if config.add is None else open_dataset(config.add)
    if added is not None and added.pack is not None:
        raise InputError(f"-add {config.add}: is packed; give the folder that it was made of")
    database = Database(config.review, read_only=True)
    try:
        return _collect(config, database, added)
    finally:
        database.close()


def _collect(config: CollectConfig, database: Database, added: Dataset | None) -> CollectResult:
    files, reviews = ImageFiles(config.review), Reviews(database)
    rows = database.rows("SELECT sha256, state, who, time FROM reviews ORDER BY time, sha256")
    ready = [row for row in rows if row["state"] in ("done", "clean")]
    if not ready:
        raise InputError(
            f"-review {config.review}: {plural(len(rows), 'review')}, none of them finished; accept, correct or mark the"
            " images on the page first"
        )
    known = added.annotations.class_names if added else ()
    found = _class_names(reviews, [row["sha256"] for row in ready])
    unnamed = sum(_shows(reviews, row["sha256"], ANOMALY) for row in ready) if ANOMALY in found else 0
    if not unnamed and len(found) > 1:  # an alarm is no class of defects once people have said which ones it means
        found = tuple(name for name in found if name != ANOMALY)
    class_names = tuple(dict.fromkeys((*known, *found)))
    reviewed = {row["sha256"] for row in ready if files.find(row["sha256"]) is not None and reviews.find(row["sha256"])}
    records: list[tuple[str, int, str, int]] = []
    told: list[list[Any]] = []
    left_out: list[str] = []
    per_class: Counter[str] = Counter()
    clean = 0
    taken: set[str] = set()
    with new_folder(config.dir) as part:
        folder = part / IMAGES["train"]
        folder.mkdir()
        kept = [] if added is None else [name for name in added.images if digest(added.path(name)) not in reviewed]
        if added is not None:
            _take_over(added, kept, folder, config.link)
            taken.update(name.casefold() for name in kept)
            ignored = {name: code for name, code in added.annotations.ignored.items() if name in set(kept)}
            if ignored:
                write_ignored(ignored, part / IGNORED["train"])
            for name in kept:
                codes = added.annotations.runs(name)
                records += [(name, class_id, code, 0) for class_id, code in codes.items()]
                per_class.update(class_names[class_id - 1] for class_id in codes)
                clean += not codes
        for row in ready:
            sha256 = row["sha256"]
            review, path = reviews.find(sha256), files.find(sha256)
            shown = _name_of(database, sha256)
            if review is None or path is None:
                left_out.append(shown)
                continue
            name = _free_name(shown, path, sha256, taken)
            _place(path, folder / name, config.link)
            codes = dict(_codes(review, class_names))
            records += [(name, class_id, code, 0) for class_id, code in codes.items()]
            per_class.update(class_names[class_id - 1] for class_id in codes)
            clean += not codes
            when = datetime.datetime.fromtimestamp(row["time"]).astimezone().isoformat(timespec="seconds")
            told.append([name, shown, sha256, row["state"], row["who"], when, review.base.weights, review.comment])
        write_text(part / CLASSES_FILE, "".join(f"{name}\n" for name in class_names))
        with open(part / TABLE, "w", encoding="utf-8", newline="") as file:
            writer = TableWriter(file)
            writer.writerow(["image", "name", "sha256", "state", "who", "time", "weights", "remark"])
            writer.writerows(told)
        write_annotations(make_rows(records), part / LABELS["train"])
    counts = {name: per_class[name] for name in class_names}
    replaced = 0 if added is None else len(added.images) - len(kept)
    undecided = len(rows) - len(ready)
    images = len(told) + len(kept)
    return CollectResult(config.dir, images, clean, counts, undecided, tuple(left_out), len(kept), replaced, unnamed)


def _class_names(reviews: Reviews, hashes: list[str]) -> tuple[str, ...]:
    """Return the classes of all reviews in the order of their numbers; weights of other classes add theirs."""
    names: dict[str, None] = {}
    for sha256 in hashes:
        review = reviews.find(sha256)
        names.update(dict.fromkeys(review.base.class_names if review else ()))
    return tuple(names)


def _shows(reviews: Reviews, sha256: str, name: str) -> bool:
    review = reviews.find(sha256)
    return review is not None and name in (review.found or ())


def _codes(review: Review, class_names: tuple[str, ...]) -> Iterator[tuple[int, str]]:
    """Yield number and run-length code of each class that an image shows."""
    for name, mask in zip(review.base.class_names, review.masks(), strict=True):
        if mask.any():  # a class that nobody left need not be among the names
            yield class_names.index(name) + 1, rle.encode(mask)


def _name_of(database: Database, sha256: str) -> str:
    """Return what the newest visit calls an image."""
    row = database.row("SELECT name FROM images WHERE sha256 = ? ORDER BY added DESC LIMIT 1", (sha256,))
    return f"{sha256[:16]}" if row is None else str(row["name"])


def _free_name(shown: str, path: Path, sha256: str, taken: set[str]) -> str:
    """Return a file name for an image: its own, with digits of its hash where another image has it."""
    stem = re.sub(r'[/\\:*?"<>|]', "_", str(PurePosixPath(shown).with_suffix("")))[:150].lstrip(".") or sha256[:16]
    name = f"{stem}{path.suffix}"
    if name.casefold() in taken:
        name = f"{stem}-{sha256[:12]}{path.suffix}"
    taken.add(name.casefold())
    return name


def _take_over(added: Dataset, names: Sequence[str], folder: Path, link: bool) -> None:
    """Put images of another dataset folder into the new one, by their names."""
    for name in names:
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        _place(added.path(name), target, link)


def _place(source: Path, target: Path, link: bool) -> None:
    if link:
        target.symlink_to(source.resolve())
    else:
        shutil.copyfile(source, target)

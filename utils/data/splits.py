"""Choose images: the class-balanced subset, and the training, validation and test sides of a split."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from config import BalanceConfig
from utils.data.annotation_table import read_annotations, write_annotations
from utils.data.annotations import Annotations
from utils.data.duplicates.groups import describe_groups, near_duplicate_groups
from utils.data.folder_layout import read_class_names
from utils.data.tables import AnnotationError, read_table, require_columns, write_frame
from utils.errors import InputError

__all__ = [
    "balance",
    "describe_groups",
    "kept_apart",
    "near_duplicate_groups",
    "read_groups",
    "read_sides",
    "read_split",
    "split",
    "write_balanced",
    "write_split",
]

TRAIN, VALID, TEST = SIDES = ("train", "valid", "test")
BALANCED_TABLE = "train_balanced.csv"


def balance(annotations: Annotations, per_class: int, seed: int) -> list[str]:
    """Choose about ``per_class`` images of each class; an image counts for every class that it shows.

    The rarest class chooses first, so that it gets what exists; a class prefers images without a class that has
    enough already, then images that show it alone, so that C classes give nearly C * ``per_class`` images.

    Args:
        annotations: the table.
        per_class: images wanted of each class; a class with fewer gives all.
        seed: fixes the choice.

    Returns:
        Image names, sorted.
    """
    shown = _shown(annotations, None)
    # Every number here is of an image: a million sets and lists of names would take most of a GB.
    shuffled = np.random.default_rng(seed).permutation(len(shown.names))
    several = np.bincount(shown.image, minlength=len(shown.names))
    members = {k: np.zeros(0, dtype=np.int64) for k in range(1, annotations.num_classes + 1)}
    has = np.zeros(len(shown.names), dtype=np.bool_)
    for class_id in members:
        has[:] = False
        has[shown.image[shown.label == class_id]] = True
        members[class_id] = shuffled[has[shuffled]]
    counts = dict.fromkeys(members, 0)
    chosen = np.zeros(len(shown.names), dtype=np.bool_)
    for class_id in sorted(members, key=lambda k: (len(members[k]), k)):
        enough = np.isin(shown.label, [k for k, count in counts.items() if count >= per_class])
        full = np.bincount(shown.image[enough], minlength=len(shown.names))
        own = members[class_id]
        # lexsort() is stable: within a rank the shuffled order stays.
        for image in own[np.lexsort((several[own], full[own]))].tolist():
            if counts[class_id] >= per_class:
                break
            if not chosen[image]:
                chosen[image] = True
                for k in shown.labels_of(image):
                    counts[k] += 1
    return sorted(shown.names[chosen].tolist())


@dataclass(frozen=True)
class BalanceSummary:
    """What was written.

    Attributes:
        csv: the table.
        images: number of chosen images.
        images_there: number of images with a defect to choose from.
        rows: number of rows of the table.
        per_class: class name -> chosen images that show it, and all that do.
    """

    csv: Path
    images: int
    images_there: int
    rows: int
    per_class: dict[str, tuple[int, int]]

    def text(self) -> str:
        """Return as text for a terminal what was written."""
        lines = [f"{self.images} images of {self.images_there} with a defect, {self.rows} rows: {self.csv}"]
        lines += [
            f"  class {name}: {taken} of the {there} images that show it"
            for name, (taken, there) in self.per_class.items()
        ]
        lines.append("an image that shows several classes counts for each of them")
        return "\n".join(lines)


def write_balanced(config: BalanceConfig) -> BalanceSummary:
    """Write the balanced subset of ``DIR/train.csv``; the images themselves are not needed.

    Args:
        config: folder, images per class, seed, file to write.

    Returns:
        What was written.

    Raises:
        InputError: the table is missing or malformed.
    """
    root = config.dir
    if not root.is_dir():
        raise InputError(f"{root}: no such folder; -dir expects a folder with train.csv")
    annotations = read_annotations(root / "train.csv", read_class_names(root))
    names = balance(annotations, config.per_class, config.seed)
    rows = annotations.rows[annotations.rows["image"].isin(names)]
    csv = config.out or root / BALANCED_TABLE
    write_annotations(rows, csv)
    taken, there = (table["class_id"].value_counts() for table in (rows, annotations.rows))
    per_class = {
        name: (int(taken.get(class_id, 0)), int(there.get(class_id, 0)))
        for class_id, name in enumerate(annotations.class_names, 1)
    }
    return BalanceSummary(csv, len(names), annotations.rows["image"].nunique(), len(rows), per_class)


def split(
    annotations: Annotations,
    images: Sequence[str],
    valid_fraction: float,
    seed: int,
    groups: dict[str, int] | None = None,
    test_fraction: float = 0.0,
) -> pd.DataFrame:
    """Split images so that every class, and the clean images, have about the same share on each side.

    The test images are chosen first, so that they stay the same whatever share of the others is for validation.

    Args:
        annotations: the table.
        images: names to split.
        valid_fraction: share for validation of the images that are not for the test, 0 up to (not including) 1.
        seed: fixes the split.
        groups: image name -> group that stays on one side; None: every image is alone.
        test_fraction: share of all images for the test, 0 up to (not including) 1.

    Returns:
        Columns image (str), side ("train", "valid" or "test"), group (int), sorted by image.

    Raises:
        InputError: a fraction is out of range.
    """
    for name, fraction in (("valid_fraction", valid_fraction), ("test_fraction", test_fraction)):
        if not 0 <= fraction < 1:
            raise InputError(f"-{name} {fraction}: expected 0 or more and less than 1")
    names = sorted(set(images))
    own_group: Iterable[int] = range(len(names)) if groups is None else (groups[name] for name in names)
    group_of = dict(zip(names, own_group, strict=True))
    # Of a class of two images training and validation have one each before the test has one.
    test = kept_apart(annotations, group_of, test_fraction, seed, 3) if test_fraction else set()
    others = {name: group for name, group in group_of.items() if group not in test}
    valid = kept_apart(annotations, others, valid_fraction, seed, 1) if valid_fraction else set()
    frame = pd.DataFrame({"image": names})
    frame["group"] = [group_of[name] for name in names]
    frame["side"] = [TEST if group in test else VALID if group in valid else TRAIN for group in frame["group"]]
    return frame[["image", "side", "group"]]


def kept_apart(annotations: Annotations, group_of: dict[str, int], fraction: float, seed: int, least: int) -> set[int]:
    """Choose the groups of one side.

    Iterative stratification (Sechidis et al., 2011) over groups: the rarest class distributes its groups first, each
    to the side that still needs the larger part of its share.

    Args:
        annotations: the table.
        group_of: image name -> group, in order of the names.
        fraction: share of the images for the side.
        seed: fixes the choice.
        least: a class with this many images or more has one on the side, though its share may be less than half of one.

    Returns:
        The groups.
    """
    shown = _shown(annotations, list(group_of))
    numbers, group = np.unique(np.fromiter(group_of.values(), np.int64, len(group_of)), return_inverse=True)
    size = np.bincount(group, minlength=len(numbers))
    # What each group shows, group by group: label and number of images. Label 0 counts clean images, so that they are
    # spread like a class.
    clean = np.setdiff1d(np.arange(len(group)), shown.image)
    of_image, label = np.concatenate([shown.image, clean]), np.concatenate([shown.label, np.zeros_like(clean)])
    width = annotations.num_classes + 1
    pairs, count = np.unique(group[of_image] * width + label, return_counts=True)
    owner, label = np.divmod(pairs, width)
    begin = np.searchsorted(owner, np.arange(len(numbers) + 1))
    total = np.bincount(label, weights=count, minlength=width)
    wanted = [(total * (1 - fraction)).tolist(), (total * fraction).tolist()]
    needed = [list(side) for side in wanted]
    order = np.random.default_rng(seed).permutation(len(numbers))
    # Single images last: they are fine enough to fill what the groups left open.
    order = order[np.argsort(size[order] == 1, kind="stable")]
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    waiting = np.ones(len(numbers), dtype=np.bool_)
    apart = np.zeros(len(numbers), dtype=np.bool_)
    while waiting.any():
        open_entries = waiting[owner]
        left = np.bincount(label[open_entries], weights=count[open_entries], minlength=width)
        rarest = int(np.where(left > 0, left, np.inf).argmin())
        entries = np.flatnonzero(open_entries & (label == rarest))
        entries = entries[np.argsort(place[owner[entries]])]
        members = owner[entries]
        for one, own, first, end in zip(
            members.tolist(), count[entries].tolist(), begin[members].tolist(), begin[members + 1].tolist(), strict=True
        ):
            side = _side(own, rarest, needed, wanted, bool(total[rarest] >= least))
            if end - first == 1:
                needed[side][rarest] -= own
            else:
                for k, images in zip(label[first:end].tolist(), count[first:end].tolist(), strict=True):
                    needed[side][k] -= images
            apart[one] = side
        waiting[members] = False
    return set(numbers[apart].tolist())


def write_split(frame: pd.DataFrame, csv: Path) -> None:
    """Write a split as CSV with the columns image, side, group."""
    write_frame(frame[["image", "side", "group"]], csv, formulas=True)


def read_split(csv: Path, images: Sequence[str] | None = None) -> pd.DataFrame:
    """Read a split again.

    Args:
        csv: what ``write_split`` wrote.
        images: names of the dataset; an image of the split that is not among them is an error. None: not compared.

    Returns:
        Columns image (str), side ("train", "valid" or "test"), group (int), in file order.

    Raises:
        AnnotationError: malformed; names file, row, reason and remedy.
    """
    remedy = "expected image,side,group as Train.py writes them"
    table = _read_sides(csv, images, ["image", "side", "group"], remedy)
    # Most tables are whole, and a pattern for each of a million rows takes seconds.
    for row, group in table["group"].items() if not all(map(_is_number, table["group"])) else ():
        if not re.fullmatch(r"\d{1,18}", group, re.ASCII):  # what fits into 64 bits
            raise AnnotationError(csv, f"group {group!r} is not a whole number", remedy, int(str(row)))
    return table[["image", "side", "group"]].astype({"group": np.int64}).reset_index(drop=True)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 18


def groups_in(csv: Path, names: Sequence[str]) -> dict[str, int]:
    """Return the group of each image as a split has them, equal for near-duplicates.

    Args:
        csv: what ``write_split`` wrote; it need not exist.
        names: of the images.

    Returns:
        Groups by name; nothing where there is no split, or where it does not know all of the images.
    """
    if not csv.is_file():
        return {}
    frame = read_split(csv)
    known = dict(zip(frame["image"], map(int, frame["group"]), strict=True))
    return {name: known[name] for name in names} if all(name in known for name in names) else {}


def read_sides(csv: Path, images: Sequence[str] | None = None) -> pd.DataFrame:
    """Read which image is on which side, of ``write_split``'s table or any other with these two columns.

    Args:
        csv: the table.
        images: names of the dataset; an image of the table that is not among them is an error. None: not compared.

    Returns:
        Columns image (str) and side ("train", "valid" or "test"), in file order.

    Raises:
        AnnotationError: malformed; names file, row, reason and remedy.
    """
    remedy = "expected the columns image and side"
    return _read_sides(csv, images, ["image", "side"], remedy)[["image", "side"]].reset_index(drop=True)


def read_groups(csv: Path, images: Sequence[str] | None = None) -> dict[str, str]:
    """Read what a table of ``read_sides`` calls the group of each image; nothing where it has no such column."""
    table = _read_sides(csv, images, ["image", "side"], "expected the columns image and side")
    return dict(zip(table["image"], table["group"], strict=True)) if "group" in table else {}


def _read_sides(csv: Path, images: Sequence[str] | None, wanted: list[str], remedy: str) -> pd.DataFrame:
    table = read_table(csv)
    require_columns(csv, table, wanted, remedy)
    known = None if images is None else set(images)
    if known is not None:  # a table from Windows may have a\\b.jpg
        table["image"] = [name if name in known else name.replace("\\", "/") for name in table["image"]]
    first_row: dict[str, int] = {}
    whole = table["side"].isin(SIDES).all() and not table["image"].duplicated().any()
    whole = whole and (known is None or known.issuperset(table["image"]))
    for row, image, side in () if whole else zip(table.index, table["image"], table["side"], strict=True):
        if side not in SIDES:
            raise AnnotationError(csv, f"side {side!r}", f"expected {TRAIN}, {VALID} or {TEST}", row)
        if first_row.setdefault(image, row) != row:
            raise AnnotationError(csv, f"{image} is in row {first_row[image]} already", "remove one of the rows", row)
        if known is not None and image not in known:
            raise AnnotationError(csv, f"{image} is not in the dataset", "use the split of this dataset", row)
    if table.empty:
        raise AnnotationError(csv, "lists no images", remedy)
    return table


@dataclass(frozen=True)
class _Shown:
    """Which classes images show: an entry for each image and class.

    Attributes:
        names: (N,) of the images.
        image: (E,) int64, place of the image among the names, rising.
        label: (E,) int64, the class.
    """

    names: np.ndarray
    image: np.ndarray
    label: np.ndarray

    def labels_of(self, image: int) -> list[int]:
        """Return the classes that an image shows."""
        first, end = np.searchsorted(self.image, [image, image + 1])
        return [int(label) for label in self.label[first:end]]


def _shown(annotations: Annotations, names: Sequence[str] | None) -> _Shown:
    """Look up the classes of these images; of all that show any, sorted by name, when none are given."""
    rows = annotations.rows
    images = rows["image"].to_numpy(dtype=object)
    if names is None:
        place, found = pd.factorize(images, sort=True)
    else:
        found = np.empty(len(names), dtype=object)
        found[:] = names
        place = pd.Index(found, dtype=object).get_indexer(images)
    there = place >= 0
    width = annotations.num_classes + 1
    entries = np.unique(place[there] * width + rows["class_id"].to_numpy(np.int64)[there])
    image, label = np.divmod(entries, width)
    return _Shown(np.asarray(found, dtype=object), image, label)


def _side(count: float, label: int, needed: list[list[float]], wanted: list[list[float]], at_least_one: bool) -> int:
    """Choose 0 (the others) or 1 (the side kept apart) for a group, by what they still need of a label."""
    share, of_others = needed[1][label] / max(wanted[1][label], 1e-9), needed[0][label] / max(wanted[0][label], 1e-9)
    # One image of a very rare class is kept apart even if the share is less than half an image.
    first = at_least_one and count == 1 and needed[1][label] == wanted[1][label] > 0
    fits = first or count <= needed[1][label] + 0.5
    return int(share > of_others and fits)

"""Part images into folds: every image is in one, and near-duplicates are in the same."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from utils.data.annotations import Annotations
from utils.data.splits import TRAIN, VALID, kept_apart
from utils.data.tables import AnnotationError, read_table, require_columns, write_frame
from utils.errors import InputError
from utils.text import plural

COLUMNS = ["image", "fold", "group"]


def part_into_folds(annotations: Annotations, group_of: dict[str, int], number: int, seed: int) -> pd.DataFrame:
    """Part images so that every class, and the clean images, have about the same share in each fold.

    Each fold is chosen from what the ones before it have left, see ``splits.kept_apart``. A class with as many images as
    there are folds, in groups of their own, is in all of them.

    Args:
        annotations: the table.
        group_of: image name -> group that stays in one fold.
        number: of folds, 2 or more.
        seed: fixes the choice.

    Returns:
        Columns image (str), fold (int, from 1) and group (int), sorted by image.

    Raises:
        InputError: fewer groups than folds.
    """
    groups = set(group_of.values())
    if len(groups) < number:
        raise InputError(
            f"-folds {number}: {plural(len(group_of), 'image')} in {plural(len(groups), 'group')} of near-duplicates are too"
            " few; take fewer folds, or add images"
        )
    left = dict(sorted(group_of.items()))
    fold_of: dict[int, int] = {}
    for fold in range(1, number):
        rest = number - fold + 1
        chosen = kept_apart(annotations, left, 1 / rest, seed + fold, rest)
        short = rest - 1 - len(set(left.values()) - chosen)
        if short > 0:  # each of the folds after this one needs a group
            chosen -= set(sorted(chosen)[:short])
        chosen = chosen or {next(iter(left.values()))}
        fold_of |= dict.fromkeys(chosen, fold)
        left = {name: group for name, group in left.items() if group not in chosen}
    names = sorted(group_of)
    frame = pd.DataFrame({"image": names, "group": [group_of[name] for name in names]})
    frame["fold"] = [fold_of.get(group, number) for group in frame["group"]]
    return frame[COLUMNS]


def split_of(folds: pd.DataFrame, fold: int) -> pd.DataFrame:
    """Return the split of one fold's network: it is validated by its fold and trained on the others.

    Args:
        folds: as ``part_into_folds`` returns them.
        fold: number, from 1.

    Returns:
        Columns image, side and group, as ``splits.split`` returns them.
    """
    frame = folds.assign(side=[VALID if one == fold else TRAIN for one in folds["fold"]])
    return frame[["image", "side", "group"]]


def write_folds(frame: pd.DataFrame, csv: Path) -> None:
    """Write folds as CSV with the columns image, fold, group."""
    write_frame(frame[COLUMNS], csv, formulas=True)


def read_folds(csv: Path, images: Sequence[str] | None = None) -> pd.DataFrame:
    """Read what ``write_folds`` wrote.

    Args:
        csv: the table.
        images: names of the dataset; an image of the table that is not among them is an error. None: not compared.

    Returns:
        Columns image (str), fold (int) and group (int), in file order.

    Raises:
        AnnotationError: malformed; names file, row, reason and remedy.
    """
    remedy = "expected image,fold,group as Train.py -folds writes them"
    table = read_table(csv)
    require_columns(csv, table, COLUMNS, remedy)
    known = None if images is None else set(images)
    seen: set[str] = set()
    for row, image, *numbers in table[COLUMNS].itertuples():
        for name, word in zip(("fold", "group"), numbers, strict=True):
            if not (word.isascii() and word.isdigit() and len(word) < 18):
                raise AnnotationError(csv, f"{name} {word!r} is not a whole number", remedy, row)
        if image in seen:
            raise AnnotationError(csv, f"{image} is listed twice", "remove one of the rows", row)
        if known is not None and image not in known:
            raise AnnotationError(csv, f"{image} is not in the dataset", "give the dataset folder of this run", row)
        seen.add(image)
    if table.empty:
        raise AnnotationError(csv, "lists no images", remedy)
    return table[COLUMNS].astype({"fold": int, "group": int}).reset_index(drop=True)

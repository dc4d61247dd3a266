"""What a run learns from its teachers, as its folder keeps it."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from utils.data.soft_masks import SoftTargets
from utils.errors import InputError
from utils.files import write_text
from utils.weights.image_hashes import ImageHashes
from utils.weights.run_files import TEACHER


@dataclass(frozen=True)
class Teaching:
    """What a run learns beside its labels.

    Attributes:
        targets: the answers of the teachers.
        unlabelled: paths of the images that have no labels, in the order of their names.
        teachers: of each weights file its name as ``file`` and its ``sha256``.
        hashes: of the images that the teachers have learnt from.
        notes: lines for the user.
    """

    targets: SoftTargets
    unlabelled: tuple[str, ...] = ()
    teachers: tuple[Mapping[str, str], ...] = ()
    hashes: tuple[ImageHashes, ...] = ()
    notes: tuple[str, ...] = field(default=(), compare=False)


def times(share: float | None, labelled: int, unlabelled: int) -> int:
    """Return how often labelled images are repeated so that those without labels are at most a share of all.

    Args:
        share: 0..1; None: any.
        labelled: images with labels, 1 or more.
        unlabelled: images without.
    """
    if share is None or not unlabelled:
        return 1
    return max(1, math.ceil(unlabelled * (1 - share) / (share * labelled) - 1e-9))


def about_share(share: float, labelled: int, unlabelled: int) -> list[str]:
    """Return a line for the user about how often labelled images are repeated."""
    count = times(share, labelled, unlabelled)
    now = unlabelled / (count * labelled + unlabelled)
    said = f"each labelled image comes {count} times an epoch" if count > 1 else "nothing is repeated"
    return [f"-unlabelled_share {share:g}: {said}; images without labels are {now:.0%} of what is learnt"]


def write_teaching(folder: Path, teaching: Teaching | None) -> None:
    """Keep in a run folder who the teachers are and which images are unlabelled; nothing where there are no teachers."""
    if teaching is not None:
        content = {"teachers": [dict(one) for one in teaching.teachers], "unlabelled": list(teaching.unlabelled)}
        write_text(folder / TEACHER, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def read_unlabelled(folder: Path) -> tuple[str, ...]:
    """Return the unlabelled images that a run began with."""
    return tuple(map(str, _read(folder)["unlabelled"]))


def read_teachers(folder: Path) -> dict[str, Any]:
    """Return the teachers of a run as an entry of the provenance, ``teachers``; nothing where it has none."""
    return {"teachers": _read(folder)["teachers"]} if (folder / TEACHER).exists() else {}


def _read(folder: Path) -> dict[str, list[Any]]:
    path = folder / TEACHER
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return {name: list(content[name]) for name in ("teachers", "unlabelled")}
    except (OSError, ValueError, KeyError, TypeError):
        raise InputError(f"{path}: missing or damaged; start the run again with another -out") from None

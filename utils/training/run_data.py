"""What a run was begun on, to be compared when it goes on: the classes' names, and each image's file and labels."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

from utils.data.annotations import Dataset
from utils.errors import InputError
from utils.files import write_text
from utils.text import plural
from utils.weights.run_files import DATA


def write_data(folder: Path, dataset: Dataset, images: Iterable[str]) -> None:
    """Write into a run folder what its images are: ``data.json``.

    Args:
        folder: the run folder.
        dataset: the dataset folder.
        images: names of those that the run uses.
    """
    content = {
        "class_names": list(dataset.annotations.class_names),
        "images": {name: _fingerprint(dataset, name) for name in images},
    }
    write_text(folder / DATA, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def check_data(folder: Path, dataset: Dataset) -> None:
    """Refuse to go on with a run whose classes or labels are others than those that it began with.

    Runs of earlier versions have no ``data.json``; they go on. Images that the run does not use may come and go.

    Args:
        folder: the run folder.
        dataset: the dataset folder.

    Raises:
        InputError: classes, labels or image files have changed, or ``data.json`` is damaged.
    """
    path = folder / DATA
    if not path.exists():
        return
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        names, images = tuple(content["class_names"]), dict(content["images"])
    except (ValueError, KeyError, TypeError):
        raise InputError(f"{path}: damaged; start the run again with another -out") from None
    way_out = f"put it back as it was, or start a new run with another -out (remove {path} to go on all the same)"
    now = dataset.annotations.class_names
    if now != names:
        raise InputError(
            f"-resume {folder}: the classes were {', '.join(names)} and are now {', '.join(now)}; {way_out}"
        )
    there = set(dataset.images)
    changed = [name for name in images if name not in there or images[name] != _fingerprint(dataset, name)]
    if changed:
        raise InputError(
            f"-resume {folder}: the labels or the files of {plural(len(changed), 'image')} of {len(images)} have changed"
            f" since the run began ({changed[0]} first); {way_out}"
        )


def _fingerprint(dataset: Dataset, name: str) -> str:
    """Return 16 hex digits that change when an image's size in bytes or any of its labels changes."""
    labels = sorted(dataset.annotations.runs(name).items())
    words = f"{dataset.path(name).stat().st_size} {labels}"
    return hashlib.sha256(words.encode()).hexdigest()[:16]

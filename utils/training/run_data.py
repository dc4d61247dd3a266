"""What a run was begun on, to be compared when it goes on: the classes' names, and each image's file and labels."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

from utils.data.dataset_folder import Dataset
from utils.data.folder_layout import ignore_table_of
from utils.errors import InputError
from utils.files import replacing
from utils.text import plural
from utils.weights.run_files import DATA

_SIZE_DIGITS = 16  # of a fingerprint of earlier versions


def write_data(folder: Path, dataset: Dataset, images: Iterable[str]) -> None:
    """Write into a run folder what its images are: ``data.json``.

    Args:
        folder: the run folder.
        dataset: the dataset folder.
        images: names of those that the run uses.
    """
    # Line by line: the whole text of a million images, made at once, takes a GB.
    with replacing(folder / DATA) as temporary, open(temporary, "w", encoding="utf-8", newline="\n") as file:
        names = list(images)
        about = {"class_names": list(dataset.annotations.class_names), "ignored": _ignored(dataset, names)}
        file.write(f'{json.dumps(about, indent=1, ensure_ascii=False)[:-2]},\n "images": {{')
        comma, quoted = "", json.JSONEncoder(ensure_ascii=False).encode  # json.dumps() makes an encoder for each word
        for name in names:
            file.write(f'{comma}\n  {quoted(name)}: "{_fingerprint(dataset, name)}"')
            comma = ","
        file.write("\n }\n}\n")


def check_data(folder: Path, dataset: Dataset) -> None:
    """Refuse to go on with a run whose classes or labels are others than those that it began with.

    Runs of earlier versions have no ``data.json``; they go on. Those whose ``data.json`` knows images by their size in
    bytes are compared by that. Images that the run does not use may come and go.

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
        names = tuple(content["class_names"])
        images = {name: str(known) for name, known in content["images"].items()}
        ignored = content.get("ignored")  # runs of earlier versions do not tell
    except (ValueError, KeyError, TypeError, AttributeError):
        raise InputError(f"{path}: damaged; start the run again with another -out") from None
    way_out = f"put it back as it was, or start a new run with another -out (remove {path} to go on all the same)"
    now = dataset.annotations.class_names
    if now != names:
        raise InputError(
            f"-resume {folder}: the classes were {', '.join(names)} and are now {', '.join(now)}; {way_out}"
        )
    there = set(dataset.images)
    changed = [name for name, known in images.items() if name not in there or _changed(dataset, name, known)]
    if changed:
        raise InputError(
            f"-resume {folder}: the labels or the files of {plural(len(changed), 'image')} of {len(images)} have changed"
            f" since the run began ({changed[0]} first); {way_out}"
        )
    if ignored is not None and ignored != _ignored(dataset, images):
        table = ignore_table_of(dataset.annotations.source)
        raise InputError(
            f"-resume {folder}: the pixels that count for nothing ({table}) have changed since the run began; {way_out}"
        )


def _changed(dataset: Dataset, name: str, known: str) -> bool:
    """Check whether an image or its labels are others than when a fingerprint was taken, by this or an earlier version."""
    return known != (_size_fingerprint if len(known) == _SIZE_DIGITS else _fingerprint)(dataset, name)


def _fingerprint(dataset: Dataset, name: str) -> str:
    """Return 32 hex digits that change when any byte of an image's file or any of its labels changes.

    Every byte is read: that takes less than the first epoch, which reads and decodes the same files.
    """
    digest = hashlib.blake2b(digest_size=16)
    packed = None if dataset.pack is None else dataset.pack.side(dataset.side)
    row = None if packed is None else packed.find(name)
    if packed is not None and row is not None:  # which is compared with its checksum whenever it is read
        digest.update(b"packed" + packed.digests[row].tobytes())
    else:
        with open(dataset.path(name), "rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    digest.update(_labels(dataset, name).encode())
    return digest.hexdigest()


def _size_fingerprint(dataset: Dataset, name: str) -> str:
    """Return the fingerprint of runs of earlier versions, which knew an image by its size in bytes."""
    words = f"{dataset.path(name).stat().st_size} {_labels(dataset, name)}"
    return hashlib.sha256(words.encode()).hexdigest()[:_SIZE_DIGITS]


def _ignored(dataset: Dataset, images: Iterable[str]) -> str:
    """Return 32 hex digits that change when the ignored pixels of any of these images change."""
    codes = dataset.annotations.ignored
    digest = hashlib.blake2b(digest_size=16)
    for name in sorted(codes.keys() & set(images)) if codes else ():
        digest.update(f"{name} {codes[name]}\n".encode())
    return digest.hexdigest()


def _labels(dataset: Dataset, name: str) -> str:
    return str(sorted(dataset.annotations.runs(name).items()))

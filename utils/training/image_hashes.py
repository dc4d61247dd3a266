"""Hashes of a run's images, for its weights file: by them anyone can look later for copies among what is scored."""

import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from utils.data.dataset_folder import Dataset
from utils.data.duplicates.kept_hashes import hashes_of
from utils.errors import InputError
from utils.files import replacing
from utils.weights.image_hashes import HashSet, ImageHashes, from_content, joined, of_images
from utils.weights.run_files import HASHES


def hash_images(
    dataset: Dataset, train: Sequence[str], valid: Sequence[str], workers: int | None, progress: bool = True
) -> ImageHashes:
    """Hash the images of a run; see ``hashes_of``.

    Args:
        dataset: the dataset folder, whose images were checked.
        train: names of those to train on.
        valid: names of those to validate on.
        workers: threads that read images; None: one a core.
        progress: show a bar when standard error is a terminal.
    """
    scale, hashes = hashes_of(dataset, [*train, *valid], workers, progress)
    return of_images(scale, hashes[: len(train)], hashes[len(train) :])


def write_hashes(folder: Path, own: ImageHashes, earlier: Sequence[ImageHashes]) -> None:
    """Keep in a run folder the hashes of its images and of those that the weights it goes on from have seen."""
    found = joined([own, *earlier])
    arrays = {f"{side}-{one.scale!r}": getattr(one, side) for one in found.sets for side in ("train", "valid")}
    with replacing(folder / HASHES) as temporary:
        np.savez(temporary, unknown=np.array(found.unknown, dtype=np.str_), **arrays)


def read_hashes(folder: Path) -> ImageHashes | None:
    """Return what ``write_hashes`` kept; None for a run of an earlier version, which kept none."""
    path = folder / HASHES
    if not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as kept:
            scales = [name.removeprefix("train-") for name in kept.files if name.startswith("train-")]
            sets = [HashSet(float(scale), kept[f"train-{scale}"], kept[f"valid-{scale}"]) for scale in scales]
            found = ImageHashes(tuple(sets), tuple(map(str, kept["unknown"])))
        return from_content(found.to_content())
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        raise InputError(f"{path}: damaged; remove it (the weights file then has no hashes) and -resume") from None

"""Hashes of a dataset's images, kept so that no image is hashed twice: in its cache, and in a packed dataset beside the index."""

import io
import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from config import Side
from utils.data.cache import FileCache
from utils.data.checks import in_order, thread_count
from utils.data.dataset_folder import Dataset
from utils.data.duplicates.description import describe
from utils.data.duplicates.hashes import BYTES, VERSION, hash_of
from utils.data.duplicates.pairs import scale_for
from utils.data.packed import Pack


@dataclass(frozen=True)
class KeptHashes:
    """Hashes of the images of a packed side.

    Attributes:
        scale: 0..1, what the sides of the images were multiplied by.
        rows: (N, 48) uint8, in the order of the index.
    """

    scale: float
    rows: np.ndarray


def hashes_name(side: Side) -> str:
    """Return the name of the file of a pack that holds the hashes of a side."""
    return f"hashes-{side}.npz"


def encode_hashes(dataset: Dataset, index_sha256: str, workers: int | None, progress: bool) -> bytes:
    """Hash the images of a folder that is packed; return the bytes of the file that a pack keeps them in.

    Args:
        dataset: the folder, its bit depth measured.
        index_sha256: of the pack's index of these images.
        workers: threads that read images; None: one a core.
        progress: show a bar when standard error is a terminal.
    """
    scale = scale_for(dataset.paths(dataset.images))
    rows = hash_each(dataset, dataset.images, scale, workers, progress)
    sink = io.BytesIO()
    about = json.dumps([VERSION, scale, dataset.depth.text(), index_sha256])
    np.savez(sink, hashes=rows, about=np.array(about, dtype=np.str_))
    return sink.getvalue()


def read_kept(dataset: Dataset) -> KeptHashes | None:
    """Return the hashes that came with a packed dataset; None where there are none that fit its images as they are read."""
    pack: Pack | None = dataset.pack
    if pack is None:
        return None
    try:
        with np.load(pack.root / hashes_name(dataset.side), allow_pickle=False) as kept:
            version, scale, depth, index = json.loads(str(kept["about"]))
            rows = kept["hashes"]
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile):
        return None
    fits = (version, depth, index) == (VERSION, dataset.depth.text(), pack.index_sha256(dataset.side))
    whole = rows.dtype == np.uint8 and rows.shape == (len(pack.side(dataset.side).names), BYTES)
    return KeptHashes(float(scale), rows) if fits and whole else None


def hashes_of(
    dataset: Dataset, names: Sequence[str], workers: int | None, progress: bool = True
) -> tuple[float, np.ndarray]:
    """Return the hashes of some images: those that a pack has from there, others of the images themselves.

    Args:
        dataset: the dataset, its bit depth measured.
        names: of images; those without labels that a teacher answers about need not be in the pack.
        workers: threads that read images; None: one a core.
        progress: show a bar when standard error is a terminal.

    Returns:
        The scale, see ``scale_for``, and (N, 48) uint8.
    """
    kept = read_kept(dataset)
    if kept is None:
        scale = scale_for(dataset.paths(names))
        return scale, hash_each(dataset, names, scale, workers, progress)
    assert dataset.pack is not None
    side = dataset.pack.side(dataset.side)
    found = np.zeros((len(names), BYTES), np.uint8)
    places = map(side.find, names)
    rows = np.fromiter((-1 if place is None else place for place in places), np.int64, len(names))
    found[rows >= 0] = kept.rows[rows[rows >= 0]]
    others = np.flatnonzero(rows < 0).tolist()
    if others:
        found[others] = hash_each(dataset, [names[place] for place in others], kept.scale, workers, progress)
    return kept.scale, found


def hash_each(dataset: Dataset, names: Sequence[str], scale: float, workers: int | None, progress: bool) -> np.ndarray:
    """Hash images, (N, 48) uint8; the hash of an image is kept until it changes."""
    # The depth of images with more than 8 bits changes the numbers that are hashed.
    key = [VERSION, scale, dataset.depth.text()]
    cache = FileCache(dataset.root, "hashes")

    def one(name: str) -> np.ndarray:
        stored = cache.get(dataset.path(name))
        if isinstance(stored, list) and stored[:-1] == key:
            return np.frombuffer(bytes.fromhex(stored[-1]), np.uint8)
        found = hash_of(describe(dataset.read(name, channels=1)[..., 0], scale))
        cache.put(dataset.path(name), [*key, found.tobytes().hex()])
        return found

    hashes = np.zeros((len(names), BYTES), np.uint8)
    read = in_order(one, names, thread_count(workers))
    bar = tqdm(read, "hashing images", len(names), disable=None if progress else True)
    for place, (_, found) in enumerate(bar):
        hashes[place] = found
    cache.save()
    return hashes

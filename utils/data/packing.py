"""Pack a dataset folder: its images into tar files in random order, an index of them, and its tables as they are."""

import hashlib
import io
import json
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from config import PackConfig, Side, Url
from utils.data.checks import read_facts, unlabelled
from utils.data.dataset_folder import has_images, open_dataset
from utils.data.duplicates.kept_hashes import encode_hashes, hashes_name
from utils.data.facts import OF_IMAGE
from utils.data.folder_layout import IGNORED, IMAGES, LABELS, TEST_TABLE
from utils.data.packed import (
    COLUMNS,
    DIGEST,
    PACK,
    VERSION,
    digest_of,
    encode_index,
    index_name,
    open_pack,
    shard_name,
)
from utils.data.splits import BALANCED_TABLE
from utils.data.stores import Store
from utils.data.submission import SAMPLE
from utils.data.tables import CLASSES_FILE
from utils.errors import InputError
from utils.files import new_folder
from utils.text import plural

TABLES = (*LABELS.values(), *IGNORED.values(), CLASSES_FILE, BALANCED_TABLE, TEST_TABLE, SAMPLE)


@dataclass(frozen=True)
class PackSummary:
    """What was packed: where, images of each side, number of shards and bytes of all of them."""

    out: Path | Url
    images: dict[Side, int]
    shards: int
    size: int

    def text(self) -> str:
        """Return as text for a terminal what was written."""
        images = ", ".join(f"{count:,} {side} images" for side, count in self.images.items())
        return f"{images} in {plural(self.shards, 'shard')}, {self.size / 1e6:,.1f} MB: {self.out}"


def pack(config: PackConfig, progress: bool = True) -> PackSummary:
    """Pack a dataset folder.

    Args:
        config: folder, where to write, size of the shards, seed of the order.
        progress: show bars when standard error is a terminal.

    Raises:
        InputError: the folder is malformed or an image cannot be read, or there is something at ``-out`` already.
    """
    root = config.dir
    if not root.is_dir():
        raise InputError(f"-dir {root}: no such folder; name a dataset folder")
    if open_pack(root) is not None:
        raise InputError(f"-dir {root}: is packed already; name a dataset folder of files")
    sides: list[Side] = [side for side in IMAGES if has_images(root, side)]
    for side in sides:
        if (root / LABELS[side]).is_file() or side == "train":
            open_dataset(root, side)  # what is wrong with its tables is told before hours of packing
    if not sides:
        raise InputError(f"-dir {root}: neither train_images/ nor test_images/; name a dataset folder")
    with _target(config.out) as (folder, store):
        about: dict[str, Any] = {"version": VERSION, "sides": {}, "files": []}
        images, shards, total = {}, 0, 0
        for side in sides:
            writer = _Writer(config, side, folder, store)
            images[side] = writer.pack(progress)
            index = writer.index()
            (folder / index_name(side)).write_bytes(index)
            names = writer.shards
            about["sides"][side] = {"sha256": hashlib.sha256(index).hexdigest(), "shards": names}
            about["files"].append(index_name(side))
            if side == "train":  # a training would have to read every image for them
                name = hashes_name(side)
                digest = about["sides"][side]["sha256"]
                (folder / name).write_bytes(encode_hashes(writer.dataset, digest, config.num_of_workers, progress))
                about["files"].append(name)
            shards, total = shards + len(names), total + writer.size
        for name in dict.fromkeys(TABLES):
            if (root / name).is_file():
                shutil.copyfile(root / name, folder / name)
                about["files"].append(name)
        (folder / PACK).write_text(json.dumps(about, indent=1, ensure_ascii=False) + "\n", "utf-8")
        if store is not None:
            for name in [*about["files"], PACK]:
                store.put(folder / name, name)
    return PackSummary(config.out, images, shards, total)


@contextmanager
def _target(out: Path | Url) -> Iterator[tuple[Path, Store | None]]:
    """Give the folder to write to, which appears at ``out`` as a whole, and the store that shards go to meanwhile."""
    if isinstance(out, Url):
        store = Store(out, "-out")
        if store.is_file(PACK):
            raise InputError(f"-out {out}: holds a packed dataset already; name another place")
        with tempfile.TemporaryDirectory(prefix="steel-pack-") as folder:
            yield Path(folder), store
        return
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"-out {out}: is there already; name a new folder")
    try:
        with new_folder(out) as folder:
            yield folder, None
    except OSError as error:
        error.filename = error.filename or str(out)
        raise


class _Writer:
    """Writes the shards of a side one after the other, and notes where each image lies."""

    def __init__(self, config: PackConfig, side: Side, folder: Path, store: Store | None) -> None:
        self.config, self.side, self.folder, self.store = config, side, folder, store
        self.dataset = unlabelled(config.dir) if side == "test" else open_dataset(config.dir, side)
        self.names = self.dataset.images
        self.shards: list[str] = []
        self.size = 0
        self.columns = {name: np.zeros(len(self.names), kind) for name, kind in COLUMNS.items()}
        self.digests = np.zeros((len(self.names), DIGEST), np.uint8)

    def pack(self, progress: bool) -> int:
        """Write all shards; return the number of images."""
        image_dir = self.config.dir / IMAGES[self.side]
        if not self.names:
            raise InputError(f"{image_dir}: holds no images")
        if any("\n" in name for name in self.names):
            raise InputError(f"{image_dir}: a file's name has a line break; rename the file")
        facts, bad = read_facts(self.dataset.paths(self.names), self.config.num_of_workers, progress)
        if bad:
            place, reason, remedy = bad[0]
            more = f" (one of {len(bad)} such images; Prepare_data.py check lists all)" if len(bad) > 1 else ""
            raise InputError(f"{image_dir / self.names[place]}: {reason}; {remedy}{more}")
        self.dataset = replace(
            self.dataset, depth=self.dataset.depth.measured(facts[place].levels for place in facts.wide())
        )
        for column in OF_IMAGE:
            self.columns[column] = facts.columns[column]
        # Neighbours in a folder are often alike, and images of a block come together in every epoch.
        order = np.random.default_rng(self.config.seed).permutation(len(self.names)).tolist()
        bar = iter(tqdm(order, f"packing {self.side} images", disable=None if progress else True))
        following: int | None = next(bar, None)
        while following is not None:
            name = shard_name(self.side, len(self.shards))
            path = self.folder / name
            with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
                begun = len(self.shards)
                while following is not None and (tar.offset == 0 or tar.offset < self.config.shard_mb * 10**6):
                    self._add(tar, begun, following, image_dir)
                    following = next(bar, None)
            self.shards.append(name)
            self.size += path.stat().st_size
            if self.store is not None:
                self.store.put(path, name)
                path.unlink()
        return len(self.names)

    def _add(self, tar: tarfile.TarFile, shard: int, place: int, image_dir: Path) -> None:
        name = self.names[place]
        try:
            content = (image_dir / name).read_bytes()
        except OSError as error:
            raise InputError(f"{image_dir / name}: cannot be read ({error.strerror}); check the disk") from None
        member = tarfile.TarInfo(name)
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content))
        self.digests[place] = np.frombuffer(digest_of(content), np.uint8)
        self.columns["shard"][place] = shard
        self.columns["offset"][place] = tar.offset - -(-len(content) // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
        self.columns["size"][place] = len(content)

    def index(self) -> bytes:
        """Return the bytes of the index."""
        return encode_index(self.names, self.columns, self.digests)

"""Read a packed dataset in long pieces: blocks of images that lie side by side, each read once in an epoch.

Which images come together depends on the pack and the seed alone, never on the number of processes that train or load.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from utils.data.dataset_folder import Dataset
from utils.data.decoded import Size
from utils.data.images import decode_image
from utils.data.packed import PackedImage, PackedSide
from utils.data.transforms import resize

BLOCK = 4 * 2**20  # bytes of images in a block: a store answers such a request at its full speed
GAP = 2**18  # bytes of other images that are read along, since a further request takes longer
WINDOW = 2  # blocks of a stream whose images are shuffled together
STREAMS = 16  # that an epoch is parted into; a batch comes from one of them


@dataclass(frozen=True)
class BlockOrder:
    """In which order the images of some blocks come: batches of equal size, dealt out to streams in turn.

    A stream goes through its blocks one window after the other. Batch g is of stream g modulo ``STREAMS``, so that each
    loading process of each training process has few blocks at a time, however many processes there are.

    Attributes:
        blocks: (N,) int64, the block of each image.
    """

    blocks: np.ndarray

    def batches(self, number: int, batch_size: int, random: np.random.Generator | None) -> "Batches":
        """Choose the images of each batch.

        Args:
            number: of batches; images that are too many are left out.
            batch_size: images a batch; the last one may have fewer.
            random: shuffles blocks, and images within a window; none: the order in which they lie.
        """
        count = len(self.blocks)
        if random is None:
            order = np.argsort(self.blocks, kind="stable")
        else:
            place = random.permutation(int(self.blocks.max(initial=-1)) + 1)
            order = np.lexsort((random.permutation(count), place[self.blocks] // WINDOW))
        streams = max(1, min(STREAMS, number))
        each = np.bincount(np.arange(number) % streams, minlength=streams) * batch_size
        each[(number - 1) % streams] -= max(0, number * batch_size - count)
        return Batches(order, np.concatenate([[0], np.cumsum(each)]), batch_size)


@dataclass(frozen=True)
class Batches:
    """Batches of an epoch, by their number."""

    order: np.ndarray
    begin: np.ndarray
    batch_size: int

    def __getitem__(self, batch: int) -> np.ndarray:
        """Return the images of a batch, by their number."""
        stream, turn = batch % (len(self.begin) - 1), batch // (len(self.begin) - 1)
        start = int(self.begin[stream]) + turn * self.batch_size
        return self.order[start : min(start + self.batch_size, int(self.begin[stream + 1]))]


def blocks_of(images: PackedSide, rows: np.ndarray) -> np.ndarray:
    """Put images that lie side by side into blocks.

    Args:
        images: of the side.
        rows: (N,) int64, those that are used, by their row in the index.

    Returns:
        (N,) int64, the block of each, numbered as they lie.
    """
    shard, offset = images.columns["shard"][rows], images.columns["offset"][rows]
    order = np.lexsort((offset, shard))
    size, shard = images.columns["size"][rows][order], shard[order]
    first = np.searchsorted(shard, shard)  # of the same shard
    before = np.concatenate([[0], np.cumsum(size)])
    piece = (before[:-1] - before[first]) // BLOCK
    change = np.ones(len(rows), dtype=np.bool_)
    change[1:] = (shard[1:] != shard[:-1]) | (piece[1:] != piece[:-1])
    blocks = np.empty(len(rows), dtype=np.int64)
    blocks[order] = np.cumsum(change) - 1
    return blocks


@dataclass
class PackedFiles:
    """Decodes images of a packed dataset from blocks, which are read whole and kept until each image was asked for.

    Args:
        dataset: packed.
        names: those that are used.
        channels: 3 or 1.
        image_size: (H, W) in pixels to resize to; none keeps each image's own.
    """

    dataset: Dataset
    names: Sequence[str]
    channels: int
    image_size: Size | None
    kept: int = STREAMS * WINDOW  # blocks at most; more than are needed at a time are those of an epoch that broke off
    _held: dict[int, dict[int, memoryview]] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        assert self.dataset.pack is not None
        images = self.dataset.pack.side(self.dataset.side)
        self.rows = np.fromiter(map(images.row, self.names), np.int64, len(self.names))
        self.blocks = blocks_of(images, self.rows)
        order = np.argsort(self.rows)
        self._sorted, self._block_of = self.rows[order], self.blocks[order]
        by_block = np.argsort(self.blocks, kind="stable")
        self._members = self.rows[by_block]
        self._begin = np.searchsorted(self.blocks[by_block], np.arange(int(self.blocks.max(initial=-1)) + 2))

    def read(self, name: str) -> tuple[np.ndarray, Size]:
        """Decode an image; see ``ImageSource``."""
        path = self.dataset.path(name)
        assert isinstance(path, PackedImage)
        content = path.pack.checked(path.side, path.row, self._content(path.row))
        image = decode_image(path, content, self.channels, self.dataset.depth)
        own = image.shape[0], image.shape[1]
        return (image if self.image_size is None else resize(image, *self.image_size)), own

    def _content(self, row: int) -> bytes:
        block = int(self._block_of[np.searchsorted(self._sorted, row)])
        held = self._held.get(block)
        if held is None or row not in held:
            self._held.pop(block, None)
            while len(self._held) >= self.kept:
                self._held.pop(next(iter(self._held)))
            held = self._held[block] = dict(self._pieces(block))
        content = bytes(held.pop(row))
        if not held:
            del self._held[block]
        return content

    def _pieces(self, block: int) -> Iterator[tuple[int, memoryview]]:
        """Read a block: the file of each of its images, by its row. What lies between two is read along where it is short."""
        pack = self.dataset.pack
        assert pack is not None
        images = pack.side(self.dataset.side)
        rows = self._members[self._begin[block] : self._begin[block + 1]]
        offset, size = images.columns["offset"][rows], images.columns["size"][rows]
        order = np.argsort(offset)
        rows, offset, size = rows[order], offset[order], size[order]
        shard = images.shards[int(images.columns["shard"][rows[0]])]
        parts = np.flatnonzero(offset[1:] - (offset + size)[:-1] > GAP) + 1
        for one in np.split(np.arange(len(rows)), parts):
            start = int(offset[one[0]])
            whole = memoryview(pack.read(shard, start, int(offset[one[-1]] + size[one[-1]]) - start))
            for place in one.tolist():
                first = int(offset[place]) - start
                yield int(rows[place]), whole[first : first + int(size[place])]

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_held": {}}

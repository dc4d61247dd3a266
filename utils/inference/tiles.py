"""Sliding window: a network that sees an image in overlapping tiles, and answers with their mean."""

import itertools
import math
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch

from utils.inference.network import ChooseImages, Network, Outputs

# An image of more pixels is cut into tiles unasked: what a network remembers of a frame of 16 megapixels takes 10 GB and
# more. 2048x2048 is still one.
LARGE = 2**22
# Side of those tiles, and what each shares with the next. Each pixel takes the answer of the tile in which it lies farthest
# from the edge, 32 pixels at least: more sees no better near the borders (benchmarks/README.md), and a tile that shares a
# quarter costs a third of the time. Tiles begin at multiples of 1024: a coarsest grid of any network lies on the image as
# without tiles.
LARGE_TILE, LARGE_SHARED = 1088, 64

# Part of a tile that it shares with the next one, at least: what a network says at a tile's edge has seen half as much.
OVERLAP = 0.25

# Pixels of the tiles that a call sees: few large or many small ones. A GPU wants many; on a CPU more take memory and no less time.
AT_ONCE = 2**20


class Tiles:
    """Runs a network on tiles, as many in a call as ``AT_ONCE`` lets, and as many calls at once as it takes.

    A network that works on several images side by side would else leave all cores but one idle for a single image.

    Args:
        network: what to run, once a tile; it must not judge whole images.
    """

    def __init__(self, network: Network) -> None:
        self.network = network
        self.parallel = network.parallel
        self._threads: ThreadPoolExecutor | None = None

    def masks(self, tiles: Iterable[np.ndarray]) -> Iterator[torch.Tensor]:
        """Yield the logits of each tile in order, ``(N, K, h, w)`` for ``(N, h, w, channels)``; all tiles have one shape."""
        waiting: deque[tuple[int, Future[Outputs] | Outputs]] = deque()
        most = 1
        for batch in self._batches(tiles):
            count, images = len(batch), batch[0] if len(batch) == 1 else np.concatenate(batch)
            images = np.ascontiguousarray(images)
            most = max(1, min(self.parallel, LARGE // (images.size // images.shape[-1])))
            waiting.append((count, self._submit(images) if most > 1 else self.network(images)))
            while len(waiting) >= most:
                yield from _taken(*waiting.popleft())
        while waiting:
            yield from _taken(*waiting.popleft())

    def _submit(self, images: np.ndarray) -> Future[Outputs]:
        if self._threads is None:
            self._threads = ThreadPoolExecutor(self.parallel, thread_name_prefix="tiles")
        return self._threads.submit(self.network, images)

    @staticmethod
    def _batches(tiles: Iterable[np.ndarray]) -> Iterator[list[np.ndarray]]:
        rest = iter(tiles)
        for first in rest:
            more = max(AT_ONCE // (first.size // first.shape[-1]) - 1, 0)
            yield [first, *itertools.islice(rest, more)]


def _taken(count: int, answer: Future[Outputs] | Outputs) -> Iterator[torch.Tensor]:
    masks = (answer.result() if isinstance(answer, Future) else answer).masks
    assert masks is not None, "a network of masks"
    yield from masks.chunk(count)


class Tiled(Tiles):
    """Runs a network of masks on overlapping tiles of each image instead of on the whole.

    For networks that were trained on crops: a tile of their size looks like what they learnt from, up to the borders,
    where a whole image whose sides are no multiples of 32 has to be continued by mirrored pixels. And for images whose
    activations do not fit into memory. Where tiles overlap, their logits are averaged.

    Args:
        network: what to run, once a tile; it must not judge whole images.
        tile: height and width in pixels. Images that are smaller stay whole in that direction.
    """

    def __init__(self, network: Network, tile: tuple[int, int]) -> None:
        super().__init__(network)
        self.tile = tile

    @property
    def name(self) -> str:
        """Name of the network, and what is done with it."""
        return f"{self.network.name}, tiles of {self.tile[0]}x{self.tile[1]}"

    def __call__(self, images: np.ndarray, choose: ChooseImages | None = None) -> Outputs:
        """Run on a batch, see ``Network``."""
        assert choose is None, "networks of masks alone have no gate"
        size = images.shape[1:3]
        height, width = (min(pair) for pair in zip(self.tile, size, strict=True))
        corners = list(itertools.product(starts(size[0], height), starts(size[1], width)))
        cut = (images[:, top : top + height, left : left + width] for top, left in corners)
        total: torch.Tensor | None = None
        for (top, left), masks in zip(corners, self.masks(cut), strict=True):
            if total is None:
                total = masks.new_zeros((*masks.shape[:2], *size))
                times = masks.new_zeros(size)
            total[..., top : top + height, left : left + width] += masks
            times[top : top + height, left : left + width] += 1
        assert total is not None
        return Outputs(total / times, None)


class TiledWhereLarge(Tiles):
    """Runs a network of masks on tiles of images of more than ``LARGE`` pixels, and on all others as they are.

    Args:
        network: what to run; it must not judge whole images.
    """

    def __init__(self, network: Network) -> None:
        super().__init__(network)
        self._was_large = False

    @property
    def name(self) -> str:
        """Name of the network, and what is done with it once there was a large image."""
        note = f", tiles of {LARGE_TILE}x{LARGE_TILE} for large images" if self._was_large else ""
        return f"{self.network.name}{note}"

    def __call__(self, images: np.ndarray, choose: ChooseImages | None = None) -> Outputs:
        """Run on a batch, see ``Network``."""
        height, width = images.shape[1:3]
        if not is_large(height, width):
            return self.network(images, choose)
        assert choose is None, "networks of masks alone have no gate"
        whole: torch.Tensor | None = None
        for rows, columns, own in self.pieces(images):
            if whole is None:
                whole = own.new_empty((*own.shape[:2], height, width))
            whole[..., rows, columns] = own
        assert whole is not None
        return Outputs(whole, None)

    def pieces(self, images: np.ndarray) -> Iterator[tuple[slice, slice, torch.Tensor]]:
        """Yield the logits of large images piece by piece: rows, columns, and ``(N, K, rows, columns)`` float32.

        The pieces cover the images, and no two of them overlap.
        """
        self._was_large = True
        places = list(itertools.product(owned(images.shape[1]), owned(images.shape[2])))
        tiles = (images[:, top : top + LARGE_TILE, left : left + LARGE_TILE] for (top, *_), (left, *_) in places)
        for ((top, first_row, last_row), (left, first, last)), masks in zip(places, self.masks(tiles), strict=True):
            own = masks[..., first_row - top : last_row - top, first - left : last - left]
            yield slice(first_row, last_row), slice(first, last), own


def is_large(height: int, width: int) -> bool:
    """Check whether an image of so many pixels is cut into tiles unasked."""
    return height * width > LARGE


def owned(length: int) -> list[tuple[int, int, int]]:
    """Return for each tile of a large image where it begins, and the first and one past the last pixel that it answers for.

    Args:
        length: of the image in pixels.
    """
    tile, step = min(LARGE_TILE, length), LARGE_TILE - LARGE_SHARED
    begins = [*range(0, length - tile, step), length - tile]
    borders = [0, *((begin + before + tile) // 2 for before, begin in itertools.pairwise(begins)), length]
    return list(zip(begins, borders[:-1], borders[1:], strict=True))


def starts(length: int, tile: int) -> list[int]:
    """Return where tiles begin: the first and the last at the borders, as few as overlap enough, evenly apart.

    Args:
        length: of the image in pixels, at least ``tile``.
        tile: of a tile in pixels.
    """
    if length == tile:
        return [0]
    shared = int(tile * OVERLAP)
    steps = math.ceil((length - tile) / (tile - shared))
    return [round(step * (length - tile) / steps) for step in range(steps + 1)]

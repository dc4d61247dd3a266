"""Sliding window: a network that sees an image in overlapping tiles, and answers with their mean."""

import itertools
import math

import numpy as np
import torch

from utils.inference.network import ChooseImages, Network, Outputs

# An image of more pixels is cut into tiles unasked: what a network remembers of a frame of 16 megapixels takes 10 GB and
# more. 2048x2048 is still one.
LARGE = 2**22
# Side of those tiles, and what each shares with the next. Each pixel takes the answer of the tile in which it lies farthest
# from the edge, 128 pixels at least, so that what a network knows less well at a tile's edge is not used. Both are
# multiples of 128: a coarsest grid of any network lies on the image as without tiles.
LARGE_TILE, LARGE_SHARED = 1024, 256

# Part of a tile that it shares with the next one, at least: what a network says at a tile's edge has seen half as much.
OVERLAP = 0.25


class Tiled:
    """Runs a network of masks on overlapping tiles of each image instead of on the whole.

    For networks that were trained on crops: a tile of their size looks like what they learnt from, up to the borders,
    where a whole image whose sides are no multiples of 32 has to be continued by mirrored pixels. And for images whose
    activations do not fit into memory. Where tiles overlap, their logits are averaged.

    Args:
        network: what to run, once a tile; it must not judge whole images.
        tile: height and width in pixels. Images that are smaller stay whole in that direction.
    """

    def __init__(self, network: Network, tile: tuple[int, int]) -> None:
        self.network, self.tile = network, tile
        self.parallel = network.parallel

    @property
    def name(self) -> str:
        """Name of the network, and what is done with it."""
        return f"{self.network.name}, tiles of {self.tile[0]}x{self.tile[1]}"

    def __call__(self, images: np.ndarray, choose: ChooseImages | None = None) -> Outputs:
        """Run on a batch, see ``Network``."""
        assert choose is None, "networks of masks alone have no gate"
        size = images.shape[1:3]
        height, width = (min(pair) for pair in zip(self.tile, size, strict=True))
        total: torch.Tensor | None = None
        for top in starts(size[0], height):
            for left in starts(size[1], width):
                rows, columns = slice(top, top + height), slice(left, left + width)
                masks = self.network(np.ascontiguousarray(images[:, rows, columns])).masks
                assert masks is not None, "a network of masks"
                if total is None:
                    total = masks.new_zeros((*masks.shape[:2], *size))
                    times = masks.new_zeros(size)
                total[..., rows, columns] += masks
                times[rows, columns] += 1
        assert total is not None
        return Outputs(total / times, None)


class TiledWhereLarge:
    """Runs a network of masks on tiles of images of more than ``LARGE`` pixels, and on all others as they are.

    Args:
        network: what to run; it must not judge whole images.
    """

    def __init__(self, network: Network) -> None:
        self.network = network
        self.parallel = network.parallel
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
        self._was_large = True
        whole: torch.Tensor | None = None
        for top, first_row, last_row in owned(height):
            for left, first, last in owned(width):
                tile = images[:, top : top + LARGE_TILE, left : left + LARGE_TILE]
                masks = self.network(np.ascontiguousarray(tile)).masks
                assert masks is not None, "a network of masks"
                if whole is None:
                    whole = masks.new_empty((*masks.shape[:2], height, width))
                own = masks[..., first_row - top : last_row - top, first - left : last - left]
                whole[..., first_row:last_row, first:last] = own
        assert whole is not None
        return Outputs(whole, None)


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

"""Sliding window: a network that sees an image in overlapping tiles, and answers with their mean."""

import math

import numpy as np
import torch

from utils.inference.network import ChooseImages, Network, Outputs

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

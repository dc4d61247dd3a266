"""Tiles and test-time augmentation together: every view sees other tiles, so that none of them has to see all."""

import itertools
import math
from collections.abc import Iterator

import numpy as np
import torch

from utils.inference.network import ChooseImages, Network, Outputs
from utils.inference.tiles import OVERLAP, Tiles
from utils.inference.tta import VIEWS, WORDS, require_square, turned, turned_back


class TiledViews(Tiles):
    """Runs a network of masks on tiles of an image and of what it looks like from other sides.

    A single view needs tiles that overlap, since a network knows less at a tile's edge. Of several views each has its
    edges elsewhere: its tiles begin at another corner of the image, and those of every second view lie between those of the
    others. So the tiles of a view hardly overlap, and may leave out what lies at the image's border for another view.
    Logits are averaged over all tiles that see a pixel. A 200x200 image in tiles of 192x192 by ``d4`` takes 8 passes, where
    overlapping tiles in each view took 32.

    Args:
        network: what to run, once a tile; it must not judge whole images.
        tile: height and width in pixels. Images that are smaller stay whole in that direction.
        tta: ``flips`` or ``d4``, see ``tta.py``.
    """

    def __init__(self, network: Network, tile: tuple[int, int], tta: str) -> None:
        super().__init__(network)
        self.tile, self.tta = tile, tta

    @property
    def name(self) -> str:
        """Name of the network, and what is done with it."""
        return f"{self.network.name}, tiles of {self.tile[0]}x{self.tile[1]}, {WORDS[self.tta]}"

    def __call__(self, images: np.ndarray, choose: ChooseImages | None = None) -> Outputs:
        """Run on a batch, see ``Network``.

        Raises:
            InputError: images that are not square and were to be turned by quarters.
        """
        assert choose is None, "networks of masks alone have no gate"
        size = images.shape[1:3]
        require_square(self.tta, *size)
        height, width = (min(pair) for pair in zip(self.tile, size, strict=True))
        views = VIEWS[self.tta]
        places = [(view, *corner) for number, view in enumerate(views) for corner in self._corners(number, size)]

        def cut() -> Iterator[np.ndarray]:
            for view, corners in itertools.groupby(places, lambda place: place[0]):
                seen = turned(images, view)
                for _, top, left in corners:
                    yield seen[:, top : top + height, left : left + width]

        total: torch.Tensor | None = None
        for (view, top, left), masks in zip(places, self.masks(cut()), strict=True):
            if total is None:
                total = masks.new_zeros((*masks.shape[:2], *size))
                times = masks.new_zeros(size)
            transposed, axes = view
            top = size[0] - height - top if 0 in axes else top
            left = size[1] - width - left if 1 in axes else left
            if transposed:
                top, left = left, top
            high, wide = (width, height) if transposed else (height, width)
            total[..., top : top + high, left : left + wide] += turned_back(masks, view)
            times[top : top + high, left : left + wide] += 1
        assert total is not None
        return Outputs(total / times, None)

    def _corners(self, number: int, size: tuple[int, int]) -> list[tuple[int, int]]:
        """Return where the tiles of a view begin in it: rows and columns.

        Of ``d4`` the four views without a quarter turn begin at all four corners of the image, so that they may leave out
        the border. Of ``flips`` the two that do not lie between the others begin at opposite corners.
        """
        transposed, axes = VIEWS[self.tta][number]
        between = len(axes) == 1 if self.tta == "flips" else transposed
        rows, columns = (
            view_starts(length, min(tile, length), between, self.tta == "d4")
            for length, tile in zip(size, self.tile, strict=True)
        )
        return list(itertools.product(rows, columns))


def view_starts(length: int, tile: int, between: bool, border: bool) -> list[int]:
    """Return where the tiles of a view begin, from the corner on.

    Args:
        length: of the image in pixels, at least ``tile``.
        tile: of a tile in pixels.
        between: take the tiles that lie half-way between the others, one fewer.
        border: tiles lie edge to edge, and may leave out a quarter of a tile at the far border of the image. Else they
            reach both borders; one alone may leave it out all the same.
    """
    count = length // tile
    rest = length - count * tile
    if rest <= tile * OVERLAP and (border or count == 1):
        begins = [step * tile for step in range(count)]
    else:
        count = math.ceil(length / tile)
        begins = [round(step * (length - tile) / (count - 1)) for step in range(count)]
    if not between or len(begins) == 1:
        return begins
    return [(first + second) // 2 for first, second in itertools.pairwise(begins)]

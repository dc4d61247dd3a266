"""What the pipeline asks about a batch of images, and what it gets: one network or several that work together."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

Size = tuple[int, int] | None  # (H, W) in pixels that images are resized to; None: their own size
Batch = Mapping[Size, np.ndarray]  # the same images in every size that is wanted: (N, H, W, channels) uint8, contiguous


@dataclass(frozen=True, eq=False)
class Answer:
    """What the networks say about one image.

    Attributes:
        masks: ``(K, h, w)`` float32 logits at the network's size, on any device; None when a gate turned the image
            away, or when the network has no masks.
        labels: ``(L,)`` float32 probabilities of the image as a whole; None when no network judges it so.
        min_areas: per scored class, the smallest defect in pixels of the original image, where that depends on the
            image; None: the decision's.
    """

    masks: torch.Tensor | None
    labels: np.ndarray | None = None
    min_areas: tuple[int, ...] | None = None


class System(Protocol):
    """One network or several, ready to run.

    Attributes:
        parallel: number of ``answer`` calls that may run at once, each in a thread of its own.
        sizes: input sizes that it wants; a batch holds the images in each of them.
        channels: of the images, 1 or 3.
        task: of the masks, as in ``masks.decide``.
    """

    parallel: int
    sizes: tuple[Size, ...]
    channels: int
    task: str

    @property
    def name(self) -> str:
        """What runs them, for messages and summaries."""
        ...

    def answer(self, batch: Batch, gates: bool = True) -> list[Answer]:
        """Judge a batch.

        Args:
            batch: the images, for each of ``sizes``.
            gates: whether networks may turn images away from those that come after them; calibration opens the gates
                to see what every network says.

        Returns:
            An answer for each image, in their order.
        """
        ...

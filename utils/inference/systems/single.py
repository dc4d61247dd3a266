"""The system of one weights file."""

from collections.abc import Iterator

import torch

from utils.decision.probabilities import label_probabilities
from utils.inference.network import Network, Outputs
from utils.inference.systems.system import Answer, Batch, Size
from utils.inference.tiles import TiledWhereLarge, is_large
from utils.models.spec import ModelSpec


class SingleNetwork:
    """One network that sees every image.

    Args:
        network: what runs it.
        spec: what it is.
        input_size: (H, W) in pixels that images are resized to before the network; none: their own size.
    """

    def __init__(self, network: Network, spec: ModelSpec, input_size: Size) -> None:
        self.network = network
        self.parallel = network.parallel
        self.sizes: tuple[Size, ...] = (input_size,)
        self.channels = spec.channels
        self.task = spec.task

    @property
    def name(self) -> str:
        """Name of the network."""
        return self.network.name

    def answer(self, batch: Batch, gates: bool = True) -> list[Answer]:
        """Judge a batch, see ``System``; there is no gate."""
        (pixels,) = (batch[size] for size in self.sizes)
        return answers(self.network(pixels), len(pixels))

    def pieces(self, batch: Batch) -> Iterator[tuple[slice, slice, torch.Tensor]] | None:
        """Return the logits of large images piece by piece, see ``TiledWhereLarge.pieces``; None where they come as a whole."""
        (pixels,) = (batch[size] for size in self.sizes)
        if isinstance(self.network, TiledWhereLarge) and is_large(*pixels.shape[1:3]):
            return self.network.pieces(pixels)
        return None


def answers(outputs: Outputs, count: int) -> list[Answer]:
    """Take the outputs for ``count`` images apart: one answer each, labels as probabilities."""
    masks = [None] * count if outputs.masks is None else list(outputs.masks)
    labels = [None] * count if outputs.labels is None else list(label_probabilities(outputs.labels))
    return [Answer(*one) for one in zip(masks, labels, strict=True)]

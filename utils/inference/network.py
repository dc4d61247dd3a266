"""What runs a network: uint8 images in, logits out, behind one small interface.

The backends that do it are in ``utils/inference/backends``, one file each.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import torch

from utils.models.factory import MULTIPLES

# A network that sees an image at its own size fills its sides up to multiples of 32 pixels, PAN's of the most.
LARGEST_MULTIPLE = max(32, *MULTIPLES.values())


class Outputs(NamedTuple):
    """What a network says about a batch; float32 on any device.

    Attributes:
        masks: ``(N, K, H, W)`` logits of the pixels; None for networks that judge whole images only.
        labels: ``(N, L)`` logits of the images; None for networks without such outputs.
    """

    masks: torch.Tensor | None
    labels: torch.Tensor | None

    @classmethod
    def of(cls, answer: torch.Tensor | Sequence[torch.Tensor]) -> "Outputs":
        """Sort what a module returned: logits of pixels have four axes, those of images two."""
        tensors = {tensor.ndim: tensor for tensor in ([answer] if isinstance(answer, torch.Tensor) else answer)}
        return cls(tensors.get(4), tensors.get(2))


# Chooses the images whose masks are wanted, from their labels: (N, L) float32 logits -> (N,) bool on the same device.
ChooseImages = Callable[[torch.Tensor], torch.Tensor]


class Network(Protocol):
    """A network that is ready to run.

    Attributes:
        parallel: number of calls that may run at once, each in a thread of its own.
    """

    parallel: int

    @property
    def name(self) -> str:
        """Backend, precision and device, for messages and summaries; ``auto`` knows it after the first batch."""
        ...

    def __call__(self, images: np.ndarray, choose: ChooseImages | None = None) -> Outputs:
        """Run on a batch.

        Args:
            images: ``(N, H, W, channels)`` uint8, contiguous.
            choose: for networks with masks and labels. ``masks`` then has the chosen images only, in their order, and
                is None when there is none; a network that can decodes no others.

        Returns:
            The logits.
        """
        ...


@dataclass(frozen=True)
class Settings:
    """How to run a network, in the words of the flags.

    Attributes:
        device: ``auto`` (a GPU when there is one), ``cpu`` or ``cuda``.
        precision: ``f32``, ``bf16`` or ``f16``; for ``open_network`` also ``auto``.
        threads: CPU threads; 0: all cores.
        compile: let ``torch.compile`` translate the network; other backends always do the like.
    """

    device: str = "auto"
    precision: str = "f32"
    threads: int = 0
    compile: bool = False


def keep_chosen(outputs: Outputs, choose: ChooseImages | None) -> Outputs:
    """Keep the masks of the images that a gate chooses; for networks that have decoded all."""
    if choose is None or outputs.masks is None or outputs.labels is None:
        return outputs
    chosen = choose(outputs.labels)
    return Outputs(outputs.masks[chosen] if chosen.any() else None, outputs.labels)

"""A network together with what it does to an image before and after."""

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

from utils.models.spec import ModelSpec


class Segmenter(nn.Module):
    """uint8 images in, float32 logits of the same height and width out.

    Normalising happens here, on the device: a uint8 image is a quarter of the bytes to move, and training, prediction
    and export cannot disagree about it.

    Args:
        net: a plain SMP model; ``net.state_dict()`` is what a weights file stores.
        spec: what ``net`` is.
        mean: per channel, in units of 0..1.
        std: per channel, in units of 0..1.
        multiple: ``net`` takes heights and widths that are multiples of this, in pixels.
    """

    scale: torch.Tensor
    shift: torch.Tensor

    def __init__(
        self, net: nn.Module, spec: ModelSpec, mean: Sequence[float], std: Sequence[float], multiple: int
    ) -> None:
        super().__init__()
        self.net = net
        self.spec = spec
        self.mean = tuple(mean)
        self.std = tuple(std)
        self.multiple = multiple
        spread = torch.tensor(self.std).view(1, -1, 1, 1)
        self.register_buffer("scale", 1.0 / (255.0 * spread), persistent=False)
        self.register_buffer("shift", -torch.tensor(self.mean).view(1, -1, 1, 1) / spread, persistent=False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Run the network.

        Args:
            images: ``(N, channels, H, W)`` uint8, RGB or grey, any height and width.

        Returns:
            ``(N, spec.outputs, H, W)`` float32 logits.
        """
        height, width = images.shape[-2:]
        pixels = torch.addcmul(self.shift, images.to(self.scale.dtype), self.scale)
        below, right = -height % self.multiple, -width % self.multiple
        if below or right:
            # Mirrored steel looks like steel, and is what training pads with; a black border would look like the edge of
            # a strip. What is too small to be mirrored has its last pixels repeated.
            mode = "reflect" if below < height and right < width else "replicate"
            pixels = functional.pad(pixels, (0, right, 0, below), mode=mode)
        return self.net(pixels)[..., :height, :width].float()

"""A network together with what it does to an image before and after."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn import functional

from utils.models.spec import ModelSpec


class Features(NamedTuple):
    """What the encoder found in some images.

    Attributes:
        maps: the encoder's features, the finest first, each ``(N, C, h, w)``.
        size: (H, W) of the images in pixels.
    """

    maps: tuple[torch.Tensor, ...]
    size: tuple[int, int]


class Segmenter(nn.Module):
    """uint8 images in, float32 logits of the same height and width (of the whole image for a classifier) out.

    Normalising happens here, on the device: a uint8 image is a quarter of the bytes to move, and training, prediction
    and export cannot disagree about it.

    Args:
        net: a plain SMP model or one of ours; ``net.state_dict()`` is what a weights file stores.
        spec: what ``net`` is.
        mean: per channel, in units of 0..1.
        std: per channel, in units of 0..1.
        multiple: ``net`` takes heights and widths that are multiples of this, in pixels; images have to be multiples of
            ``spec.downsample`` times as many, which the attribute of this name says.
    """

    scale: torch.Tensor
    shift: torch.Tensor
    means: torch.Tensor

    def __init__(
        self, net: nn.Module, spec: ModelSpec, mean: Sequence[float], std: Sequence[float], multiple: int
    ) -> None:
        super().__init__()
        self.net = net
        self.spec = spec
        self.multiple = multiple * spec.downsample
        self.normalise_by(mean, std)

    def normalise_by(self, mean: Sequence[float], std: Sequence[float]) -> None:
        """Take another normalisation, as that of the weights that ``net`` gets; per channel, in units of 0..1."""
        self.mean, self.std = tuple(mean), tuple(std)
        spread = torch.tensor(self.std).view(1, -1, 1, 1)
        self.register_buffer("scale", 1.0 / (255.0 * spread), persistent=False)
        self.register_buffer("shift", -torch.tensor(self.mean).view(1, -1, 1, 1) / spread, persistent=False)
        factor, identity = self.spec.downsample, torch.eye(len(self.std))[:, :, None, None]
        means = identity * self.scale.view(-1, 1, 1, 1) / factor**2
        self.register_buffer("means", means.repeat(1, 1, factor, factor), persistent=False)

    def forward(self, images: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
        """Run the network.

        Args:
            images: ``(N, channels, H, W)`` uint8, RGB or grey, any height and width.

        Returns:
            ``(N, spec.outputs, H, W)`` float32 logits; of a classifier ``(N, spec.labels)`` float32 logits; of a network
            that has both the pair of them.
        """
        return self._finished(self.net(self.normalised(images)), *images.shape[-2:])

    def encode(self, images: torch.Tensor) -> tuple[Features, torch.Tensor]:
        """Run the encoder and the label head alone, of a network that offers this (``shared-backbone``).

        Args:
            images: as for ``forward``.

        Returns:
            What ``decode`` needs, and ``(N, spec.labels)`` float32 logits.
        """
        maps, labels = self.net.encode(self.normalised(images))  # type: ignore[operator]
        return Features(tuple(maps), (images.shape[-2], images.shape[-1])), labels.float()

    def decode(self, features: Features, keep: torch.Tensor | None = None) -> torch.Tensor:
        """Run the decoder on the encoder's features of those images that are worth it.

        Args:
            features: of N images.
            keep: ``(N,)`` bool or the indices of the images to decode, on the features' device; none: all.

        Returns:
            ``(M, spec.outputs, H, W)`` float32 logits of the M images kept, in their order.
        """
        maps = features.maps if keep is None else tuple(part[keep] for part in features.maps)
        return self._finished(self.net.decode(maps), *features.size)  # type: ignore[operator]

    def chosen(
        self, images: torch.Tensor, choose: Callable[[torch.Tensor], torch.Tensor]
    ) -> tuple[torch.Tensor | None, torch.Tensor]:
        """Judge all images and draw the masks of some; a network that offers ``encode`` decodes no others.

        Args:
            images: as for ``forward``, N of them.
            choose: gives from ``(N, spec.labels)`` float32 logits the images to draw, ``(N,)`` bool.

        Returns:
            ``(M, spec.outputs, H, W)`` float32 logits of the M chosen images (None for M = 0), and the logits of all labels.
        """
        if hasattr(self.net, "encode"):
            features, labels = self.encode(images)
            keep = choose(labels)
            return (self.decode(features, keep) if keep.any() else None), labels
        masks, labels = self(images)
        keep = choose(labels)
        return (masks[keep] if keep.any() else None), labels

    def normalised(self, images: torch.Tensor) -> torch.Tensor:
        """Return what ``net`` takes: float pixels, filled up to multiples of ``multiple``, then made smaller by ``spec.downsample``."""
        height, width = images.shape[-2:]
        pixels = images.to(self.scale.dtype)
        below, right = -height % self.multiple, -width % self.multiple
        if below or right:
            # Mirrored steel looks like steel, and is what training pads with; a black border would look like the edge of
            # a strip. What is too small to be mirrored has its last pixels repeated.
            mode = "reflect" if below < height and right < width else "replicate"
            pixels = functional.pad(pixels, (0, right, 0, below), mode=mode)
        if self.spec.downsample == 1:
            return torch.addcmul(self.shift, pixels, self.scale)
        # A convolution, since OpenVINO takes several times as long to pool three channels.
        return functional.conv2d(pixels, self.means, self.shift.flatten(), stride=self.spec.downsample)

    def enlarged(self, masks: torch.Tensor) -> torch.Tensor:
        """Return the logits of masks that ``net`` gives in the size of the filled image: bilinear, corners not aligned; float32."""
        factor, count = self.spec.downsample, masks.shape[1]
        if factor == 1:
            return masks
        # A transposed convolution with the weights of bilinear interpolation, which OpenVINO does in less time.
        tent = 1 - (torch.arange(2 * factor, device=masks.device) + 0.5 - factor).abs() / factor
        kernel = torch.eye(count, device=masks.device)[:, :, None, None] * torch.outer(tent, tent)
        edged = functional.pad(masks, (1, 1, 1, 1), mode="replicate")
        with torch.autocast(masks.device.type, enabled=False):  # it would round logits to 16 bits
            return functional.conv_transpose2d(edged, kernel, stride=factor, padding=factor // 2 + factor)

    def _finished(self, answer: Any, height: int, width: int) -> Any:
        masks, labels = parts(answer)
        if masks is None:
            return labels.float()
        masks = self.enlarged(masks.float())[..., :height, :width]
        return masks if labels is None else (masks, labels.float())


def parts(answer: torch.Tensor | Sequence[torch.Tensor]) -> tuple[Any, Any]:
    """Separate the logits of masks (four axes) from those of labels (two axes); None for what is missing."""
    tensors = {tensor.ndim: tensor for tensor in ([answer] if isinstance(answer, torch.Tensor) else answer)}
    return tensors.get(4), tensors.get(2)

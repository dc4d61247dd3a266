"""PatchCore: distances of an image's features to a memory of features of clean steel."""

import torch
from segmentation_models_pytorch.encoders import get_encoder
from torch import nn
from torch.nn import functional

FINE, COARSE = 3, 4  # of the encoder's maps, those of 1/8 and 1/16 of the side
# Of the mean squared length of an image's features, added to that of each before it is divided by it. 0 makes all of length
# 1 and tells images apart best; much makes none equal and shows places best.
SOFT = 3.0


class Network(nn.Module):
    """An encoder, and a memory that its features are compared with; nothing of it learns by gradients.

    Features of 1/8 and 1/16 of the side are divided by their length, softly, and put together. ``whiten`` turns them to
    their principal axes and divides each by its spread on clean steel, so that the distance to a single remembered vector
    is that of Mahalanobis, as in PaDiM (Defard et al., 2021). The distance to the nearest of a memory, as in PatchCore (Roth
    et al., 2022), is computed by a convolution of one pixel, since ONNX and OpenVINO run that fast.

    Neighbours are not averaged before, as PatchCore does, since that blurs where an anomaly is. Instead no place is hotter
    than the hottest square of 3x3 cells: chance makes one cell hot, a defect makes its neighbours hot too. The outermost
    cells do not count for that, as they see what the encoder fills the image up with.

    Args:
        encoder_name: SMP's name of the encoder.
        encoder_weights: as SMP takes them.
        in_channels: image channels.
        classes: mask channels; one.
        memory: number of remembered vectors.
        components: their length.

    Attributes:
        centre: distance that gets the logit 0.
        spread: distance from there to the logit 1.
    """

    only_task = "anomaly"
    multiple = 32

    centre: torch.Tensor
    spread: torch.Tensor

    def __init__(
        self,
        encoder_name: str,
        encoder_weights: str | None = None,
        in_channels: int = 3,
        classes: int = 1,
        memory: int = 1,
        components: int = 1,
    ) -> None:
        super().__init__()
        self.encoder = get_encoder(encoder_name, in_channels=in_channels, weights=encoder_weights)
        channels = self.encoder.out_channels
        self.whiten = nn.Conv2d(channels[FINE] + channels[COARSE], components, 1)
        self.compare = nn.Conv2d(components, memory, 1)
        self.register_buffer("centre", torch.zeros(1))
        self.register_buffer("spread", torch.ones(1))

    def features(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return ``(N, C, H / 8, W / 8)`` features of ``(N, in_channels, H, W)`` normalised pixels."""
        maps = self.encoder(pixels)
        fine, coarse = maps[FINE], maps[COARSE]
        coarse = functional.interpolate(coarse, size=fine.shape[-2:], mode="bilinear", align_corners=False)
        return torch.cat([_shortened(fine), _shortened(coarse)], 1)

    def remember(self, weights: torch.Tensor, bias: torch.Tensor, vectors: torch.Tensor) -> None:
        """Take a memory: |x - m|^2 = |x|^2 - 2 m x + |m|^2 of a whitened feature x and each m that is remembered.

        Args:
            weights: ``(components, C)`` of the whitening.
            bias: ``(components,)`` of the whitening.
            vectors: ``(memory, components)`` whitened features.
        """
        components, channels = weights.shape
        if self.compare.weight.shape[:2] != vectors.shape or self.whiten.weight.shape[:2] != weights.shape:
            device = self.centre.device
            self.whiten = nn.Conv2d(channels, components, 1, device=device)
            self.compare = nn.Conv2d(components, len(vectors), 1, device=device)
        with torch.no_grad():
            self.whiten.weight.copy_(weights[:, :, None, None])
            self.whiten.bias.copy_(bias)  # type: ignore[union-attr]
            self.compare.weight.copy_(-2 * vectors[:, :, None, None])
            self.compare.bias.copy_(vectors.square().sum(1))  # type: ignore[union-attr]

    def nearest(self, features: torch.Tensor) -> torch.Tensor:
        """Return ``(N, 1, h, w)`` squared distances of ``features`` to the nearest of the memory."""
        found = self.whiten(features)
        return (found.square().sum(1, keepdim=True) + self.compare(found).amin(1, keepdim=True)).clamp_min(1e-6)

    def distances(self, features: torch.Tensor) -> torch.Tensor:
        """Return ``(N, 1, h, w)`` distances to the nearest of the memory, none larger than that of the hottest 3x3 cells."""
        squares = self.nearest(features)
        inner = functional.pad(squares[..., 1:-1, 1:-1], (1, 1, 1, 1))
        hottest = functional.avg_pool2d(inner, 3, 1, 1).amax((2, 3), keepdim=True)
        return torch.minimum(squares, hottest).sqrt()

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return ``(N, 1, H, W)`` logits of ``(N, in_channels, H, W)`` normalised pixels."""
        logits = (self.distances(self.features(pixels)) - self.centre) / self.spread
        return functional.interpolate(logits, size=pixels.shape[-2:], mode="bilinear", align_corners=False)


def _shortened(features: torch.Tensor) -> torch.Tensor:
    """Divide features by their length: light and contrast change that of all, a defect turns them."""
    squares = features.square().sum(1, keepdim=True)
    return features * torch.rsqrt(squares + SOFT * squares.mean((2, 3), keepdim=True) + 1e-6)

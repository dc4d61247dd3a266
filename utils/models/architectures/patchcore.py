"""PatchCore: distances of an image's features to a memory of features of clean steel."""

import torch
from segmentation_models_pytorch.encoders import get_encoder
from torch import nn
from torch.nn import functional

FINE, COARSE = 3, 4  # of the encoder's maps, those of 1/8 and 1/16 of the side


class Network(nn.Module):
    """An encoder, and a memory that its features are compared with; nothing of it learns by gradients.

    Features of 1/8 and 1/16 of the side are averaged over 3x3 neighbours and put together, as in PatchCore (Roth et al.,
    2022). ``project`` whitens them: it turns them to their principal axes and divides each by its spread on clean steel, so
    that the distance to a single remembered vector is that of Mahalanobis, as in PaDiM (Defard et al., 2021). The distance
    to the nearest of the memory is computed by a convolution of one pixel, since ONNX and OpenVINO run that fast.

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
        self.project = nn.Conv2d(channels[FINE] + channels[COARSE], components, 1)
        self.compare = nn.Conv2d(components, memory, 1)
        self.register_buffer("centre", torch.zeros(1))
        self.register_buffer("spread", torch.ones(1))

    def features(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return ``(N, C, H / 8, W / 8)`` features of ``(N, in_channels, H, W)`` normalised pixels."""
        maps = self.encoder(pixels)
        fine, coarse = (functional.avg_pool2d(maps[level], 3, 1, 1) for level in (FINE, COARSE))
        coarse = functional.interpolate(coarse, size=fine.shape[-2:], mode="bilinear", align_corners=False)
        return torch.cat([fine, coarse], 1)

    def remember(self, weights: torch.Tensor, bias: torch.Tensor, vectors: torch.Tensor) -> None:
        """Take a memory: |x - m|^2 = |x|^2 - 2 m x + |m|^2 of a whitened feature x and each m that is remembered.

        Args:
            weights: ``(components, C)`` of the whitening.
            bias: ``(components,)`` of the whitening.
            vectors: ``(memory, components)`` whitened features.
        """
        components, channels = weights.shape
        if self.compare.weight.shape[:2] != vectors.shape or self.project.weight.shape[:2] != weights.shape:
            device = self.centre.device
            self.project = nn.Conv2d(channels, components, 1, device=device)
            self.compare = nn.Conv2d(components, len(vectors), 1, device=device)
        with torch.no_grad():
            self.project.weight.copy_(weights[:, :, None, None])
            self.project.bias.copy_(bias)  # type: ignore[union-attr]
            self.compare.weight.copy_(-2 * vectors[:, :, None, None])
            self.compare.bias.copy_(vectors.square().sum(1))  # type: ignore[union-attr]

    def distances(self, features: torch.Tensor) -> torch.Tensor:
        """Return ``(N, 1, h, w)`` distances of ``features`` to the nearest of the memory."""
        found = self.project(features)
        squares = found.square().sum(1, keepdim=True) + self.compare(found).amin(1, keepdim=True)
        return squares.clamp_min(1e-6).sqrt()

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return ``(N, 1, H, W)`` logits of ``(N, in_channels, H, W)`` normalised pixels."""
        logits = (self.distances(self.features(pixels)) - self.centre) / self.spread
        return functional.interpolate(logits, size=pixels.shape[-2:], mode="bilinear", align_corners=False)

"""Shared backbone: a classifier on the encoder's features, and a decoder for the same features where it is worth it."""

from collections.abc import Sequence

import torch

from utils.models.architectures import two_head


class Network(two_head.Network):
    """The layers of ``two-head``, which can run in two steps: the labels of all images, then the masks of some."""

    def encode(self, pixels: torch.Tensor) -> tuple[list[torch.Tensor], torch.Tensor]:
        """Return the encoder's features of ``(N, in_channels, H, W)`` pixels, and ``(N, labels)`` logits."""
        features = self.encoder(pixels)
        return features, self.classification_head(features[-1])

    def decode(self, features: Sequence[torch.Tensor]) -> torch.Tensor:
        """Return ``(M, classes, H, W)`` logits of the features of M images."""
        return self.segmentation_head(self.decoder(list(features)))

"""From the encoder's last features to logits of the whole image."""

from collections.abc import Sequence

import torch
from segmentation_models_pytorch.base.initialization import initialize_head
from torch import nn


class LabelHead(nn.Sequential):
    """Mean over the image, dense layers if any, and one logit a label.

    A dense layer is dropout, linear, batch norm and ReLU, as in the published Xception with 1024, 512 and 64.

    Args:
        features: channels of the encoder's last features.
        labels: number of logits.
        dense: sizes of the layers between.
        dropout: share of features left out before each layer in training, 0..1: one for all, or one for each dense layer
            and the last one.
    """

    def __init__(
        self, features: int, labels: int, dense: Sequence[int] = (), dropout: float | Sequence[float] = 0.3
    ) -> None:
        layers: list[nn.Module] = [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
        shares = [dropout] * (len(dense) + 1) if isinstance(dropout, int | float) else list(dropout)
        for size, share in zip(dense, shares, strict=False):
            # Batch norm has a shift of its own, a bias before it would be in vain.
            layers += [nn.Dropout(share), nn.Linear(features, size, bias=False), nn.BatchNorm1d(size), nn.ReLU()]
            features = size
        super().__init__(*layers, nn.Dropout(shares[-1]), nn.Linear(features, labels))
        initialize_head(self)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return ``(N, labels)`` logits of ``(N, features, h, w)``."""
        return super().forward(features)

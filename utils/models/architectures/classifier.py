"""Image classifier: an encoder and a head that answers for the whole image."""

from collections.abc import Sequence

import torch
from segmentation_models_pytorch.encoders import get_encoder
from torch import nn

from utils.models.label_head import LabelHead


class Network(nn.Module):
    """The encoder of a segmenter without its decoder, so that either can start from the other's weights.

    Args:
        encoder_name: SMP's name of the encoder.
        encoder_weights: as SMP takes them.
        in_channels: image channels.
        classes: mask channels; there are none, the argument is there since all architectures have it.
        labels: number of logits.
        dense: sizes of the layers between encoder and logits.
        dropout: share of features left out before each layer in training, 0..1; one for all, or one a layer.
    """

    has_masks, has_labels = False, True

    def __init__(
        self,
        encoder_name: str,
        encoder_weights: str | None = None,
        in_channels: int = 3,
        classes: int = 0,
        labels: int = 1,
        dense: Sequence[int] = (),
        dropout: float | Sequence[float] = 0.3,
    ) -> None:
        super().__init__()
        self.encoder = get_encoder(encoder_name, in_channels=in_channels, weights=encoder_weights)
        self.classification_head = LabelHead(self.encoder.out_channels[-1], labels, dense, dropout)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return ``(N, labels)`` logits of ``(N, in_channels, H, W)`` normalised pixels."""
        return self.classification_head(self.encoder(pixels)[-1])

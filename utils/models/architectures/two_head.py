"""Two heads: one encoder, a U-Net decoder for the masks and a head for the labels of the whole image."""

from collections.abc import Sequence

import segmentation_models_pytorch as smp

from utils.models.label_head import LabelHead


class Network(smp.Unet):
    """SMP's U-Net whose classification head has dense layers if asked for; both heads run on every image.

    Args:
        encoder_name: SMP's name of the encoder.
        encoder_weights: as SMP takes them.
        in_channels: image channels.
        classes: mask channels.
        labels: number of logits of the whole image.
        dense: sizes of the layers between encoder and these logits.
        dropout: share of features left out before each layer in training, 0..1; one for all, or one a layer.
        decoder_channels: of the decoder's blocks, coarsest first.
    """

    has_labels = True

    def __init__(
        self,
        encoder_name: str,
        encoder_weights: str | None = None,
        in_channels: int = 3,
        classes: int = 1,
        labels: int = 1,
        dense: Sequence[int] = (),
        dropout: float | Sequence[float] = 0.3,
        decoder_channels: Sequence[int] = (256, 128, 64, 32, 16),
    ) -> None:
        super().__init__(
            encoder_name=encoder_name,
            encoder_weights=encoder_weights,
            decoder_channels=decoder_channels,
            in_channels=in_channels,
            classes=classes,
        )
        self.classification_head = LabelHead(self.encoder.out_channels[-1], labels, dense, dropout)

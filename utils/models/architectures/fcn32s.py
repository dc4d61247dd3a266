"""FCN-32s: a convolutional classifier on the encoder's last features, enlarged 32 times in one step.

Long, Shelhamer, Darrell 2015, "Fully convolutional networks for semantic segmentation", https://arxiv.org/abs/1411.4038,
section 4.1.
"""

import torch
from segmentation_models_pytorch.base.initialization import initialize_decoder, initialize_head
from segmentation_models_pytorch.encoders import get_encoder
from torch import nn

STRIDE = 32

# The paper's 4096 come with the dense layers that VGG learned on ImageNet. SMP's encoder leaves those out, and 100 million
# weights more that start at random teach a network of steel nothing.
WIDTH = 512


class Network(nn.Module):
    """An encoder of stride 32, a 7x7 and a 1x1 convolution with dropout, the scores, and their 32x enlargement.

    Args:
        encoder_name: SMP's name of the encoder; ``vgg11`` is the published one.
        encoder_weights: as SMP takes them.
        in_channels: image channels.
        classes: mask channels.
    """

    def __init__(
        self, encoder_name: str, encoder_weights: str | None = None, in_channels: int = 3, classes: int = 1
    ) -> None:
        super().__init__()
        self.encoder = get_encoder(encoder_name, in_channels=in_channels, weights=encoder_weights)
        self.decoder = nn.Sequential(
            nn.Conv2d(self.encoder.out_channels[-1], WIDTH, 7, padding=3),
            nn.ReLU(),
            nn.Dropout(0.5),
            nn.Conv2d(WIDTH, WIDTH, 1),
            nn.ReLU(),
            nn.Dropout(0.5),
        )
        scores = nn.Conv2d(WIDTH, classes, 1)
        enlarge = nn.ConvTranspose2d(classes, classes, 2 * STRIDE, STRIDE, STRIDE // 2, bias=False)
        self.segmentation_head = nn.Sequential(scores, enlarge)
        initialize_decoder(self.decoder)
        initialize_head(scores)
        with torch.no_grad():
            enlarge.weight.copy_(bilinear(classes, STRIDE))

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return ``(N, classes, H, W)`` logits of ``(N, in_channels, H, W)`` normalised pixels, H and W multiples of 32."""
        return self.segmentation_head(self.decoder(self.encoder(pixels)[-1]))


def bilinear(channels: int, stride: int) -> torch.Tensor:
    """Return the weights with which a transposed convolution enlarges each channel bilinearly.

    Args:
        channels: C.
        stride: how many times larger; the kernel is twice as wide.

    Returns:
        ``(C, C, 2 stride, 2 stride)`` float32, zero between different channels.
    """
    tent = 1 - (torch.arange(2 * stride) + 0.5 - stride).abs() / stride
    return torch.eye(channels)[:, :, None, None] * torch.outer(tent, tent)

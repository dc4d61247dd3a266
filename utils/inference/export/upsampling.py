"""A U-Net's upsampling and the convolution behind it in one step, which spares more than half of their work.

A decoder block repeats every pixel of its input twice in both directions, puts the encoder's features beside it and convolves
both with a 3x3 kernel. Nine of its products run over pixels of which at most four differ. The same sums come from a transposed
convolution of 4x4 and stride 2 over the small input (four products a pixel), added to the 3x3 convolution of the encoder's
features alone. Equal but for rounding.
"""

import copy
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from utils.models.segmenter import Segmenter

if TYPE_CHECKING:
    from segmentation_models_pytorch.decoders.unet.decoder import UnetDecoderBlock


class MergedBlock(nn.Module):
    """What a ``UnetDecoderBlock`` does, for inputs whose height and width it doubles.

    Args:
        block: the block, in evaluation mode; stays as it is.
        upsampled: channels of the input that is doubled; further ones of the convolution are the encoder's.
    """

    def __init__(self, block: "UnetDecoderBlock", upsampled: int) -> None:
        super().__init__()
        conv, norm, self.activation = block.conv1
        fused = fuse_conv_bn_eval(conv, norm) if isinstance(norm, nn.BatchNorm2d) else copy.deepcopy(conv)
        weight, bias = fused.weight.detach(), fused.bias
        out, beside = weight.shape[0], weight.shape[1] - upsampled
        self.doubling = nn.ConvTranspose2d(upsampled, out, kernel_size=4, stride=2, padding=1, bias=bias is not None)
        self.doubling.weight = nn.Parameter(
            _doubled(_doubled(weight[:, :upsampled], 2), 3).transpose(0, 1).contiguous()
        )
        if bias is not None:
            self.doubling.bias = nn.Parameter(bias.detach())
        self.beside = nn.Conv2d(beside, out, kernel_size=3, padding=1, bias=False) if beside else None
        if self.beside is not None:
            self.beside.weight = nn.Parameter(weight[:, upsampled:].contiguous())
        self.conv2, self.attention2 = block.conv2, block.attention2

    def forward(
        self,
        feature_map: torch.Tensor,
        target_height: Any,
        target_width: Any,
        skip_connection: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Double ``(N, C, h, w)`` and convolve it with the encoder's ``(N, S, 2h, 2w)``; see ``UnetDecoderBlock``."""
        found = self.doubling(feature_map)
        if self.beside is not None and skip_connection is not None:
            found = found + self.beside(skip_connection)
        return self.attention2(self.conv2(self.activation(found)))


def merge_upsampling(model: Segmenter) -> Segmenter:
    """Return a copy of a network in which the blocks of a U-Net's decoder are merged.

    Args:
        model: the network, in evaluation mode.

    Returns:
        The copy; ``model`` itself where there is nothing to merge.
    """
    # Here, since it takes seconds: who runs a converted network merges nothing.
    from segmentation_models_pytorch.decoders.unet.decoder import UnetDecoderBlock

    upsampled: dict[str, int] = {}
    handles = [
        block.register_forward_pre_hook(_observer(name, upsampled), with_kwargs=True)
        for name, block in model.named_modules()
        if isinstance(block, UnetDecoderBlock) and _fits(block)
    ]
    if not handles:
        return model
    side = 4 * model.multiple
    with torch.inference_mode():
        model(torch.zeros(1, model.spec.channels, side, side, dtype=torch.uint8))
    for handle in handles:
        handle.remove()
    merged = copy.deepcopy(model)
    for name, channels in upsampled.items():
        parent, _, child = name.rpartition(".")
        setattr(merged.get_submodule(parent), child, MergedBlock(merged.get_submodule(name), channels))  # type: ignore[arg-type]
    return merged.eval()


def _observer(name: str, upsampled: dict[str, int]) -> Any:
    """Return a hook that notes how many channels a block doubles, if doubling is what it does."""

    def observe(block: nn.Module, args: tuple, kwargs: dict[str, Any]) -> None:
        named = (
            dict(zip(("feature_map", "target_height", "target_width", "skip_connection"), args, strict=False)) | kwargs
        )
        height, width = named["feature_map"].shape[-2:]
        if (named["target_height"], named["target_width"]) == (2 * height, 2 * width):
            upsampled[name] = named["feature_map"].shape[1]

    return observe


def _fits(block: "UnetDecoderBlock") -> bool:
    """Check whether a block repeats pixels and convolves them with a plain 3x3 kernel, with nothing in between."""
    conv = block.conv1[0]
    return (
        block.interpolation_mode == "nearest"
        and isinstance(block.attention1.attention, nn.Identity)
        and len(block.conv1) == 3
        and isinstance(block.conv1[1], nn.BatchNorm2d | nn.Identity)
        and (conv.kernel_size, conv.stride, conv.padding, conv.dilation) == ((3, 3), (1, 1), (1, 1), (1, 1))
        and conv.groups == 1
    )


def _doubled(kernel: torch.Tensor, axis: int) -> torch.Tensor:
    """Turn three weights over doubled pixels into four of a transposed convolution over single ones, along an axis.

    Pixel i becomes the pixels 2i and 2i + 1; output o sees 2i through weight 2i + 1 - o and 2i + 1 through 2i + 2 - o. Entry
    k of the transposed kernel leads from i to o = 2i - 1 + k, so it is the sum of the weights 2 - k and 3 - k.
    """
    first, second, third = kernel.unbind(axis)
    return torch.stack([third, second + third, first + second, first], axis)

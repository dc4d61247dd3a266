"""Pooling to a grid of any size by products of matrices, which ONNX has; its own operators know a grid of one alone.

Cell i of k along a side of n pixels is the mean of pixels floor(i n / k) to ceil((i + 1) n / k), the last one excluded, as
``torch.nn.AdaptiveAvgPool2d`` takes it. The mean of a rectangle is a mean of rows of means of columns.
"""

import copy
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional

from utils.models.segmenter import Segmenter

if TYPE_CHECKING:
    from segmentation_models_pytorch.decoders.pspnet.decoder import PSPBlock


class GridPool(nn.Module):
    """What ``AdaptiveAvgPool2d`` does, traced for every size of images.

    Args:
        rows: of the grid.
        columns: of the grid.
    """

    def __init__(self, rows: int, columns: int) -> None:
        super().__init__()
        self.rows, self.columns = rows, columns

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return, for ``(N, C, H, W)``, the means ``(N, C, rows, columns)``."""
        height, width = images.shape[-2], images.shape[-1]
        return torch.matmul(_means(self.rows, height), images) @ _means(self.columns, width).transpose(0, 1)


class PyramidBlock(nn.Module):
    """What a ``PSPBlock`` does; that one pools in a way of its own when it sees an export to ONNX.

    Args:
        block: the block, in evaluation mode.
    """

    def __init__(self, block: "PSPBlock") -> None:
        super().__init__()
        self.pool = block.pool

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Pool ``(N, C, H, W)`` to a grid, convolve it, and bring it back to the same height and width."""
        size = images.shape[-2], images.shape[-1]
        return functional.interpolate(self.pool(images), size=size, mode="bilinear", align_corners=True)


def replace_pooling(model: Segmenter) -> Segmenter:
    """Return a copy of a network in which whatever pools to a grid is one of the modules above.

    Args:
        model: the network, in evaluation mode.

    Returns:
        The copy; ``model`` itself where there is nothing to replace.
    """
    # Here, since it takes seconds: who runs a converted network replaces nothing.
    from segmentation_models_pytorch.decoders.pspnet.decoder import PSPBlock

    if not any(isinstance(module, PSPBlock) or _is_grid(module) for module in model.modules()):
        return model
    replaced = copy.deepcopy(model)
    for parent in list(replaced.modules()):
        for name, child in parent.named_children():
            if isinstance(child, PSPBlock):
                setattr(parent, name, PyramidBlock(child))
            elif _is_grid(child):
                assert isinstance(child, nn.AdaptiveAvgPool2d)
                size = child.output_size
                setattr(parent, name, GridPool(*(size if isinstance(size, tuple) else (size, size))))  # type: ignore[arg-type]
    return replaced.eval()


def _is_grid(module: nn.Module) -> bool:
    """Check whether a module pools to a grid of more than one cell, of a size that does not depend on the image's."""
    if not isinstance(module, nn.AdaptiveAvgPool2d):
        return False
    size = module.output_size
    sides = size if isinstance(size, tuple) else (size, size)
    return None not in sides and sides != (1, 1)


def _means(cells: int, length: Any) -> torch.Tensor:
    """Return the matrix ``(cells, length)`` float32 that takes the mean of each cell's pixels."""
    cell = torch.arange(cells)[:, None]
    pixel = torch.arange(length)[None]
    first = torch.div(cell * length, cells, rounding_mode="floor")
    last = torch.div((cell + 1) * length + cells - 1, cells, rounding_mode="floor")
    inside = ((pixel >= first) & (pixel < last)).float()
    return inside / (last - first).float()

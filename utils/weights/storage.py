"""Numbers of 16 bits in place of 32: half the size, where it costs nothing."""

from collections.abc import Mapping

import torch


def halved(state_dict: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the weights of convolutions and the like as float16.

    Vectors (normalisation, biases) stay as they are: they are small, and variances can leave float16's range. So do
    weights that would become infinite.

    Args:
        state_dict: name -> tensor.

    Returns:
        The same names; what was float32 with two or more dimensions is float16.
    """
    return {name: _half(tensor) for name, tensor in state_dict.items()}


def _half(tensor: torch.Tensor) -> torch.Tensor:
    if tensor.dtype != torch.float32 or tensor.ndim < 2:
        return tensor
    half = tensor.half()
    return half if bool(half.isfinite().all()) else tensor

"""What the numbers and tensors of a weights file have to be, so that no network answers "clean" by mere arithmetic."""

import math
from collections.abc import Mapping
from typing import Any

import torch

from utils.settings import LARGEST_SIDE

# Of mean and std, in units of 0..1. Far beyond what any image library uses; what lies outside makes all steel look alike.
MOST_MEAN, LEAST_STD, MOST_STD = 1e3, 1e-6, 1e3


def numbers(name: str, given: Any) -> tuple[float, ...]:
    """Return a list of finite numbers.

    Args:
        name: of the entry, for messages.
        given: what the file has.

    Raises:
        ValueError: something else; the message names the entry.
    """
    if not isinstance(given, (list, tuple)):
        raise ValueError(f"{name} {given!r:.60}: expected a list of numbers")
    for value in given:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            raise ValueError(f"{name} {value!r:.60}: expected a finite number")
    return tuple(map(float, given))


def probabilities(name: str, given: Any) -> tuple[float, ...]:
    """Return a list of numbers 0..1; a ``ValueError`` names the entry ``name``."""
    found = numbers(name, given)
    for value in found:
        if not 0 <= value <= 1:
            raise ValueError(f"{name} {value:g}: expected a probability 0..1")
    return found


def mean_and_std(content: Mapping[str, Any]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the mean and the std of each channel; a ``ValueError`` says what is wrong with them."""
    mean, std = numbers("mean", content["mean"]), numbers("std", content["std"])
    for value in mean:
        if abs(value) > MOST_MEAN:
            raise ValueError(f"mean {value:g}: expected it in units of 0..1")
    for value in std:
        if not LEAST_STD <= value <= MOST_STD:
            raise ValueError(f"std {value:g}: expected more than 0, in units of 0..1")
    return mean, std


def image_size(given: Any) -> tuple[int, int] | None:
    """Return (H, W) in pixels, or None; a ``ValueError`` says what else it is."""
    if given is None:
        return None
    sides = isinstance(given, (list, tuple)) and len(given) == 2 and all(map(_is_whole, given))
    if not sides or not all(1 <= side <= LARGEST_SIDE for side in given):
        raise ValueError(f"input_size {given!r:.60}: expected height and width in pixels, 1 to {LARGEST_SIDE}")
    return int(given[0]), int(given[1])


def tensors(given: Any) -> dict[str, torch.Tensor]:
    """Return the tensors of a network by name, those of 16 bits as the 32 bits that networks compute with.

    Args:
        given: what the file has.

    Raises:
        ValueError: no dict of names and plain tensors, or a number in one of them that cannot be.
    """
    if not isinstance(given, Mapping) or not given:
        raise ValueError("state_dict: expected tensors by name")
    return {name: _tensor(name, tensor) for name, tensor in given.items()}


def _tensor(name: Any, tensor: Any) -> torch.Tensor:
    if not isinstance(name, str):
        raise ValueError(f"state_dict: the name of a tensor is {name!r:.60}, expected text")
    where = f"tensor {name[:80]!r}"
    plain = isinstance(tensor, torch.Tensor) and tensor.layout == torch.strided and tensor.device.type == "cpu"
    if not plain or tensor.is_quantized or tensor.is_complex():
        raise ValueError(f"{where}: expected a plain tensor")
    # One number that is spread over a vast shape takes no room in a file, and fills the memory when somebody computes.
    if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        raise ValueError(f"{where}: has {tensor.numel()} numbers and room for fewer")
    if not tensor.is_floating_point():
        return tensor.detach()
    full = tensor.detach().float() if tensor.element_size() < 4 else tensor.detach()
    if full.numel():
        least, most = map(float, full.aminmax())  # one pass; nan if any is
        if not (math.isfinite(least) and math.isfinite(most)):
            raise ValueError(f"{where}: holds numbers that are not finite")
        if name.endswith("running_var") and least < 0:
            raise ValueError(f"{where}: a variance of {least:g}")
    return full


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)

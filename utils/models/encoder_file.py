"""Published weights of an encoder in a file of their own, as torchvision, timm and others give them out."""

import math
from collections.abc import Mapping
from typing import Any

import torch

from utils.errors import InputError

# Under these keys training programs keep the network, beside their optimiser and counts.
_CONTAINERS = ("state_dict", "model", "model_state_dict")


def encoder_tensors(content: Any, encoder: torch.nn.Module, source: str) -> dict[str, torch.Tensor]:
    """Find an encoder's tensors in what a file of weights holds.

    A file that names its tensors as the encoder does, or as timm does behind ``tu-``, is taken by name. The same network goes by
    other names in other libraries; such a file is taken in order, if kind (weight, running mean, ...) and shape of each
    tensor in turn are the encoder's. What the file has behind them, as the layers that name ImageNet's classes, is left.

    Args:
        content: a state dict, or one under ``state_dict``, ``model`` or ``model_state_dict``.
        encoder: to be filled; not changed here.
        source: the flag and the file, for messages.

    Returns:
        Name of the encoder -> tensor, each tensor of the encoder but the counts of batches. A first convolution of
        three colours is summed where the encoder takes one.

    Raises:
        InputError: no state dict, or one of another network, or numbers that cannot be; the message names the first tensor
            that does not fit.
    """
    content = tensors_of(content, source)
    given, wanted = _without_counts(content), _without_counts(encoder.state_dict())
    names = {name: name if name in given else name.removeprefix("model.") for name in wanted}
    if not all(its in given for its in names.values()):
        names = dict(zip(wanted, given, strict=False))
        stranger = next(((its, mine) for mine, its in names.items() if _kind(mine) != _kind(its)), None)
        if stranger is not None:
            raise InputError(f"{source}: is of another network, {stranger[0]} stands where {stranger[1]} should")
        if len(names) < len(wanted):
            raise InputError(f"{source}: is of another network, {len(given)} tensors where {len(wanted)} are needed")
    taken = set(names.values())
    strange = next((its for its in list(given)[: len(taken)] if its not in taken), None)
    if strange is not None:  # a deeper network of the same kind has all of the names, and more between them
        raise InputError(f"{source}: is of another network, its {strange} has no place in the encoder")
    fitting = {}
    for name, its_name in names.items():
        tensor = given[its_name].float()  # files may store 16 bits
        shape, its = tuple(wanted[name].shape), tuple(tensor.shape)
        if len(its) == 4 and its[1] == 3 and shape == (its[0], 1, *its[2:]):
            tensor = tensor.sum(1, keepdim=True)  # as SMP and timm do for images of one channel
        elif its != shape:
            raise InputError(f"{source}: is of another network, {name} is {its} where {shape} is needed")
        fitting[name] = tensor
    refuse_senseless(fitting, source)
    return fitting


def refuse_senseless(tensors: Mapping[str, torch.Tensor], source: str) -> None:
    """Refuse numbers that no training leaves, and with which one would fail after an hour.

    Args:
        tensors: those that are taken of a file, by name.
        source: the flag and the file, for messages.

    Raises:
        InputError: a tensor holds nan or infinity, or a variance is negative; names the first.
    """
    for name, tensor in tensors.items():
        if not tensor.is_floating_point() or not tensor.numel():
            continue
        least, most = map(float, tensor.aminmax())  # one pass; nan if any is
        if not (math.isfinite(least) and math.isfinite(most)):
            wrong = "holds numbers that are not finite (nan or infinity)"
        elif name.endswith("running_var") and least < 0:
            wrong = f"holds a variance of {least:g}"
        else:
            continue
        raise InputError(f"{source}: its {name} {wrong}; the file is damaged or its training failed, take another one")


def tensors_of(content: Any, source: str) -> Mapping[str, torch.Tensor]:
    """Return the state dict in what a file holds, which training programs keep beside their optimiser and counts.

    Raises:
        InputError: there is none.
    """
    for key in _CONTAINERS:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping) or not all(isinstance(value, torch.Tensor) for value in content.values()):
        raise InputError(
            f"{source}: holds neither a weights file of this project nor an encoder's tensors; choose imagenet, none or"
            " another file"
        )
    return content


def _without_counts(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Leave out the counts of batches, which some files lack and nothing here needs."""
    return {name: tensor for name, tensor in tensors.items() if not name.endswith("num_batches_tracked")}


def _kind(name: str) -> str:
    """Return what a tensor is to its layer: ``weight``, ``running_mean``, ..."""
    return name.rpartition(".")[2]

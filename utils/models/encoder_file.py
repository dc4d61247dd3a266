"""Published weights of an encoder in a file of their own, as torchvision, timm and others give them out."""

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
    tensor in turn are the encoder's. What the file has beyond that, as the layers that name ImageNet's classes, is left.

    Args:
        content: a state dict, or one under ``state_dict`` or ``model``.
        encoder: to be filled; not changed here.
        source: the flag and the file, for messages.

    Returns:
        Name of the encoder -> tensor, each tensor of the encoder but the counts of batches. A first convolution of
        three colours is summed where the encoder takes one.

    Raises:
        InputError: no state dict, or one of another network; the message names the first tensor that does not fit.
    """
    for key in _CONTAINERS:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping) or not all(isinstance(value, torch.Tensor) for value in content.values()):
        raise InputError(
            f"{source}: holds neither a weights file of this project nor an encoder's tensors; choose imagenet, none or"
            " another file"
        )
    given = {name: tensor for name, tensor in content.items() if not name.endswith("num_batches_tracked")}
    wanted = {name: t for name, t in encoder.state_dict().items() if not name.endswith("num_batches_tracked")}
    by_name = {name: given.get(name, given.get(name.removeprefix("model."))) for name in wanted}
    if any(tensor is None for tensor in by_name.values()):
        by_name = dict(zip(wanted, given.values(), strict=False))
        kinds = zip(wanted, given, strict=False)
        stranger = next(((mine, its) for mine, its in kinds if _kind(mine) != _kind(its)), None)
        if stranger is not None:
            raise InputError(f"{source}: is of another network, {stranger[1]} stands where {stranger[0]} should")
        if len(by_name) < len(wanted):
            raise InputError(f"{source}: is of another network, {len(given)} tensors where {len(wanted)} are needed")
    fitting = {}
    for name, tensor in by_name.items():
        assert tensor is not None
        tensor = tensor.float()  # files may store 16 bits
        shape, its = tuple(wanted[name].shape), tuple(tensor.shape)
        if len(its) == 4 and its[1] == 3 and shape == (its[0], 1, *its[2:]):
            tensor = tensor.sum(1, keepdim=True)  # as SMP and timm do for images of one channel
        elif its != shape:
            raise InputError(f"{source}: is of another network, {name} is {its} where {shape} is needed")
        fitting[name] = tensor
    return fitting


def _kind(name: str) -> str:
    """Give what a tensor is to its layer: ``weight``, ``running_mean``, ..."""
    return name.rpartition(".")[2]

"""Which numbers of a network's heads belong to which class."""

import torch
from torch import nn

from utils.models.spec import ANOMALY, ModelSpec

MASKS, LABELS = "segmentation_head", "classification_head"
BACKGROUND = ""  # multiclass' channel 0; no class is called so


def head_names(spec: ModelSpec) -> dict[str, tuple[str, ...]]:
    """Return what the channels of each head are called, in their order; heads that the network does not have are left out."""
    if spec.task == ANOMALY:  # its masks are distances, no layer learns them
        return {}
    background = (BACKGROUND,) if spec.task == "multiclass" else ()
    names = {MASKS: (*background, *spec.scored_names) if spec.scored_names else (), LABELS: spec.label_names}
    return {head: its for head, its in names.items() if its}


def class_tensors(net: nn.Module, spec: ModelSpec) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Find the tensors of a network's heads that have an entry for each channel.

    Args:
        net: as ``Segmenter`` has it; masks come from all layers of its ``segmentation_head``, labels of whole images from
            the last of its ``classification_head``.
        spec: what it is.

    Returns:
        Name in ``net.state_dict()`` -> its head, and the axes along which the entries lie: two of a transposed convolution
        from channels to channels.
    """
    found: dict[str, tuple[str, tuple[int, ...]]] = {}
    for head in head_names(spec):
        layers = [
            (name, layer)
            for name, layer in net.get_submodule(head).named_modules(prefix=head)
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear)
        ]
        for name, layer in layers if head == MASKS else layers[-1:]:
            found[f"{name}.weight"] = (head, (0, 1) if isinstance(layer, nn.ConvTranspose2d) else (0,))
            if layer.bias is not None:
                found[f"{name}.bias"] = (head, (0,))
    return found


def take_by_name(
    given: torch.Tensor,
    given_names: tuple[str, ...],
    wanted: torch.Tensor,
    wanted_names: tuple[str, ...],
    axes: tuple[int, ...],
) -> torch.Tensor | None:
    """Take over the entries of those channels that two networks have.

    Args:
        given: tensor of one network.
        given_names: of its entries along ``axes``.
        wanted: tensor of the other.
        wanted_names: of its entries.
        axes: one or two.

    Returns:
        A copy of ``wanted`` with the entries of ``given`` where the names are equal; None where no name is, or the shapes do
        not fit.
    """
    shape = [len(given_names) if axis in axes else size for axis, size in enumerate(wanted.shape)]
    common = [name for name in wanted_names if name in given_names]
    if list(given.shape) != shape or not common:
        return None
    for axis in axes:
        given = given.index_select(axis, torch.tensor([given_names.index(name) for name in common]))
    places = torch.tensor([wanted_names.index(name) for name in common])
    taken = wanted.clone()
    taken[torch.meshgrid(places, places, indexing="ij") if len(axes) == 2 else places] = given.to(taken.dtype)
    return taken

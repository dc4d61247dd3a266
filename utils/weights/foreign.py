"""Weights that other programs wrote: SMP's folders, state dicts, checkpoints of Lightning and catalyst, safetensors."""

import dataclasses
import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from utils.errors import InputError
from utils.models.class_channels import BACKGROUND, LABELS, class_tensors, head_names
from utils.models.encoder_file import refuse_senseless, tensors_of
from utils.models.segmenter import Segmenter
from utils.models.spec import ModelSpec
from utils.weights.weights_file import content_of, refuse_checkpoint

SAFETENSORS = ".safetensors"
IN_FOLDERS = ("model.safetensors", "pytorch_model.bin")  # what SMP's save_pretrained writes, and wrote


@dataclasses.dataclass(frozen=True)
class ForeignNetwork:
    """A whole network as another program stored it, in the names of ours.

    Attributes:
        state_dict: those tensors that our network has too, by its names.
        prefix: what stands before each name in the file, as Lightning's ``model.``.
        heads: what the channels of each head are called; a file does not know its classes' names: 1, 2, 3 ...
        others: names of the file that our network does not have.
    """

    state_dict: dict[str, torch.Tensor]
    prefix: str
    heads: dict[str, tuple[str, ...]]
    others: tuple[str, ...]


def file_of(path: Path) -> Path:
    """Return the file of weights that a path means: the path itself, or the one in a folder of SMP's.

    Raises:
        InputError: there is none.
    """
    if path.is_dir():
        found = next((path / name for name in IN_FOLDERS if (path / name).is_file()), None)
        if found is None:
            raise InputError(f"{path}: holds none of {', '.join(IN_FOLDERS)}; name a file of weights")
        return found
    if not path.is_file():
        raise InputError(f"{path}: no such file; name a file of weights, or a folder that SMP's save_pretrained wrote")
    return path


def read_content(path: Path) -> Any:
    """Read what a file of weights holds without running any code that it may contain.

    Raises:
        InputError: damaged, needs pickle, or a checkpoint of this program, which only ``-resume`` takes.
    """
    if path.suffix != SAFETENSORS:
        content = content_of(path)
        refuse_checkpoint(path, content)
        return content
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise InputError(f"{path}: damaged ({' '.join(str(error).split())}); fetch it again") from None


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file in hex digits."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def whole_network(content: Any, network: Segmenter, source: str) -> ForeignNetwork | None:
    """Find a whole network in what a file holds, by the names of its tensors.

    Programs put words before SMP's names (Lightning the name of a field, DataParallel ``module``, torch.compile
    ``_orig_mod``): those under which most names are known are taken off.

    Args:
        content: of the file.
        network: of the same architecture and encoder; not changed here.
        source: the flag and the file, for messages.

    Returns:
        The network; None where the file does not name an encoder's tensors as SMP's models do.

    Raises:
        InputError: no tensors at all, an encoder of another size, or numbers that cannot be.
    """
    given = tensors_of(content, source)
    wanted = network.net.state_dict()
    prefix = _prefix(given, wanted)
    encoder = [name for name in wanted if name.startswith("encoder.") and not name.endswith("num_batches_tracked")]
    if prefix is None:
        return None
    taken = {name: _full(given[prefix + name]) for name in wanted if prefix + name in given}
    missing = next((name for name in encoder if name not in taken), None)
    if missing is not None:
        raise InputError(f"{source}: is of another network than {network.spec.encoder}, it has no {prefix}{missing}")
    strange = next((name for name in encoder if taken[name].shape != wanted[name].shape), None)
    if strange is not None:
        its, ours = (tuple(tensors[strange].shape) for tensors in (taken, wanted))
        raise InputError(
            f"{source}: is of another network than {network.spec.encoder}, {prefix}{strange} is {its} where {ours} is"
            " needed"
        )
    known = {prefix + name for name in taken}
    deeper = next((its for its in given if its.startswith(f"{prefix}encoder.") and its not in known), None)
    if deeper is not None and not deeper.endswith("num_batches_tracked"):
        raise InputError(
            f"{source}: is of another network than {network.spec.encoder}, its {deeper} has no place in it"
        )
    refuse_senseless(taken, source)
    return ForeignNetwork(taken, prefix, _heads(network, taken), tuple(its for its in given if its not in known))


def _prefix(given: Iterable[str], wanted: Mapping[str, Any]) -> str | None:
    """Return the words before the names of an SMP model; None where no name is one."""
    given = list(given)
    first = next(name for name in wanted if name.startswith("encoder."))
    ends = {name[: -len(first)] for name in given if name.endswith(first)}
    found = [prefix for prefix in ends if prefix == "" or prefix.endswith(".")]
    there = set(given)
    return max(found, key=lambda prefix: (sum(prefix + name in there for name in wanted), -len(prefix)), default=None)


def _heads(network: Segmenter, taken: Mapping[str, torch.Tensor]) -> dict[str, tuple[str, ...]]:
    """Name the channels of a file's heads: by number, but for the background and for what is one for all classes."""
    spec, heads = network.spec, head_names(network.spec)
    found = {}
    for name, (head, _) in class_tensors(network.net, spec).items():
        if name in taken and name.endswith(".bias"):
            count = len(taken[name])
            found[head] = _numbered(spec, head, count, heads[head])
    return found


def _numbered(spec: ModelSpec, head: str, count: int, ours: tuple[str, ...]) -> tuple[str, ...]:
    if spec.task in ("binary", "classify-binary"):
        return ours if count == 1 else tuple(str(k) for k in range(1, count + 1))
    background = (BACKGROUND,) if spec.task == "multiclass" and head != LABELS else ()
    return (*background, *(str(k) for k in range(1, count + 1 - len(background))))


def _full(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.float() if tensor.is_floating_point() else tensor

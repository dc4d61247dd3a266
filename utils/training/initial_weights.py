"""The network that a training starts from."""

import csv
import dataclasses
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch

from config import EncoderWeights, TrainConfig
from utils.errors import InputError
from utils.files import write_text
from utils.models.class_channels import BACKGROUND, class_tensors, head_names, take_by_name
from utils.models.class_names import called, check_map, renamed
from utils.models.encoder_file import encoder_tensors
from utils.models.factory import NotFetchedError, build, is_cached, published_weights
from utils.models.normalisation import Normalisation, of_channels, of_earlier_runs
from utils.models.segmenter import Segmenter
from utils.models.spec import ModelSpec
from utils.weights.foreign import file_of, read_content, sha256_of, whole_network
from utils.weights.image_hashes import ImageHashes
from utils.weights.index import OWN_INDEX, read_index
from utils.weights.run_files import HISTORY, ORIGIN
from utils.weights.weights_file import WeightsFile, from_content, is_ours, load

ENCODER = "encoder."


@dataclasses.dataclass(frozen=True)
class InitialNetwork:
    """What a training starts from.

    Args:
        network: with its weights.
        notes: lines for the user about what was taken from where.
        origin: provenance of the weights file that the training goes on from, with the ``flag`` that named it, and
            ``epochs`` and ``seconds`` where its run folder is there to tell. Of a file that others made: its name as
            ``file`` and its ``sha256``. None: no file.
        hashes: of the images that the files have learnt from, or that nobody knows them.
    """

    network: Segmenter
    notes: list[str]
    origin: dict[str, Any] | None
    hashes: tuple[ImageHashes, ...] = ()


def initial_network(config: TrainConfig, spec: ModelSpec, checkpoint: Mapping[str, Any] | None) -> InitialNetwork:
    """Make the network with the weights that ``-encoder_weights`` and ``-init_encoder`` name.

    Images are normalised as those that the encoder's weights have seen.

    Args:
        config: these two flags are used; ``-init_encoder`` comes last and wins.
        spec: what to make.
        checkpoint: what ``checkpoints.read_last`` gives of a run that goes on. The weights come from it later, the files of
            these flags are not needed any more. None: a new run.

    Raises:
        InputError: no such file, or nothing in it fits.
    """
    given = config.encoder_weights
    notes: list[str] = []
    hashes: list[ImageHashes] = []
    origin = None
    if checkpoint is not None:
        network = build(spec)
        earlier = of_channels(of_earlier_runs(spec.smp_encoder()), spec.channels)
        network.normalise_by(*(checkpoint.get(name, value) for name, value in earlier._asdict().items()))
        return InitialNetwork(network, notes, origin)
    if config.class_map and (given == "none" or given in get_args(EncoderWeights)):
        raise InputError("-class_map: is for -encoder_weights FILE, of this project; leave it out, or give such a file")
    if given == "none" or given in get_args(EncoderWeights):
        network = build(spec) if given == "none" or config.init_encoder else _fetched(spec, given)
    else:
        network = build(spec)
        source, path = f"-encoder_weights {given}", Path(given)
        if not path.exists():
            raise InputError(f"{source}: no such file; choose imagenet, none or a weights file")
        path = file_of(path)
        content = read_content(path)
        if is_ours(content):
            stored = _fitting(source, from_content(path, content), spec)
            renamed(stored.spec.class_names, config.class_map)  # refuses a map that does not fit
            check_map(stored.spec.class_names, spec.class_names, config.class_map, f"-dir {config.dir}")
            taken = _take(network, stored.state_dict, head_names(stored.spec), "", config.class_map)
            notes += _normalised_as(network, stored, source)
            whole = len(network.net.state_dict())
            if taken < whole:
                notes.append(f"{source}: {taken} of the network's {whole} tensors are from it, the rest is random")
            notes += [f"{source}: {line}" for line in _about_classes(head_names(stored.spec), spec, config.class_map)]
            origin = {"flag": "encoder_weights", **stored.provenance, **_spent(path.parent)}
            hashes.append(stored.image_hashes or ImageHashes(unknown=(path.name,)))
        elif foreign := whole_network(content, network, source):
            classes = [name for name in _classes_of(foreign.heads) if name != BACKGROUND]
            renamed(classes, config.class_map)
            check_map(classes, spec.class_names, config.class_map, f"-dir {config.dir}")
            taken = _take(network, foreign.state_dict, foreign.heads, "", config.class_map)
            notes.append(f"{source}: {taken} of the network's {len(network.net.state_dict())} tensors are from it")
            notes += [f"{source}: {line}" for line in _about_classes(foreign.heads, spec, config.class_map)]
            notes.append(_said(network))
            origin = {"file": path.name, "sha256": sha256_of(path)}
            hashes.append(ImageHashes(unknown=(path.name,)))
        elif config.class_map:
            raise InputError(f"-class_map: {given} does not name its classes; leave the map out")
        else:
            encoder = network.net.get_submodule("encoder")
            encoder.load_state_dict(encoder_tensors(content, encoder, source), strict=False)
            notes.append(f"encoder from {given}, all of its tensors; the rest is random; {_said(network)}")
            origin = {"file": path.name, "sha256": sha256_of(path)}
            hashes.append(ImageHashes(unknown=(path.name,)))
    if config.init_encoder is not None:
        source = f"-init_encoder {config.init_encoder}"
        if not config.init_encoder.is_file():
            raise InputError(f"{source}: no such file; choose a weights file of this project")
        stored = _fitting(source, load(config.init_encoder), spec)
        taken = _take(network, stored.state_dict, {}, ENCODER)
        notes += _normalised_as(network, stored, source)
        whole = sum(name.startswith(ENCODER) for name in network.net.state_dict())
        notes.append(f"encoder from {config.init_encoder} ({stored.spec.task}): {taken} of its {whole} tensors taken")
        origin = {"flag": "init_encoder", **stored.provenance, **_spent(config.init_encoder.parent)}
        hashes.append(stored.image_hashes or ImageHashes(unknown=(config.init_encoder.name,)))
    return InitialNetwork(network, notes, origin, tuple(hashes))


def _fetched(spec: ModelSpec, weights: str) -> Segmenter:
    """Make the network with published weights of its encoder, and say before that they are fetched."""
    from huggingface_hub import constants

    tried = weights in published_weights(spec) and not is_cached(spec, weights) and not constants.HF_HUB_OFFLINE
    if tried and os.environ.get("RANK", "0") == "0":  # one of torchrun's processes
        print(f"fetching the {weights} weights of {spec.encoder} from the Hugging Face hub, once ...", flush=True)
    try:
        return build(spec, weights)
    except NotFetchedError as error:
        raise NotFetchedError(*error.known, _published_network(spec)) from None


def _published_network(spec: ModelSpec) -> str | None:
    """Return how to start from a published network with an encoder of this name, ours or of another library's."""
    try:
        entries = read_index(OWN_INDEX).entries
    except InputError:  # a copy of the program without its weights/
        return None
    exact = [entry for entry in entries if _same_encoder(entry.encoder, spec)]
    alike = [entry for entry in entries if _bare(entry.encoder) == _bare(spec.encoder)]
    for entry in (*exact, *alike):
        other = "" if exact else f"-encoder {entry.encoder} "
        return f"start from a published network by {other}-encoder_weights {OWN_INDEX.parent / entry.file}"
    return None


def _same_encoder(encoder: str, spec: ModelSpec) -> bool:
    try:
        return dataclasses.replace(spec, encoder=encoder).smp_encoder() == spec.smp_encoder()
    except InputError:  # of a newer timm
        return False


def _bare(encoder: str) -> str:
    """Return an encoder's name without what only tells the library."""
    name = encoder.replace("-", "_").partition(".")[0]
    for word in ("tu_", "timm_", "tf_"):
        name = name.removeprefix(word)
    return name


def write_origin(folder: Path, origin: dict[str, Any] | None) -> None:
    """Keep in the run folder what the training started from, since that file may be gone when the run is resumed."""
    if origin is not None:
        write_text(folder / ORIGIN, json.dumps(origin, indent=2) + "\n")


def read_origin(folder: Path) -> dict[str, Any]:
    """Return what ``write_origin`` kept as an entry of the provenance: ``encoder_file``, where others made it, else
    ``started_from``; nothing where there is none.
    """
    path = folder / ORIGIN
    try:
        origin = json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
        return {} if origin is None else {"encoder_file" if "file" in origin else "started_from": origin}
    except ValueError:
        raise InputError(
            f"{path}: damaged; remove it (the weights file then tells of this run alone) and -resume"
        ) from None


def _spent(run: Path) -> dict[str, Any]:
    """Return the epochs of a run and the seconds that they took; nothing for a folder that is no run."""
    try:
        with open(run / HISTORY, newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        return {
            "epochs": len(rows),
            "seconds": sum(float(r["train_seconds"]) + float(r["valid_seconds"]) for r in rows),
        }
    except (OSError, ValueError, KeyError, TypeError, csv.Error):  # TypeError: a line that was cut off
        return {}


def _fitting(source: str, stored: WeightsFile, spec: ModelSpec) -> WeightsFile:
    if stored.spec.smp_encoder() != spec.smp_encoder() or stored.spec.channels != spec.channels:
        raise InputError(
            f"{source}: is for -encoder {stored.spec.encoder} -channels"
            f" {stored.spec.channels}; nothing in it fits {spec.encoder}"
        )
    return stored


def _normalised_as(network: Segmenter, stored: WeightsFile, source: str) -> list[str]:
    """Normalise images as those that a file's network has seen; return a line for the user where that is not usual."""
    usual, its = Normalisation(network.mean, network.std), Normalisation(stored.mean, stored.std)
    network.normalise_by(*its)
    if np.allclose(usual, its, atol=1e-6):
        return []
    return [f"{source}: images are normalised as for it, with {its.text()}, not with {usual.text()}"]


def _classes_of(heads: Mapping[str, tuple[str, ...]]) -> list[str]:
    return list(dict.fromkeys(name for names in heads.values() for name in names))


def _said(network: Segmenter) -> str:
    return f"images are normalised with {Normalisation(network.mean, network.std).text()}"


def _take(
    network: Segmenter,
    given: Mapping[str, torch.Tensor],
    heads: Mapping[str, tuple[str, ...]],
    prefix: str,
    class_map: tuple[str, ...] | None = None,
) -> int:
    """Copy the tensors whose names begin with ``prefix`` and whose names and shapes fit; give their number.

    A class is known by its name, not by its number: of the heads' tensors the channels of the same names are copied.
    """
    wanted = network.net.state_dict()
    of_classes = class_tensors(network.net, network.spec)
    ours = head_names(network.spec)
    fitting = {}
    for name, tensor in given.items():
        if not name.startswith(prefix) or name not in wanted:
            continue
        if name not in of_classes:
            if tensor.shape == wanted[name].shape:
                fitting[name] = tensor
            continue
        head, axes = of_classes[name]
        names = called(heads.get(head, ()), class_map)
        taken = take_by_name(tensor, names, wanted[name], ours[head], axes)
        if taken is not None:
            fitting[name] = taken
    network.net.load_state_dict(fitting, strict=False)
    return len(fitting)


def _about_classes(
    heads: Mapping[str, tuple[str, ...]], spec: ModelSpec, class_map: tuple[str, ...] | None
) -> list[str]:
    """Return a line for the user about each head whose classes are not those of the file, in their order."""
    lines = []
    for head, names in heads.items():
        ours = head_names(spec).get(head)
        theirs = called(names, class_map)
        if ours is None or ours == theirs:
            continue
        fresh = [name for name in ours if name not in theirs and name != BACKGROUND]
        common = [name for name in ours if name in theirs and name != BACKGROUND]
        its, mine = ([name for name in those if name != BACKGROUND] for those in (names, ours))
        unused = [name for name, one in zip(names, theirs, strict=True) if one not in ours and name != BACKGROUND]
        given = [word for word in class_map or () if word.partition("=")[0].strip() not in unused]
        pairs = fresh if len(fresh) == len(unused) else ["?"] * len(unused)
        offer = ",".join([*given, *(f"{one}={other}" for one, other in zip(unused, pairs, strict=True))])
        question = ", with one of those for each question mark" if "?" in pairs else ""
        if common:
            rest = f". Start at random: {', '.join(fresh)}" if fresh else ""
            if fresh and unused:
                rest += f"; if they mean the same, give -class_map {offer}{question}"
            lines.append(f"its classes are {', '.join(its)}; taken by name: {', '.join(common)}{rest}")
        elif spec.task in ("binary", "classify-binary"):  # all classes are one: no pair of names would be right
            lines.append(
                f"its classes are {', '.join(its)}; what tells {', '.join(mine)} from the rest starts at random"
            )
        else:
            same = "where they are the same" if question else "for example, if they are the same in this order"
            lines.append(
                f"none of its classes ({', '.join(its)}) is called as one here ({', '.join(mine)}): they start at random;"
                f" {same}, give -class_map {offer}{question}"
            )
    return lines

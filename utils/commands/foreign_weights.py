"""Make a weights file of what another program trained: ``Publish_weights.py -from``."""

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch

from config import ForeignFlags, PublishWeightsConfig
from utils.decision.decision import Decision
from utils.device import versions
from utils.errors import InputError
from utils.models.factory import build
from utils.models.normalisation import Normalisation
from utils.models.segmenter import Segmenter, parts
from utils.models.spec import DECODER_BLOCKS, ModelSpec
from utils.settings import flag_of, given_fields
from utils.weights.foreign import ForeignNetwork, file_of, read_content, sha256_of, whole_network
from utils.weights.weights_file import WeightsFile, is_ours

# Flags of ``Publish_weights.py`` that -from has a use for, beside those of its own.
SHARED = {"source", "name", "to", "device", "threads", *(field.name for field in fields(ForeignFlags))}
# What SMP's config.json may say that our networks do not have, and what it has to say instead.
USUAL = {
    "activation": None,
    "aux_params": None,
    "decoder_attention_type": None,
    "decoder_interpolation": "nearest",
    "decoder_use_norm": "batchnorm",
    "encoder_depth": 5,
}
TRIED = (96, 160)  # height and width in pixels of the image that the network is tried on


@dataclass(frozen=True)
class ForeignResult:
    """What was made.

    Attributes:
        weights: the weights file.
        source: the file that it is made of.
        left: names in that file that the network has no place for.
        normalisation: that images get.
        tensors: number of the network's tensors.
    """

    weights: Path
    source: Path
    left: tuple[str, ...]
    normalisation: Normalisation
    tensors: int

    def text(self) -> str:
        """Return as text for a terminal what was made and what to do next."""
        lines = [
            f"all {self.tensors} tensors of the network are from {self.source}; it runs, and its answers are finite",
            f"images are normalised with {self.normalisation.text()}; where it was trained with others, give -mean and -std",
        ]
        if self.left:
            lines.append(f"left out, since the network has no place for it: {', '.join(self.left[:5])}")
        lines.append(f"weights: {self.weights}")
        lines.append(f"score it: python Evaluate.py -dir DATA -split all -weights_dir {self.weights}")
        return "\n".join(lines)


def weights_of_others(config: PublishWeightsConfig) -> ForeignResult:
    """Make a weights file of another program's network, after trying it on an image.

    Args:
        config: the flags of ``Publish_weights.py``; ``source`` is set.

    Returns:
        What was made.

    Raises:
        InputError: flags that are for a run folder, a file that is not the network that the flags describe, or a network
            whose answers are not finite; nothing was written then.
    """
    assert config.source is not None
    for name in sorted(given_fields(config) - SHARED):
        shown = "RUN" if name == "run" else flag_of(name)
        raise InputError(
            f"{shown}: is for a run folder, and -from makes a weights file of another program's; leave it out"
        )
    source, path = f"-from {config.source}", file_of(config.source)
    content = read_content(path)
    if is_ours(content):
        raise InputError(f"{source}: is a weights file of this project already; publish its run folder instead")
    spec = _spec(config, path)
    network = build(spec)
    found = whole_network(content, network, source)
    if found is None:
        raise InputError(
            f"{source}: names its tensors otherwise than SMP's models on {spec.encoder}; correct -encoder; others than SMP's"
            " cannot be taken over"
        )
    _check_tensors(network, found, source)
    mean, std = _normalisation(config, network)
    network.normalise_by(mean, std)
    network.net.load_state_dict(found.state_dict, strict=False)
    _try(network.eval(), source)
    file = WeightsFile(
        spec=spec,
        state_dict=network.net.state_dict(),
        mean=mean,
        std=std,
        input_size=config.image_size,
        decision=Decision.uniform(len(spec.scored_names), 0.5),
        provenance={"made_from": {"file": path.name, "sha256": sha256_of(path)}, "versions": versions()},
    )
    written = file.save_named(config.to, config.name)
    return ForeignResult(written, path, found.others, Normalisation(mean, std), len(file.state_dict))


def _spec(config: PublishWeightsConfig, path: Path) -> ModelSpec:
    """Describe the network: by the flags, and where they say nothing by the ``config.json`` that SMP writes."""
    told = _told(path)
    if config.classes is None:
        raise InputError("-from: needs -classes, the names of the classes in the order of the network's channels")
    for name in ("architecture", "encoder"):
        if getattr(config, name) is None and name not in told:
            raise InputError(f"-from {config.source}: does not say its {name}; give -{name}")
    architecture = config.architecture or told["architecture"]
    channels = config.decoder_channels or told.get("decoder_channels", ())
    return ModelSpec(
        architecture=architecture,
        encoder=config.encoder or told["encoder"],
        task=config.task,
        class_names=config.classes,
        channels=config.channels or told.get("channels", 3),
        target=config.target,
        decoder_channels=tuple(channels) if config.decoder_channels or architecture in DECODER_BLOCKS else (),
    )


def _told(path: Path) -> dict[str, Any]:
    """Read what SMP's ``config.json`` beside a file says about the network; {} where there is none."""
    described = path.parent / "config.json"
    if not described.is_file():
        return {}
    try:
        content = json.loads(described.read_text(encoding="utf-8"))
        kind = str(content["_model_class"]).lower()
        found = {"architecture": kind, "encoder": str(content["encoder_name"]), "channels": int(content["in_channels"])}
        blocks = content.get("decoder_channels") or ()
        found["decoder_channels"] = tuple(map(int, [blocks] if isinstance(blocks, int) else blocks))
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}  # of another library
    for name, usual in USUAL.items():
        if content.get(name, usual) != usual:
            raise InputError(
                f"{described}: {name} is {content[name]}, and networks here have {usual}; it cannot be used"
            )
    return found


def _check_tensors(network: Segmenter, found: ForeignNetwork, source: str) -> None:
    """Refuse a file that lacks a tensor of the network, or has one of another shape."""
    spec = network.spec
    for name, tensor in network.net.state_dict().items():
        if name.endswith("num_batches_tracked"):
            continue
        its = found.state_dict.get(name)
        if its is not None and its.shape == tensor.shape:
            continue
        if its is not None and name.startswith(("segmentation_head", "classification_head")):
            needed, there = tensor.shape[0], its.shape[0]
            raise InputError(
                f"{source}: its head has {there} channels, and -task {spec.task} with -classes"
                f" {','.join(spec.class_names)} needs {needed}; name the classes that it has"
            )
        what = (
            f"has no {name}" if its is None else f"{name} is {tuple(its.shape)} where {tuple(tensor.shape)} is needed"
        )
        raise InputError(
            f"{source}: is no {spec.architecture} on {spec.encoder}: {what}; correct -architecture or -encoder"
        )


def _normalisation(config: PublishWeightsConfig, network: Segmenter) -> Normalisation:
    mean, std = config.mean or network.mean, config.std or network.std
    for name, values in (("mean", mean), ("std", std)):
        if len(values) != network.spec.channels:
            raise InputError(f"-{name}: expected {network.spec.channels} numbers, one a channel, in units of 0..1")
    if min(std) <= 0 or max(map(abs, mean)) > 10:
        raise InputError("-mean, -std: expected units of 0..1, and a std above 0; divide those of 0..255 by 255")
    return Normalisation(tuple(mean), tuple(std))


def _try(network: Segmenter, source: str) -> None:
    """Run the network on an image; refuse answers that are not numbers or of another shape than its spec says."""
    pixels = torch.randint(0, 256, (1, network.spec.channels, *TRIED), dtype=torch.uint8)
    with torch.no_grad():
        masks, labels = parts(network(pixels))
    for answer in (masks, labels):
        if answer is not None and not torch.isfinite(answer).all():
            raise InputError(f"{source}: its answers are not finite; it is damaged, or was trained to no end")

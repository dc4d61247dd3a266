"""Make a network from its spec."""

import functools
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from utils.errors import InputError
from utils.models.architectures import ARCHITECTURES
from utils.models.normalisation import IMAGENET, Normalisation, of_channels, of_weights, timm_name_of
from utils.models.segmenter import Segmenter
from utils.models.spec import DECODER_BLOCKS, ModelSpec
from utils.settings import nearest

# Sides in pixels where the encoder's stride is not all: PAN halves its encoder's output, 1/16 of the side, three times.
MULTIPLES = {"pan": 128}

_WORDS = {IMAGENET: "ImageNet"}


class NotFetchedError(InputError):
    """Published weights of an encoder that could not be fetched.

    Args:
        weights: what they are called.
        encoder: whose they are.
        reason: the name of the error.
        offer: what else can be done, in words.
    """

    def __init__(self, weights: str, encoder: str, reason: str, offer: str | None = None) -> None:
        self.known = (weights, encoder, reason)
        more = f" or {offer}," if offer else ""
        super().__init__(
            f"the {weights} weights of {encoder} could not be fetched ({reason}); either run once with a network connection"
            f" (they are cached after that, HF_HOME says where),{more} or give them as -encoder_weights FILE, or train from"
            " scratch with -encoder_weights none"
        )


def build(spec: ModelSpec, encoder_weights: str | None = None) -> Segmenter:
    """Make the network that ``spec`` describes.

    Args:
        spec: what to make.
        encoder_weights: a name of ``published_weights`` fetches these weights of the encoder (network or cache
            needed); none starts from random ones and needs no network.

    Returns:
        A ``Segmenter`` in training mode.

    Raises:
        InputError: unknown architecture or encoder, an encoder that the architecture cannot use, or weights that
            cannot be fetched.
    """
    # Here, since it takes seconds: who runs a converted network builds none.
    from huggingface_hub.utils import logging as hub_logging

    if spec.architecture not in ARCHITECTURES:
        raise InputError(
            f"-architecture {spec.architecture}: no such architecture{nearest(spec.architecture, list(ARCHITECTURES))};"
            f" choose from {', '.join(ARCHITECTURES)}"
        )
    encoder = spec.smp_encoder()
    if encoder_weights is not None and encoder_weights not in (names := published_weights(spec)):
        raise InputError(
            f"-encoder_weights {encoder_weights}: {spec.encoder} has no such weights; choose"
            f" {', '.join((*names, 'none'))} or a FILE"
        )
    more: dict[str, Any] = {"labels": spec.labels, "dense": spec.dense, "dropout": spec.dropout} if spec.labels else {}
    if spec.memory:
        more |= {"memory": spec.memory, "components": spec.components}
    if spec.decoder_channels:
        one = DECODER_BLOCKS[spec.architecture] == 1
        more["decoder_channels"] = spec.decoder_channels[0] if one else list(spec.decoder_channels)
    hub_logging.set_verbosity_error()  # its retries would bury our one line
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # SMP warns that tu- encoders take True instead of imagenet
            net = ARCHITECTURES[spec.architecture](
                encoder_name=encoder,
                encoder_weights=encoder_weights,
                in_channels=spec.channels,
                classes=spec.outputs,
                **more,
            )
    except (ValueError, KeyError, NotImplementedError, AssertionError, TypeError) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"-architecture {spec.architecture} -encoder {spec.encoder}: {reason}; choose another of either"
        ) from None
    except Exception as error:
        if encoder_weights is None:
            raise
        raise NotFetchedError(
            _WORDS.get(encoder_weights, encoder_weights), spec.encoder, type(error).__name__
        ) from None
    mean, std = _normalisation(encoder, spec.channels, encoder_weights)
    stride = int(getattr(net.encoder, "output_stride", 32))
    multiple = MULTIPLES.get(spec.architecture, getattr(net, "multiple", stride))
    return Segmenter(net, spec, mean, std, multiple)


def is_cached(spec: ModelSpec, weights: str) -> bool:
    """Check whether an encoder's published weights lie on this machine already; where that is not known, they do not."""
    import timm
    from huggingface_hub import try_to_load_from_cache
    from segmentation_models_pytorch.encoders import encoders as smp_encoders

    name = spec.smp_encoder()
    timm_name = timm_name_of(name)
    if timm_name is None:
        place = smp_encoders.get(name, {}).get("pretrained_settings", {}).get(weights, {})
        repository, revision = place.get("repo_id"), place.get("revision")
    else:
        repository, revision = getattr(timm.get_pretrained_cfg(timm_name), "hf_hub_id", None), None
    names = ("model.safetensors", "pytorch_model.bin")
    return repository is not None and any(
        isinstance(try_to_load_from_cache(repository, file, revision=revision), str) for file in names
    )


def check_shapes(spec: ModelSpec, shapes: Mapping[str, tuple[int, ...]]) -> str:
    """Return what keeps weights from fitting a network; "" when nothing does. It takes no memory, however large the network.

    Args:
        spec: of the network.
        shapes: of the weights, by name.

    Raises:
        InputError: there is no such network, see ``build``.
    """
    sides = {side for shape in shapes.values() for side in shape}
    for name in ("decoder_channels", "dense", "memory", "components"):
        sizes = getattr(spec, name)
        absent = [size for size in (sizes if isinstance(sizes, tuple) else (sizes or 1,)) if size not in sides]
        if absent:
            return f"{name} {absent[0]}: no tensor has such a side"
    wanted = _shapes(spec)
    for name, shape in () if wanted is None else wanted.items():
        if name not in shapes:
            return f"no tensor {name}"
        if shapes[name] != shape:
            return f"tensor {name} is {_by(shapes[name])} where {_by(shape)} is needed"
    return ""


@functools.lru_cache(maxsize=64)
def _shapes(spec: ModelSpec) -> dict[str, tuple[int, ...]] | None:
    """Return the shape of each tensor of a network; None for encoders that compute with numbers while they are made."""
    try:
        with torch.device("meta"):
            return {name: tuple(tensor.shape) for name, tensor in build(spec).net.state_dict().items()}
    except (RuntimeError, NotImplementedError):
        return None


def _by(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape)) or "one number"


def size_of(spec: ModelSpec) -> tuple[int, int] | None:
    """Return the (H, W) in pixels that an encoder of timm's was made for, the only one that some take; none: not known."""
    import timm

    name = timm_name_of(spec.smp_encoder())
    made_for = None if name is None else timm.get_pretrained_cfg(name)
    return None if made_for is None else (made_for.input_size[1], made_for.input_size[2])


def published_weights(spec: ModelSpec) -> tuple[str, ...]:
    """Return the names of the published weights of a spec's encoder; those of timm's have one, and perhaps none."""
    import timm
    from segmentation_models_pytorch.encoders import encoders as smp_encoders

    name = spec.smp_encoder()
    timm_name = timm_name_of(name)
    if timm_name is not None:
        return (IMAGENET,) if timm.is_model_pretrained(timm_name) else ()
    return tuple(smp_encoders.get(name, {}).get("pretrained_settings", ()))


def _normalisation(encoder: str, channels: int, weights: str | None = None) -> Normalisation:
    """Return the mean and std per channel, in units of 0..1, that the encoder's published weights were trained with.

    Random weights take those of ``imagenet``.
    """
    return of_channels(of_weights(encoder, weights or IMAGENET), channels)

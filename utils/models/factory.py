"""Make a network from its spec."""

import warnings
from typing import Any

from utils.errors import InputError
from utils.models.architectures import ARCHITECTURES
from utils.models.segmenter import Segmenter
from utils.models.spec import DECODER_BLOCKS, ModelSpec
from utils.settings import nearest

# Sides in pixels where the encoder's stride is not all: PAN halves its encoder's output, 1/16 of the side, three times.
MULTIPLES = {"pan": 128}

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def build(spec: ModelSpec, encoder_weights: str | None = None) -> Segmenter:
    """Make the network that ``spec`` describes.

    Args:
        spec: what to make.
        encoder_weights: ``imagenet`` fetches the encoder's published weights (network or cache needed); none starts
            from random ones and needs no network.

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
    if encoder_weights not in (None, "imagenet"):
        raise InputError(f"-encoder_weights {encoder_weights}: choose imagenet, none or a weights file of this project")
    more: dict[str, Any] = {"labels": spec.labels, "dense": spec.dense, "dropout": spec.dropout} if spec.labels else {}
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
        raise InputError(
            f"the ImageNet weights of {spec.encoder} could not be fetched ({type(error).__name__}); either run once with"
            " a network connection (they are cached after that, HF_HOME says where), or give them as -encoder_weights FILE, or"
            " train from scratch with -encoder_weights none"
        ) from None
    mean, std = _normalisation(encoder, spec.channels)
    stride = int(getattr(net.encoder, "output_stride", 32))
    multiple = MULTIPLES.get(spec.architecture, getattr(net, "multiple", stride))
    return Segmenter(net, spec, mean, std, multiple)


def size_of(spec: ModelSpec) -> tuple[int, int] | None:
    """Return the (H, W) in pixels that an encoder of timm's was made for, the only one that some take; none: not known."""
    import timm

    name = spec.smp_encoder()
    made_for = timm.get_pretrained_cfg(name[3:]) if name.startswith("tu-") else None
    return None if made_for is None else (made_for.input_size[1], made_for.input_size[2])


def _normalisation(encoder: str, channels: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the mean and std that the encoder's ImageNet weights were trained with, in units of 0..1."""
    import timm
    from segmentation_models_pytorch.encoders import encoders as smp_encoders

    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    settings = smp_encoders.get(encoder, {}).get("pretrained_settings", {}).get("imagenet", {})
    # Some encoders were trained on 0..255 images; their mean is not in our units, and theirs alone.
    if settings.get("input_range", [0, 1])[1] == 1 and settings.get("mean") and settings.get("std"):
        mean, std = tuple(settings["mean"]), tuple(settings["std"])
    if encoder.startswith("tu-"):
        pretrained = timm.get_pretrained_cfg(encoder[3:])
        if pretrained is not None:
            mean, std = tuple(pretrained.mean), tuple(pretrained.std)
    if channels == 1:
        return (sum(mean) / 3,), (sum(std) / 3,)
    return mean, std

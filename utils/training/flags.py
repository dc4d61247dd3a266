"""Which flags fit together; what follows from one flag for another."""

import dataclasses
import math
from typing import get_args

from config import Architecture, TrainConfig
from utils.errors import InputError
from utils.models.spec import LABEL_TASKS, ModelSpec

BALANCED = "balanced"
OF_CLASSIFIERS = ("classifier_encoder", "classifier_size", "classifier_epochs")  # flags that systems with some have


def settle(config: TrainConfig) -> TrainConfig:
    """Fill in what the task leaves no choice about, and refuse flags that contradict it.

    A classifier has its own architecture and loss, whatever the defaults say.

    Args:
        config: as the user gave it.

    Returns:
        Settings to train with; those that were settled before stay as they are.

    Raises:
        InputError: flags that do not fit together.
    """
    if config.system is None:
        for name in OF_CLASSIFIERS:
            if getattr(config, name) is not None:
                raise InputError(f"-{name}: is for the classifiers of a system; leave it out, or give -system too")
        if config.gate != "hard":
            raise InputError(f"-gate {config.gate}: is for systems; leave it out, or give -system too")
    if config.task in LABEL_TASKS:
        if config.architecture not in ("unet", "classifier"):
            raise InputError(
                f"-architecture {config.architecture}: draws masks, -task {config.task} is about whole images; leave it out"
            )
        if config.loss not in ("dice_bce", "bce"):
            raise InputError(f"-loss {config.loss}: is for masks; -task {config.task} has -loss bce")
        config = dataclasses.replace(config, architecture="classifier", loss="bce")
    if config.task == "per-class" and config.target is None:
        raise InputError("-task per-class: needs -target, the name of the class to find")
    if config.images_with == "target" and config.target is None:
        raise InputError("-images_with target: needs -task per-class and -target")
    full = config.crop or config.image_size
    if config.start_size and full and config.start_size[0] >= full[0] and config.start_size[1] >= full[1]:
        small, large = ("{}x{}".format(*size) for size in (config.start_size, full))
        raise InputError(
            f"-start_size: {small} is not below {large}, the size of training images; take less or leave it out"
        )
    sizes = [size for size in (full, config.start_size) if size]
    if config.augmentation in ("d4", "strong") and (full is None or any(height != width for height, width in sizes)):
        raise InputError(
            f"-augmentation {config.augmentation}: quarter turns need square training images; give -crop or -image_size two"
            " equal numbers, and -start_size if you use it"
        )
    # The classes' names are not known yet; all else that a spec refuses is refused before any image is read.
    make_spec(config, (config.target or "defect",))
    weight_words(config)
    return config


def make_spec(config: TrainConfig, class_names: tuple[str, ...]) -> ModelSpec:
    """Describe the network that the flags ask for.

    Raises:
        InputError: flags that do not fit together, or a target that is none of the classes.
    """
    if config.architecture not in get_args(Architecture):
        raise InputError(f"-architecture {config.architecture}: choose from {', '.join(get_args(Architecture))}")
    return ModelSpec(
        architecture=config.architecture,
        encoder=config.encoder,
        task=config.task,
        class_names=class_names,
        channels=config.channels,
        target=config.target,
        dense=config.dense or (),
        dropout=config.dropout,
        decoder_channels=config.decoder_channels or (),
    )


def weight_words(config: TrainConfig) -> tuple[float, ...] | None:
    """Return the numbers of ``-class_weights``; None for ``none`` and ``balanced``.

    Raises:
        InputError: words that are neither numbers above 0 nor ``balanced`` alone.
    """
    words = config.class_weights
    if words is None or words == (BALANCED,):
        return None
    try:
        weights = tuple(map(float, words))
    except ValueError:
        weights = ()
    if not weights or not all(0 < weight < math.inf for weight in weights):
        raise InputError(
            f"-class_weights {','.join(words)}: expected none, balanced, or numbers above 0 as in 2,2,1,1.5"
        )
    return weights

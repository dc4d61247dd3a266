"""Which flags of a training fit together, and what follows from one for another: all that is known without the data."""

import dataclasses
import math
from typing import get_args

from config import SAID_BY_SPLIT, Architecture, OneNetworkSystem, TrainConfig
from utils.decision.decision import Decision, each
from utils.errors import InputError
from utils.models.spec import ANOMALY, LABEL_TASKS, ModelSpec
from utils.settings import given_fields
from utils.training.anomaly_flags import refuse_anomaly_flags, settle_anomaly
from utils.training.loaders import worker_count
from utils.training.losses import make_loss
from utils.training.weight_mean import check_weight_mean
from utils.weights.system_file import ENSEMBLE, SEGMENTERS

BALANCED = "balanced"
OF_CLASSIFIERS = ("classifier_encoder", "classifier_size", "classifier_epochs")  # flags that systems with some have
SINGLE = get_args(OneNetworkSystem)  # systems of one network, whose architecture is called as they are


def settle(given: TrainConfig) -> TrainConfig:
    """Return the settings of a new run: all flags are checked, and what they leave no choice about is filled in.

    Args:
        given: the flags, of one network or of a system.

    Raises:
        InputError: flags that do not fit together, or that no data can make right.
    """
    if given.split is not None:
        for name in SAID_BY_SPLIT:
            if name in given_fields(given):
                raise InputError(
                    f"-{name}: -split {given.split} names the images of each side already; leave one of the two out"
                )
    _check_folds(given)
    _check_teacher(given)
    if given.dir is None:
        raise InputError("Train.py: missing -dir; -h explains every flag")
    if given.task == ANOMALY:
        return settle_anomaly(given)
    refuse_anomaly_flags(given)
    if given.system is None:
        return settle_network(given)
    config = given
    if config.system in SINGLE:
        if "architecture" in given_fields(given) and config.architecture != config.system:
            raise InputError(f"-architecture {config.architecture}: -system {config.system} has its own; leave it out")
        config = dataclasses.replace(config, architecture=config.system)  # type: ignore[arg-type]
    check(config)
    return config


def _check_folds(given: TrainConfig) -> None:
    """Refuse what does not go with ``-folds``, and what is for it alone."""
    if given.folds is None:
        if given.oof != "table":
            raise InputError(f"-oof {given.oof}: is for the answers of -folds; leave it out, or give -folds too")
        return
    if given.system is not None:
        raise InputError(f"-folds: trains one kind of network; leave it or -system {given.system} out")
    if "valid_fraction" in given_fields(given):
        raise InputError(
            "-valid_fraction: with -folds each fold validates the network that has not learnt it; leave it out"
        )


# Flags that say which images without labels are learnt.
OF_UNLABELLED = ("accept", "least_agreement", "unlabelled_share")


def _check_teacher(given: TrainConfig) -> None:
    """Refuse what does not go with ``-teacher``, and what is for it alone."""
    if given.teacher is None:
        for name in ("unlabelled", "teacher_weight", "teacher_tta", "teacher_tile", *OF_UNLABELLED):
            if name in given_fields(given):
                raise InputError(f"-{name}: is for a -teacher; leave it out, or give -teacher too")
        return
    for name in OF_UNLABELLED:
        if given.unlabelled is None and name in given_fields(given):
            raise InputError(f"-{name}: is about images without labels; leave it out, or give -unlabelled too")
    if given.system is not None or given.folds is not None:
        other = "-folds" if given.system is None else f"-system {given.system}"
        raise InputError(f"-teacher: teaches one network; leave it or {other} out")
    if given.task in LABEL_TASKS or given.architecture in ("classifier", *SINGLE):
        what = f"-task {given.task}" if given.task in LABEL_TASKS else f"-architecture {given.architecture}"
        raise InputError(f"-teacher: teaches masks, and {what} learns labels of whole images; leave one of the two out")
    if given.blackout:
        raise InputError("-blackout: paints labelled defects, whose outlines a teacher does not share; leave it out")


def settle_network(config: TrainConfig) -> TrainConfig:
    """Return the settings of one network, alone or of a system: checked, and filled in what the task decides.

    A classifier has its own architecture and loss, whatever the defaults say.

    Args:
        config: flags of one network.

    Returns:
        Settings to train with; those that were settled before stay as they are.

    Raises:
        InputError: flags that do not fit together, or that no data can make right.
    """
    if config.system is None:
        if len(encoders_of(config)) > 1:
            raise InputError(f"-encoder {config.encoder}: several are for -system ensemble; give one, or that flag too")
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
    check(config)
    return config


def check(config: TrainConfig) -> None:
    """Refuse settings that no data can make right, of a new run or of one that goes on.

    Args:
        config: settled, of one network or of a system.

    Raises:
        InputError: a network, a loss, loading processes, areas or a system that there cannot be.
    """
    if config.system is not None:
        _check_system(config)
        return
    # The classes' names are not known yet; all else that a spec refuses is refused here.
    spec = make_spec(config, (config.target or "defect",))
    weight_words(config)
    check_weight_mean(config)
    make_loss(config)
    spec.smp_encoder()
    worker_count(config.num_of_workers, 1)
    # A class each, or the number that the other flag has values for.
    count = max((len(area) for area in (config.min_area, config.max_area) if isinstance(area, tuple)), default=1)
    lows, highs = each("min_area", config.min_area, count), each("max_area", config.max_area, count)
    for low, high in zip(lows, highs, strict=True):
        if 0 < high < low:
            raise InputError(f"-max_area {high}: is below -min_area {low}; correct one of them")


def _check_system(config: TrainConfig) -> None:
    if config.task not in SEGMENTERS:
        raise InputError(f"-task {config.task}: a system draws masks; choose from {', '.join(SEGMENTERS)}")
    if config.system == "six-model" and config.task != "multilabel":
        raise InputError(f"-task {config.task}: a six-model system has a network for each class; leave -task out")
    thresholds = config.threshold if isinstance(config.threshold, tuple) else (config.threshold,)
    wrong = next((one for one in thresholds if not 0 < one < 1), None)
    if wrong is not None:
        raise InputError(
            f"-threshold {wrong:g}: a system is calibrated from a threshold above 0 and below 1; give such a one"
        )
    if config.system in SINGLE:
        for name in OF_CLASSIFIERS:
            if getattr(config, name) is not None:
                raise InputError(f"-{name}: -system {config.system} is one network with one encoder; leave it out")
    if config.system == ENSEMBLE:
        _check_ensemble(config)
    elif len(encoders_of(config)) > 1:
        raise InputError(f"-encoder {config.encoder}: several are for -system {ENSEMBLE}; give one")


def _check_ensemble(config: TrainConfig) -> None:
    for name in OF_CLASSIFIERS:
        if getattr(config, name) is not None:
            raise InputError(f"-{name}: an ensemble has no classifiers; leave it out")
    if config.gate != "hard":
        raise InputError(f"-gate {config.gate}: an ensemble has no gate; leave it out")
    if len(encoders_of(config)) < 2:
        raise InputError(
            f"-encoder {config.encoder}: an ensemble has several networks; name an encoder for each, as in"
            f" {config.encoder},{config.encoder}, which makes two that differ by their seeds"
        )


def encoders_of(config: TrainConfig) -> tuple[str, ...]:
    """Return the names that ``-encoder`` gives: one, of an ensemble one for each network."""
    return tuple(word.strip() for word in config.encoder.split(","))


def make_decision(config: TrainConfig, spec: ModelSpec) -> Decision:
    """Return how the network's masks are decided; ``InputError`` when flags have values for other classes than it has."""
    names = spec.scored_names
    return Decision.uniform(
        len(names), config.threshold, config.min_area, config.max_area, config.high_threshold, names
    )


def make_label_thresholds(config: TrainConfig, spec: ModelSpec) -> tuple[float, ...]:
    """Return of each label of whole images the probability from which an image has it."""
    return each("threshold", config.threshold, spec.labels, spec.label_names)


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
        downsample=config.downsample,
        memory=1 if config.task == ANOMALY else 0,  # what is remembered comes later
        components=1 if config.task == ANOMALY else 0,
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

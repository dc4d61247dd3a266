"""Tries before the training: sizes of images, a step of the smallest batch, and which parameters a step does not reach."""

import copy
from collections.abc import Sequence
from pathlib import Path

import torch

from config import TrainConfig
from utils.data.images import read_size
from utils.data.transforms import grown
from utils.errors import InputError, lacks_memory
from utils.models.factory import size_of
from utils.models.segmenter import Segmenter, parts
from utils.training.loaders import EpochBatches


def check_batch(config: TrainConfig, network: Segmenter, images: Sequence[Path], processes: int) -> None:
    """Try images of the sizes of training and validation, which some encoders do not take, and the smallest batch.

    Networks that normalise over the batch cannot always train on a single image; it is tried where there will be some.

    Args:
        config: the run's settings.
        network: the one that is to be trained; stays as it is.
        images: files of the images to train on.
        processes: that train.

    Raises:
        InputError: the network cannot take images of these sizes, or train on a batch of one.
    """
    trial = copy.deepcopy(network).cpu()
    sizes = {"image_size": config.image_size or read_size(images[0])}
    if config.crop is not None:
        sizes["crop"] = config.crop
    if config.start_size is not None:
        sizes["start_size"] = grown(config.start_size, config.crop or sizes["image_size"], 0.0)
    for name, size in sizes.items():
        _check_size(config, trial.eval(), name, size)
    if EpochBatches(len(images), config.batch_size, config.seed, True, 0, processes).smallest() != 1:
        return
    fixed = config.crop or config.image_size
    # What is normalised is one number a channel if the longer side leaves a single pixel at the coarsest level.
    height, width = full = fixed or min((read_size(image) for image in images), key=max)
    if config.start_size is not None:
        height, width = grown(config.start_size, full, 0.0)
    try:
        with torch.no_grad():
            trial.train()(torch.zeros(1, config.channels, height, width, dtype=torch.uint8))
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        enough = "2 or more, and as many images" if processes == 1 else "that leaves each process 2 images or more"
        raise InputError(
            f"-batch_size {config.batch_size}: {config.architecture} cannot train on batches of a single image of"
            f" {height}x{width}; take -batch_size {enough}"
        ) from None


def _check_size(config: TrainConfig, trial: Segmenter, name: str, size: tuple[int, int]) -> None:
    """Refuse the size in pixels that the setting ``name`` asks for, where an image of it fails."""
    try:
        with torch.no_grad():
            trial(torch.zeros(1, config.channels, *size, dtype=torch.uint8))
    except (AssertionError, RuntimeError, ValueError) as error:
        if lacks_memory(error):
            raise
        reason = " ".join(str(error).split())
        made_for = size_of(trial.spec)
        remedy = f"another -{name}" if made_for in (None, size) else "-{} {},{}".format(name, *made_for)
        raise InputError(
            f"-encoder {config.encoder}: cannot take images of {size[0]}x{size[1]} ({reason}); give {remedy}, or choose"
            " another encoder"
        ) from None


def freeze_unreached(config: TrainConfig, network: Segmenter, images: Sequence[Path]) -> None:
    """Mark the parameters that no step changes as such: several processes would wait for their gradients forever.

    Some encoders have layers that only classifiers or finer decoders use.

    Args:
        config: the run's settings.
        network: the one that is to be trained.
        images: files of the images to train on.
    """
    height, width = config.start_size or config.crop or config.image_size or read_size(images[0])
    trial = copy.deepcopy(network).cpu().train()
    with torch.random.fork_rng(devices=[]):
        answer = trial(torch.zeros(2, config.channels, height, width, dtype=torch.uint8))
    torch.stack([part.sum() for part in parts(answer) if part is not None]).sum().backward()
    for parameter, tried in zip(network.parameters(), trial.parameters(), strict=True):
        if tried.grad is None:
            parameter.requires_grad_(False)

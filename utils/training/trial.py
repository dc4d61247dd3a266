"""Tries of a step before the training: whether its smallest batch works, and which parameters it does not reach."""

import copy
from collections.abc import Sequence
from pathlib import Path

import torch

from config import TrainConfig
from utils.data.images import read_size
from utils.data.transforms import grown
from utils.errors import InputError
from utils.models.segmenter import Segmenter, parts
from utils.training.loaders import EpochBatches


def check_batch(config: TrainConfig, network: Segmenter, images: Sequence[Path], processes: int) -> None:
    """Try a batch of one image where there will be some: networks that normalise over the batch cannot always train on it.

    Args:
        config: the run's settings.
        network: the one that is to be trained; stays as it is.
        images: files of the images to train on.
        processes: that train.

    Raises:
        InputError: the network cannot train on a batch of one image of this size.
    """
    if EpochBatches(len(images), config.batch_size, config.seed, True, 0, processes).smallest() != 1:
        return
    size = config.crop or config.image_size
    # What is normalised is one number a channel if the longer side leaves a single pixel at the coarsest level.
    height, width = full = size or min((read_size(image) for image in images), key=max)
    if config.start_size is not None:
        height, width = grown(config.start_size, full, 0.0)
    try:
        with torch.no_grad():
            trial = copy.deepcopy(network).cpu().train()
            trial(torch.zeros(1, config.channels, height, width, dtype=torch.uint8))
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        enough = "2 or more, and as many images" if processes == 1 else "that leaves each process 2 images or more"
        raise InputError(
            f"-batch_size {config.batch_size}: {config.architecture} cannot train on batches of a single image of"
            f" {height}x{width}; take -batch_size {enough}"
        ) from None


def freeze_unreached(config: TrainConfig, network: Segmenter) -> None:
    """Mark the parameters that no step changes as such: several processes would wait for their gradients forever.

    Some encoders have layers that only classifiers or finer decoders use.

    Args:
        config: the run's settings.
        network: the one that is to be trained.
    """
    height, width = config.start_size or config.crop or config.image_size or (64, 64)
    trial = copy.deepcopy(network).cpu().train()
    with torch.random.fork_rng(devices=[]):
        answer = trial(torch.zeros(2, config.channels, height, width, dtype=torch.uint8))
    torch.stack([part.sum() for part in parts(answer) if part is not None]).sum().backward()
    for parameter, tried in zip(network.parameters(), trial.parameters(), strict=True):
        if tried.grad is None:
            parameter.requires_grad_(False)

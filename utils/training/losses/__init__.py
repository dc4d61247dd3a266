"""Losses on logits: one file each over the formulas in ``functional``, all with the same arguments."""

import math

from config import TrainConfig
from utils.errors import InputError
from utils.training.losses.base import LossOnLogits
from utils.training.losses.bce import BCELoss
from utils.training.losses.cross_entropy import CrossEntropyLoss
from utils.training.losses.dice import DiceLoss
from utils.training.losses.dice_bce import DiceBCELoss
from utils.training.losses.focal import FocalLoss
from utils.training.losses.lovasz import LovaszLoss
from utils.training.losses.tversky import TverskyLoss

__all__ = [
    "BCELoss",
    "CrossEntropyLoss",
    "DiceBCELoss",
    "DiceLoss",
    "FocalLoss",
    "LossOnLogits",
    "LovaszLoss",
    "TverskyLoss",
    "make_loss",
]

_WITHOUT_SETTINGS = (BCELoss, CrossEntropyLoss, DiceLoss, FocalLoss, LovaszLoss)


def make_loss(config: TrainConfig) -> LossOnLogits:
    """Make the loss that the flags name.

    Args:
        config: its ``loss``, ``task``, ``dice_weight``, ``tversky_fp`` and ``tversky_fn`` are used.

    Returns:
        A module: ``loss(logits, target)`` gives a scalar, see ``LossOnLogits.forward``.

    Raises:
        InputError: the loss does not exist for the task, or a weight is out of range.
    """
    if not 0 <= config.dice_weight <= 1:
        raise InputError(f"-dice_weight {config.dice_weight}: expected 0..1")
    weights = (config.tversky_fp, config.tversky_fn)
    if not (min(weights) >= 0 and 0 < sum(weights) < math.inf):
        raise InputError(
            f"-tversky_fp {config.tversky_fp} -tversky_fn {config.tversky_fn}: expected 0 or more, one above 0"
        )
    if config.loss == "dice_bce":
        return DiceBCELoss(config.task, config.dice_weight)
    if config.loss == "tversky":
        return TverskyLoss(config.task, config.tversky_fp, config.tversky_fn)
    return {loss.name: loss for loss in _WITHOUT_SETTINGS}[config.loss](config.task)

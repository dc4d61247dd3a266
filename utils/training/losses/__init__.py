"""Losses on logits: one file each over the formulas in ``functional``, all with the same arguments."""

import math
from collections.abc import Sequence

from config import TrainConfig
from utils.errors import InputError
from utils.models.spec import ModelSpec
from utils.training.losses.answers import AnswerLoss
from utils.training.losses.base import LossOnLogits
from utils.training.losses.bce import BCELoss
from utils.training.losses.cross_entropy import CrossEntropyLoss
from utils.training.losses.dice import DiceLoss
from utils.training.losses.dice_bce import DiceBCELoss
from utils.training.losses.focal import FocalLoss
from utils.training.losses.lovasz import LovaszLoss
from utils.training.losses.tversky import TverskyLoss

__all__ = [
    "AnswerLoss",
    "BCELoss",
    "CrossEntropyLoss",
    "DiceBCELoss",
    "DiceLoss",
    "FocalLoss",
    "LossOnLogits",
    "LovaszLoss",
    "TverskyLoss",
    "make_criterion",
    "make_loss",
]

_OF_PIXELS = (BCELoss, CrossEntropyLoss, FocalLoss)
_OF_CLASSES = (DiceLoss, LovaszLoss)
_LOSSES: dict[str, type[LossOnLogits]] = {
    loss.name: loss for loss in (*_OF_PIXELS, DiceBCELoss, *_OF_CLASSES, TverskyLoss)
}


def make_loss(config: TrainConfig, weights: Sequence[float] | None = None) -> LossOnLogits:
    """Make the loss of masks that the flags name.

    Args:
        config: its ``loss``, ``task``, ``dice_weight``, ``dice_of``, ``tversky_fp`` and ``tversky_fn`` are used, and
            whether it has a ``teacher``.
        weights: what a defect pixel of each class counts; see ``LossOnLogits``.

    Returns:
        A module: ``loss(logits, target)`` gives a scalar, see ``LossOnLogits.forward``.

    Raises:
        InputError: the loss does not exist for the task, or a weight is out of range.
    """
    if not 0 <= config.dice_weight <= 1:
        raise InputError(f"-dice_weight {config.dice_weight}: expected 0..1")
    errors = (config.tversky_fp, config.tversky_fn)
    if not (min(errors) >= 0 and 0 < sum(errors) < math.inf):
        raise InputError(
            f"-tversky_fp {config.tversky_fp} -tversky_fn {config.tversky_fn}: expected 0 or more, one above 0"
        )
    if config.class_weights is not None and not _LOSSES[config.loss].weighs_pixels:
        able = ", ".join(name for name, loss in _LOSSES.items() if loss.weighs_pixels)
        raise InputError(
            f"-class_weights: -loss {config.loss} looks at a class as a whole and weighs no pixels; take one of {able}"
        )
    if config.teacher is not None and not _LOSSES[config.loss].takes_probabilities:
        able = ", ".join(name for name, loss in _LOSSES.items() if loss.takes_probabilities)
        raise InputError(
            f"-loss {config.loss}: learns labels of 0 and 1, not the probabilities of -teacher; take one of {able}"
        )
    loss = _of_name(config, weights)
    loss.soft = config.teacher is not None
    return loss


def _of_name(config: TrainConfig, weights: Sequence[float] | None) -> LossOnLogits:
    if config.loss == "dice_bce":
        return DiceBCELoss(config.task, config.dice_weight, weights, config.dice_of)
    if config.loss == "tversky":
        return TverskyLoss(config.task, config.tversky_fp, config.tversky_fn)
    for kind in _OF_PIXELS:
        if kind.name == config.loss:
            return kind(config.task, weights=weights)
    return _LOSSES[config.loss](config.task)


def make_criterion(config: TrainConfig, spec: ModelSpec, weights: Sequence[float] | None = None) -> AnswerLoss:
    """Make the loss of what a network answers: masks, labels of whole images, or both.

    Args:
        config: as for ``make_loss``, and ``label_weight``.
        spec: the network.
        weights: what a defect pixel of each class counts; of a classifier, an image that has the label.

    Returns:
        A module: ``loss(answer, masks)`` gives a scalar, see ``AnswerLoss.forward``.

    Raises:
        InputError: as ``make_loss``.
    """
    if spec.is_classifier:
        return AnswerLoss(None, 1.0, weights)
    return AnswerLoss(make_loss(config, weights), config.label_weight if spec.labels else None)

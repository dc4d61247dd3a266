"""What all losses share: the shapes they take, and float32 whatever the network computed in."""

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from config import Task
from utils.data.dataset import NOT_COUNTED
from utils.errors import InputError
from utils.training.losses.functional import distribution, index_of_masks


class LossOnLogits(nn.Module):
    """A loss of logits against masks.

    A subclass implements ``of_masks`` (each channel is a class by itself: tasks multilabel and binary) or ``of_index``
    (softmax over background and classes: task multiclass) or both, and names itself as the flag ``-loss`` does.

    Args:
        task: what the network's channels mean.
        weights: for losses that are a mean of pixels: what a pixel of each class counts, background counts 1; none: all
            count alike. C numbers above 0.

    Attributes:
        soft: targets of floating-point numbers are probabilities, as a teacher gives them, not masks of 0 and 1.

    Raises:
        InputError: the loss does not exist for this task.
    """

    name: ClassVar[str]
    weighs_pixels: ClassVar[bool] = False
    takes_probabilities: ClassVar[bool] = False  # as targets, see ``soft``

    def __init__(self, task: Task = "multilabel", weights: Sequence[float] | None = None) -> None:
        super().__init__()
        self.weights = weights
        self.soft = False
        self.softmax = task == "multiclass"
        needed = "of_index" if self.softmax else "of_masks"
        if getattr(type(self), needed) is getattr(LossOnLogits, needed):
            other = "-loss cross_entropy" if self.softmax else "-task multiclass"
            raise InputError(f"-loss {self.name} is not for -task {task}; take {other} or -loss dice_bce")

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Compute the loss of a batch.

        Args:
            logits: (N, C, H, W) float of any precision; (N, C + 1, H, W) with background first for task multiclass.
            target: (N, C, H, W) masks, uint8 or float of 0 and 1, of a ``soft`` loss float probabilities; ``NOT_COUNTED`` in
                all channels of pixels that do not count, of which the loss and its gradient are independent. For
                multiclass, where masks overlap the higher class id counts; of probabilities see ``functional.distribution``.

        Returns:
            Scalar float32 (float64 for float64 logits), finite for finite logits.

        Raises:
            ValueError: the shapes do not fit.
        """
        channels = target.shape[1] + self.softmax
        if target.ndim != 4 or logits.shape != (target.shape[0], channels, *target.shape[2:]):
            raise ValueError(f"logits {tuple(logits.shape)} do not fit masks {tuple(target.shape)}")
        # Sums over a million pixels need float32 even where the network computes in 16 bits. One memory layout for both,
        # since mixed ones (a channels_last network) cost more than the copy.
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32)).contiguous()
        counted = target[:, 0] != NOT_COUNTED
        return self.of_all(logits, target) if counted.all() else self.of_counted(logits, target, counted)

    def of_all(self, logits: Tensor, target: Tensor) -> Tensor:
        """Compute the loss of float32 logits where every pixel counts; arguments as of ``forward``."""
        if self.soft and target.is_floating_point():
            target = target.to(logits.dtype).contiguous()
            if self.softmax:
                return self.of_distribution(logits, distribution(target))
            return self.of_probabilities(logits, target)
        if self.softmax:
            return self.of_index(logits, index_of_masks(target))
        return self.of_masks(logits, target.to(logits.dtype).contiguous())

    def of_counted(self, logits: Tensor, target: Tensor, counted: Tensor) -> Tensor:
        """Compute the loss of the pixels that count, as if they were all pixels of one long image.

        That is what it is for losses that sum over all pixels of the batch; others have to bring their own.

        Args:
            logits, target: as of ``of_all``.
            counted: (N, H, W) bool.
        """
        if not counted.any():
            return logits.sum() * 0.0
        return self.of_all(*(part.movedim(1, -1)[counted].T[None, :, :, None] for part in (logits, target)))

    def mask_weights(self, logits: Tensor) -> Tensor | None:
        """Return ``(C, 1, 1)`` weights of defect pixels for ``of_masks``; None when all pixels count alike."""
        return None if self.weights is None else logits.new_tensor(self.weights).view(-1, 1, 1)

    def index_weights(self, logits: Tensor) -> Tensor | None:
        """Return ``(C + 1,)`` weights of background and classes for ``of_index``; None when all pixels count alike."""
        return None if self.weights is None else logits.new_tensor((1.0, *self.weights))

    def of_masks(self, logits: Tensor, target: Tensor) -> Tensor:
        """Compute the loss of (N, C, H, W) logits against (N, C, H, W) masks of the same dtype."""
        raise NotImplementedError

    def of_index(self, logits: Tensor, index: Tensor) -> Tensor:
        """Compute the loss of (N, C + 1, H, W) logits against (N, H, W) int64 class ids, 0 = background."""
        raise NotImplementedError

    def of_probabilities(self, logits: Tensor, target: Tensor) -> Tensor:
        """Compute the loss of (N, C, H, W) logits against probabilities 0..1 of the same shape and dtype."""
        raise NotImplementedError

    def of_distribution(self, logits: Tensor, target: Tensor) -> Tensor:
        """Compute the loss of (N, C + 1, H, W) logits against probabilities that sum to 1, the background first."""
        raise NotImplementedError

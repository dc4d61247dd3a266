"""Focal loss."""

from collections.abc import Sequence

from segmentation_models_pytorch.losses import BINARY_MODE
from segmentation_models_pytorch.losses import FocalLoss as SMPFocalLoss
from torch import Tensor

from config import Task
from utils.training.losses import functional
from utils.training.losses.base import LossOnLogits


class FocalLoss(LossOnLogits):
    """Cross-entropy in which well classified pixels count little, mean of all pixels and classes (Lin 2017).

    SMP's implementation for multilabel and binary; own code for multiclass, where SMP's takes a sigmoid of each
    channel although the network's channels are a softmax.

    Args:
        task: what the network's channels mean.
        gamma: how fast the weight of a pixel falls with its probability; 2 is the published value.
        weights: of defect pixels.
    """

    name = "focal"
    weighs_pixels = True

    def __init__(self, task: Task = "multilabel", gamma: float = 2.0, weights: Sequence[float] | None = None) -> None:
        super().__init__(task, weights)
        self.gamma = gamma
        # Binary mode takes all channels at once, which gives the mean of the classes: they have equally many pixels.
        self._of_masks = SMPFocalLoss(BINARY_MODE, gamma=gamma, reduction=None if weights else "mean")

    def of_masks(self, logits: Tensor, target: Tensor) -> Tensor:
        """See the base class."""
        loss, weights = self._of_masks(logits, target), self.mask_weights(logits)
        return loss if weights is None else (loss.view_as(target) * (1 + (weights - 1) * target)).mean()

    def of_index(self, logits: Tensor, index: Tensor) -> Tensor:
        """See the base class."""
        return functional.softmax_focal(logits, index, self.gamma, self.index_weights(logits))

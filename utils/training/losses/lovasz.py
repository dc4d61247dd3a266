"""Lovasz loss."""

from torch import Tensor

from utils.training.losses import functional
from utils.training.losses.base import LossOnLogits


class LovaszLoss(LossOnLogits):
    """The convex surrogate of 1 - IoU of each class over the batch, mean of the classes (Berman 2018).

    Hinge for multilabel and binary, softmax without the background for multiclass. A class that is absent from the
    batch has the loss of its most confident false positive. Own code, because SMP's mixes all classes into one IoU for
    multilabel, leaves absent classes out for multiclass, and rounds the weights (see ``functional._lovasz``).
    """

    name = "lovasz"

    def of_masks(self, logits: Tensor, target: Tensor) -> Tensor:
        """See the base class."""
        return functional.lovasz_hinge(logits, target)

    def of_index(self, logits: Tensor, index: Tensor) -> Tensor:
        """See the base class."""
        probability = logits.softmax(1)[:, 1:]
        target = functional.masks_of_index(index, probability.shape[1], probability.dtype)
        return functional.lovasz_softmax(probability, target)

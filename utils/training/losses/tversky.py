"""Tversky loss, and Dice as the case of equal weights."""

from torch import Tensor

from config import Task
from utils.training.losses import functional
from utils.training.losses.base import LossOnLogits


class TverskyLoss(LossOnLogits):
    """1 - Tversky index of each class over the batch, mean of the classes (background is none of them).

    Own code, because SMP's gives a class that is absent from the batch neither loss nor gradient, so that nothing
    punishes false positives; see ``functional.SMOOTH``.

    Args:
        task: what the network's channels mean.
        fp: weight of false positives, 0 or more; the published recipe has 0.1.
        fn: weight of false negatives, 0 or more; the published recipe has 0.9.
    """

    name = "tversky"
    takes_probabilities = True

    def __init__(self, task: Task = "multilabel", fp: float = 0.1, fn: float = 0.9) -> None:
        super().__init__(task)
        self.fp, self.fn = fp, fn

    def of_masks(self, logits: Tensor, target: Tensor) -> Tensor:
        """See the base class."""
        return functional.tversky(logits.sigmoid(), target, self.fp, self.fn)

    def of_index(self, logits: Tensor, index: Tensor) -> Tensor:
        """See the base class."""
        probability = logits.softmax(1)[:, 1:]
        target = functional.masks_of_index(index, probability.shape[1], probability.dtype)
        return functional.tversky(probability, target, self.fp, self.fn)

    def of_probabilities(self, logits: Tensor, target: Tensor) -> Tensor:
        """See the base class."""
        return functional.tversky(logits.sigmoid(), target, self.fp, self.fn, soft=True)

    def of_distribution(self, logits: Tensor, target: Tensor) -> Tensor:
        """See the base class."""
        return functional.tversky(logits.softmax(1)[:, 1:], target[:, 1:], self.fp, self.fn, soft=True)

    def extra_repr(self) -> str:
        """Show the weights when the loss is printed."""
        return f"fp={self.fp}, fn={self.fn}"

"""Dice loss."""

from config import Task
from utils.training.losses.tversky import TverskyLoss


class DiceLoss(TverskyLoss):
    """1 - Dice of each class over the batch, mean of the classes: the Tversky loss with both weights 1/2.

    Args:
        task: what the network's channels mean.
    """

    name = "dice"

    def __init__(self, task: Task = "multilabel") -> None:
        super().__init__(task, fp=0.5, fn=0.5)

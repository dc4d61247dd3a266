"""The published loss: Dice and binary cross-entropy together."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

from config import Task
from utils.training.losses import functional
from utils.training.losses.base import LossOnLogits
from utils.training.losses.bce import BCELoss
from utils.training.losses.cross_entropy import CrossEntropyLoss


class DiceBCELoss(LossOnLogits):
    """A weighted mean of Dice loss and binary cross-entropy; of Dice loss and cross-entropy for task multiclass.

    Dice weighs classes alike however few pixels they have, cross-entropy gives every pixel a gradient. Dice of the batch
    looks at the classes that it shows, and cross-entropy alone punishes false positives of the others, as with SMP's Dice.

    Args:
        task: what the network's channels mean.
        dice_weight: share of Dice, 0..1.
        dice_of: ``batch`` or ``image``, what a Dice is taken of; see ``functional.present_dice`` and ``image_dice``.
        weights: of defect pixels in cross-entropy; Dice weighs classes alike as it is.
    """

    name = "dice_bce"
    weighs_pixels = True
    takes_probabilities = True

    def __init__(
        self,
        task: Task = "multilabel",
        dice_weight: float = 0.5,
        weights: Sequence[float] | None = None,
        dice_of: str = "batch",
    ) -> None:
        super().__init__(task, weights)
        self.dice_weight, self.dice_of = dice_weight, dice_of
        self.dice = functional.image_dice if dice_of == "image" else functional.present_dice

    def of_masks(self, logits: Tensor, target: Tensor) -> Tensor:
        """See the base class."""
        entropy = F.binary_cross_entropy_with_logits(logits, target, pos_weight=self.mask_weights(logits))
        return self._mean(self.dice(logits.sigmoid(), target), entropy)

    def of_index(self, logits: Tensor, index: Tensor) -> Tensor:
        """See the base class."""
        log_probability = logits.log_softmax(1)
        probability = log_probability[:, 1:].exp()
        target = functional.masks_of_index(index, probability.shape[1], probability.dtype)
        return self._mean(
            self.dice(probability, target), F.nll_loss(log_probability, index, self.index_weights(logits))
        )

    def of_probabilities(self, logits: Tensor, target: Tensor) -> Tensor:
        """See the base class."""
        entropy = F.binary_cross_entropy_with_logits(logits, target, pos_weight=self.mask_weights(logits))
        return self._mean(self.dice(logits.sigmoid(), target, soft=True), entropy)

    def of_distribution(self, logits: Tensor, target: Tensor) -> Tensor:
        """See the base class."""
        log_probability = logits.log_softmax(1)
        entropy = functional.soft_cross_entropy(log_probability, target, self.index_weights(logits))
        return self._mean(self.dice(log_probability[:, 1:].exp(), target[:, 1:], soft=True), entropy)

    def of_counted(self, logits: Tensor, target: Tensor, counted: Tensor) -> Tensor:
        """See the base class; Dice of each image needs the images apart."""
        if self.dice_of == "batch":
            return super().of_counted(logits, target, counted)
        shown, soft = counted.unsqueeze(1), self.soft and target.is_floating_point()
        if self.softmax:
            entropy: LossOnLogits = CrossEntropyLoss("multiclass", self.weights)
            entropy.soft = soft
            probability = logits.softmax(1)[:, 1:]
            if soft:
                truth = functional.distribution(target.to(logits.dtype) * shown)[:, 1:]
            else:
                index = functional.index_of_masks(target * shown)
                truth = functional.masks_of_index(index, probability.shape[1], probability.dtype)
        else:
            entropy = BCELoss("multilabel", self.weights)
            probability, truth = logits.sigmoid(), (target * shown).to(logits.dtype)
        dice = self.dice(probability * shown, truth, soft=soft)
        return self._mean(dice, entropy.of_counted(logits, target, counted))

    def _mean(self, dice: Tensor, entropy: Tensor) -> Tensor:
        return self.dice_weight * dice + (1 - self.dice_weight) * entropy

    def extra_repr(self) -> str:
        """Show the weight when the loss is printed."""
        return f"dice_weight={self.dice_weight}, dice_of={self.dice_of}"

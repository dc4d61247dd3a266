"""Binary cross-entropy."""

import torch.nn.functional as F
from torch import Tensor

from utils.training.losses.base import LossOnLogits


class BCELoss(LossOnLogits):
    """Binary cross-entropy of each channel, mean of all pixels and classes; defect pixels count their weight."""

    name = "bce"
    weighs_pixels = True
    takes_probabilities = True

    def of_masks(self, logits: Tensor, target: Tensor) -> Tensor:
        """See the base class."""
        return F.binary_cross_entropy_with_logits(logits, target, pos_weight=self.mask_weights(logits))

    def of_probabilities(self, logits: Tensor, target: Tensor) -> Tensor:
        """See the base class: cross-entropy takes probabilities as they are."""
        return self.of_masks(logits, target)

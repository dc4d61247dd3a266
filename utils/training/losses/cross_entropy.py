"""Cross-entropy of softmax."""

import torch.nn.functional as F
from torch import Tensor

from utils.training.losses.base import LossOnLogits
from utils.training.losses.functional import soft_cross_entropy


class CrossEntropyLoss(LossOnLogits):
    """Cross-entropy over background and classes, mean of all pixels, weighted by the pixel's true class."""

    name = "cross_entropy"
    weighs_pixels = True
    takes_probabilities = True

    def of_index(self, logits: Tensor, index: Tensor) -> Tensor:
        """See the base class."""
        return F.cross_entropy(logits, index, self.index_weights(logits))

    def of_distribution(self, logits: Tensor, target: Tensor) -> Tensor:
        """See the base class."""
        return soft_cross_entropy(logits.log_softmax(1), target, self.index_weights(logits))

"""Cross-entropy of softmax."""

import torch.nn.functional as F
from torch import Tensor

from utils.training.losses.base import LossOnLogits


class CrossEntropyLoss(LossOnLogits):
    """Cross-entropy over background and classes, mean of all pixels, weighted by the pixel's true class."""

    name = "cross_entropy"
    weighs_pixels = True

    def of_index(self, logits: Tensor, index: Tensor) -> Tensor:
        """See the base class."""
        return F.cross_entropy(logits, index, self.index_weights(logits))

"""The loss of whatever a network answers: masks, labels of whole images, or both."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from utils.models.segmenter import parts
from utils.training.losses.base import LossOnLogits


class AnswerLoss(nn.Module):
    """The loss of masks, plus that of labels times a weight.

    Labels are binary cross-entropy against the classes that the masks of the batch show, so that a crop is labelled by
    what is in it.

    Args:
        masks: loss of the masks; none for a classifier.
        label_weight: weight of the labels' loss; none for a network without labels.
        positives: for a classifier, what an image that has the label counts; none: as much as one without.
    """

    def __init__(
        self, masks: LossOnLogits | None, label_weight: float | None, positives: Sequence[float] | None = None
    ) -> None:
        super().__init__()
        self.masks, self.label_weight, self.positives = masks, label_weight, positives

    def forward(self, answer: Any, target: Tensor) -> Tensor:
        """Compute the loss of a batch.

        Args:
            answer: what the network gives: masks ``(N, K, H, W)``, labels ``(N, L)``, or a pair of both.
            target: ``(N, C, H, W)`` masks, uint8 or float of 0 and 1, or ``NOT_COUNTED``; C is L where there are labels.

        Returns:
            Scalar float32.
        """
        masks, labels = parts(answer)
        losses = [] if self.masks is None else [self.masks(masks, target)]
        if self.label_weight is not None:
            losses.append(self.label_weight * self.of_labels(labels, target))
        return torch.stack(losses).sum()

    def of_labels(self, logits: Tensor, target: Tensor) -> Tensor:
        """Compute binary cross-entropy of ``(N, L)`` logits against the masks that have a pixel that counts."""
        shown = (target == 1).flatten(2).any(2).to(logits.dtype)
        weights = None if self.positives is None else logits.new_tensor(self.positives)
        return F.binary_cross_entropy_with_logits(logits, shown, pos_weight=weights)

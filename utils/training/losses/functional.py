"""The formulas of the losses, as functions of float tensors.

Pixels are summed over the whole batch for each class by itself, and a loss is the mean of the classes.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

# Dice and Tversky of a class are computed as if this share of its pixels were true positives besides (20 px of an image
# of 256x768). A class that is absent and not predicted then has loss 0 instead of 0 / 0, and false positives of an
# absent class have a gradient (SMP's losses give none, their loss of an absent class is 0). A larger share would
# let the network ignore small defects, a smaller one would make the loss of an absent class jump from 0 to 1.
SMOOTH = 1e-4

# The same share for an absent class of one image, where the Dice of each image and class is taken for itself. Half the
# pairs and more have no defect: with 1e-4 their loss is 0.8 already at a probability of 0.001 everywhere, and little is
# learnt but to predict nothing. A class that is there needs no more than what keeps the division in order.
SMOOTH_OF_ABSENT = 5e-3

# From this probability of a pixel on an image shows a class, where the target is soft.
SHOWN = 0.5


def index_of_masks(target: Tensor) -> Tensor:
    """Turn masks into one index map, as softmax needs it; where masks overlap, the higher class id wins.

    Args:
        target: (N, C, H, W) masks of any dtype, nonzero = defect.

    Returns:
        (N, H, W) int64; 0 is background, k + 1 is channel k of ``target``.
    """
    index = torch.zeros_like(target[:, 0], dtype=torch.uint8)
    for channel in range(target.shape[1]):
        index.masked_fill_(target[:, channel] != 0, channel + 1)
    return index.long()


def masks_of_index(index: Tensor, classes: int, dtype: torch.dtype) -> Tensor:
    """Turn an index map into exclusive masks, the inverse of ``index_of_masks`` without overlaps.

    Args:
        index: (N, H, W) int64, 0 is background.
        classes: C, without the background.
        dtype: of the result.

    Returns:
        (N, C, H, W) masks of 0 and 1.
    """
    ids = torch.arange(1, classes + 1, device=index.device).view(1, -1, 1, 1)
    return (index.unsqueeze(1) == ids).to(dtype)


def distribution(target: Tensor) -> Tensor:
    """Put the background before probabilities of classes, so that they sum to 1 in each pixel, as softmax needs it.

    Args:
        target: (N, C, H, W) float, 0..1 each; where they sum to more than 1, as independent classes may, all are divided.

    Returns:
        (N, C + 1, H, W) of the same dtype.
    """
    total = target.sum(1, keepdim=True)
    return torch.cat(((1 - total).clamp(min=0), target / total.clamp(min=1)), dim=1)


def soft_cross_entropy(log_probability: Tensor, target: Tensor, weights: Tensor | None = None) -> Tensor:
    """Compute -sum(t log p) of each pixel, mean of the pixels, weighted as their classes are.

    For targets of 0 and 1 it is the usual cross-entropy with its weights.

    Args:
        log_probability: (N, K, H, W) float.
        target: (N, K, H, W) of the same dtype, summing to 1 over the classes.
        weights: (K,) float above 0; none: all pixels count alike.
    """
    if weights is not None:
        target = target * weights.view(-1, 1, 1)
    return -(target * log_probability).sum() / target.sum()


def tversky(
    probability: Tensor, target: Tensor, fp: float, fn: float, smooth: float = SMOOTH, soft: bool = False
) -> Tensor:
    """Compute 1 - tp / (tp + fp FP + fn FN) of soft counts over the batch, mean of the classes.

    Salehi et al. 2017, "Tversky loss function for image segmentation using 3D fully convolutional deep networks",
    https://arxiv.org/abs/1706.05721, equation 3 (alpha weighs false positives, beta false negatives), with ``smooth``
    added as true positives.

    Args:
        probability: (N, C, H, W) float, 0..1.
        target: (N, C, H, W) of the same dtype, 0 or 1.
        fp: weight of false positives, 0 or more.
        fn: weight of false negatives, 0 or more.
        smooth: true positives that are added to each class, as a share of its pixels; see ``SMOOTH``.
        soft: the target is a probability 0..1, see ``overlap``.

    Returns:
        Scalar, 0..1.
    """
    pixels = probability.numel() / probability.shape[1]
    tp = overlap(probability, target, soft).sum((0, 2, 3))
    false_positives = probability.sum((0, 2, 3)) - tp
    false_negatives = target.sum((0, 2, 3)) - tp
    tp = tp + smooth * pixels
    return 1 - (tp / (tp + fp * false_positives + fn * false_negatives)).mean()


def overlap(probability: Tensor, target: Tensor, soft: bool) -> Tensor:
    """Return how much of each pixel is a true positive.

    Of a ``soft`` target it is the smaller of the two numbers, (p + t - |p - t|) / 2: Dice is then right where p equals t,
    while the product would reward 0 and 1 (Wang et al. 2023, "Dice semimetric losses", https://arxiv.org/abs/2303.16296,
    equation 9). For targets of 0 and 1 both are the same.
    """
    return torch.minimum(probability, target) if soft else probability * target


def present_dice(probability: Tensor, target: Tensor, smooth: float = SMOOTH, soft: bool = False) -> Tensor:
    """Compute ``dice`` over the classes that the batch shows; 0 when it shows none.

    For use beside a loss that punishes false positives pixel by pixel. The Dice of an absent class is nearly 1 as soon
    as its probabilities sum to a few pixels, so in batches of few defects it would outweigh the classes that are there.
    """
    shown = (target >= SHOWN if soft else target).flatten(2).any(2).any(0)
    return dice(probability[:, shown], target[:, shown], smooth, soft) if shown.any() else probability.sum() * 0.0


def dice(probability: Tensor, target: Tensor, smooth: float = SMOOTH, soft: bool = False) -> Tensor:
    """Compute 1 - 2 tp / (2 tp + FP + FN) of soft counts over the batch, mean of the classes.

    Milletari et al. 2016, "V-Net", https://arxiv.org/abs/1606.04797, section 3, without the squares in the
    denominator: the Tversky loss with both weights 1/2. Arguments and result as of ``tversky``.
    """
    return tversky(probability, target, fp=0.5, fn=0.5, smooth=smooth, soft=soft)


def image_dice(probability: Tensor, target: Tensor, smooth: float = SMOOTH_OF_ABSENT, soft: bool = False) -> Tensor:
    """Compute 1 - (tp + s) / (tp + s + (FP + FN) / 2) of soft counts of each image and class, mean of all of them.

    The competition's mean Dice with probabilities for masks: a class that an image does not show counts like any other,
    and is right when nothing is predicted there (https://www.kaggle.com/c/severstal-steel-defect-detection/overview/evaluation).

    Args:
        probability: (N, C, H, W) float, 0..1.
        target: (N, C, H, W) of the same dtype, 0 or 1.
        smooth: s of a class that the image does not show, as a share of its pixels; see ``SMOOTH_OF_ABSENT``.
        soft: the target is a probability 0..1, see ``overlap``.

    Returns:
        Scalar, 0..1.
    """
    tp = overlap(probability, target, soft).sum((2, 3))
    labelled = target.sum((2, 3))
    shown = (target >= SHOWN).flatten(2).any(2) if soft else labelled > 0
    added = torch.where(shown, 0.0, smooth * probability[0, 0].numel())
    return 1 - ((tp + added) / ((probability.sum((2, 3)) + labelled) / 2 + added)).mean()


def softmax_focal(logits: Tensor, index: Tensor, gamma: float, weights: Tensor | None = None) -> Tensor:
    """Compute -(1 - p)^gamma log p of each pixel's true class, mean of the pixels, weighted by their true class.

    Lin et al. 2017, "Focal loss for dense object detection", https://arxiv.org/abs/1708.02002, equation 4.

    Args:
        logits: (N, K, H, W) float.
        index: (N, H, W) int64, 0..K-1.
        gamma: 0 or more; 0 is cross-entropy.
        weights: (K,) float above 0; none: all pixels count alike.

    Returns:
        Scalar, 0 or more.
    """
    surprise = F.cross_entropy(logits, index, reduction="none")
    loss = (-torch.expm1(-surprise)) ** gamma * surprise
    if weights is None:
        return loss.mean()
    weight = weights[index]
    return (weight * loss).sum() / weight.sum()


def lovasz_hinge(logits: Tensor, target: Tensor) -> Tensor:
    """Compute the Lovasz extension of 1 - IoU on hinge errors, over the batch, mean of the classes.

    Berman et al. 2018, "The Lovasz-Softmax loss", https://arxiv.org/abs/1705.08790, section 3.1.

    Args:
        logits: (N, C, H, W) float.
        target: (N, C, H, W) of the same dtype, 0 or 1.

    Returns:
        Scalar, 0 or more.
    """
    losses = []
    for channel in range(logits.shape[1]):
        truth = target[:, channel].flatten()
        errors = 1 - logits[:, channel].flatten() * (2 * truth - 1)
        # The hinge cuts errors below 0, and they come last in the sorted order: only the others need sorting. NaN is
        # kept, so that it shows in the loss.
        wrong = ~(errors <= 0)
        losses.append(_lovasz(errors[wrong], truth[wrong] > 0, truth.sum(dtype=torch.int64)))
    return torch.stack(losses).mean()


def lovasz_softmax(probability: Tensor, target: Tensor) -> Tensor:
    """Compute the Lovasz extension of 1 - IoU on |target - probability|, over the batch, mean of the classes.

    Berman et al. 2018, section 3.2. Arguments as of ``tversky``; the result is a scalar, 0..1.
    """
    losses = []
    for channel in range(probability.shape[1]):
        truth = target[:, channel].flatten()
        errors = (truth - probability[:, channel].flatten()).abs()
        losses.append(_lovasz(errors, truth > 0, truth.sum(dtype=torch.int64)))
    return torch.stack(losses).mean()


def _lovasz(errors: Tensor, truth: Tensor, total: Tensor) -> Tensor:
    """Sum errors weighted by what each adds to 1 - IoU, largest error first (Berman 2018, algorithm 1).

    ``errors`` (P,) float, ``truth`` (P,) bool, ``total`` the number of true pixels, also of those not in ``truth``.
    """
    errors, order = errors.sort(descending=True)
    truth = truth[order]
    missed = truth.cumsum(0)
    union = total + torch.arange(1, len(order) + 1, device=order.device) - missed
    # SMP subtracts neighbouring values of IoU, which differ by 1e-6 in a batch of 1.5 million pixels: in float32 the
    # gradient of the median pixel is then 2.4 % off. These are the same differences as fractions of whole numbers.
    of_missed = 1 / union.double()
    of_added = (total - missed) / (union * (union - 1)).clamp(min=1).double()
    weights = torch.where(truth, of_missed, of_added)
    weights[:1] = of_missed[:1]
    return torch.dot(errors, weights.to(errors.dtype))

"""Every loss against a float64 reference of plain loops, and what each does at the edges."""

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
import segmentation_models_pytorch as smp
import torch

from config import TrainConfig
from utils.data.dataset import NOT_COUNTED
from utils.errors import InputError
from utils.training.losses import AnswerLoss, TverskyLoss, make_loss
from utils.training.losses.functional import SMOOTH, index_of_masks, lovasz_hinge, masks_of_index

SHAPE = (2, 3, 5, 4)
OF_MASKS = ["dice_bce", "bce", "dice", "tversky", "focal", "lovasz"]
OF_INDEX = ["dice_bce", "dice", "tversky", "focal", "lovasz", "cross_entropy"]
COMBINATIONS = [("multilabel", name) for name in OF_MASKS] + [("multiclass", name) for name in OF_INDEX]
FP, FN, DICE_WEIGHT, GAMMA = 0.2, 0.7, 0.3, 2


def the_loss(task: str, name: str, **settings: float):
    config = TrainConfig(
        dir=Path(), task=task, loss=name, tversky_fp=FP, tversky_fn=FN, dice_weight=DICE_WEIGHT, encoder_weights="none"
    )
    return make_loss(dataclasses.replace(config, **settings))


def masks(kind: str, shape: tuple[int, ...] = SHAPE) -> torch.Tensor:
    generator = torch.Generator().manual_seed(7)
    target = torch.zeros(shape, dtype=torch.uint8)
    if kind == "full":
        target[:] = 1
    elif kind == "single pixel":
        target[0, 1, 2, 3] = 1
    elif kind in ("random", "absent class"):
        target = (torch.rand(shape, generator=generator) < 0.3).to(torch.uint8)
    if kind == "absent class":
        target[:, 1] = 0
    return target


def logits_of(kind: str, target: torch.Tensor, task: str) -> torch.Tensor:
    """Logits for ``target``; a background channel comes first for multiclass."""
    channels = target.shape[1] + (task == "multiclass")
    shape = (target.shape[0], channels, *target.shape[2:])
    truth = target
    if task == "multiclass":
        index = index_of_masks(target)
        truth = torch.cat(((index == 0).unsqueeze(1), masks_of_index(index, target.shape[1], torch.bool)), dim=1)
    if kind == "random":
        return torch.randn(shape, generator=torch.Generator().manual_seed(3)) * 3
    sign = {"right": 1.0, "wrong": -1.0}.get(kind)
    if sign is not None:
        return sign * 100 * (2 * truth.float() - 1)
    return torch.full(shape, {"zero": 0.0, "all 100": 100.0, "all -100": -100.0}[kind])


# The reference: float64, one pixel after the other, written from the papers.


def ref_log_sigmoid(x: float) -> float:
    return -math.log1p(math.exp(-x)) if x >= 0 else x - math.log1p(math.exp(x))


def ref_log_softmax(values: np.ndarray) -> np.ndarray:
    top = values.max()
    return values - top - math.log(sum(math.exp(v - top) for v in values))


def ref_index(target: np.ndarray) -> int:
    """The class id of one pixel (C,): the highest that is set."""
    return max([0, *(channel + 1 for channel, value in enumerate(target) if value)])


def ref_tversky(probability: np.ndarray, target: np.ndarray, fp: float, fn: float) -> float:
    losses = []
    for p, t in zip(probability, target, strict=True):
        tp = sum(a * b for a, b in zip(p, t, strict=True)) + 1e-4 * len(p)
        extra = sum(a * (1 - b) for a, b in zip(p, t, strict=True))
        missed = sum((1 - a) * b for a, b in zip(p, t, strict=True))
        losses.append(1 - tp / (tp + fp * extra + fn * missed))
    return float(np.mean(losses))


def ref_jaccard_loss(truth: set[int], wrong: set[int]) -> float:
    union = truth | wrong
    return 1 - len(truth - wrong) / len(union) if union else 0.0


def ref_lovasz(errors: np.ndarray, target: np.ndarray) -> float:
    losses = []
    for error, t in zip(errors, target, strict=True):
        truth = {i for i, value in enumerate(t) if value}
        loss, wrong, before = 0.0, set(), 0.0
        for i in sorted(range(len(t)), key=lambda i: -error[i]):
            wrong.add(i)
            now = ref_jaccard_loss(truth, wrong)
            loss += max(error[i], 0.0) * (now - before)
            before = now
        losses.append(loss)
    return float(np.mean(losses))


def ref_loss(task: str, name: str, logits: torch.Tensor, target: torch.Tensor) -> float:
    def per_class(tensor: torch.Tensor) -> np.ndarray:
        return tensor.double().numpy().swapaxes(0, 1).reshape(tensor.shape[1], -1)

    x, t = per_class(logits), per_class(target)
    if task == "multiclass":
        index = [ref_index(pixel) for pixel in t.T]
        log_p = np.array([ref_log_softmax(pixel) for pixel in x.T]).T
        p = np.exp(log_p)[1:]
        t = np.array([[i == k + 1 for i in index] for k in range(len(t))], dtype=float)
        of_truth = np.array([log_p[i, n] for n, i in enumerate(index)])
        errors = np.abs(t - p)
    else:
        p = np.exp([[ref_log_sigmoid(v) for v in row] for row in x])
        signs = 2 * t - 1
        of_truth = np.array([[ref_log_sigmoid(v) for v in row] for row in x * signs])
        errors = 1 - x * signs
    entropy = float(-of_truth.mean())
    dice = ref_tversky(p, t, 0.5, 0.5)
    shown = [channel for channel, row in enumerate(t) if row.any()]
    shown_dice = ref_tversky(p[shown], t[shown], 0.5, 0.5) if shown else 0.0
    return {
        "bce": entropy,
        "cross_entropy": entropy,
        "dice": dice,
        "dice_bce": DICE_WEIGHT * shown_dice + (1 - DICE_WEIGHT) * entropy,
        "tversky": ref_tversky(p, t, FP, FN),
        "focal": float(-((1 - np.exp(of_truth)) ** GAMMA * of_truth).mean()),
        "lovasz": ref_lovasz(errors, t),
    }[name]


@pytest.mark.parametrize("logit_kind", ["random", "right", "wrong", "zero", "all 100", "all -100"])
@pytest.mark.parametrize("mask_kind", ["random", "empty", "full", "single pixel", "absent class"])
@pytest.mark.parametrize(("task", "name"), COMBINATIONS)
def test_loss_is_the_reference_and_gradients_are_finite(task, name, mask_kind, logit_kind):
    target = masks(mask_kind)
    logits = logits_of(logit_kind, target, task).requires_grad_()
    loss = the_loss(task, name)(logits, target)
    loss.backward()
    assert loss.dtype == torch.float32
    assert loss.shape == ()
    assert loss.item() == pytest.approx(ref_loss(task, name, logits.detach(), target), rel=2e-6, abs=2e-6)
    assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize(("task", "name"), COMBINATIONS)
def test_gradient_is_that_of_finite_differences(task, name):
    target = masks("absent class")
    logits = logits_of("random", target, task).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: the_loss(task, name)(x, target), (logits,))


@pytest.mark.parametrize("name", OF_MASKS)
def test_binary_is_multilabel_of_one_class(name):
    target = masks("random")[:, :1]
    logits = logits_of("random", target, "binary")
    assert the_loss("binary", name)(logits, target) == the_loss("multilabel", name)(logits, target)


@pytest.mark.parametrize(("task", "name"), COMBINATIONS)
class TestAbsentClass:
    """Trap: SMP's Dice and Tversky give a class that is absent from the batch no loss and no gradient."""

    def with_block(self, task: str, height: float) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits that are sure of no defect but for a block of class 2, and empty masks."""
        target = masks("empty", (2, 3, 32, 32))
        logits = logits_of("right", target, task) / 5
        channel = 1 + (task == "multiclass")
        logits[:, channel, 4:8, 4:8] = height
        if task == "multiclass":
            logits[:, 0, 4:8, 4:8] = 0
        return logits.requires_grad_(), target

    def test_costs_nothing_when_not_predicted(self, task, name):
        logits, target = self.with_block(task, -20.0)
        assert 0 <= the_loss(task, name)(logits, target).item() < 1e-4

    def test_false_positives_cost_and_are_pushed_down(self, task, name):
        logits, target = self.with_block(task, 2.0)
        loss = the_loss(task, name)(logits, target)
        loss.backward()
        gradient = logits.grad[:, 1 + (task == "multiclass"), 4:8, 4:8]
        assert loss.item() > 1e-3
        assert gradient.min() >= 0
        # Lovasz pushes only the worst pixel of an absent class; here all are equally bad.
        assert gradient.sum() > 1e-5


@pytest.mark.parametrize(("task", "name"), COMBINATIONS)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_sixteen_bit_logits_are_computed_in_float32(task, name, dtype):
    # More than 65,504 pixels of a class: float16 sums overflow there, bfloat16 ones stop growing at 256.
    target = torch.ones(1, 1, 300, 300, dtype=torch.uint8)
    exact = torch.randn(1, 1 + (task == "multiclass"), 300, 300, generator=torch.Generator().manual_seed(5))
    logits = exact.to(dtype).requires_grad_()
    with torch.autocast("cpu", dtype=dtype):
        loss = the_loss(task, name)(logits, target)
    loss.backward()
    assert loss.dtype == torch.float32
    assert loss.item() == the_loss(task, name)(logits.detach().float(), target).item()
    assert logits.grad.dtype == dtype
    assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize(("task", "name"), COMBINATIONS)
def test_memory_layout_and_mask_dtype_do_not_matter(task, name):
    target = masks("random")
    logits = logits_of("random", target, task)
    expected = the_loss(task, name)(logits, target)
    last = logits.contiguous(memory_format=torch.channels_last)
    assert the_loss(task, name)(last, target.float()) == expected
    assert the_loss(task, name)(logits, target.bool().contiguous(memory_format=torch.channels_last)) == expected


@pytest.mark.parametrize(("task", "name"), COMBINATIONS)
def test_nan_shows_in_the_loss(task, name):
    target = masks("random")
    logits = logits_of("random", target, task)
    logits[1, 1, 2, 2] = torch.nan
    assert the_loss(task, name)(logits, target).isnan()


@pytest.mark.parametrize("weights", [(0.5, 0.5), (0.1, 0.9), (0.9, 0.1), (0.0, 1.0)])
@pytest.mark.parametrize("mode", ["multilabel", "multiclass"])
def test_tversky_is_that_of_smp_where_every_class_is_present(mode, weights):
    target = masks("random")
    logits = logits_of("random", target, mode)
    truth = index_of_masks(target) if mode == "multiclass" else target
    theirs = smp.losses.TverskyLoss(
        mode,
        classes=[1, 2, 3] if mode == "multiclass" else None,
        alpha=weights[0],
        beta=weights[1],
        smooth=SMOOTH * target[:, 0].numel(),
    )
    assert TverskyLoss(mode, *weights)(logits, target).item() == pytest.approx(theirs(logits, truth).item(), rel=1e-5)


def test_lovasz_is_the_mean_of_smp_of_each_class():
    target = masks("random", (2, 3, 40, 50))
    logits = logits_of("random", target, "multilabel")
    theirs = smp.losses.LovaszLoss("binary")
    expected = torch.stack([theirs(logits[:, k], target[:, k].float()) for k in range(3)]).mean()
    assert lovasz_hinge(logits, target.float()).item() == pytest.approx(expected.item(), rel=1e-5)


def test_lovasz_keeps_its_digits_in_a_large_batch():
    target = masks("random", (1, 1, 1000, 1500)).float()
    logits = logits_of("random", target, "multilabel")
    gradients = []
    for dtype in (torch.float32, torch.float64):
        x = logits.to(dtype, copy=True).requires_grad_()
        lovasz_hinge(x, target.to(dtype)).backward()
        gradients.append(x.grad.double())
    # Equal errors may be sorted either way, which exchanges their gradients: the median pixel says what rounding does.
    single, double = (gradient[gradient != 0].abs() for gradient in gradients)
    assert ((single - double).abs() / double).median() < 1e-6


def test_overlapping_masks_become_the_higher_class():
    target = torch.tensor([[1, 1, 0, 0], [0, 1, 0, 1], [0, 0, 0, 1]], dtype=torch.uint8).view(1, 3, 1, 4)
    index = index_of_masks(target)
    assert index.dtype == torch.int64
    assert index.tolist() == [[[1, 2, 0, 3]]]
    assert masks_of_index(index, 3, torch.uint8).tolist() == [[[[1, 0, 0, 0]], [[0, 1, 0, 0]], [[0, 0, 0, 1]]]]


def test_tversky_flags_weigh_false_positives_and_false_negatives():
    target = torch.zeros(1, 1, 8, 8, dtype=torch.uint8)
    target[..., :4] = 1
    extra, missed = (100.0 * (2 * target.float() - 1) for _ in range(2))
    extra[..., 0, 4:] = 100
    missed[..., 0, :4] = -100
    loss = the_loss("multilabel", "tversky", tversky_fp=0.1, tversky_fn=0.9)
    assert loss(extra, target).item() == pytest.approx(1 - 32.0064 / (32.0064 + 0.1 * 4), rel=1e-4)
    assert loss(missed, target).item() == pytest.approx(1 - 28.0064 / (28.0064 + 0.9 * 4), rel=1e-4)


@pytest.mark.parametrize("logit_kind", ["random", "right", "wrong", "all 100", "all -100"])
@pytest.mark.parametrize("mask_kind", ["random", "empty", "full", "single pixel", "absent class"])
@pytest.mark.parametrize("task", ["multilabel", "multiclass"])
def test_dice_of_each_image_is_the_reference(task, mask_kind, logit_kind):
    target = masks(mask_kind)
    logits = logits_of(logit_kind, target, task).requires_grad_()
    loss = the_loss(task, "dice_bce", dice_weight=1.0, dice_of="image")(logits, target)
    loss.backward()
    x, truth = logits.detach().double(), target.double().numpy()
    p = (x.softmax(1)[:, 1:] if task == "multiclass" else x.sigmoid()).numpy()
    if task == "multiclass":
        index = index_of_masks(target).numpy()
        truth = np.stack([index == k + 1 for k in range(target.shape[1])], axis=1).astype(float)
    pixels = target.shape[2] * target.shape[3]
    parts = []
    for image in range(len(target)):
        for k in range(target.shape[1]):
            tp = (p[image, k] * truth[image, k]).sum() + (0 if truth[image, k].any() else 0.005 * pixels)
            wrong = (p[image, k] * (1 - truth[image, k])).sum() + ((1 - p[image, k]) * truth[image, k]).sum()
            parts.append(1 - tp / (tp + wrong / 2))
    assert loss.item() == pytest.approx(np.mean(parts), rel=2e-6, abs=2e-6)
    assert torch.isfinite(logits.grad).all()


def test_dice_of_each_image_punishes_what_dice_of_the_batch_forgives():
    # The class is in the first image alone, and found there; a speck of it in the second is hardly seen in the batch.
    target = torch.zeros(2, 1, 40, 40)
    target[0, 0, :20] = 1
    right = torch.where(target > 0, 30.0, -30.0)
    speck = right.clone()
    speck[1, 0, :2, :20] = 30
    grown = {}
    for dice_of in ("batch", "image"):
        loss = the_loss("binary", "dice_bce", dice_weight=1.0, dice_of=dice_of)
        grown[dice_of] = loss(speck, target).item() - loss(right, target).item()
    assert grown["image"] > 10 * grown["batch"] > 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"task": "multilabel", "name": "cross_entropy"}, "-loss cross_entropy is not for -task multilabel"),
        ({"task": "binary", "name": "cross_entropy"}, "-task multiclass or -loss dice_bce"),
        ({"task": "multiclass", "name": "bce"}, "-loss bce is not for -task multiclass; take -loss cross_entropy"),
        ({"task": "binary", "name": "dice_bce", "dice_weight": 1.5}, "-dice_weight 1.5: expected 0..1"),
        ({"task": "binary", "name": "dice_bce", "dice_weight": math.nan}, "-dice_weight nan: expected 0..1"),
        ({"task": "binary", "name": "tversky", "tversky_fp": -0.1}, "-tversky_fp -0.1"),
        ({"task": "binary", "name": "tversky", "tversky_fn": math.inf}, "-tversky_fn inf"),
        ({"task": "binary", "name": "tversky", "tversky_fp": 0.0, "tversky_fn": 0.0}, "one above 0"),
    ],
)
def test_wrong_settings_name_their_flags(settings, message):
    with pytest.raises(InputError) as error:
        the_loss(**settings)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("task", "logits", "target"),
    [
        ("multilabel", (1, 3, 4, 4), (1, 2, 4, 4)),
        ("multilabel", (1, 3, 4, 4), (1, 1, 4, 4)),
        ("multilabel", (2, 3, 4, 4), (1, 3, 4, 4)),
        ("multiclass", (1, 3, 4, 4), (1, 3, 4, 4)),
        ("multilabel", (1, 4, 4), (1, 4, 4)),
    ],
)
def test_shapes_that_do_not_fit_are_refused(task, logits, target):
    with pytest.raises(ValueError, match="do not fit"):
        the_loss(task, "dice")(torch.zeros(logits), torch.zeros(target))


CLASS_WEIGHTS = (3.0, 0.5, 7.0)
WEIGHING = [(task, name) for task, name in COMBINATIONS if name in ("bce", "cross_entropy", "dice_bce", "focal")]


def weighted(task: str, name: str):
    config = TrainConfig(dir=Path(), task=task, loss=name, dice_weight=DICE_WEIGHT)
    return make_loss(config, CLASS_WEIGHTS)


@pytest.mark.parametrize(("task", "name"), WEIGHING)
def test_a_pixel_counts_the_weight_of_its_class(task, name):
    target, weights = masks("random"), torch.tensor((1.0, *CLASS_WEIGHTS))
    logits = logits_of("random", target, task)
    if task == "multiclass":
        index = index_of_masks(target)
        entropy = torch.nn.functional.cross_entropy(logits, index, reduction="none")
        weight = weights[index]
    else:
        entropy = torch.nn.functional.binary_cross_entropy_with_logits(logits, target.float(), reduction="none")
        weight = torch.where(target > 0, weights[1:].view(1, -1, 1, 1), 1.0)
    loss = entropy * (1 - (-entropy).exp()) ** GAMMA if name == "focal" else entropy
    # Softmax divides by the sum of the weights as torch does, sigmoids by the number of pixels.
    expected = (weight * loss).sum() / (weight.sum() if task == "multiclass" else weight.numel())
    if name == "dice_bce":
        plain = the_loss(task, name, dice_weight=1.0)(logits, target)
        expected = DICE_WEIGHT * plain + (1 - DICE_WEIGHT) * expected
    assert weighted(task, name)(logits, target).item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize(("task", "name"), WEIGHING)
def test_weights_of_one_change_nothing(task, name):
    target = masks("random")
    logits = logits_of("random", target, task)
    config = TrainConfig(dir=Path(), task=task, loss=name)
    ones, none = (make_loss(config, weights)(logits, target).item() for weights in ((1.0, 1.0, 1.0), None))
    assert ones == pytest.approx(none, rel=1e-6)


def test_the_loss_of_answers_adds_labels_to_masks():
    target = masks("absent class", (2, 3, 5, 4))
    logits, labels = logits_of("random", target, "multilabel"), torch.tensor([[2.0, -1.0, 0.5], [0.0, 1.0, -3.0]])
    entropy = torch.nn.functional.binary_cross_entropy_with_logits
    of_labels = entropy(labels, torch.tensor([[1.0, 0.0, 1.0]] * 2))
    of_masks = the_loss("multilabel", "bce")
    both = AnswerLoss(of_masks, 0.25)((logits, labels), target)
    assert both.item() == pytest.approx((of_masks(logits, target) + 0.25 * of_labels).item())
    assert AnswerLoss(None, 1.0)(labels, target).item() == pytest.approx(of_labels.item())
    assert AnswerLoss(of_masks, None)(logits, target).item() == of_masks(logits, target).item()
    heavy = AnswerLoss(None, 1.0, (4.0, 1.0, 1.0))(labels, target)
    more = entropy(labels[:, :1], torch.ones(2, 1)) * 3 / 3
    assert heavy.item() == pytest.approx((of_labels + more).item())


@pytest.mark.parametrize("settings", [{}, {"dice_of": "image"}, {"weights": (2.0, 3.0, 0.5)}])
@pytest.mark.parametrize(("task", "name"), COMBINATIONS)
def test_ignored_pixels_have_no_gradient_and_no_say(task, name, settings):
    settings = dict(settings)
    weights = settings.pop("weights", None)
    config = TrainConfig(dir=Path(), task=task, loss=name, encoder_weights="none", **settings)
    if weights and not type(make_loss(config)).weighs_pixels:
        weights = None
    loss = make_loss(config, weights)
    target = masks("random")
    ignored = torch.zeros(SHAPE[0], *SHAPE[2:], dtype=torch.bool)
    ignored[0, 1:4, 1:3] = ignored[1, 0] = True
    marked = target.masked_fill(ignored[:, None], NOT_COUNTED)
    logits = logits_of("random", target, task).double().requires_grad_()
    value = loss(logits, marked)
    value.backward()
    assert (logits.grad.movedim(1, -1)[ignored] == 0).all()
    assert (logits.grad.movedim(1, -1)[~ignored] != 0).any()
    # What is predicted there changes nothing, large as it may be.
    changed = torch.where(ignored[:, None], 50.0, logits.detach())
    assert loss(changed, marked) == value.detach()


@pytest.mark.parametrize(("task", "name"), COMBINATIONS)
def test_the_loss_of_what_counts_is_that_of_an_image_without_the_rest(task, name):
    """The lower half of both images is ignored, or cut off."""
    target = masks("random")
    logits = logits_of("random", target, task).double()
    marked = target.clone()
    marked[:, :, 3:] = NOT_COUNTED
    for settings in ({}, {"dice_of": "image"}) if name == "dice_bce" else ({},):
        loss = the_loss(task, name, **settings)
        expected = loss(logits[:, :, :3], target[:, :, :3])
        # An absent class of one image is smoothed by a share of the image's pixels, ignored ones too.
        tolerance = 2e-3 if settings else 1e-12
        assert float(loss(logits, marked)) == pytest.approx(float(expected), abs=tolerance)


@pytest.mark.parametrize(("task", "name"), COMBINATIONS)
def test_a_batch_without_any_pixel_that_counts_has_loss_0(task, name):
    target = torch.full(SHAPE, NOT_COUNTED, dtype=torch.uint8)
    logits = logits_of("random", masks("empty"), task).requires_grad_()
    loss = the_loss(task, name)(logits, target)
    loss.backward()
    assert loss == 0
    assert (logits.grad == 0).all()


def test_labels_are_of_the_pixels_that_count():
    target = torch.zeros(2, 2, 4, 4, dtype=torch.uint8)
    target[0, 0, 0, 0] = 1
    target[:, :, 2:] = NOT_COUNTED
    logits = torch.tensor([[9.0, -9.0], [-9.0, -9.0]])
    assert AnswerLoss(None, 1.0)(logits, target) < 1e-3


SOFT = [(task, name) for task, name in COMBINATIONS if name not in ("focal", "lovasz")]


def soft_loss(task: str, name: str, **settings: object):
    return the_loss(task, name, teacher=("run",), **settings)


def soft_targets(task: str, shape: tuple[int, ...] = SHAPE) -> torch.Tensor:
    """Probabilities, of classes that exclude each other for multiclass."""
    target = torch.rand(shape, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    return target / (target.sum(1, keepdim=True) + 0.3) if task == "multiclass" else target


@pytest.mark.parametrize("of", ["batch", "image"])
@pytest.mark.parametrize(("task", "name"), SOFT)
@pytest.mark.parametrize("ignored", [False, True])
def test_probabilities_of_0_and_1_are_learnt_as_masks_are(task, name, of, ignored):
    target = masks("random")
    if task == "multiclass":
        target = masks_of_index(index_of_masks(target), target.shape[1], torch.uint8)
    if ignored:
        target[:, :, 1:3, 2] = NOT_COUNTED
    logits = logits_of("random", target, task).double()
    loss = soft_loss(task, name, dice_of=of)
    assert loss(logits, target.double()).item() == pytest.approx(loss(logits, target).item(), rel=1e-9)
    assert loss(logits, target).item() == the_loss(task, name, dice_of=of)(logits, target).item(), "validation"


@pytest.mark.parametrize("of", ["batch", "image"])
@pytest.mark.parametrize(("task", "name"), SOFT)
def test_a_network_that_says_what_the_teacher_says_is_right(task, name, of):
    if name == "tversky":
        pytest.skip("its weights favour one kind of error by intention")
    target = soft_targets(task)
    loss = soft_loss(task, name, dice_of=of)
    background = 1 - target.sum(1, keepdim=True)
    logits = torch.cat((background, target), 1).log() if task == "multiclass" else target.logit()
    best = loss(logits, target).item()
    generator = torch.Generator().manual_seed(1)
    for size in (0.05, 0.5, 3.0):
        other = logits + size * torch.randn(logits.shape, generator=generator, dtype=torch.float64)
        assert loss(other, target).item() > best
    if name == "dice":
        assert best == pytest.approx(0, abs=1e-9)


def test_a_teacher_that_is_never_sure_shows_no_class():
    # As of an absent class: 0.002 of probability everywhere is no defect to find.
    target = torch.full((1, 1, 20, 20), 0.002, dtype=torch.float64)
    loss = soft_loss("multilabel", "dice_bce", dice_of="image", dice_weight=1.0)
    assert loss(torch.full_like(target, -8.0), target).item() < 0.3
    assert soft_loss("multilabel", "dice_bce", dice_weight=1.0)(torch.zeros_like(target), target).item() == 0


@pytest.mark.parametrize("weights", [None, (2.0, 1.0, 3.0)])
def test_classes_that_exclude_each_other_are_scaled_where_a_teacher_says_more_than_1(weights):
    target = torch.tensor([0.9, 0.9, 0.0], dtype=torch.float64).view(1, 3, 1, 1)
    logits = torch.tensor([-9.0, 2.0, 2.0, -9.0], dtype=torch.float64).view(1, 4, 1, 1)
    loss = make_loss(
        TrainConfig(
            task="multiclass",
            loss="cross_entropy",
            teacher=("run",),
            class_weights=weights and tuple(map(str, weights)),
        ),
        weights,
    )
    assert loss(logits, target).item() == pytest.approx(math.log(2), rel=1e-4)


@pytest.mark.parametrize("name", ["focal", "lovasz"])
def test_losses_of_0_and_1_have_no_teacher(name):
    with pytest.raises(InputError, match=f"-loss {name}: learns labels of 0 and 1, .* take one of bce, .*dice_bce"):
        soft_loss("multilabel", name)

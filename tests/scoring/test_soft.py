"""Soft Dice: against plain numpy, and the trap that it is there to show."""

import pytest
import torch

from utils.scoring.counts import Counts, count
from utils.scoring.scores import scores
from utils.scoring.soft import SoftCounts, soft_count, soft_dice

CLASSES = ["hole", "dent"]


def a_set(images: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(2)
    probabilities = torch.rand(images, 2, 9, 11, generator=generator)
    target = torch.rand(images, 2, 9, 11, generator=generator) < 0.2
    target[0] = False
    return probabilities, target


def counted(probabilities: torch.Tensor, target: torch.Tensor, order=None) -> SoftCounts:
    counts = SoftCounts()
    for n in range(len(target)) if order is None else order:
        counts.add([f"{n}.png"], *soft_count(probabilities[n : n + 1], target[n : n + 1]))
    return counts


def test_it_is_the_formula_of_every_image_and_class():
    probabilities, target = a_set()
    p, t = probabilities.double().numpy(), target.numpy()
    dice = (2 * (p * t).sum((2, 3)) + 1) / (p.sum((2, 3)) + t.sum((2, 3)) + 1)
    result = soft_dice(counted(probabilities, target), CLASSES)
    assert result.soft_dice == pytest.approx(dice.mean(), rel=1e-6)
    assert result.defect_soft_dice == pytest.approx(dice[t.any((2, 3))].mean(), rel=1e-6)
    assert result.classes["dent"].soft_dice == pytest.approx(dice[:, 1].mean(), rel=1e-6)


def test_order_and_repeated_images_do_not_matter():
    one, many = counted(*a_set()), SoftCounts()
    for part in ([2, 0, 2], [], [1, 3, 0]):
        many.merge(counted(*a_set(), order=part))
    assert soft_dice(one, CLASSES) == soft_dice(many, CLASSES)


def test_sure_answers_have_the_soft_dice_of_the_decision():
    target = a_set()[1]
    result = soft_dice(counted(target.float(), target), CLASSES)
    assert (result.soft_dice, result.defect_soft_dice) == (1.0, 1.0)
    clean = soft_dice(counted(torch.zeros(2, 2, 4, 4), torch.zeros(2, 2, 4, 4, dtype=torch.bool)), CLASSES)
    assert (clean.soft_dice, clean.defect_soft_dice) == (1.0, None)


def test_a_single_false_pixel_ruins_the_exact_dice_of_a_clean_image_and_hardly_the_smooth_one():
    """What soft Dice as a loss leaves behind: a dot that costs it next to nothing, on every clean image."""
    probabilities, target = torch.zeros(4, 1, 32, 32), torch.zeros(4, 1, 32, 32, dtype=torch.bool)
    target[0, 0, :8, :8] = True
    probabilities[0, 0, :8, :8] = 1
    probabilities[1:, 0, 5, 5] = 0.55
    exact = Counts()
    exact.add([str(n) for n in range(4)], *count(probabilities > 0.5, target))
    assert scores(exact, ["hole"]).mean_dice == pytest.approx(0.25)
    assert soft_dice(counted(probabilities, target), ["hole"]).soft_dice == pytest.approx((1 + 3 / 1.55) / 4)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="no image"):
        soft_dice(SoftCounts(), CLASSES)
    with pytest.raises(ValueError, match="2 different class names"):
        soft_dice(counted(*a_set()), ["hole"])
    with pytest.raises(ValueError, match="two"):
        soft_count(torch.zeros(1, 2, 3, 3), torch.zeros(1, 2, 3, 4))
    with pytest.raises(ValueError, match=r"expected \(1, 2\)"):
        counted(*a_set()).add(["9.png"], *torch.zeros(3, 1, 3))

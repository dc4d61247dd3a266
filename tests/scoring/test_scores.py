"""Counts and scores against a reference that looks at every image and class by itself."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from utils.scoring.counts import Counts, count
from utils.scoring.scores import Scores, scores

EMPTY, FULL, DOT, RANDOM = "empty", "full", "dot", "random"


def a_mask(kind: str, shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    mask = np.zeros(shape, dtype=bool)
    if kind == FULL:
        mask[:] = True
    elif kind == DOT:
        mask[rng.integers(shape[0]), rng.integers(shape[1])] = True
    elif kind == RANDOM:
        mask = rng.random(shape) < rng.random()
    return mask


@st.composite
def mask_pairs(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Two (N, C, H, W) bool arrays whose planes are empty, full, a single pixel or random."""
    shape = tuple(draw(st.integers(1, 4)) for _ in range(2))
    size = (draw(st.integers(1, 9)), draw(st.integers(1, 9)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kinds = st.lists(
        st.sampled_from([EMPTY, FULL, DOT, RANDOM]), min_size=shape[0] * shape[1], max_size=shape[0] * shape[1]
    )
    sides = [
        np.stack([a_mask(kind, size, rng) for kind in draw(kinds)]).reshape(*shape, *size)
        for _ in ("predicted", "true")
    ]
    return sides[0], sides[1]


def scored(predicted: np.ndarray, target: np.ndarray) -> Scores:
    counts = Counts()
    counts.add([f"{n}.png" for n in range(len(target))], *count(torch.from_numpy(predicted), torch.from_numpy(target)))
    return scores(counts, [f"c{k}" for k in range(target.shape[1])])


def reference(predicted: np.ndarray, target: np.ndarray) -> dict:
    """The scores of the planes given, (pairs, H, W), one pair after the other."""
    dice, with_defect = [], []
    for one, other in zip(predicted, target, strict=True):
        total = one.sum() + other.sum()
        dice.append(1.0 if total == 0 else 2 * (one * other).sum() / total)
        if other.any():
            with_defect.append(dice[-1])
    union = (predicted | target).sum()
    overlap = (predicted & target).sum()
    ious = [1.0 if not (p | t).any() else (p & t).sum() / (p | t).sum() for p, t in zip(predicted, target, strict=True)]
    return {
        "pairs": len(dice),
        "with_defect": len(with_defect),
        "mean_dice": np.mean(dice),
        "empty_baseline": 1 - len(with_defect) / len(dice),
        "defect_dice": np.mean(with_defect) if with_defect else None,
        "iou": overlap / union if with_defect else None,
        "image_iou": np.mean(ious),
        "precision": overlap / predicted.sum() if predicted.any() else None,
        "recall": overlap / target.sum() if with_defect else None,
    }


@given(mask_pairs(), st.booleans(), st.sampled_from([1, 255]))
@settings(deadline=None)
def test_counts_are_those_of_plain_numpy(pair, as_uint8, value):
    predicted, target = pair
    as_tensors = [torch.from_numpy(side.astype(np.uint8) * value if as_uint8 else side) for side in pair]
    expected = predicted & target, predicted & ~target, ~predicted & target, ~predicted & ~target
    for got, plane in zip(count(*as_tensors), expected, strict=True):
        assert got.dtype == torch.int64
        np.testing.assert_array_equal(got.numpy(), plane.sum((2, 3)))


@given(mask_pairs())
@settings(deadline=None)
def test_scores_are_those_of_the_reference(pair):
    predicted, target = pair
    result = scored(predicted, target).to_dict()
    classes = result.pop("classes")
    per_class = [reference(predicted[:, k], target[:, k]) for k in range(target.shape[1])]
    for got, expected in zip(classes.values(), per_class, strict=True):
        assert got == pytest.approx(expected, abs=1e-12)
    together = reference(predicted.reshape(-1, *target.shape[2:]), target.reshape(-1, *target.shape[2:]))
    known = [row["iou"] for row in per_class if row["iou"] is not None]
    together["iou"] = np.mean(known) if known else None
    assert result == pytest.approx({"images": len(target), **together}, abs=1e-12)


@given(mask_pairs(), st.data())
@settings(max_examples=50, deadline=None)
def test_processes_give_the_bits_of_one_process(pair, data):
    predicted, target = (torch.from_numpy(side) for side in pair)
    names = [f"{n}.png" for n in range(len(target))]
    whole = Counts()
    whole.add(names, *count(predicted, target))
    # As a distributed sampler deals them out: shuffled, the first repeated to fill the last place.
    order = data.draw(st.permutations(range(len(target))))
    order = [*order, order[0]]
    merged = Counts()
    for part in (order[0::2], order[1::2], []):
        process = Counts()
        for n in part:
            process.add([names[n]], *count(predicted[n : n + 1], target[n : n + 1]))
        merged.merge(process)
    assert merged.sorted_by_image().images == sorted(names)
    classes = [str(k) for k in range(target.shape[1])]
    assert scores(merged, classes) == scores(whole, classes)


@pytest.mark.parametrize(
    ("predicted", "true", "dice", "defect_dice", "iou"),
    [
        (EMPTY, EMPTY, 1.0, None, None),
        (FULL, EMPTY, 0.0, None, None),
        (DOT, EMPTY, 0.0, None, None),
        (EMPTY, FULL, 0.0, 0.0, 0.0),
        (EMPTY, DOT, 0.0, 0.0, 0.0),
        (FULL, FULL, 1.0, 1.0, 1.0),
        (FULL, DOT, 2 / 25, 2 / 25, 1 / 24),
    ],
)
def test_extreme_masks(predicted, true, dice, defect_dice, iou):
    rng = np.random.default_rng(0)
    result = scored(a_mask(predicted, (4, 6), rng)[None, None], a_mask(true, (4, 6), rng)[None, None])
    assert result.mean_dice == pytest.approx(dice)
    assert result.defect_dice == (defect_dice if defect_dice is None else pytest.approx(defect_dice))
    assert result.iou == (iou if iou is None else pytest.approx(iou))
    assert result.empty_baseline == (1.0 if true == EMPTY else 0.0)


def test_predicting_nothing_scores_the_empty_baseline():
    target = np.random.default_rng(1).random((20, 4, 8, 8)) < 0.02
    result = scored(np.zeros_like(target), target)
    assert 0 < result.empty_baseline < 1
    assert result.mean_dice == result.empty_baseline
    assert result.defect_dice == result.iou == 0.0


def test_iou_keeps_every_pixel_of_a_large_set():
    # 2**24 + 1 is the first whole number that float32 cannot hold.
    counts = Counts()
    big = torch.tensor([[2**24 + 1]])
    counts.add(["a.png"], big, torch.tensor([[1]]), torch.tensor([[0]]), torch.tensor([[0]]))
    assert scores(counts, ["1"]).iou == (2**24 + 1) / (2**24 + 2)


def test_table_is_aligned_and_marks_what_is_undefined():
    target = np.zeros((2, 2, 4, 4), dtype=bool)
    target[0, 0, 0] = True
    result = scored(target, target)
    lines = result.table().splitlines()
    assert [line.split()[0] for line in lines] == ["class", "c0", "c1", "together"]
    assert len({len(line) for line in lines}) == 1
    assert lines[2].split()[-2:] == ["-", "-"]
    assert lines[1].split() == ["c0", "2", "1", "1.0000", "0.5000", "1.0000", "1.0000"]


def test_scores_are_json():
    result = scored(np.zeros((1, 1, 2, 2), dtype=bool), np.zeros((1, 1, 2, 2), dtype=bool))
    assert json.loads(json.dumps(result.to_dict(), allow_nan=False)) == result.to_dict()


def test_sliced_and_flipped_masks_are_counted():
    mask = torch.zeros(1, 2, 6, 8, dtype=torch.uint8)
    mask[0, 1, 2:4, 1:3] = 1
    view = mask.permute(0, 1, 3, 2)[:, :, ::2]
    assert [part.tolist() for part in count(view, view)] == [[[0, 2]], [[0, 0]], [[0, 0]], [[24, 22]]]


def planes(*shape: int, dtype: torch.dtype = torch.bool) -> torch.Tensor:
    return torch.zeros(shape, dtype=dtype)


@pytest.mark.parametrize(
    ("predicted", "target", "message"),
    [
        (planes(1, 1, 2, 2), planes(1, 1, 2, 3), r"\(N, C, H, W\)"),
        (planes(1, 2, 2), planes(1, 2, 2), r"\(N, C, H, W\)"),
        (planes(1, 1, 2, 2, dtype=torch.float32), planes(1, 1, 2, 2), "float32"),
    ],
)
def test_masks_that_do_not_fit_are_refused(predicted, target, message):
    with pytest.raises(ValueError, match=message):
        count(predicted, target)


@pytest.mark.parametrize(
    ("images", "shape", "message"),
    [(["b", "c"], (1, 2), r"\(2, 2\)"), (["b"], (1, 3), r"\(1, 2\)")],
)
def test_counts_that_do_not_fit_are_refused(images, shape, message):
    counts = Counts()
    counts.add(["a"], *(torch.ones(1, 2, dtype=torch.int64) for _ in range(4)))
    with pytest.raises(ValueError, match=message):
        counts.add(images, *(torch.ones(shape, dtype=torch.int64) for _ in range(4)))
    assert counts.images == ["a"]


@pytest.mark.parametrize(
    ("images", "names", "message"),
    [([], [], "no image"), (["a"], ["1"], "2 different"), (["a"], ["1", "1"], "2 different")],
)
def test_scores_need_images_and_their_classes(images, names, message):
    counts = Counts()
    for image in images:
        counts.add([image], *(torch.ones(1, 2, dtype=torch.int64) for _ in range(4)))
    with pytest.raises(ValueError, match=message):
        scores(counts, names)

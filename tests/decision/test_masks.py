"""The decision, the connected defects and their records, each against a slow reference."""

import time

import cv2
import numpy as np
import pytest
import torch

from utils.data.rle import encode
from utils.decision.masks import DEFECT, decide, filter_defects, find_defects, find_seeds, index_mask, resize_logits


def slow_probabilities(logits: np.ndarray, task: str) -> np.ndarray:
    """(K, H, W) logits to (C, H, W) float64 probabilities, by the textbook."""
    x = logits.astype(np.float64)
    if task == "multiclass":
        e = np.exp(x - x.max(axis=0))
        return (e / e.sum(axis=0))[1:]
    return 1 / (1 + np.exp(-x))


def slow_decide(logits: np.ndarray, task: str, thresholds: list[float]) -> np.ndarray:
    probabilities = slow_probabilities(logits, task)
    decision = probabilities >= np.array(thresholds)[:, None, None]
    decision &= (np.array(thresholds) < 1)[:, None, None]
    if task == "multiclass":
        winner = logits.argmax(axis=0)
        decision &= winner == np.arange(1, len(logits))[:, None, None]
    return decision


def slow_components(mask: np.ndarray) -> list[list[tuple[int, int]]]:
    """Flood fill over 8 neighbours: pixel lists."""
    left = {(int(y), int(x)) for y, x in np.argwhere(mask)}
    components = []
    while left:
        stack = [min(left)]
        left.discard(stack[0])
        pixels = []
        while stack:
            y, x = stack.pop()
            pixels.append((y, x))
            for neighbour in [(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]:
                if neighbour in left:
                    left.discard(neighbour)
                    stack.append(neighbour)
        components.append(pixels)
    return components


def random_logits(task: str, seed: int, height: int = 24, width: int = 37, classes: int = 3) -> np.ndarray:
    channels = classes + (task == "multiclass")
    return np.random.default_rng(seed).normal(scale=2, size=(channels, height, width)).astype(np.float32)


@pytest.mark.parametrize("task", ["multilabel", "multiclass"])
@pytest.mark.parametrize(
    "thresholds", [[0.5, 0.5, 0.5], [0.0, 0.3, 0.9], [1.0, 0.05, 0.999], [0.0, 0.0, 0.0], [1.0, 1.0, 1.0]]
)
def test_decision_equals_probabilities_against_thresholds(task: str, thresholds: list[float]) -> None:
    logits = np.stack([random_logits(task, seed) for seed in range(3)])
    expected = np.stack([slow_decide(image, task, thresholds) for image in logits])
    decision = decide(torch.from_numpy(logits), task, thresholds)
    assert decision.dtype == torch.bool
    np.testing.assert_array_equal(decision.numpy(), expected)


def test_binary_decides_one_class() -> None:
    logits = torch.tensor([[[[-1.0, 0.0, 1.0]]]])
    assert decide(logits, "binary", [0.5]).tolist() == [[[[False, True, True]]]]


@pytest.mark.parametrize("task", ["multilabel", "multiclass"])
def test_thresholds_zero_and_one_are_everything_and_nothing_even_for_infinite_logits(task: str) -> None:
    logits = torch.zeros((1, 2 if task == "multiclass" else 1, 1, 2))
    logits[0, -1, 0] = torch.tensor([torch.inf, 1.0])
    assert decide(logits, task, [0.0]).all()
    assert not decide(logits, task, [1.0]).any()


def test_of_equally_likely_classes_the_first_is_taken() -> None:
    logits = torch.tensor([0.0, 2.0, 2.0]).view(1, 3, 1, 1)
    assert decide(logits, "multiclass", [0.1, 0.1]).flatten().tolist() == [True, False]
    assert not decide(torch.zeros(1, 3, 1, 1), "multiclass", [0.1, 0.1]).any()


@pytest.mark.parametrize("thresholds", [[0.5], [0.5, 0.5, 0.5], [0.5, 1.2], [float("nan"), 0.5]])
def test_thresholds_that_do_not_fit_are_refused(thresholds: list[float]) -> None:
    with pytest.raises(ValueError, match="expected 2 numbers"):
        decide(torch.zeros(1, 2, 4, 4), "multilabel", thresholds)


def test_half_precision_logits_decide_like_their_float32_values() -> None:
    logits = torch.from_numpy(random_logits("multilabel", 0))[None].to(torch.bfloat16)
    thresholds = [0.5, 0.2, 0.9]
    assert torch.equal(decide(logits, "multilabel", thresholds), decide(logits.float(), "multilabel", thresholds))


@pytest.mark.parametrize("density", [0.02, 0.2, 0.5])
@pytest.mark.parametrize("min_areas", [[0, 1, 2], [3, 5, 10_000], [4, 4, 4]])
@pytest.mark.parametrize("max_areas", [None, [None, 3, 1], [6, None, 10_000]])
def test_components_stay_exactly_when_their_area_is_between_the_limits(density, min_areas, max_areas) -> None:
    masks = np.random.default_rng(7).random((2, 3, 19, 23)) < density
    expected = np.zeros_like(masks)
    for n, c in np.ndindex(2, 3):
        for pixels in slow_components(masks[n, c]):
            largest = max_areas[c] if max_areas else None
            if len(pixels) >= min_areas[c] and (largest is None or len(pixels) <= largest):
                expected[n, c][tuple(np.array(pixels).T)] = True
    before = torch.from_numpy(masks.copy())
    np.testing.assert_array_equal(filter_defects(before, min_areas, max_areas).numpy(), expected)
    np.testing.assert_array_equal(before.numpy(), masks)


def test_a_defect_stays_only_with_a_seed() -> None:
    # Two dashes; the likeliest pixel of the first has 0.6, of the second 0.9.
    probabilities = np.array([[0.6, 0.55, 0, 0.5, 0.9]], np.float32)
    logits = torch.special.logit(torch.from_numpy(probabilities))[None, None]
    masks = decide(logits, "binary", [0.5])
    for high, expected in ((0, [1, 1, 0, 1, 1]), (0.6, [1, 1, 0, 1, 1]), (0.61, [0, 0, 0, 1, 1]), (0.95, [0] * 5)):
        assert (
            filter_defects(masks, [0], None, find_seeds(logits, "binary", [high]))[0, 0, 0].int().tolist() == expected
        )
        found, records = find_defects(masks[0].numpy().copy(), logits[0].numpy(), "binary", [0], None, [high])
        assert found[0, 0].astype(int).tolist() == expected
        assert len(records) == bool(expected[0]) + bool(expected[4])
    assert find_seeds(logits, "binary", [0.0]) is None
    # Areas rule beside it, each by itself.
    assert not filter_defects(masks, [3], None, find_seeds(logits, "binary", [0.6])).any()


def test_diagonal_neighbours_are_one_defect() -> None:
    masks = torch.eye(6, dtype=torch.bool)[None, None]
    assert filter_defects(masks, [6]).sum() == 6
    assert filter_defects(masks, [7]).sum() == 0
    assert filter_defects(masks, [0], [6]).sum() == 6
    assert filter_defects(masks, [0], [5]).sum() == 0


@pytest.mark.parametrize(("areas", "name"), [(([1, 1], None), "min_areas"), (([1, 1, 1], [None, 5]), "max_areas")])
def test_areas_for_another_number_of_classes_are_refused(areas, name) -> None:
    with pytest.raises(ValueError, match=f"{name} .*: expected 3 numbers"):
        filter_defects(torch.ones(1, 3, 4, 4, dtype=torch.bool), *areas)


@pytest.mark.parametrize("task", ["multilabel", "multiclass"])
@pytest.mark.parametrize(
    ("min_areas", "max_areas"), [([0, 0, 0], [None] * 3), ([3, 20, 1], [None] * 3), ([2, 0, 1], [9, None, 1])]
)
@pytest.mark.parametrize("high", [[0.0] * 3, [0.9, 0.0, 0.97]])
@pytest.mark.parametrize("seed", range(3))
def test_records_equal_flood_fill(task, min_areas, max_areas, high, seed: int) -> None:
    logits = random_logits(task, seed)
    thresholds = [0.7, 0.6, 0.9]
    masks = slow_decide(logits, task, thresholds)
    probabilities = slow_probabilities(logits, task)
    expected, cleaned = [], np.zeros_like(masks)
    for c in range(3):
        for pixels in slow_components(masks[c]):
            if not min_areas[c] <= len(pixels) <= (max_areas[c] or np.inf):
                continue
            y, x = np.array(pixels).T
            if probabilities[c][y, x].max() < high[c]:
                continue
            cleaned[c][y, x] = True
            box = (x.min(), y.min(), np.ptp(x) + 1, np.ptp(y) + 1)
            expected.append((c + 1, len(pixels), *box, probabilities[c][y, x].mean()))
    found_masks, records = find_defects(masks.copy(), logits, task, min_areas, max_areas, high)
    one = torch.from_numpy(masks)[None], min_areas, max_areas, find_seeds(torch.from_numpy(logits)[None], task, high)
    np.testing.assert_array_equal(filter_defects(*one)[0].numpy(), cleaned)
    np.testing.assert_array_equal(found_masks, cleaned)
    assert found_masks.dtype == np.bool_
    expected_table = np.array(sorted(expected), dtype=DEFECT)
    records = np.sort(records, order=list(DEFECT.names or ()))
    for field in ("class_id", "area_px", "x", "y", "width", "height"):
        np.testing.assert_array_equal(records[field], expected_table[field])
    np.testing.assert_allclose(records["mean_probability"], expected_table["mean_probability"], rtol=1e-5)


@pytest.mark.parametrize(
    ("fill", "box"), [("full", (0, 0, 9, 5)), ("corner", (8, 4, 1, 1)), ("left", (0, 0, 1, 5)), ("top", (0, 0, 9, 1))]
)
def test_defects_at_the_border_have_the_right_box(fill: str, box: tuple[int, ...]) -> None:
    mask = np.zeros((1, 5, 9), dtype=bool)
    mask[{"full": np.s_[:], "corner": np.s_[0, 4, 8], "left": np.s_[0, :, 0], "top": np.s_[0, 0]}[fill]] = True
    _, records = find_defects(mask.copy(), np.full((1, 5, 9), 100, np.float32), "binary", [0])
    assert [tuple(records[0])[2:6], records["area_px"].tolist()] == [box, [mask.sum()]]
    assert records["mean_probability"].tolist() == [1.0]


def test_a_run_that_ends_a_row_is_not_joined_with_the_next_row() -> None:
    mask = np.zeros((1, 3, 6), dtype=bool)
    mask[0, 0, 3:], mask[0, 1, 0] = True, True
    _, records = find_defects(mask, np.zeros((1, 3, 6), np.float32), "binary", [0])
    assert sorted(records["area_px"]) == [1, 3]


def test_a_clean_image_has_no_records() -> None:
    masks, records = find_defects(np.zeros((2, 4, 4), bool), np.zeros((2, 4, 4), np.float32), "multilabel", [0, 9])
    assert not masks.any()
    assert records.shape == (0,)


def test_resizing_keeps_pixel_centres_and_passes_equal_sizes_through() -> None:
    logits = torch.arange(8, dtype=torch.float32).view(1, 1, 1, 8)
    resized = resize_logits(logits, 1, 16)
    # Centre of target pixel j is (j + 0.5) / 2 - 0.5 in source pixels.
    np.testing.assert_allclose(resized[0, 0, 0, 1:-1], (np.arange(1, 15) + 0.5) / 2 - 0.5, rtol=1e-6)
    assert resize_logits(logits, 1, 8) is logits


@pytest.mark.parametrize("task", ["multilabel", "multiclass"])
def test_index_mask_draws_the_likeliest_of_overlapping_classes(task: str) -> None:
    masks = np.array([[[1, 1, 0, 1]], [[0, 1, 0, 1]]], dtype=bool)
    logits = np.array([[[3, 5, 9, 1]], [[9, 4, 9, 2]]], dtype=np.float32)
    if task == "multiclass":
        logits = np.concatenate([np.full((1, 1, 4), 99, np.float32), logits])
    index = index_mask(masks, logits, task)
    assert index.dtype == np.uint8
    assert index.tolist() == [[1, 1, 0, 2]]


def test_index_mask_of_a_network_for_one_class_has_that_class_number() -> None:
    masks = np.array([[[0, 1]]], dtype=bool)
    for number in (3, 300):
        assert index_mask(masks, np.zeros((1, 1, 2), np.float32), "per-class", number).tolist() == [[0, number]]


def test_index_mask_has_room_for_many_classes() -> None:
    masks = np.zeros((300, 1, 1), dtype=bool)
    masks[299] = True
    assert index_mask(masks, np.zeros((300, 1, 1), np.float32), "multilabel").tolist() == [[300]]


@pytest.mark.parametrize(("kind", "limit"), [("strips", 1.0), ("noise", 3.5)])
def test_postprocessing_of_a_strip_is_fast(kind: str, limit: float) -> None:
    """Four classes, 256x1600: processor time beside that of OpenCV's components alone, the best of some rounds of each.

    Measured 0.45 and 1.8 of it; by ``benchmarks/postprocess.py``, which has the milliseconds, a Python loop over the
    components takes 4 and 30 times ours.
    """
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(4, 256, 1600)).astype(np.float32)
    if kind == "strips":
        logits -= 9
        for k in range(4):
            logits[k, 20 + 40 * k : 120 + 30 * k, 100 + 300 * k : 400 + 250 * k] += 12
    planes = (logits >= 0).view(np.uint8)
    torch_threads, cv2_threads = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)  # else a part of the yardstick is not this thread's time
    try:
        times, yardsticks = [], []
        for _ in range(7):
            start = time.thread_time()
            masks = decide(torch.from_numpy(logits)[None], "multilabel", [0.5] * 4)
            find_defects(masks[0].numpy(), logits, "multilabel", [0] * 4)
            times.append(time.thread_time() - start)
            start = time.thread_time()
            for plane in planes:
                cv2.connectedComponentsWithStats(plane, connectivity=8)
            yardsticks.append(time.thread_time() - start)
    finally:
        torch.set_num_threads(torch_threads)
        cv2.setNumThreads(cv2_threads)
    assert min(times) < limit * min(yardsticks)


@pytest.mark.parametrize(
    ("min_areas", "max_areas"), [([0, 0, 0], None), ([4, 9, 2], None), ([0, 2, 0], [50, None, 300])]
)
@pytest.mark.parametrize("seed", range(3))
def test_noise_that_is_nearly_one_component_is_counted_like_any_other(seed: int, min_areas, max_areas) -> None:
    """Most runs belong to one component, which is counted by what the others leave."""
    logits = random_logits("multilabel", seed, 40, 60)
    thresholds = [0.45, 0.55, 0.6]
    masks = slow_decide(logits, "multilabel", thresholds)
    probabilities = slow_probabilities(logits, "multilabel")
    expected, cleaned, largest = [], np.zeros_like(masks), 0
    for c in range(3):
        limit = max_areas[c] if max_areas and max_areas[c] is not None else masks[c].size
        for pixels in slow_components(masks[c]):
            largest = max(largest, len(pixels))
            if min_areas[c] <= len(pixels) <= limit:
                y, x = np.array(pixels).T
                cleaned[c][y, x] = True
                box = (x.min(), y.min(), np.ptp(x) + 1, np.ptp(y) + 1)
                expected.append((c + 1, len(pixels), *box, probabilities[c][y, x].mean()))
    assert largest > 600
    found_masks, records = find_defects(masks.copy(), logits, "multilabel", min_areas, max_areas)
    np.testing.assert_array_equal(found_masks, cleaned)
    expected_table = np.array(sorted(expected), dtype=DEFECT)
    records = np.sort(records, order=list(DEFECT.names or ()))
    for field in ("class_id", "area_px", "x", "y", "width", "height"):
        np.testing.assert_array_equal(records[field], expected_table[field])
    np.testing.assert_allclose(records["mean_probability"], expected_table["mean_probability"], rtol=1e-5)


def test_time_grows_no_faster_than_the_image() -> None:
    """A loop over components would take 16 times as long for 4 times the pixels of noise, each with its components."""
    times = []
    for width in (400, 1600):
        logits = np.random.default_rng(0).normal(size=(1, 256, width)).astype(np.float32)
        logits -= 1.5  # thousands of specks, not one component
        rounds = []
        for _ in range(5):
            masks = decide(torch.from_numpy(logits)[None], "multilabel", [0.5])[0].numpy()
            start = time.thread_time()
            masks, _ = find_defects(masks, logits, "multilabel", [0])
            encode(masks[0])
            rounds.append(time.thread_time() - start)
        times.append(min(rounds))
    assert times[1] < 9 * times[0]

"""From logits to a decision: threshold per pixel, connected defects, and a record of each.

Thresholds are applied to logits, not to probabilities: ``sigmoid(x) >= t`` is ``x >= log(t / (1 - t))``, which spares a
sigmoid image of everything. Components are found once per class, inside the box that holds the class.
"""

import math
from collections.abc import Sequence

import cv2
import numpy as np
import torch
from torch.nn import functional

from utils.decision.decided_logits import DecidedLogits, logits_at
from utils.decision.probabilities import pixel_probability
from utils.decision.runs import Runs

# One connected defect; x, y, width, height in pixels, (0, 0) is the top left pixel; mean_probability 0..1.
DEFECT = np.dtype(
    [
        ("class_id", np.int32),
        ("area_px", np.int64),
        ("x", np.int32),
        ("y", np.int32),
        ("width", np.int32),
        ("height", np.int32),
        ("mean_probability", np.float64),
    ]
)


def decide(logits: torch.Tensor, task: str, thresholds: Sequence[float]) -> torch.Tensor:
    """Decide per pixel and class whether there is a defect.

    Args:
        logits: ``(N, K, H, W)`` float; for ``multiclass`` channel 0 is the background, so K is one more than C.
        task: ``multilabel``, ``binary`` (both: a class is there where its probability reaches its threshold) or
            ``multiclass`` (the likeliest class is there where its probability reaches its threshold).
        thresholds: C probabilities 0..1; 0 keeps every pixel (multiclass: every pixel where the class is the
            likeliest), 1 keeps none.

    Returns:
        ``(N, C, H, W)`` bool on the device of ``logits``.
    """
    classes = logits.shape[1] - (task == "multiclass")
    if len(thresholds) != classes or not all(0 <= t <= 1 for t in thresholds):
        raise ValueError(f"thresholds {tuple(thresholds)}: expected {classes} numbers 0..1")
    if task == "multiclass":
        decision = _decide_multiclass(logits, thresholds)
    else:
        levels = torch.tensor([_logit(t) for t in thresholds], dtype=torch.float32, device=logits.device)
        decision = logits >= levels.view(1, -1, 1, 1)
    for channel, t in enumerate(thresholds):
        if t >= 1:
            decision[:, channel] = False  # an infinite logit would pass
    return decision


def _decide_multiclass(logits: torch.Tensor, thresholds: Sequence[float]) -> torch.Tensor:
    best = logits.amax(dim=1)
    decision = torch.empty_like(logits[:, 1:], dtype=torch.bool)
    free = logits[:, 0] != best
    for channel in range(len(thresholds)):
        decision[:, channel] = free & (logits[:, channel + 1] == best)
        free &= ~decision[:, channel]  # of equal logits the first counts, as in argmax
    # The likeliest of K has at least probability 1/K: lower thresholds change nothing.
    if max(thresholds) > 1 / logits.shape[1] and decision.any():
        # The winner's probability is 1 over the sum of exp(logit - winner's logit).
        inverse = (logits - best.unsqueeze(1)).exp_().sum(dim=1)
        for channel, t in enumerate(thresholds):
            if t > 0:
                decision[:, channel] &= inverse <= 1 / t
    return decision


def levels(logits: np.ndarray, task: str, thresholds: Sequence[np.ndarray]) -> np.ndarray:
    """Count for every pixel how many thresholds it reaches, as if ``decide`` were asked with each of them.

    Args:
        logits: ``(K, H, W)`` float32 of one image.
        task: as in ``decide``.
        thresholds: for each of C classes fewer than 256 probabilities, ascending, above 0 and below 1.

    Returns:
        ``(C, H, W)`` uint8; where it is above n, ``decide`` says yes with ``thresholds[n]``.
    """
    reached = np.zeros((len(thresholds), *logits.shape[1:]), dtype=np.uint8)
    if task == "multiclass":
        best = logits.argmax(axis=0)
        for channel, steps in enumerate(thresholds):
            pixels = best == channel + 1
            chosen = torch.from_numpy(logits[:, pixels])
            # Summed by the same function as in ``decide``, so that not even the last digit differs.
            inverse = (chosen - chosen.amax(dim=0)).exp_().sum(dim=0).numpy()
            ends = -(1 / np.asarray(steps)).astype(np.float32)
            reached[channel][pixels] = np.searchsorted(ends, -inverse, side="right")
        return reached
    for channel, steps in enumerate(thresholds):
        ends = np.array([_logit(step) for step in steps], dtype=np.float32)
        pixels = np.nonzero(logits[channel] >= ends[0])
        reached[channel][pixels] = np.searchsorted(ends, logits[channel][pixels], side="right")
    return reached


def find_seeds(logits: torch.Tensor, task: str, high_thresholds: Sequence[float]) -> torch.Tensor | None:
    """Find the seeds: pixels one of which a connected defect must have, where its class has a high threshold.

    A threshold for pixels and a higher one for seeds are hysteresis thresholds: J. Canny, A computational approach to
    edge detection, 1986.

    Args:
        logits: ``(N, K, H, W)`` float.
        task: as in ``decide``.
        high_thresholds: C probabilities 0..1; 0: nothing is asked of the class.

    Returns:
        ``(N, C, H, W)`` bool on the device of ``logits``; None when no class has a high threshold.
    """
    return decide(logits, task, high_thresholds) if any(high_thresholds) else None


def filter_defects(
    masks: torch.Tensor,
    min_areas: Sequence[int],
    max_areas: Sequence[int | None] | None = None,
    seeds: torch.Tensor | None = None,
) -> torch.Tensor:
    """Remove connected defects (8 neighbours) that are too small, too large or without a seed.

    Args:
        masks: ``(N, C, H, W)`` bool.
        min_areas: C smallest areas in pixels; 0 and 1 remove nothing.
        max_areas: C largest areas in pixels; None, for a class or for all: no limit.
        seeds: ``(N, C, H, W)`` bool, from ``find_seeds``; a defect without such a pixel goes.

    Returns:
        ``(N, C, H, W)`` bool on the same device; ``masks`` itself when there is nothing to enforce.
    """
    limits = _limits(min_areas, max_areas, masks.shape[1])
    if seeds is None and all(low <= 1 and high is None for low, high in limits):
        return masks
    cleaned = masks.detach().to("cpu", copy=True)
    planes = cleaned.contiguous().view(torch.uint8).numpy()
    pixels = None if seeds is None else seeds.cpu().numpy()
    for number, image in enumerate(planes):
        for index, (plane, (low, high)) in enumerate(zip(image, limits, strict=True)):
            if pixels is not None or low > 1 or high is not None:
                _clean(plane, low, high, None if pixels is None else pixels[number, index])
    return torch.from_numpy(planes).view(torch.bool).to(masks.device)


def find_defects(
    masks: np.ndarray,
    logits: np.ndarray | DecidedLogits,
    task: str,
    min_areas: Sequence[int],
    max_areas: Sequence[int | None] | None = None,
    high_thresholds: Sequence[float] = (),
) -> tuple[np.ndarray, np.ndarray]:
    """Drop the defects of one image that are too small, too large or without a seed, and describe those that stay.

    Args:
        masks: ``(C, H, W)`` bool or uint8 of 0 and 1, from ``decide``; changed in place.
        logits: ``(K, H, W)`` float32 of the same size, or those of the pixels that the masks have.
        task: as in ``decide``.
        min_areas: C smallest areas in pixels; 0 and 1 remove nothing.
        max_areas: C largest areas in pixels; None, for a class or for all: no limit.
        high_thresholds: C probabilities that a defect must reach somewhere, 0: nothing is asked; left out: of no class.

    Returns:
        ``masks`` as ``(C, H, W)`` bool without the defects that were dropped, and a table of dtype ``DEFECT``, one row per
        connected defect, by class.
    """
    planes = masks.view(np.uint8)
    found = []
    limits = _limits(min_areas, max_areas, len(planes))
    seeds = _seeds_of(logits, task, high_thresholds)
    for index, (plane, (low, high)) in enumerate(zip(planes, limits, strict=True)):
        seed = None if seeds is None else seeds[0, index].numpy()
        whole = plane.copy() if low > 1 or high is not None or seed is not None else plane
        cleaned = _clean(plane, low, high, seed)
        if cleaned is None:
            continue
        runs, areas, kept = cleaned
        pixels = np.flatnonzero(runs.window(whole).view(np.bool_))
        probability = pixel_probability(_logits_of(logits, runs, pixels, task, index), task, index)
        left, top, right, bottom = runs.boxes()[:, kept]
        records = np.zeros(kept.size, dtype=DEFECT)
        records["class_id"] = index + 1
        records["area_px"] = areas[kept]
        records["x"], records["y"], records["width"], records["height"] = left, top, right - left, bottom - top
        records["mean_probability"] = runs.sums(probability)[kept] / areas[kept]
        found.append(records)
    return planes.view(np.bool_), np.concatenate(found) if found else np.zeros(0, dtype=DEFECT)


def _seeds_of(logits: np.ndarray | DecidedLogits, task: str, high_thresholds: Sequence[float]) -> torch.Tensor | None:
    if isinstance(logits, DecidedLogits):
        seeds = find_seeds(torch.from_numpy(logits.values[None, :, None]), task, high_thresholds)
        return None if seeds is None else logits.plane(seeds)
    return find_seeds(torch.from_numpy(logits[None]), task, high_thresholds)


def _logits_of(logits: np.ndarray | DecidedLogits, runs: Runs, pixels: np.ndarray, task: str, index: int) -> np.ndarray:
    """Return what ``pixel_probability`` asks for, of pixels that are counted in the box of the runs."""
    channels = slice(None) if task == "multiclass" else slice(index, index + 1)
    if isinstance(logits, DecidedLogits):
        row, column = np.divmod(pixels, runs.size[0])
        return logits_at(logits, row + runs.corner[1], column + runs.corner[0])[channels]
    return np.stack([runs.window(channel).ravel().take(pixels) for channel in logits[channels]])


def resize_logits(logits: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Bring logits to an image's own size, so that the decision is made there.

    Args:
        logits: ``(N, K, h, w)`` float.
        height: wanted, pixels.
        width: wanted, pixels.

    Returns:
        ``(N, K, height, width)``, bilinear between pixel centres; ``logits`` itself when it has that size.
    """
    if logits.shape[-2:] == (height, width):
        return logits
    return functional.interpolate(logits, size=(height, width), mode="bilinear", align_corners=False)


def index_mask(masks: np.ndarray, logits: np.ndarray | DecidedLogits, task: str, first_class: int = 1) -> np.ndarray:
    """Draw all classes into one picture of class numbers.

    Args:
        masks: ``(C, H, W)`` bool.
        logits: ``(K, H, W)`` float, or those of the pixels that the masks have.
        task: as in ``decide``.
        first_class: number of the first mask's class; of a network for one class, that class's.

    Returns:
        ``(H, W)`` uint8 (uint16 with a class above 255); 0 is background, k is class k. Where classes overlap
        (multilabel), the likeliest one is drawn.
    """
    last = first_class + len(masks) - 1
    index = np.zeros(masks.shape[1:], dtype=np.uint8 if last <= 255 else np.uint16)
    for class_id, mask in enumerate(masks, start=first_class):
        index[mask] = class_id
    row, column = np.nonzero(np.add.reduce(masks, axis=0, dtype=np.uint8) > 1)
    if row.size:
        there = logits_at(logits, row, column)[task == "multiclass" :]
        scores = np.where(masks[:, row, column], there, -np.inf)
        index[row, column] = scores.argmax(axis=0) + first_class
    return index


def _limits(
    min_areas: Sequence[int], max_areas: Sequence[int | None] | None, classes: int
) -> list[tuple[int, int | None]]:
    """Pair the smallest and the largest area of each class."""
    if max_areas is None:
        max_areas = (None,) * classes
    for name, areas in (("min_areas", min_areas), ("max_areas", max_areas)):
        if len(areas) != classes:
            raise ValueError(f"{name} {tuple(areas)}: expected {classes} numbers")
    return list(zip(min_areas, max_areas, strict=True))


def _clean(
    plane: np.ndarray, min_area: int, max_area: int | None, seeds: np.ndarray | None
) -> tuple[Runs, np.ndarray, np.ndarray] | None:
    """Drop defects outside the limits, or without any of the (H, W) bool ``seeds``, from a plane of 0 and 1 in place.

    Returns:
        The runs as they were before, the area of each component, and the components that stay; None when none stays.
    """
    x, y, width, height = cv2.boundingRect(plane)
    if width == 0:
        return None
    box = plane[y : y + height, x : x + width]
    runs = Runs.of(box, (x, y))
    areas = runs.areas()
    stays = areas >= max(min_area, 1)
    if max_area is not None:
        stays &= areas <= max_area
    if seeds is not None:
        stays &= runs.meets(box, runs.window(seeds))
    kept = np.flatnonzero(stays)
    if kept.size < runs.count - 1:
        stays[0] = True  # the background, which has no runs
        runs.erase(box, ~stays)
    return (runs, areas, kept) if kept.size else None


def _logit(t: float) -> float:
    if t <= 0:
        return -math.inf
    return math.inf if t >= 1 else math.log(t) - math.log1p(-t)

"""Small random labels and logits, and what a setting is worth through the functions that prediction uses."""

import cv2
import numpy as np
import torch

from utils.calibration.grid import ClassGrid
from utils.decision.decision import ClassDecision, Decision
from utils.scoring.counts import count

THRESHOLDS = (0.2, 0.5, 0.7, 0.9)
SIZE = (17, 23)
IMAGES = 14
HALF = ClassDecision(0.5, 0, None)


def smooth_noise(rng: np.random.Generator, scale: float) -> np.ndarray:
    return cv2.GaussianBlur(rng.normal(size=SIZE), (0, 0), 1.3).astype(np.float32) * scale


def draw(task: str, seed: int, images: int = IMAGES) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Draw labels of two classes, and logits that partly agree with them; every third image is clean."""
    rng = np.random.default_rng(seed)
    all_logits, all_truth = [], []
    for number in range(images):
        truth = np.zeros((2, *SIZE), np.bool_)
        for c in range(2):
            if (number + c) % 3:
                truth[c] = smooth_noise(rng, 1) > 0.45
        if number % 3 == 0:
            truth[:] = False
        logits = np.stack([smooth_noise(rng, 6) + 3 * truth[c] - 2 for c in range(2)]).astype(np.float32)
        if task == "multiclass":
            logits = np.concatenate([np.zeros((1, *SIZE), np.float32), logits])
        all_logits.append(logits)
        all_truth.append(truth)
    return all_logits, all_truth


def small_grid(now: ClassDecision = HALF) -> ClassGrid:
    areas = np.array([1, 3, 6, 12, 40])
    low, high = np.triu_indices(len(areas) + 1, 1)
    peak = np.repeat([0, 1, 2], len(low))  # not asked, 0.7 and 0.9
    return ClassGrid(np.array(THRESHOLDS), areas, np.array([0, 3, 4]), np.tile(low, 3), np.tile(high, 3), peak, now)


def grid_of_areas(thresholds: list[float], areas: np.ndarray, low: np.ndarray, high: np.ndarray, now: ClassDecision):
    """Make a grid without high thresholds."""
    return ClassGrid(np.array(thresholds), areas, np.array([0]), low, high, np.zeros(len(low), np.int64), now)


def decided(logits, task: str, setting: ClassDecision) -> torch.Tensor:
    """Decide both classes with one setting, by the functions that prediction uses."""
    return Decision.of_classes([setting] * 2).apply(torch.from_numpy(logits)[None], task)


def slow_dice(logits, truth, task: str, setting: ClassDecision) -> np.ndarray:
    """(N, C) Dice."""
    rows = []
    for one, labels in zip(logits, truth, strict=True):
        tp, fp, fn, _ = (part.numpy()[0] for part in count(decided(one, task, setting), torch.from_numpy(labels)[None]))
        rows.append([2 * t / (2 * t + p + n) if t + p + n else 1.0 for t, p, n in zip(tp, fp, fn, strict=True)])
    return np.array(rows)


def slow_objects(logits, truth, task: str, setting: ClassDecision) -> tuple[np.ndarray, np.ndarray]:
    """Number of labelled defects of which half is covered, and of predicted defects on clean images: (C,) each."""
    found, alarms = np.zeros(2), np.zeros(2)
    for one, labels in zip(logits, truth, strict=True):
        masks = decided(one, task, setting)[0].numpy()
        for c in range(2):
            number, components = cv2.connectedComponents(labels[c].astype(np.uint8), connectivity=8)
            found[c] += sum(2 * masks[c][components == k].sum() >= (components == k).sum() for k in range(1, number))
            if not labels.any():
                alarms[c] += cv2.connectedComponents(masks[c].astype(np.uint8), connectivity=8)[0] - 1
    return found, alarms

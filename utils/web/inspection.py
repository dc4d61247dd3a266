"""What comes in for each image, why it may be refused, and deciding anew about what was inspected."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from utils.decision.gate import Gate
from utils.decision.masks import decide, find_defects
from utils.inference.inspected import Inspected
from utils.inference.systems.gated import NEVER


@dataclass(frozen=True, eq=False)
class Upload:
    """An image that somebody wants inspected.

    Attributes:
        name: what the answer calls it; it is never used as a path.
        data: the bytes of an image file, or pixels: ``(H, W, 3)`` RGB or ``(H, W)`` grey, uint8.
    """

    name: str
    data: bytes | np.ndarray


# Every code that a refusal may have, and the HTTP status of a request whose images are all refused.
REFUSALS = {
    "empty": 422,
    "not_an_image": 415,
    "truncated": 422,
    "damaged": 422,
    "too_many_pixels": 413,
    "too_many_scans": 413,
    "out_of_memory": 413,
    "timeout": 408,
    "busy": 503,
    "closing": 503,
    "failed": 500,
}


@torch.inference_mode()
def redecide(
    inspected: Inspected,
    thresholds: Sequence[float],
    min_areas: Sequence[int],
    max_areas: Sequence[int | None] | None = None,
    high_thresholds: Sequence[float] = (),
    *,
    task: str,
    gate: Gate | None = None,
) -> Inspected:
    """Draw masks and defects anew from kept logits; the network is not run.

    With the thresholds and areas of the weights the result is what the network's run gave, to the pixel.

    Args:
        inspected: made with ``keep_logits``; one that a gate turned away stays as it is.
        thresholds: C probabilities 0..1.
        min_areas: C smallest areas in pixels; a soft gate raises them as it did before.
        max_areas: C largest areas in pixels, None where there is no limit; left out: no limits.
        high_thresholds: C probabilities that a defect must reach somewhere, 0: not asked; left out: of no class.
        task: of the masks, as in ``decide``.
        gate: of a system, which sets smallest areas by the labels; None when there is none.

    Raises:
        ValueError: not one number for each class, or a threshold outside 0..1.
    """
    count = len(inspected.masks)
    given = {"thresholds": thresholds, "min_areas": min_areas, "max_areas": max_areas}
    for name, numbers in {**given, "high_thresholds": high_thresholds or None}.items():
        if numbers is not None and len(numbers) != count:
            raise ValueError(f"{name} {tuple(numbers)}: expected {count} numbers")
    if inspected.logits is None:
        return inspected
    areas = tuple(min_areas)
    if gate is not None:
        assert inspected.labels is not None
        raised = gate.areas(min_areas, inspected.labels)
        pairs = zip(inspected.min_areas, raised, strict=True)
        areas = tuple(NEVER if before == NEVER else area for before, area in pairs)
    decided = decide(torch.from_numpy(inspected.logits[None]), task, thresholds)[0].numpy()
    masks, defects = find_defects(decided, inspected.logits, task, areas, max_areas, high_thresholds)
    return dataclasses.replace(inspected, masks=masks, defects=defects, min_areas=areas)

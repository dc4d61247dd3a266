"""What comes in for each image, why it may be refused, and deciding anew about what was inspected."""

import dataclasses
from dataclasses import dataclass

import numpy as np
import torch

from utils.decision.decision import Decision
from utils.decision.gate import Gate
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
    "bit_depth": 422,
    "too_many_pixels": 413,
    "too_many_scans": 413,
    "too_slow": 413,
    "out_of_memory": 413,
    "timeout": 408,
    "busy": 503,
    "closing": 503,
    "not_finite": 500,
    "failed": 500,
}


@torch.inference_mode()
def redecide(inspected: Inspected, decision: Decision, *, task: str, gate: Gate | None = None) -> Inspected:
    """Draw masks and defects anew from kept logits; the network is not run.

    With the decision of the weights the result is what the network's run gave, to the pixel.

    Args:
        inspected: made with ``keep_logits``; one that a gate turned away stays as it is.
        decision: of as many classes; a soft gate raises its smallest areas as it did before.
        task: of the masks, as in ``masks.decide``.
        gate: of a system, which sets smallest areas by the labels; None when there is none.

    Raises:
        ValueError: the decision is about another number of classes, or a threshold is outside 0..1.
    """
    if len(decision.thresholds) != len(inspected.masks):
        raise ValueError(f"thresholds {decision.thresholds}: expected {len(inspected.masks)} numbers")
    if inspected.logits is None:
        return inspected
    if gate is not None:
        assert inspected.labels is not None
        raised = gate.areas(decision.min_areas, inspected.labels)
        pairs = zip(inspected.min_areas, raised, strict=True)
        decision = decision.with_min_areas([NEVER if before == NEVER else area for before, area in pairs])
    masks, defects = decision.apply_and_find(inspected.logits, task)
    return dataclasses.replace(inspected, masks=masks, defects=defects, min_areas=decision.min_areas)

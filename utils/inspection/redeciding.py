"""Deciding anew about what was inspected: other thresholds, without the network."""

import dataclasses

import torch

from utils.decision.decision import Decision
from utils.decision.gate import Gate
from utils.inference.inspected import Inspected
from utils.inference.systems.gated import NEVER


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

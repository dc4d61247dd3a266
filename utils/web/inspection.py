"""What comes in and goes out for each image: an upload, and an inspection or a refusal; and deciding anew."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from utils.decision.decision import Decision
from utils.decision.gate import Gate
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


@dataclass(frozen=True, eq=False)
class Inspection:
    """What is known about an image.

    Attributes:
        name: of the upload.
        image: ``(H, W, channels)`` uint8 at its own size, as the network saw it.
        masks: ``(C, H, W)`` bool, C scored classes.
        defects: table of dtype ``DEFECT``; its ``class_id`` counts the masks, from 1.
        labels: ``(L,)`` float32 probabilities of the image as a whole; None when no network judges it so.
        logits: ``(K, H, W)`` float32 if they were asked for; None also when a gate turned the image away.
        seconds: from acceptance to the result.
        verdict: ``clean`` or ``defective``.
        classes: names of the classes that were found.
        task: of the masks, as in ``masks.decide``.
        gate: that looked at the labels and sets smallest areas by them; None when there is none.
        gate_areas: per class the smallest area that the gate set for this image; None when it set none.
    """

    name: str
    image: np.ndarray
    masks: np.ndarray
    defects: np.ndarray
    labels: np.ndarray | None
    logits: np.ndarray | None
    seconds: float
    verdict: str
    classes: tuple[str, ...]
    class_names: tuple[str, ...] = field(repr=False, default=())
    task: str = field(repr=False, default="multilabel")
    gate: Gate | None = field(repr=False, default=None)
    gate_areas: tuple[int, ...] | None = field(repr=False, default=None)


@dataclass(frozen=True)
class Refused:
    """An image that was not inspected.

    Attributes:
        name: of the upload.
        reason: one plain sentence that says what is wrong and what to do.
        code: one word for programs, see ``REFUSALS``.
    """

    name: str
    reason: str
    code: str


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


def verdict_of(
    defects: np.ndarray, class_names: Sequence[str], labels: Sequence[str] = ()
) -> tuple[str, tuple[str, ...]]:
    """Return the verdict and the classes found, in the order of the classes.

    Args:
        defects: table of dtype ``DEFECT``.
        class_names: of the masks; none for a network that judges whole images only.
        labels: names of the labels that such a network gives the image.
    """
    found = tuple(class_names[index - 1] for index in np.unique(defects["class_id"])) if class_names else tuple(labels)
    return ("defective" if found else "clean"), found


@torch.inference_mode()
def redecide(inspection: Inspection, decision: Decision) -> Inspection:
    """Draw masks and defects anew from kept logits; the network is not run.

    With the decision of the weights the result is what the network's run gave, to the pixel.

    Args:
        inspection: made with ``keep_logits``; one that a gate turned away stays as it is.
        decision: of as many classes; a soft gate raises its smallest areas as it did before.

    Raises:
        ValueError: the decision is about another number of classes, or a threshold is outside 0..1.
    """
    if len(decision.thresholds) != len(inspection.masks):
        raise ValueError(f"thresholds {decision.thresholds}: expected {len(inspection.masks)} numbers")
    if inspection.logits is None:
        return inspection
    if inspection.gate_areas is not None:
        assert inspection.gate is not None
        assert inspection.labels is not None
        raised = inspection.gate.areas(decision.min_areas, inspection.labels)
        pairs = zip(inspection.gate_areas, raised, strict=True)
        decision = decision.with_min_areas([NEVER if before == NEVER else area for before, area in pairs])
    masks, defects = decision.apply_and_find(inspection.logits, inspection.task)
    verdict, classes = verdict_of(defects, inspection.class_names)
    return dataclasses.replace(inspection, masks=masks, defects=defects, verdict=verdict, classes=classes)

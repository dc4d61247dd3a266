"""What is known about one image after the networks have seen it, and why there is nothing known about another."""

import dataclasses
import math
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch

from utils.decision.decided_logits import DecidedLogits


@dataclass(frozen=True, eq=False)
class Inspected:
    """What is known about one image.

    Attributes:
        name: of the file, relative to the folder of images, or of the upload.
        image: ``(H, W, channels)`` uint8 at its own size, as the networks saw it.
        masks: ``(C, H, W)`` bool, C scored classes, without defects that are too small, too large or nowhere sure.
        defects: table of dtype ``DEFECT``, whose ``class_id`` counts the masks from 1; empty when the pipeline was not
            asked to describe.
        labels: ``(L,)`` float32 probabilities of the image as a whole; None when no network judges it so.
        min_areas: per scored class, the smallest defect in pixels that counted in this image: the gate's where it set
            them, else the decision's.
        seconds: from acceptance to the result; 0 where nobody measured it.
        stages: seconds of it by stage, ``decode``, ``network`` and ``decide``, each with its waiting; {} likewise.
    """

    name: str
    image: np.ndarray
    masks: np.ndarray
    defects: np.ndarray
    labels: np.ndarray | None
    min_areas: tuple[int, ...]
    _logits: torch.Tensor | DecidedLogits | None = field(repr=False)
    seconds: float = 0.0
    stages: dict[str, float] = field(default_factory=dict, repr=False)

    @cached_property
    def logits(self) -> np.ndarray | None:
        """``(K, H, W)`` float32 at the image's own size; None when a gate turned the image away, or they were dropped."""
        return self._logits.cpu().numpy() if isinstance(self._logits, torch.Tensor) else None

    @property
    def peak(self) -> float | None:
        """Probability of the likeliest pixel of task ``anomaly``: of its defects where it has any, else of the whole image.

        None where the logits were dropped.
        """
        if isinstance(self._logits, DecidedLogits):
            values = self._logits.values[0]
        elif self.logits is None:
            return None
        else:
            values = self.logits[0][self.masks[0]] if self.masks.any() else self.logits[0]
        logit = float(values.max(initial=-np.inf))
        return 1 / (1 + math.exp(-min(max(logit, -500.0), 500.0)))

    @property
    def decided_logits(self) -> np.ndarray | DecidedLogits | None:
        """The logits, or of a large image those of the pixels that some class was decided for; None as ``logits``."""
        return self._logits if isinstance(self._logits, DecidedLogits) else self.logits

    def kept(self, seconds: float, with_logits: bool) -> "Inspected":
        """Return what may be kept for long: it holds no memory of the batch that the image was in.

        Args:
            seconds: from acceptance to the result.
            with_logits: copy the logits, 4 bytes a pixel and class; else they are dropped.
        """
        copy = None
        if with_logits and self.logits is not None:
            copy = torch.from_numpy(np.array(self.logits, dtype=np.float32))
        return dataclasses.replace(self, seconds=seconds, _logits=copy)


@dataclass(frozen=True)
class Refused:
    """An image that was not inspected.

    Attributes:
        name: of the upload, or the path of the file.
        reason: what is wrong; of an upload one plain sentence that also says what to do.
        code: one word for programs that sent an upload; empty for a file.
    """

    name: str
    reason: str
    code: str = ""

    def to_dict(self) -> dict[str, str]:
        """Return what a summary says about a file that was skipped."""
        return {"image": self.name, "reason": self.reason}

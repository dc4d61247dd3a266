"""What was found in an image, as it is kept: everything that tables, masks and overlays need, without the network."""

import dataclasses
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from utils.data import rle
from utils.decision.components import defect_shapes
from utils.decision.decision import Decision
from utils.decision.masks import DEFECT
from utils.inference.inspected import Inspected
from utils.inspection.about import About


@dataclass(frozen=True, eq=False)
class Finding:
    """What was found in an image.

    Attributes:
        height: pixels.
        width: pixels.
        verdict: ``clean`` or ``defective``.
        found: names of the classes found.
        defects: table of dtype ``DEFECT``.
        codes: run-length code of each class, "" where there is none of it.
        labels: probabilities of the whole image; None when no network judges it.
        min_areas: per class, the smallest defect that counted.
        uncertainty: 0..1, how near a threshold the decision was.
        seconds: from acceptance to result.
        peak: of task ``anomaly`` the probability of the most unusual place, by which the image as a whole is judged; None for
            other tasks.
    """

    height: int
    width: int
    verdict: str
    found: tuple[str, ...]
    defects: np.ndarray
    codes: tuple[str, ...]
    labels: np.ndarray | None
    min_areas: tuple[int, ...]
    uncertainty: float
    seconds: float
    peak: float | None = None

    @classmethod
    def of(cls, about: About, inspected: Inspected, decision: Decision) -> "Finding":
        """Note what was found in an image, whose logits are still there if it has any."""
        height, width = inspected.image.shape[:2]
        return cls(
            height,
            width,
            about.verdict(inspected),
            about.found(inspected),
            inspected.defects,
            tuple(rle.encode(mask) if mask.any() else "" for mask in inspected.masks),
            inspected.labels,
            inspected.min_areas,
            uncertainty(about, inspected, decision),
            inspected.seconds,
            _peak(about, inspected),
        )

    @property
    def area(self) -> int:
        """Pixels of all defects together."""
        return int(self.defects["area_px"].sum())

    @property
    def probability(self) -> float:
        """The best mean probability of a defect; without defects that of the likeliest label, else 0. Of anomalies ``peak``."""
        if self.peak is not None:
            return self.peak
        if len(self.defects):
            return float(self.defects["mean_probability"].max())
        if not self.codes and self.labels is not None:
            return float(self.labels.max(initial=0.0))
        return 0.0

    def masks(self) -> np.ndarray:
        """Draw the masks: ``(C, H, W)`` bool."""
        planes = [rle.decode(code, self.height, self.width) for code in self.codes]
        shape = (0, self.height, self.width)
        return np.stack(planes).view(np.bool_) if planes else np.zeros(shape, np.bool_)

    def shapes(self) -> list[np.ndarray]:
        """Return for each defect the pixels of its box that belong to it, ``(h, w)`` bool."""
        return [np.array(shape) for shape in defect_shapes(self.masks(), self.defects)]

    def inspected(self, name: str, image: np.ndarray, logits: np.ndarray | None = None) -> Inspected:
        """Return what sinks take: as the pipeline gave it.

        Args:
            name: of the image.
            image: ``(H, W, channels)`` uint8, as the networks saw it.
            logits: where classes overlap, ``(K, H, W)`` float32.
        """
        tensor = None if logits is None else torch.from_numpy(logits)
        return Inspected(name, image, self.masks(), self.defects, self.labels, self.min_areas, tensor, self.seconds)

    def to_json(self) -> str:
        """Write it as text; every number comes back to the last bit."""
        content: dict[str, Any] = {
            **{field.name: getattr(self, field.name) for field in dataclasses.fields(self)},
            "defects": self.defects.tolist(),
            "labels": None if self.labels is None else self.labels.astype(np.float64).tolist(),
        }
        return json.dumps(content)

    @classmethod
    def from_json(cls, text: str) -> "Finding":
        """Read what ``to_json`` wrote."""
        content = json.loads(text)
        labels = content["labels"]
        return cls(
            **{
                **content,
                "found": tuple(content["found"]),
                "defects": np.array([tuple(row) for row in content["defects"]], dtype=DEFECT),
                "codes": tuple(content["codes"]),
                "labels": None if labels is None else np.array(labels, np.float32),
                "min_areas": tuple(content["min_areas"]),
            }
        )


def uncertainty(about: About, inspected: Inspected, decision: Decision) -> float:
    """Return how near a decision was to the other one, 0 (sure) .. 1 (at the threshold).

    Of a class that was found that is the distance of its weakest defect's mean probability from the threshold; of one that
    was not, that of its likeliest pixel. The least sure class counts. Of task ``anomaly`` it is the distance of the most
    unusual place alone: one place that is far above the threshold is an alarm, whatever weak ones there are beside it.
    """
    margins = []
    peak = _peak(about, inspected)
    if peak is not None:
        threshold = decision.thresholds[0]
        return _margin(peak if len(inspected.defects) else min(peak, threshold), threshold)
    peaks = _peaks(inspected, about.task)
    for index, threshold in enumerate(decision.thresholds):
        rows = inspected.defects[inspected.defects["class_id"] == index + 1]
        probability = float(rows["mean_probability"].min()) if len(rows) else min(peaks[index], threshold)
        margins.append(_margin(probability, threshold))
    if not decision.thresholds and inspected.labels is not None:
        for probability, threshold in zip(inspected.labels.tolist(), about.label_thresholds, strict=True):
            margins.append(_margin(probability, threshold))
    return max(margins, default=0.0)


def _margin(probability: float, threshold: float) -> float:
    """Return how near a probability is to a threshold, 0 .. 1 (at it)."""
    room = 1 - threshold if probability >= threshold else threshold
    return round(min(max(1 - abs(probability - threshold) / room, 0.0), 1.0), 4) if room else 0.0


def _peak(about: About, inspected: Inspected) -> float | None:
    return inspected.peak if about.task == "anomaly" else None


def _peaks(inspected: Inspected, task: str) -> list[float]:
    """Return the probability of each class's likeliest pixel."""
    logits = inspected.logits
    if logits is None:
        return [0.0] * len(inspected.masks)
    if task == "multiclass":
        # The largest lead over the background bounds the probability, and is cheap.
        peaks = [float((channel - logits[0]).max()) for channel in logits[1:]]
    else:
        peaks = [float(channel.max()) for channel in logits]
    return (1 / (1 + np.exp(-np.clip(peaks, -500, 500)))).tolist()

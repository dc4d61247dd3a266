"""An inspector whose answers are known: pits are bright, cracks are dark. And strips to show it."""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import cv2
import numpy as np

from utils.decision.decision import Decision
from utils.errors import InputError
from utils.web.decoding import Refusal, open_upload, unpack
from utils.web.inspection import Inspection, Refused, Upload, verdict_of
from utils.web.inspector import About

CLASS_NAMES = ("pits", "cracks")


class Bright:
    """Sees pits where pixels are bright and cracks where they are dark; its probability of a pit is the grey value / 255."""

    room, most_pixels = 64, 4_000_000
    opened: ClassVar[dict[str, "Bright"]] = {}

    def __init__(self, name: str = "bright", class_names: tuple[str, ...] = CLASS_NAMES) -> None:
        self.calls = 0  # images that the "network" has seen
        self.closed = False
        self.about = About(
            name=name,
            file=f"{name}-00000000.pth",
            kind="network",
            class_names=class_names,
            decision=Decision.uniform(len(class_names), 0.8, 3),
            label_names=(),
            label_thresholds=(),
            first_class=1,
            task="multilabel",
            card=f"# {name}\n\nKnows bright from dark.",
            scores={"mean_dice": 0.9, "data": "drawn images", "images": 7},
            backend="numpy on paper",
            summary={},
        )

    @classmethod
    def open(cls, path: Path, *args: object, **settings: object) -> "Bright":
        name = path.stem.rpartition("-")[0]
        if name == "broken":
            raise InputError(f"{path}: damaged; fetch it again")
        cls.opened[name] = cls(name)
        return cls.opened[name]

    def inspect(self, images: Sequence[Upload], keep_logits: bool = False, timeout: float | None = None):
        return [self._one(image) for image in images]

    def _one(self, upload: Upload) -> Inspection | Refused:
        if self.closed:
            return Refused(upload.name, "closing", "closing")
        try:
            image = unpack(open_upload(upload, self.most_pixels), 3)
        except Refusal as refusal:
            return refusal.of(upload.name)
        self.calls += 1
        grey = image[..., 0].astype(np.float32).clip(1, 254) / 255
        planes = [np.log(p / (1 - p)) for p in (grey, 1 - grey)]
        logits = np.stack(planes[: len(self.about.class_names)])
        masks, defects = self.about.decision.apply_and_find(logits, "multilabel")
        verdict, classes = verdict_of(defects, self.about.class_names)
        return Inspection(
            upload.name,
            image,
            masks,
            defects,
            None,
            logits,
            0.01,
            verdict,
            classes,
            self.about.class_names,
            "multilabel",
        )

    def close(self) -> None:
        self.closed = True


def strip(*blocks: tuple[int, int, int, int, int], size: tuple[int, int] = (64, 400)) -> bytes:
    """Draw a grey strip with blocks (x, y, width, height, grey value) and give it as PNG."""
    image = np.full(size, 128, np.uint8)
    for x, y, width, height, value in blocks:
        image[y : y + height, x : x + width] = value
    return cv2.imencode(".png", image)[1].tobytes()

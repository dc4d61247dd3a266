"""An inspector whose answers are known: pits are bright, cracks are dark. And strips to show it."""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import cv2
import numpy as np
import torch

from config import ServeConfig
from utils.decision.decision import Decision
from utils.errors import InputError
from utils.inference.inspected import Inspected, Refused
from utils.inspection.about import About
from utils.inspection.decoding import open_upload, unpack
from utils.inspection.upload import Upload

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
        )

    @classmethod
    def open(cls, config: ServeConfig) -> "Bright":
        return cls.open_file(config.weights_dir)

    @classmethod
    def open_file(cls, path: Path) -> "Bright":
        name = path.stem.rpartition("-")[0]
        if name == "broken":
            raise InputError(f"{path}: damaged; fetch it again")
        cls.opened[name] = cls(name)
        return cls.opened[name]

    def inspect(self, images: Sequence[Upload], keep_logits: bool = False, timeout: float | None = None):
        return [self._one(image) for image in images]

    def _one(self, upload: Upload) -> Inspected | Refused:
        if self.closed:
            return Refused(upload.name, "closing", "closing")
        opened = open_upload(upload, self.most_pixels)
        image = opened if isinstance(opened, Refused) else unpack(opened, 3)
        if isinstance(image, Refused):
            return image
        self.calls += 1
        grey = image[..., 0].astype(np.float32).clip(1, 254) / 255
        planes = [np.log(p / (1 - p)) for p in (grey, 1 - grey)]
        logits = np.stack(planes[: len(self.about.class_names)])
        masks, defects = self.about.decision.apply_and_find(logits, "multilabel")
        areas = self.about.decision.min_areas
        return Inspected(upload.name, image, masks, defects, None, areas, torch.from_numpy(logits), 0.01)

    def close(self) -> None:
        self.closed = True


def strip(*blocks: tuple[int, int, int, int, int], size: tuple[int, int] = (64, 400)) -> bytes:
    """Draw a grey strip with blocks (x, y, width, height, grey value) and give it as PNG."""
    image = np.full(size, 128, np.uint8)
    for x, y, width, height, value in blocks:
        image[y : y + height, x : x + width] = value
    return cv2.imencode(".png", image)[1].tobytes()

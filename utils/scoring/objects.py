"""Defect by defect: which labelled ones were found, which predicted ones are not there.

A *defect* is a connected area of one class (8 neighbours). A labelled defect is *found* when the prediction of its class
covers at least half of its pixels, *partly found* when it covers fewer, *missed* when it covers none. A predicted defect is
*false* when it touches no labelled pixel of its class. A labelled defect that is found in pieces, or together with its
neighbour, is found all the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np

FOUND = 0.5  # share of a labelled defect's pixels
# Lower ends of the size classes in pixels: steps of about 3, as wide as the sizes of defects scatter.
AREAS = (1, 100, 300, 1_000, 3_000, 10_000, 30_000, 100_000)

OBJECT = np.dtype(
    [
        ("labelled", np.bool_),  # else predicted
        ("class_id", np.int32),
        ("area_px", np.int64),
        ("x", np.int32),
        ("y", np.int32),
        ("width", np.int32),
        ("height", np.int32),
        ("overlap_px", np.int64),  # pixels that the other side has there, too
    ]
)


def find_objects(truth: np.ndarray, predicted: np.ndarray, ignored: np.ndarray | None = None) -> np.ndarray:
    """List the defects of an image, labelled ones first.

    Args:
        truth: (C, H, W) bool.
        predicted: (C, H, W) bool.
        ignored: (H, W) bool, pixels that count for nothing: no labelled ones are there, and what is predicted there is
            neither an area nor false. A prediction stays one defect where it passes through; one that lies wholly
            there is none.

    Returns:
        Table of dtype ``OBJECT``.
    """
    parts = []
    truth = truth if ignored is None else truth & ~ignored
    for labelled, masks, others in ((True, truth, predicted), (False, predicted, truth)):
        for index, (mask, other) in enumerate(zip(masks, others, strict=True)):
            parts.extend(_of_class(mask, other, labelled, index + 1, ignored))
    return np.concatenate(parts) if parts else np.zeros(0, OBJECT)


def _of_class(
    mask: np.ndarray, other: np.ndarray, labelled: bool, class_id: int, ignored: np.ndarray | None
) -> list[np.ndarray]:
    plane = np.ascontiguousarray(mask).view(np.uint8)
    left, top, width, height = cv2.boundingRect(plane)
    if not width:
        return []
    inside = np.s_[top : top + height, left : left + width]
    count, labels, stats, _ = cv2.connectedComponentsWithStats(plane[inside], connectivity=8)
    found = np.zeros(count - 1, OBJECT)
    found["labelled"], found["class_id"] = labelled, class_id
    found["area_px"] = stats[1:, cv2.CC_STAT_AREA]
    found["x"], found["y"] = stats[1:, cv2.CC_STAT_LEFT] + left, stats[1:, cv2.CC_STAT_TOP] + top
    found["width"], found["height"] = stats[1:, cv2.CC_STAT_WIDTH], stats[1:, cv2.CC_STAT_HEIGHT]
    found["overlap_px"] = np.bincount(labels[other[inside]], minlength=count)[1:]
    if ignored is not None and not labelled:
        found["area_px"] -= np.bincount(labels[ignored[inside]], minlength=count)[1:]
        found = found[found["area_px"] > 0]
    return [found]


@dataclass(eq=False)
class ObjectCounts:
    """Numbers of defects by class and size; they do not grow with the number of images.

    Args:
        classes: their number, C.
        min_areas: C smallest areas in pixels that the decision lets through; left out: none.

    Attributes:
        labelled: (C, B) labelled defects; B size classes that begin at ``AREAS``.
        found: (C, B) those that were found.
        partly: (C, B) those that were partly found.
        hidden: (C, B) those that were missed and are smaller than the smallest area: no mask of their size would count.
        predicted: (C, B) predicted defects.
        false: (C, B) those that are false.
        clean_images: images without any labelled defect.
        alarmed_images: (C,) clean images with a prediction of the class.
        alarmed: clean images with a prediction of any class.
        false_on_clean: (C,) predicted defects on clean images.
    """

    classes: int
    min_areas: Sequence[int] = ()
    labelled: np.ndarray = field(init=False)
    found: np.ndarray = field(init=False)
    partly: np.ndarray = field(init=False)
    hidden: np.ndarray = field(init=False)
    predicted: np.ndarray = field(init=False)
    false: np.ndarray = field(init=False)
    clean_images: int = field(init=False, default=0)
    alarmed: int = field(init=False, default=0)
    alarmed_images: np.ndarray = field(init=False)
    false_on_clean: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        for name in ("labelled", "found", "partly", "hidden", "predicted", "false"):
            setattr(self, name, np.zeros((self.classes, len(AREAS)), np.int64))
        self.alarmed_images = np.zeros(self.classes, np.int64)
        self.false_on_clean = np.zeros(self.classes, np.int64)

    @property
    def missed(self) -> np.ndarray:
        """(C, B) labelled defects of which no pixel was found."""
        return self.labelled - self.found - self.partly

    def add(self, objects: np.ndarray) -> None:
        """Count the defects of one image, as ``find_objects`` lists them."""
        true = objects["labelled"]
        covered = objects["overlap_px"] >= FOUND * objects["area_px"]
        touched = objects["overlap_px"] > 0
        least = np.array(self.min_areas or [0] * self.classes)[objects["class_id"] - 1]
        for total, chosen in (
            (self.labelled, true),
            (self.found, true & covered),
            (self.partly, true & touched & ~covered),
            (self.hidden, true & ~touched & (objects["area_px"] < least)),
            (self.predicted, ~true),
            (self.false, ~true & ~touched),
        ):
            size = np.searchsorted(AREAS, objects["area_px"][chosen], side="right") - 1
            np.add.at(total, (objects["class_id"][chosen] - 1, size), 1)
        if not true.any():
            number = np.bincount(objects["class_id"] - 1, minlength=self.classes)
            self.clean_images += 1
            self.alarmed += bool(len(objects))
            self.alarmed_images += number > 0
            self.false_on_clean += number

    def per_thousand(self, images: int | np.integer[Any]) -> float | None:
        """Return a number on clean images per 1,000 of them; None when there is no clean image."""
        return 1000 * int(images) / self.clean_images if self.clean_images else None

    def to_dict(self, class_names: tuple[str, ...]) -> dict[str, Any]:
        """Return everything as plain dicts and lists that JSON can hold."""
        sizes = ("labelled", "found", "partly", "missed", "predicted", "false")
        classes = {
            name: {
                **{size: getattr(self, size)[k].tolist() for size in sizes},
                "alarmed_images": int(self.alarmed_images[k]),
                "false_on_clean_images": int(self.false_on_clean[k]),
                "alarmed_per_1000_clean": self.per_thousand(self.alarmed_images[k]),
            }
            for k, name in enumerate(class_names)
        }
        return {
            "found_from_share": FOUND,
            "areas_from_px": list(AREAS),
            "classes": classes,
            "clean_images": self.clean_images,
            "alarmed_images": self.alarmed,
            "false_on_clean_images": int(self.false_on_clean.sum()),
            "alarmed_per_1000_clean": self.per_thousand(self.alarmed),
            "false_per_1000_clean": self.per_thousand(self.false_on_clean.sum()),
        }

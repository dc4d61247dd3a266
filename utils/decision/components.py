"""The shape of each single defect, cut out of the mask of its class."""

from collections.abc import Iterator

import cv2
import numpy as np


def defect_shapes(masks: np.ndarray, defects: np.ndarray) -> Iterator[np.ndarray]:
    """Yield each defect as the pixels of its box that belong to it.

    Args:
        masks: ``(C, H, W)`` bool, as ``find_defects`` leaves them.
        defects: its table of dtype ``DEFECT``.

    Yields:
        ``(height, width)`` bool for each row of the table.
    """
    rows = (defects[name].tolist() for name in ("class_id", "area_px", "x", "y", "width", "height"))
    for class_id, area, x, y, width, height in zip(*rows, strict=True):
        box = masks[class_id - 1, y : y + height, x : x + width]
        if np.count_nonzero(box) == area:  # nearly always: no other defect reaches into the box
            yield box
            continue
        _, labels = cv2.connectedComponents(np.ascontiguousarray(box).view(np.uint8), connectivity=8, ltype=cv2.CV_32S)
        # The defect touches all four sides of its box. No second one can: their ways from left to right and from top to
        # bottom would meet.
        sides = (labels[0], labels[-1], labels[:, 0], labels[:, -1])
        touching = set.intersection(*(set(np.unique(side[side > 0]).tolist()) for side in sides))
        (label,) = touching
        yield labels == label

"""Which class a defect is taken for: is an inclusion called a scratch?"""

import cv2
import numpy as np

from utils.scoring.objects import FOUND


def confuse(truth: np.ndarray, predicted: np.ndarray, ignored: np.ndarray | None = None) -> np.ndarray:
    """Count the defects of an image by what they are labelled and what they are taken for.

    A labelled defect is taken for the class whose prediction covers most of its pixels, and at least half of them; of
    equals its own. A predicted defect that touches no label of any class is made up.

    Args:
        truth: (C, H, W) bool.
        predicted: (C, H, W) bool.
        ignored: (H, W) bool, pixels that count for nothing: no labelled defects are there, and a predicted one that
            lies wholly there is none.

    Returns:
        (C + 1, C + 1) int64: row: labelled class, the last one for no label; column: predicted class, the last one for
        nothing.
    """
    counted = np.ones(truth.shape[1:], np.bool_) if ignored is None else ~ignored
    truth = truth & counted
    classes = len(truth)
    table = np.zeros((classes + 1, classes + 1), np.int64)
    for index, mask in enumerate(truth):
        for areas, covered in _components(mask, predicted):
            order = [index, *(k for k in range(classes) if k != index)]
            best = np.array(order)[covered[:, order].argmax(axis=1)]
            taken = np.where(covered.max(axis=1) >= FOUND * areas, best, classes)
            table[index] += np.bincount(taken, minlength=classes + 1)
    others = np.stack([np.logical_or.reduce(truth, axis=0), counted])
    for index, mask in enumerate(predicted):
        for _, covered in _components(mask, others):
            table[classes, index] += np.count_nonzero((covered[:, 0] == 0) & (covered[:, 1] > 0))
    return table


def _components(mask: np.ndarray, others: np.ndarray):  # type: ignore[no-untyped-def]
    """Yield the areas of the defects of a mask, (D,), and how many of their pixels each other mask has: (D, K)."""
    plane = np.ascontiguousarray(mask).view(np.uint8)
    left, top, width, height = cv2.boundingRect(plane)
    if width:
        inside = np.s_[top : top + height, left : left + width]
        count, labels = cv2.connectedComponents(plane[inside], connectivity=8)
        sums = [np.bincount(labels[other[inside]], minlength=count)[1:] for other in others]
        yield np.bincount(labels.ravel(), minlength=count)[1:], np.stack(sums, axis=1)

"""Labels as a person draws them: a polygon around the defect, a little too large."""

import cv2
import numpy as np

from utils.data.synthetic.noise import Mask


def outline(rng: np.random.Generator, painted: Mask, margin: float, detail: float) -> Mask:
    """Polygon around the largest part of what was painted.

    Args:
        rng: source of chance.
        painted: (H, W) uint8, nonzero where the defect altered the picture.
        margin: pixels that the polygon stays outside the defect.
        detail: largest distance in pixels between the polygon and the rim; larger is a coarser polygon.

    Returns:
        (H, W) uint8 of 0/1, one connected part; empty when nothing was painted.
    """
    reach = max(1, round(margin))
    grown = cv2.copyMakeBorder(painted, reach, reach, reach, reach, cv2.BORDER_CONSTANT, value=0)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    grown = cv2.dilate(grown, kernel)
    contours, _ = cv2.findContours(grown, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    mask = np.zeros_like(painted)
    if contours:
        contour = max(contours, key=cv2.contourArea)
        corners = cv2.approxPolyDP(contour, detail, True)[:, 0, :].astype(np.float64)
        fill(rng, mask, corners - reach, jitter=0.35 * detail)
    return mask


def fill(rng: np.random.Generator, mask: Mask, corners: np.ndarray, jitter: float) -> None:
    """Fill a polygon whose corners an unsteady hand sets.

    Args:
        rng: source of chance.
        mask: (H, W) uint8 that is set to 1 inside the polygon.
        corners: (N, 2) x and y in pixels; may lie outside the mask.
        jitter: standard deviation of a corner in pixels.
    """
    shaken = np.rint(corners + rng.normal(0.0, jitter, corners.shape)).astype(np.int32)
    cv2.fillPoly(mask, [shaken], 1)

"""From which threshold on a map of distances gives an alarm: one that is no speck."""

import cv2
import numpy as np

from utils.models.architectures.patchcore import FINE

LEAST_AREA = 4**FINE  # pixels of the network's image: a cell of the map, which has no finer grain
STEPS = 12  # halvings of the range that the threshold lies in


def alarm_level(distances: np.ndarray, area: int = LEAST_AREA) -> float:
    """Return the highest threshold at which some connected region has so many pixels; a smaller one gives no alarm.

    Args:
        distances: ``(H, W)`` float32.
        area: pixels; of a smaller image all of its pixels.
    """
    area = min(area, distances.size)
    high = float(distances.max())
    # A square of so many pixels is such a region, so the level is not below the best square's smallest distance.
    side = min(int(np.ceil(np.sqrt(area))), *distances.shape)
    squares = cv2.erode(distances, np.ones((side, side), np.uint8), borderType=cv2.BORDER_CONSTANT, borderValue=0)
    low = float(squares.max()) if side * side >= area else float(distances.min())
    for _ in range(STEPS):
        middle = (low + high) / 2
        if regions(distances >= middle, area).any():
            low = middle
        else:
            high = middle
    return low


def regions(mask: np.ndarray, area: int) -> np.ndarray:
    """Return a mask ``(H, W)`` bool without its connected regions of fewer pixels; 8 neighbours are connected."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    large = stats[:, cv2.CC_STAT_AREA] >= area
    large[0] = False
    found: np.ndarray = large[labels]
    return found

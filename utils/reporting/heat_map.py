"""Heat maps: how sure a network is of a defect at each pixel, in colours over the image."""

import cv2
import numpy as np

STRENGTH = 0.75  # share of the colour where the probability is 1


def draw_heat_map(image: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """Colour an image where a defect is likely: dark violet, red, yellow (inferno, which colour-blind people can read).

    Args:
        image: ``(H, W, 3)`` RGB or ``(H, W, 1)`` grey uint8; it is not changed.
        probability: ``(H, W)`` float 0..1.

    Returns:
        ``(H, W, 3)`` RGB uint8; where the probability is 0 the image is as it was.
    """
    picture = cv2.cvtColor(image, cv2.COLOR_GRAY2RGB) if image.shape[2] == 1 else image
    levels = (np.clip(probability, 0, 1) * 255).round().astype(np.uint8)
    colours = cv2.cvtColor(cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB)
    share = (STRENGTH * np.sqrt(np.clip(probability, 0, 1)))[..., None].astype(np.float32)
    mixed: np.ndarray = (picture * (1 - share) + colours * share).round().astype(np.uint8)
    return mixed

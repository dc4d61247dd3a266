"""Images to look at: of each class some, from the smallest defects to the largest."""

import cv2
import numpy as np
import pandas as pd

from utils.data.dataset_folder import Dataset

LONGEST = 800  # pixels of the longer side of an example: a strip of 1600 stays readable, a page stays small


def choose_examples(areas: pd.DataFrame, class_id: int, count: int) -> list[str]:
    """Choose images of a class, evenly spread over its areas from small to large.

    Args:
        areas: columns image, class_id, area (pixels), one row per image and class.
        class_id: the class.
        count: images wanted; all are given when there are fewer.

    Returns:
        Image names by rising area of the class; the same for the same table.
    """
    rows = areas[areas["class_id"] == class_id].sort_values(["area", "image"])
    # The middle of each of count equal parts: the extremes are often mistakes of the labels and no example of a class.
    places = (np.arange(count) + 0.5) * len(rows) / count if count < len(rows) else np.arange(len(rows))
    return rows["image"].iloc[places.astype(int)].tolist()


def choose_clean(images: list[str], areas: pd.DataFrame, count: int) -> list[str]:
    """Choose images without a defect, evenly spread over the names."""
    clean = sorted(set(images) - set(areas["image"]))
    places = (np.arange(count) + 0.5) * len(clean) / count if count < len(clean) else np.arange(len(clean))
    return [clean[place] for place in places.astype(int)]


def shrunk_example(dataset: Dataset, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Read an image and its masks, shrunk to a longer side of ``LONGEST``.

    Returns:
        (h, w, 3) uint8 RGB and (C, h, w) uint8 of 0 and 1.
    """
    image = dataset.read(name)
    return shrunk(image, np.ascontiguousarray(dataset.annotations.mask(name, *image.shape[:2]).transpose(2, 0, 1)))


def shrunk(image: np.ndarray, masks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Shrink an image (H, W, 3) and its masks (C, H, W) to a longer side of ``LONGEST``; smaller ones stay."""
    height, width = image.shape[:2]
    scale = LONGEST / max(height, width)
    if scale >= 1:
        return image, masks
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    # A cell of the small mask counts when any of it is covered, so that thin cracks stay in sight.
    cells = [cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0 for mask in masks]
    return small, np.stack(cells).astype(np.uint8) if len(masks) else np.zeros((0, *small.shape[:2]), np.uint8)

"""What happens to an image and its masks on the way to the network; every random choice comes from one seed a sample."""

from collections.abc import Sequence
from typing import Any

import albumentations as A
import cv2
import numpy as np

from utils.data.rectangles import Rectangles

LEAST_SIDE = 8  # of an image that is distorted, in pixels


def augmentation(name: str) -> A.Compose | None:
    """Make the random changes of training.

    Args:
        name: ``published`` (flips, shift and scale, light, grid and optical distortion), ``flips`` (both flips and a
            little light), ``d4`` (all eight symmetries of a square and a little light), ``strong`` (those symmetries and
            wider ranges of what ``published`` has, and small turns) or ``none``.

    Returns:
        A Compose for uint8 ``(H, W, channels)`` images with ``(H, W, C)`` masks, or None. The image size is kept, with
        ``d4`` and ``strong`` that of a square.
    """
    flips = [A.HorizontalFlip(p=0.5), A.VerticalFlip(p=0.5)]
    if name == "none":
        return None
    little_light = A.RandomBrightnessContrast(brightness_limit=0.15, contrast_limit=0.15, p=0.5)
    if name == "flips":
        return A.Compose([*flips, little_light])
    if name == "d4":
        return A.Compose([A.D4(p=1.0), little_light])
    # Reflecting keeps the steel's texture at the border; black would look like the edge of a strip.
    border = cv2.BORDER_REFLECT_101
    shift = {"x": (-0.0625, 0.0625), "y": (-0.0625, 0.0625)}
    distortion = _Distortion([A.GridDistortion(p=1.0), A.OpticalDistortion(p=1.0)], p=0.3)
    if name == "strong":
        return A.Compose(
            [
                A.D4(p=1.0),
                A.Affine(scale=(0.75, 1.33), translate_percent=shift, rotate=(-10, 10), border_mode=border, p=0.7),
                A.RandomBrightnessContrast(brightness_limit=0.25, contrast_limit=0.25, p=0.7),
                distortion,
            ]
        )
    return A.Compose(
        [
            *flips,
            A.Affine(scale=(0.9, 1.1), translate_percent=shift, border_mode=border, p=0.5),
            A.RandomBrightnessContrast(brightness_limit=0.2, contrast_limit=0.2, p=0.5),
            distortion,
        ]
    )


class _Distortion(A.OneOf):
    """A distortion that leaves images alone whose sides are too short for its grid, which cannot be laid over them."""

    def __call__(self, *args: Any, **data: Any) -> dict[str, Any]:
        return data if min(data["image"].shape[:2]) < LEAST_SIDE else super().__call__(*args, **data)


def resize(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resize an ``(H, W, channels)`` uint8 image to the given pixels, bilinear."""
    if image.shape[:2] == (height, width):
        return image
    resized = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
    return resized.reshape(height, width, -1)  # OpenCV drops the axis of one channel


def resize_soft(levels: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resize ``(H, W, C)`` uint8 levels of probability as their image is, bilinear."""
    if levels.shape[:2] == (height, width):
        return levels
    planes = [cv2.resize(plane, (width, height), interpolation=cv2.INTER_LINEAR) for plane in levels.transpose(2, 0, 1)]
    return np.stack(planes, axis=2)


def grown(start: tuple[int, int], full: tuple[int, int], share: float) -> tuple[int, int]:
    """Return the size of a training image on its way from small to full (progressive resizing).

    Args:
        start: (H, W) in pixels that it begins at; a side that is not below that of ``full`` stays full.
        full: (H, W) in pixels that it grows to.
        share: of the way, 0..1.

    Returns:
        (H, W) in pixels, on the way rounded to multiples of 32, which encoders take without padding.
    """
    if share >= 1:
        return full
    height, width = (
        min(end, max(small, 32 * round((small + share * (end - small)) / 32))) if small < end else end
        for small, end in zip(start, full, strict=True)
    )
    return height, width


def resize_both(image: np.ndarray, masks: np.ndarray, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Resize an image bilinearly and its ``(H, W, C)`` masks to the nearest pixel."""
    if image.shape[:2] == (height, width):
        return image, masks
    changed = cv2.resize(masks, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
    return resize(image, height, width), changed.reshape(height, width, -1)


def crop_window(
    defects: Sequence[Rectangles], height: int, width: int, defect_share: float, random: np.random.Generator
) -> tuple[int, int]:
    """Choose where a training crop lies.

    Args:
        defects: C classes of the whole image.
        height: of the crop, in pixels; larger than the image means the whole height.
        width: of the crop, in pixels.
        defect_share: probability 0..1 that the crop holds a defect pixel, if the image has one. The class is drawn
            first, so that small classes are seen as often as large ones.
        random: source of the choice.

    Returns:
        Top row and left column.
    """
    most_top, most_left = max(defects[0].height - height, 0), max(defects[0].width - width, 0)
    present = [part for part in defects if part.count]
    if present and random.random() < defect_share:
        part = present[random.integers(len(present))]
        row, column = part.pixel(int(random.integers(part.count)))
        top = random.integers(max(0, row - height + 1), min(row, most_top) + 1)
        left = random.integers(max(0, column - width + 1), min(column, most_left) + 1)
        return int(top), int(left)
    return int(random.integers(0, most_top + 1)), int(random.integers(0, most_left + 1))


def black_out(
    image: np.ndarray, masks: np.ndarray, probability: float, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Paint connected defects black and remove their label, each with ``probability``.

    The network then cannot learn that one defect comes with another. All classes under a painted pixel lose it.

    Args:
        image: ``(H, W, channels)`` uint8.
        masks: ``(H, W, C)`` uint8.
        probability: 0..1 for each connected defect of any class.
        random: source of the choice.

    Returns:
        Changed copies, or the same arrays when nothing was painted.
    """
    defects = masks[..., 0].copy()
    for channel in range(1, masks.shape[2]):  # ten times as fast as max(axis=2)
        defects |= masks[..., channel]
    count, labels = cv2.connectedComponents(defects, connectivity=8)
    if count == 1:
        return image, masks
    painted = np.concatenate([[False], random.random(count - 1) < probability])
    if not painted.any():
        return image, masks
    pixels = np.flatnonzero(painted[labels])
    image, masks = image.copy(), masks.copy()  # the image may be shared by all processes
    image.reshape(-1, image.shape[2])[pixels] = 0
    masks.reshape(-1, masks.shape[2])[pixels] = 0
    return image, masks


def pad(image: np.ndarray, masks: np.ndarray, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Mirror an image and its masks to the right and below until they have the given size, labels staying true."""
    amount = ((0, height - image.shape[0]), (0, width - image.shape[1]), (0, 0))
    if amount == ((0, 0), (0, 0), (0, 0)):
        return image, masks
    return np.pad(image, amount, mode="symmetric"), np.pad(masks, amount, mode="symmetric")

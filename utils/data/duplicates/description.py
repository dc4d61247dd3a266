"""What is kept of an image to find its near-duplicates: its texture, a hash of the whole, and patches of it."""

from dataclasses import dataclass

import cv2
import numpy as np

from utils.data.duplicates.symmetry import FLIPPED, MIRRORED, SYMMETRIES, TRANSPOSED, lay

PIXELS = 65_536  # images are shrunk to about this many: 1 byte each stays in memory, and time does not depend on size
POINTS = 16  # salient points an image
REACH = 12  # pixels around a point that its patch covers
PATCH = 8  # side of a patch after shrinking
HASH = 8  # side of the block of low frequencies that the hash is made of; the constant one is left out


@dataclass(frozen=True)
class Description:
    """What is kept of an image.

    Attributes:
        texture: (H, W) int8 grey levels, uneven light removed.
        hashes: (8, 63) int8, -1 or 1: the perceptual hash of each symmetry of the image.
        points: (K, 2) int64 rows and columns of salient points.
        symmetries: (K,) int64: what lays the patch of each point into its canonical position.
        patches: (K, PATCH * PATCH) float32 of mean 0 and length 1, in canonical position.
    """

    texture: np.ndarray
    hashes: np.ndarray
    points: np.ndarray
    symmetries: np.ndarray
    patches: np.ndarray


def describe(grey: np.ndarray, scale: float, count: int = POINTS) -> Description:
    """Describe an image.

    Args:
        grey: (H, W) uint8.
        scale: 0..1, what the sides are multiplied by; the same for all images, since a shift is only found at equal
            scale.
        count: salient points wanted, the strongest first.
    """
    if scale < 1:
        down, right = (max(scale, 1 / side) for side in grey.shape)  # a line among large images keeps its one pixel
        grey = cv2.resize(grey, None, fx=right, fy=down, interpolation=cv2.INTER_AREA)
    texture = grey.astype(np.float32)
    texture -= cv2.GaussianBlur(texture, (0, 0), 8)
    points, symmetries, patches = _salient(texture, count)
    return Description(np.clip(np.rint(texture), -127, 127).astype(np.int8), _hashes(grey), points, symmetries, patches)


def _hashes(grey: np.ndarray) -> np.ndarray:
    """Hash an image as each symmetry lays it: which low frequencies are above their median (Zauner, 2010)."""
    small = cv2.resize(grey, (32, 32), interpolation=cv2.INTER_AREA).astype(np.float32)
    low = cv2.dct(small)[:HASH, :HASH]
    # A mirror changes the sign of every second frequency across it, so that one transformation does for all eight.
    signs = np.where(np.arange(HASH) % 2, -1, 1).astype(np.float32)
    found = []
    for symmetry in SYMMETRIES:
        turned = low.T if symmetry & TRANSPOSED else low
        if symmetry & MIRRORED:
            turned = turned * signs
        if symmetry & FLIPPED:
            turned = turned * signs[:, None]
        frequencies = turned.ravel()[1:]
        found.append(np.where(frequencies > np.median(frequencies), 1, -1))
    return np.array(found, dtype=np.int8)


def _salient(texture: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find the strongest blobs and corners, and lay the patch around each so that its weight is right and low.

    Of right and low the heavier one becomes right, so that turned and mirrored copies give the same patch.
    """
    blobs = np.abs(cv2.GaussianBlur(texture, (0, 0), 1.5) - cv2.GaussianBlur(texture, (0, 0), 3))
    peaks = blobs == cv2.dilate(blobs, np.ones((9, 9)))
    inside = np.zeros_like(peaks)
    inside[REACH:-REACH, REACH:-REACH] = True
    ys, xs = np.nonzero(peaks & inside)
    strongest = np.argsort(-blobs[ys, xs], kind="stable")[:count]
    smooth = cv2.GaussianBlur(texture, (0, 0), 2)
    lever = np.arange(-REACH, REACH + 1, dtype=np.float32)
    points, symmetries, patches = [], [], []
    for y, x in zip(ys[strongest].tolist(), xs[strongest].tolist(), strict=True):
        patch = smooth[y - REACH : y + REACH + 1, x - REACH : x + REACH + 1]
        right, low = float(patch.sum(axis=0) @ lever), float(patch.sum(axis=1) @ lever)
        symmetry = 0
        if abs(low) > abs(right):
            symmetry, right, low = TRANSPOSED, low, right
        symmetry |= MIRRORED * (right < 0) | FLIPPED * (low < 0)
        laid = np.ascontiguousarray(lay(patch, symmetry))
        shrunk = cv2.resize(laid, (PATCH, PATCH), interpolation=cv2.INTER_AREA).ravel()
        shrunk = shrunk - shrunk.mean()
        length = float(np.linalg.norm(shrunk))
        if length > PATCH:  # a contrast of one grey level: less is noise
            points.append((y, x))
            symmetries.append(symmetry)
            patches.append(shrunk / length)
    return (
        np.array(points, dtype=np.int64).reshape(-1, 2),
        np.array(symmetries, dtype=np.int64),
        np.array(patches, dtype=np.float32).reshape(-1, PATCH * PATCH),
    )

"""The pixels of one defect, painted once and pressed into every image that shows a part of it."""

import math
from dataclasses import dataclass

import cv2
import numpy as np

from utils.data.synthetic import cracks, patches, pits, scratches
from utils.data.synthetic.canvas import Canvas
from utils.data.synthetic.noise import FloatImage, Mask, blob
from utils.data.synthetic.statistics import CLASS_NAMES
from utils.data.synthetic.surface import Surface

PAINTERS_TRIED = 8


@dataclass(frozen=True)
class StampPixels:
    """A defect apart from any strip.

    Attributes:
        class_name: what it is.
        gain: (h, w) float32 that the strip's grey values are multiplied by.
        mask: (h, w) uint8 of 0/1, its label: one connected part that touches all four sides.
    """

    class_name: str
    gain: FloatImage
    mask: Mask

    @property
    def shape(self) -> tuple[int, int]:
        return self.mask.shape[0], self.mask.shape[1]


def paint(rng: np.random.Generator, class_name: str, size: tuple[int, int], contrast: float) -> StampPixels:
    """Paint one defect.

    Args:
        rng: source of chance.
        class_name: one of ``CLASS_NAMES``.
        size: wanted (along, across) in pixels; the defect's own is near it.
        contrast: strength; 1 is as real ones look.

    Returns:
        The defect. One that its painter cannot make as small as this is a plain dark spot.
    """
    class_id = CLASS_NAMES.index(class_name) + 1
    height, width = max(3, size[0]), max(3, size[1])
    # Each painter places itself: the canvas is a little larger than what it shall paint.
    shape = (height, width) if class_id == scratches.CLASS_ID else (height + 8, width + 8)
    for _ in range(PAINTERS_TRIED):
        blank = np.ones(shape, np.float32)
        scale = float(np.clip(min(shape) / 64.0, 0.25, 1.0))
        canvas = Canvas(Surface(blank, np.ones(shape, np.float32), 0, shape[1], shape[0], scale, ""))
        canvas.contrast = np.float32(contrast)
        area = 0.6 * height * width
        if class_id == pits.CLASS_ID:
            done = pits.add_pit(rng, canvas, area, shape[1] / 2.0)
        elif class_id == cracks.CLASS_ID:
            done = cracks.add_crack(rng, canvas, area, shape[1] / 2.0)
        elif class_id == scratches.CLASS_ID:
            done = scratches.add_lines(rng, canvas, 0.95 * height * width)
        else:
            done = patches.add_patch(rng, canvas, area)
        found = _cut(canvas) if done else None
        if found is not None and found[1].shape[0] >= 0.4 * height:
            return StampPixels(class_name, *found)
    body = np.clip(2.0 * blob(rng, (height, width), 0.2), 0.0, 1.0)
    mask = main_part((body > 0.0).astype(np.uint8))
    if not mask.any():
        mask[:] = 1
    rows, columns = _box(mask)
    gain = np.maximum(1.0 - 0.45 * contrast * body, 0.1)[rows, columns]
    return StampPixels(class_name, gain.astype(np.float32), np.ascontiguousarray(mask[rows, columns]))


def _cut(canvas: Canvas) -> tuple[FloatImage, Mask] | None:
    """Cut the main part of the label out of a canvas, with its gain; none: there is none."""
    mask = main_part((canvas.labels > 0).astype(np.uint8))
    if not mask.any():
        return None
    rows, columns = _box(mask)
    return canvas.surface.image[rows, columns].copy(), np.ascontiguousarray(mask[rows, columns])


def main_part(mask: Mask) -> Mask:
    """Return the largest connected part of a mask, as a mask, without necks that a camera of less sight would not see."""
    mask = cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8), borderValue=0)
    _, parts, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=4)
    if len(stats) < 2:
        return mask
    return (parts == 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))).astype(np.uint8)


def _box(mask: Mask) -> tuple[slice, slice]:
    """Return the rows and columns that a mask spans."""
    left, top, width, height = cv2.boundingRect(mask)
    return slice(top, top + height), slice(left, left + width)


def press(
    image: FloatImage, labels: Mask, stamp: StampPixels, top: float, left: float, step: tuple[float, float]
) -> bool:
    """Press a defect into an image, which may show only a part of it.

    Args:
        image: (H, W) float32 grey values, changed.
        labels: (H, W) uint8, set to 1 where the middle of a pixel lies on the defect.
        stamp: the defect.
        top, left: where the stamp begins, in pixels of the image, broken ones too.
        step: pixels of the stamp that one pixel of the image covers, along and across.

    Returns:
        Whether the image shows a labelled part of it.
    """
    height, width = stamp.shape
    row0, row1 = max(0, math.floor(top)), min(image.shape[0], math.ceil(top + height / step[0]))
    column0, column1 = max(0, math.floor(left)), min(image.shape[1], math.ceil(left + width / step[1]))
    if row0 >= row1 or column0 >= column1:
        return False
    # Middle of pixel (row, column) of the image -> its place in the stamp, whose pixel 0 has its middle at 0.
    to_stamp = np.array(
        [
            [step[1], 0.0, (column0 + 0.5 - left) * step[1] - 0.5],
            [0.0, step[0], (row0 + 0.5 - top) * step[0] - 0.5],
        ]
    )
    size = (column1 - column0, row1 - row0)
    gain = _warp(stamp.gain, to_stamp, size, 1.0)
    # Labels have hard borders, so that a pixel is lit when its middle lies on the defect.
    rows = np.floor((np.arange(row0, row1) + 0.5 - top) * step[0]).astype(int)
    columns = np.floor((np.arange(column0, column1) + 0.5 - left) * step[1]).astype(int)
    inside = ((rows >= 0) & (rows < height))[:, None] & ((columns >= 0) & (columns < width))[None, :]
    lit = stamp.mask[np.clip(rows, 0, height - 1)[:, None], np.clip(columns, 0, width - 1)[None, :]] * inside
    image[row0:row1, column0:column1] *= gain
    labels[row0:row1, column0:column1] |= lit.astype(np.uint8)
    return bool(lit.any())


def _warp(values: FloatImage, to_stamp: np.ndarray, size: tuple[int, int], beyond: float) -> FloatImage:
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(values, to_stamp, size, flags=flags, borderMode=cv2.BORDER_CONSTANT, borderValue=(beyond,))

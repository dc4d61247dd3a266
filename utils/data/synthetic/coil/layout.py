"""Where the cameras of a drawn line look: which piece of the strip each frame shows."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from utils.data.synthetic.noise import Mask


@dataclass(frozen=True)
class DrawnCamera:
    """One camera of a drawn line. ``rows`` run along the strip and ``columns`` across it, however images are stored.

    Attributes:
        name: as in ``positions.csv``.
        left: where its images begin across, millimetres from the strip's left edge; negative: in the dark beside it.
        first: where its first frame begins along the strip, millimetres.
        step: millimetres from the beginning of a frame to that of the next one.
        rows, columns: pixels of a frame along and across.
        along, across: millimetres under one pixel.
        sensor_ends: columns at which one sensor ends and the next begins.
    """

    name: str
    left: float
    first: float
    step: float
    rows: int
    columns: int
    along: float
    across: float
    sensor_ends: tuple[int, ...] = ()

    def begin(self, frame: int) -> float:
        """Return where a frame, from 0, begins along the strip."""
        return self.first + frame * self.step

    @property
    def right(self) -> float:
        return self.left + self.columns * self.across


@dataclass(frozen=True)
class Layout:
    """All cameras of a line over one strip.

    Attributes:
        cameras: from left to right.
        frames: of each camera.
        length, width: of the strip, millimetres; the cameras see all of its width.
    """

    cameras: tuple[DrawnCamera, ...]
    frames: int
    length: float
    width: float

    @property
    def head(self) -> float:
        """Where all cameras have begun to see, millimetres along the strip."""
        return max(camera.first for camera in self.cameras)

    def borders(self) -> NDArray[np.float64]:
        """Return where frames begin or end along the strip, millimetres, away from its ends."""
        places = [
            camera.begin(frame) + end
            for camera in self.cameras
            for frame in range(self.frames)
            for end in (0.0, camera.rows * camera.along)
        ]
        return np.array([place for place in places if self.head < place < self.length])

    def seams(self) -> NDArray[np.float64]:
        """Return where cameras, or sensors, begin or end across the strip, millimetres, away from its edges."""
        places = [place for camera in self.cameras for place in (camera.left, camera.right)]
        return np.array([place for place in [*places, *self.sensor_ends()] if 0.0 < place < self.width])

    def sensor_ends(self) -> NDArray[np.float64]:
        """Return where one sensor of a camera ends and the next begins, millimetres across the strip."""
        return np.array([camera.left + end * camera.across for camera in self.cameras for end in camera.sensor_ends])


def make_layout(
    cameras: int,
    frames: int,
    rows: int,
    columns: int,
    scale: tuple[float, float],
    camera_scale: float,
    frame_overlap: int,
    camera_overlap: int,
    margin: float,
    seams: int = 0,
    uneven: bool = True,
) -> Layout:
    """Place cameras side by side over a strip.

    Args:
        cameras: number of them.
        frames: of each.
        rows, columns: pixels of a frame along and across.
        scale: millimetres under a pixel of the first camera, along and across.
        camera_scale: millimetres under a pixel of each further camera, relative to the one before.
        frame_overlap, camera_overlap: pixels that a frame shares with the next one, and a camera with its neighbour.
        margin: millimetres of dark on either side of the strip.
        seams: places inside each image where one sensor ends and the next begins.
        uneven: each camera is triggered some broken number of pixels after its neighbour, as in a real line.
    """
    placed: list[DrawnCamera] = []
    # All cameras are triggered together: the one that sees least must not leave gaps.
    step = (rows - frame_overlap) * scale[0] * min(1.0, camera_scale ** (cameras - 1))
    left = -margin
    ends = tuple(round(columns * (number + 1) / (seams + 1)) for number in range(seams))
    for number in range(cameras):
        factor = camera_scale**number
        along, across = scale[0] * factor, scale[1] * factor
        first = 0.37 * number * step % step if uneven else 0.0
        placed.append(DrawnCamera(str(number + 1), left, first, step, rows, columns, along, across, ends))
        # Cameras hang where a hand could mount them: their images begin at broken pixels.
        left += (columns - camera_overlap) * across - (0.31 * across if uneven else 0.0)
    length = min(camera.begin(frames - 1) + rows * camera.along for camera in placed)
    return Layout(tuple(placed), frames, length, placed[-1].right - margin)


def stored(picture: Mask, along: str, reversed_along: bool, reversed_across: bool) -> Mask:
    """Turn a picture whose rows run from head to tail, and whose columns from left to right, as its camera stores it.

    Args:
        picture: (rows, columns) or more axes.
        along: image axis that runs along the strip, ``x`` or ``y``.
        reversed_along: the head is at the end of that axis.
        reversed_across: the left edge is at the end of the other one.
    """
    if reversed_along:
        picture = picture[::-1]
    if reversed_across:
        picture = picture[:, ::-1]
    return np.ascontiguousarray(picture.swapaxes(0, 1) if along == "x" else picture)

"""What each camera of a drawn line sees: steel of one piece under uneven light, the dark beside it, dirt on the lens."""

import math
from dataclasses import dataclass

import cv2
import numpy as np
import pandas as pd

from utils.data.coil_truth import TRUE_ARTEFACT_COLUMNS
from utils.data.synthetic.coil.layout import DrawnCamera, Layout, stored
from utils.data.synthetic.coil.stamps import StampPixels, main_part, press
from utils.data.synthetic.coil.strip import PlacedDefect
from utils.data.synthetic.noise import FloatImage, Mask, blob, noise
from utils.data.synthetic.statistics import CLASS_NAMES
from utils.data.synthetic.surface import DARK, make_surface

# Share of the frames in which a network takes a speck of dirt for a defect.
DIRT_SEEN = 0.9
MOST_TEXTURE_ROWS = 2048


@dataclass(frozen=True)
class Dirt:
    """A speck on a lens.

    Attributes:
        camera: index of its camera.
        row, column: where it begins in every frame of that camera.
        stamp: its pixels.
    """

    camera: int
    row: int
    column: int
    stamp: StampPixels


@dataclass(frozen=True)
class Frame:
    """One image, turned as its camera stores it.

    Attributes:
        image: (H, W) uint8 grey values.
        labels: (H, W, classes) uint8 of 0/1: the defects.
        seen: the same, with the dirt that a network takes for defects.
        shown: indices of the defects that it shows a part of.
    """

    image: Mask
    labels: Mask
    seen: Mask
    shown: tuple[int, ...]


class Line:
    """A line that can show any of its frames, in any order.

    Args:
        seed: fixes every pixel.
        layout: the cameras.
        placed: what lies on the strip, in the order along it.
        dirt: specks on each lens.
        along, reversed_along, reversed_across: how the cameras store their images.
    """

    def __init__(
        self,
        seed: int,
        layout: Layout,
        placed: list[PlacedDefect],
        dirt: int,
        along: str = "y",
        reversed_along: bool = False,
        reversed_across: bool = False,
    ) -> None:
        self.seed, self.layout, self.placed = seed, layout, placed
        self.turned = (along, reversed_along, reversed_across)
        rng = np.random.default_rng([seed, 1])
        first = layout.cameras[0]
        self._texture = _texture(rng, first, layout.width)
        knots = max(4, math.ceil(layout.length / first.along / 40.0))
        self._edges = rng.normal(0.0, 0.35, (2, knots))  # pixels that each edge strays, along the strip
        self._exposure = np.exp(rng.normal(0.0, 0.1, len(layout.cameras)))
        self.dirt = [_speck(rng, layout, camera) for camera in range(len(layout.cameras)) for _ in range(dirt)]
        self._begins = np.array([one.row * first.along for one in placed])
        self._longest = max((one.stamp.shape[0] * first.along for one in placed), default=0.0)

    def frame(self, camera: int, number: int) -> Frame:
        """Draw a frame, ``number`` from 0, of a camera by its index."""
        eye, first = self.layout.cameras[camera], self.layout.cameras[0]
        rng = np.random.default_rng([self.seed, 2, camera, number])
        image, steel = self._steel(eye, camera, number, rng)
        labels = np.zeros((len(CLASS_NAMES), eye.rows, eye.columns), np.uint8)
        begin, end = eye.begin(number), eye.begin(number) + eye.rows * eye.along
        step = (eye.along / first.along, eye.across / first.across)
        shown = []
        low, high = np.searchsorted(self._begins, (begin - self._longest - first.along, end))
        for index in range(int(low), int(high)):
            one = self.placed[index]
            top = (one.row * first.along - begin) / eye.along
            left = (one.column * first.across - eye.left) / eye.across
            channel = labels[CLASS_NAMES.index(one.stamp.class_name)]
            if press(image, channel, one.stamp, top, left, step):
                shown.append(index)
        for end in eye.sensor_ends:
            # No network sees a defect go on where grey values jump: it loses the column at the seam.
            labels[:, :, end] = 0
        seen = labels.copy()
        for speck in self.dirt:
            if speck.camera == camera:
                # Where a defect lies under the speck or beside it, a network sees the defect.
                rows = slice(max(0, speck.row - 1), speck.row + speck.stamp.shape[0] + 1)
                columns = slice(max(0, speck.column - 1), speck.column + speck.stamp.shape[1] + 1)
                taken = rng.random() < DIRT_SEEN and not labels[:, rows, columns].any()
                channel = seen[CLASS_NAMES.index(speck.stamp.class_name)] if taken else np.zeros(image.shape, np.uint8)
                press(image, channel, speck.stamp, speck.row, speck.column, (1.0, 1.0))
        image = image * steel + np.float32(DARK) * (1.0 - steel)
        image += rng.standard_normal(image.shape, dtype=np.float32) * np.float32(1.3)
        grey = np.clip(image + 0.5, 0.0, 255.0).astype(np.uint8)
        masks = [stored(np.moveaxis(one, 0, 2), *self.turned) for one in (labels, seen)]
        return Frame(stored(grey, *self.turned), masks[0], masks[1], tuple(shown))

    def artefacts(self) -> pd.DataFrame:
        """Return the table of the specks, ``TRUE_ARTEFACT_COLUMNS``, in pixels of the images as they are stored."""
        rows = []
        for speck in self.dirt:
            eye = self.layout.cameras[speck.camera]
            lit = np.zeros((eye.rows, eye.columns), np.uint8)
            height, width = speck.stamp.shape
            lit[speck.row : speck.row + height, speck.column : speck.column + width] = speck.stamp.mask
            box = cv2.boundingRect(stored(lit, *self.turned))
            rows.append((eye.name, *box, self.layout.frames))
        return pd.DataFrame(rows, columns=list(TRUE_ARTEFACT_COLUMNS))

    def _steel(
        self, eye: DrawnCamera, camera: int, number: int, rng: np.random.Generator
    ) -> tuple[FloatImage, FloatImage]:
        """Draw the sound strip under a frame: grey values, and 1 where there is steel."""
        first = self.layout.cameras[0]
        rows = (eye.begin(number) + (np.arange(eye.rows) + 0.5) * eye.along) / first.along
        columns = (eye.left + (np.arange(eye.columns) + 0.5) * eye.across) / first.across
        height, width = self._texture.shape
        turn = np.floor(rows).astype(int) % (2 * height)
        # Mirrored at its ends, so that the texture goes on for ever without a step.
        turn = np.where(turn < height, turn, 2 * height - 1 - turn)
        image = self._texture[turn[:, None], np.clip(np.floor(columns).astype(int), 0, width - 1)[None, :]]
        middle = np.linspace(-1.0, 1.0, eye.columns, dtype=np.float32)
        light = self._exposure[camera] * math.exp(rng.normal(0.0, 0.03)) * (1.0 - 0.25 * np.square(middle))
        for sensor, place in enumerate(eye.sensor_ends):
            light[place:] *= 0.88 if sensor % 2 else 1.12
        knots = np.linspace(0.0, self.layout.length / first.along, self._edges.shape[1])
        left, right = (np.interp(rows, knots, stray) for stray in self._edges)
        breadth = self.layout.width / first.across
        inside = np.minimum(columns[None, :] - left[:, None], breadth + right[:, None] - columns[None, :])
        return image * light.astype(np.float32), np.clip(inside + 0.5, 0.0, 1.0).astype(np.float32)


def _texture(rng: np.random.Generator, first: DrawnCamera, width: float) -> FloatImage:
    """Draw a piece of sound strip as wide as the strip, in pixels of the first camera."""
    size = (int(np.clip(2 * first.rows, 256, MOST_TEXTURE_ROWS)), max(1, math.ceil(width / first.across)))
    while True:
        surface = make_surface(rng, size, edge_chance=0.0, widest_dark=0.5)
        if surface.bottom == size[0]:  # now and then a strip ends in the picture
            return surface.image


def _speck(rng: np.random.Generator, layout: Layout, camera: int) -> Dirt:
    """Draw a speck over the steel that a camera sees."""
    eye = layout.cameras[camera]
    height, width = (min(int(rng.integers(6, 26)), int(0.4 * side)) for side in (eye.rows, eye.columns))
    body = np.clip(2.0 * blob(rng, (height, width), 0.2), 0.0, 1.0)
    body *= 1.0 + 0.2 * noise(rng, (height, width), (3.0, 3.0))
    mask = main_part((body > 0.1).astype(np.uint8))
    stamp = StampPixels(str(rng.choice(["pits", "patches"])), np.clip(1.0 - 0.5 * body, 0.2, 1.0), mask)
    low = max(0, math.ceil(-eye.left / eye.across) + 2)
    high = min(eye.columns, math.floor((layout.width - eye.left) / eye.across) - 2) - width
    return Dirt(camera, int(rng.integers(0, eye.rows - height)), int(rng.integers(low, max(low + 1, high))), stamp)

"""Shapes that people draw in labelling programs, and the pixels that each of them labels.

A shape has ``draw(height, width, tally)``, which returns ``(H, W)`` bool and counts in the tally what has to be told.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import cv2
import numpy as np

from utils.data.convert.polygons import FARTHEST, draw_outlines
from utils.errors import InputError
from utils.text import plural

# What a tally counts, beside what draw_outlines does.
BOXES, LINES = "boxes", "lines"


class Shape(Protocol):
    """What labels pixels of an image."""

    def draw(self, height: int, width: int, tally: "Counter[str]") -> np.ndarray:
        """Draw the shape: (H, W) bool; raises ``InputError`` where it does not fit the image."""


@dataclass(frozen=True)
class Outline:
    """A polygon: pixels whose centre lies inside, without those inside of a hole.

    Attributes:
        corners: (n, 2) float, x and y in pixels, (0, 0) is the image's upper left corner.
        holes: as ``corners``.
        is_box: drawn as an upright rectangle, which may be a box around a defect rather than its outline.
    """

    corners: np.ndarray
    holes: tuple[np.ndarray, ...] = ()
    is_box: bool = False

    def draw(self, height: int, width: int, tally: "Counter[str]") -> np.ndarray:
        """Draw the polygon; a hole takes away the pixels whose centre it holds."""
        drawn = draw_outlines([self.corners], height, width, tally)
        for hole in self.holes:
            drawn &= ~draw_outlines([hole], height, width)
        tally[BOXES] += self.is_box
        return drawn


@dataclass(frozen=True)
class Ellipse:
    """An ellipse: pixels whose centre lies inside.

    Attributes:
        x, y: of its centre in pixels.
        half_width, half_height: of the ellipse before it is turned, pixels.
        degrees: by which it is turned clockwise on the screen.
    """

    x: float
    y: float
    half_width: float
    half_height: float
    degrees: float = 0.0

    def draw(self, height: int, width: int, tally: "Counter[str]") -> np.ndarray:
        """Draw the ellipse; one that holds no pixel centre is the pixel that its own centre lies in."""
        angle = np.deg2rad(self.degrees)
        across, down = np.arange(width) + 0.5 - self.x, (np.arange(height) + 0.5 - self.y)[:, None]
        along = across * np.cos(angle) + down * np.sin(angle)
        beside = down * np.cos(angle) - across * np.sin(angle)
        a, b = max(self.half_width, 1e-9), max(self.half_height, 1e-9)
        drawn: np.ndarray = (along / a) ** 2 + (beside / b) ** 2 <= 1
        if not drawn.any():
            drawn = draw_outlines([np.array([[self.x, self.y]])], height, width, tally)
        return drawn


@dataclass(frozen=True)
class Line:
    """A line or points, which have no width: the pixels that they pass.

    Attributes:
        corners: (n, 2) float as of ``Outline``.
        joined: by lines; else each is a point by itself.
    """

    corners: np.ndarray
    joined: bool = True

    def draw(self, height: int, width: int, tally: "Counter[str]") -> np.ndarray:
        """Draw the line one pixel wide."""
        tally[LINES] += 1
        drawn = np.zeros((height, width), dtype=np.uint8)
        corners = np.floor(np.clip(self.corners, -FARTHEST, FARTHEST)).astype(np.int32)
        if self.joined:
            cv2.polylines(drawn, [corners], False, 1)
        inside = corners[((corners >= 0) & (corners < (width, height))).all(axis=1)]
        drawn[inside[:, 1], inside[:, 0]] = 1
        return drawn.astype(bool)


@dataclass(frozen=True)
class PixelCorners:
    """A polygon whose corners name pixels that belong to it, as OpenCV fills it; corners of a hole do not belong to it.

    Attributes:
        corners: (n, 2) whole numbers, column and row of pixels.
        holes: as ``corners``.
    """

    corners: np.ndarray
    holes: tuple[np.ndarray, ...] = ()

    def draw(self, height: int, width: int, tally: "Counter[str]") -> np.ndarray:
        """Draw the polygon with its border, and take away each hole with its border."""
        drawn = np.zeros((height, width), dtype=np.uint8)
        for corners, value in [(self.corners, 1), *((hole, 0) for hole in self.holes)]:
            whole = np.clip(corners, -FARTHEST, FARTHEST).astype(np.int32)
            cv2.fillPoly(drawn, [whole], value)
        return drawn.astype(bool)


@dataclass(frozen=True)
class Patch:
    """A mask of a part of the image.

    Attributes:
        where: for messages.
        x, y: column and row of its upper left pixel in the image; they may lie outside.
        read: returns (h, w) bool of the part; raises ``InputError``.
    """

    where: str
    x: int
    y: int
    read: Callable[[int, int], np.ndarray]

    def draw(self, height: int, width: int, tally: "Counter[str]") -> np.ndarray:
        """Draw the part; what lies outside of the image is an error, since the mask is then of another image."""
        part = self.read(height, width)
        bottom, right = self.y + part.shape[0], self.x + part.shape[1]
        if self.x < 0 or self.y < 0 or bottom > height or right > width:
            raise InputError(
                f"{self.where}: its mask reaches from {self.x},{self.y} to {right},{bottom}, but the image is"
                f" {height}x{width}; correct or remove it"
            )
        drawn = np.zeros((height, width), dtype=bool)
        drawn[self.y : bottom, self.x : right] = part
        return drawn


def box(left: float, top: float, right: float, bottom: float, degrees: float = 0.0) -> Outline:
    """Make a rectangle, turned clockwise about its centre."""
    corners = np.array([[left, top], [right, top], [right, bottom], [left, bottom]], dtype=np.float64)
    return Outline(turned(corners, corners.mean(axis=0), degrees), is_box=True)


def turned(corners: np.ndarray, centre: np.ndarray, degrees: float) -> np.ndarray:
    """Turn (n, 2) corners clockwise on the screen about a point."""
    if not degrees:
        return corners
    sine, cosine = np.sin(np.deg2rad(degrees)), np.cos(np.deg2rad(degrees))
    x, y = (corners - centre).T
    return np.stack([x * cosine - y * sine, x * sine + y * cosine], axis=1) + centre


def read_corners(where: str, value: Any, least: int) -> np.ndarray:
    """Read corners from pairs of numbers.

    Args:
        where: for messages.
        value: a list of [x, y].
        least: number of corners that the shape needs.

    Returns:
        (n, 2) float64.

    Raises:
        InputError: too few, not numbers, not finite (NaN), or farther away than any image reaches.
    """
    try:
        corners = np.array(value, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        raise InputError(f"{where}: its corners are no pairs of numbers; correct or remove it") from None
    if corners.ndim != 2 or corners.shape[1] != 2 or len(corners) < least:
        raise InputError(f"{where}: needs at least {plural(least, 'x,y pair')} of numbers; correct or remove it")
    if not np.isfinite(corners).all():
        raise InputError(f"{where}: a corner is not a finite number (NaN, Infinity); correct or remove it")
    if np.abs(corners).max() > FARTHEST:
        raise InputError(f"{where}: a corner lies more than {FARTHEST:,.0f} pixels away; correct or remove it")
    return corners


def read_numbers(where: str, values: Sequence[Any]) -> list[float]:
    """Read finite numbers, each at most ``FARTHEST``; raises ``InputError``."""
    return read_corners(where, [[value, 0] for value in values], len(values))[:, 0].tolist()


def about_shapes(tally: "Counter[str]") -> list[str]:
    """Tell what a tally counted of boxes and lines, a line each."""
    notes = []
    if tally[BOXES]:
        count = plural(tally[BOXES], "rectangle")
        notes.append(f"warning: {count} filled; where one is a box around a defect, draw the defect's outline instead")
    if tally[LINES]:
        notes.append(
            f"{plural(tally[LINES], 'line')} or points drawn one pixel wide; draw outlines where defects are wider"
        )
    return notes

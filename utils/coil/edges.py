"""Where the strip ends in an image: the dark beside it, told from seams between cameras and from dark stretches of the strip.

Every frame is judged by its own light, since cameras adapt their exposure; what one frame does not show is taken from the
others.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np
import pandas as pd

from utils.coil.frames import Frames
from utils.coil.plan import Camera, CoilPlan

# Pixels along the strip that a profile takes: enough for a mean, and quick.
_ROWS = 64
# Grey levels by which strip and surroundings differ at least, and the part of that difference where the edge is taken.
_CONTRAST = 12.0
_EDGE = 0.3
# The surroundings have less than this part of the strip's light; what is brighter is the strip in uneven light.
_DARK = 0.45
# Dark stretches of the strip narrower than this part of the image are seams or shadows on it; bright ones narrower than
# that beside it are reflections.
_SEAM = 0.04
# A frame whose brightest part has less than this of the usual light shows no strip.
_NO_STRIP = 0.15


@dataclass(frozen=True, eq=False)
class Profile:
    """What is kept of an image to find edges: grey levels across the strip.

    Attributes:
        levels: ``(size across,)`` float32, in the order of the image's pixels.
    """

    levels: np.ndarray

    @property
    def light(self) -> float:
        """Grey level that a quarter of the image exceeds, as a strip does that fills at least so much of it."""
        return float(np.percentile(self.levels, 75))

    @classmethod
    def of(cls, image: np.ndarray, camera: Camera) -> "Profile":
        """Compute the profile of an image.

        Args:
            image: ``(H, W, channels)`` uint8.
            camera: that took it.
        """
        grey = image.max(axis=2) if image.ndim == 3 else image
        across = grey if camera.along == "y" else grey.T
        rows = across[np.unique(np.linspace(0, len(across) - 1, _ROWS).astype(int))]
        # The median ignores defects and scale; where head or tail cross the image, half of the rows show the strip.
        return cls(np.median(rows, axis=0).astype(np.float32))


def strip_of(profile: Profile, usual: float | None = None) -> tuple[float, float] | None:
    """Find the strip in a profile.

    Args:
        profile: of an image.
        usual: light of the strip in other frames; none: unknown.

    Returns:
        First pixel of the strip and one past its last; 0 and the size of the image where it reaches its border. None where
        there is no strip.
    """
    levels = profile.levels
    size = len(levels)
    width = max(3, int(size * 0.004) | 1)
    smooth = cv2.blur(levels[None], (width, 1), borderType=cv2.BORDER_REPLICATE)[0]
    light = float(np.percentile(smooth, 75)) if size else 0.0
    light = max(light, float(smooth.max()) / 2)
    if light < _CONTRAST or (usual is not None and light < _NO_STRIP * usual):
        return None
    dark = float(smooth.min())
    if light - dark < _CONTRAST or dark > _DARK * light:
        return 0.0, float(size)  # nothing but strip
    # Seams are as dark as the surroundings, but narrow: closing fills them, opening removes reflections beside the strip.
    bright = (smooth > dark + _EDGE * (light - dark)).astype(np.uint8)[None]
    seam = np.ones((1, max(3, int(size * _SEAM) | 1)), np.uint8)
    padded = cv2.copyMakeBorder(bright, 0, 0, seam.size, seam.size, cv2.BORDER_REPLICATE)
    closed = cv2.morphologyEx(padded, cv2.MORPH_CLOSE, seam)
    closed = cv2.morphologyEx(closed, cv2.MORPH_OPEN, seam)[0, seam.size : -seam.size]
    steps = np.diff(np.concatenate([[0], closed, [0]]).astype(np.int8))
    begins, ends = np.flatnonzero(steps == 1), np.flatnonzero(steps == -1)
    if not begins.size:
        return None
    widest = int((ends - begins).argmax())
    return float(begins[widest]), float(ends[widest])


def find_edges(profiles: Mapping[str, Profile], frames: Frames, plan: CoilPlan) -> pd.DataFrame:
    """Find the strip's edges in each frame.

    Args:
        profiles: image name -> profile; images without one have no edges of their own.
        frames: where the images lie.
        plan: of the coil.

    Returns:
        A row for each image of ``frames.table``, indexed by its name: ``left`` and ``right``, where the strip's edges lie
        across, nan where the image does not show them (the strip goes on beyond it), and ``strip``, whether it shows any.
    """
    table = frames.table
    usual: dict[str, float] = {}
    for name, rows in table.groupby("camera"):
        lights = [profiles[image].light for image in rows["image"] if image in profiles]
        bright = [light for light in lights if light >= _CONTRAST]
        usual[str(name)] = float(np.median(bright)) if bright else 0.0
    found = []
    for image, name, begin in zip(table["image"], table["camera"], table["left"], strict=True):
        profile, camera = profiles.get(image), plan.camera(name)
        assert camera is not None, "frames were placed by the plan"
        strip = strip_of(profile, usual[name]) if profile else None
        if profile is None or strip is None:
            found.append((image, np.nan, np.nan, profile is None))
            continue
        size = len(profile.levels)
        left, right = (edge if 0 < edge < size else np.nan for edge in strip)
        if camera.reversed_across:
            left, right = size - right, size - left
        scale = camera.mm_per_px_across or 1.0
        found.append((image, begin + left * scale, begin + right * scale, True))
    return pd.DataFrame(found, columns=["image", "left", "right", "strip"]).set_index("image")


def edges_of_coil(edges: pd.DataFrame, plan: CoilPlan) -> tuple[float, float] | None:
    """Return the strip's edges across, for zones: the median of all frames; a missing one by the width; none: not found."""
    left, right = (float(edges[side].median()) for side in ("left", "right"))
    if np.isnan(left) and plan.width is not None:
        left = right - plan.width
    if np.isnan(right) and plan.width is not None:
        right = left + plan.width
    return None if np.isnan(left) or np.isnan(right) or left >= right else (left, right)


def outside(sightings: pd.DataFrame, edges: pd.DataFrame | tuple[float, float]) -> np.ndarray:
    """Find the sightings that lie beside the strip: their middle is beyond an edge, or their image shows no strip.

    Args:
        sightings: of ``SIGHTING_COLUMNS``.
        edges: of each frame, as ``find_edges`` returns them, or of all frames.

    Returns:
        Bool for each.
    """
    middle = (sightings["across0"].to_numpy(float) + sightings["across1"].to_numpy(float)) / 2
    if isinstance(edges, tuple):
        beyond: np.ndarray = (middle < edges[0]) | (middle >= edges[1])
        return beyond
    own = edges.reindex(sightings["image"])
    left, right = own["left"].to_numpy(float), own["right"].to_numpy(float)
    absent = own["strip"].to_numpy() == False  # noqa: E712 - nan where the image is unknown
    with np.errstate(invalid="ignore"):
        beside: np.ndarray = (middle < left) | (middle >= right) | absent
    return beside

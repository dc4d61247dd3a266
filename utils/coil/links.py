"""Which sightings are parts of one defect: the same place seen twice, or parts that a border cuts.

A *view* is what one network saw in one piece: an image, or a part of it between seams (``Camera.seams``). Two sightings
are linked when they have the same class, come from two views, and the gap between their boxes is at most
``CoilPlan.join``. Three kinds of links are made one after the other:

1. *Twice*: both lie where the two views overlap. The pairs with the most common area come first, and a defect has one
   sighting in a view at most; so neighbours that the overlap shows twice stay neighbours.
2. *Cut*: one reaches the border of its view, and the other one, beside it there, goes on or is cut there too. Any number
   of parts may meet at a border: two legs of a U in one image are one defect with its bottom in the next.
3. *Near*: all other pairs, nearest first, as long as no two parts of one view come together by that: the network kept
   those apart.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from utils.coil.neighbours import gaps, near_pairs
from utils.coil.plan import Camera, CoilPlan

# Boxes that touch lie at most so many pixels apart: places are rounded, and networks see little of the outermost pixel.
TOUCH_PX = 1.5


@dataclass(frozen=True)
class Parts:
    """Sightings as arrays; axis 0 runs along the strip, axis 1 across it.

    Attributes:
        low, high: (N, 2) float, the boxes on the strip.
        view: (N,) int, number of the view.
        view_low, view_high: (N, 2) float, the part of the strip that the sighting's view shows.
        touch: (2,) float, largest gap of boxes that touch.
    """

    low: np.ndarray
    high: np.ndarray
    view: np.ndarray
    view_low: np.ndarray
    view_high: np.ndarray
    touch: np.ndarray


def parts(sightings: pd.DataFrame, frames: pd.DataFrame, plan: CoilPlan) -> Parts:
    """Return the boxes of sightings and what their views show of the strip.

    Args:
        sightings: table with ``SIGHTING_COLUMNS``, each of an image of ``frames``.
        frames: table with ``FRAME_COLUMNS``.
        plan: cameras and their seams.
    """
    own = frames.drop_duplicates("image").set_index("image").loc[sightings["image"]]
    low = sightings[["along0", "across0"]].to_numpy(float)
    high = sightings[["along1", "across1"]].to_numpy(float)
    # Copies: pandas gives views that may not be written to.
    view_low = own[["begin", "left"]].to_numpy(float, copy=True)
    view_high = own[["end", "right"]].to_numpy(float, copy=True)
    pixels = own[["height_px", "width_px"]].to_numpy(float, copy=True)
    segment = np.zeros(len(own), int)
    names = own["camera"].to_numpy()
    for name in pd.unique(names):
        camera = camera_of(plan, name)
        here = names == name
        if camera.along == "x":
            pixels[here] = pixels[here, ::-1]
        if camera.seams:
            _split(camera, here, low, high, view_low, view_high, pixels, segment)
    # The largest pixel: one number keeps "touches" the same for both boxes of a pair.
    touch = TOUCH_PX * ((own[["end", "right"]].to_numpy(float) - own[["begin", "left"]].to_numpy(float)) / pixels).max(
        0
    )
    image = pd.factorize(sightings["image"])[0]
    view = image * (segment.max(initial=0) + 1) + segment
    return Parts(low, high, view, view_low, view_high, touch)


def camera_of(plan: CoilPlan, name: str) -> Camera:
    """Return the plan's camera of a name, or the one that stands for all that are not named."""
    return plan.cameras.get(str(name), plan.cameras.get("", Camera()))


def _split(
    camera: Camera,
    here: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    view_low: np.ndarray,
    view_high: np.ndarray,
    pixels: np.ndarray,
    segment: np.ndarray,
) -> None:
    """Narrow the views of one camera's sightings to the part between two seams that holds the box's middle."""
    left, right = view_low[here, 1], view_high[here, 1]
    scale = (right - left) / pixels[here, 1]
    seams = np.sort(np.array(camera.seams, float))[None]
    places = (
        right[:, None] - seams * scale[:, None] if camera.reversed_across else left[:, None] + seams * scale[:, None]
    )
    borders = np.column_stack([left, np.sort(places, axis=1), right])
    middle = (low[here, 1] + high[here, 1]) / 2
    found = np.clip((borders[:, 1:-1] <= middle[:, None]).sum(axis=1), 0, seams.shape[1])
    rows = np.arange(len(found))
    segment[here] = found
    view_low[here, 1], view_high[here, 1] = borders[rows, found], borders[rows, found + 1]


class Clusters:
    """Sets of sightings that grow together; each knows one sighting of every view it has."""

    def __init__(self, view: np.ndarray) -> None:
        self._parent = list(range(len(view)))
        self._shown: list[dict[int, int]] = [{one: number} for number, one in enumerate(view.tolist())]

    def root(self, one: int) -> int:
        """Return the sighting that stands for the set of ``one``."""
        while self._parent[one] != one:
            self._parent[one] = self._parent[self._parent[one]]
            one = self._parent[one]
        return one

    def shown(self, one: int, view: int) -> int | None:
        """Return the sighting in a view that is in the set of ``one``; none: there is none."""
        return self._shown[self.root(one)].get(view)

    def share_a_view(self, one: int, other: int) -> bool:
        """Check whether two sets have sightings in the same view."""
        few, many = sorted((self._shown[self.root(one)], self._shown[self.root(other)]), key=len)
        return any(view in many for view in few)

    def unite(self, one: int, other: int) -> None:
        """Make the sets of two sightings one."""
        few, many = sorted((self.root(one), self.root(other)), key=lambda root: len(self._shown[root]))
        if few != many:
            self._parent[few] = many
            self._shown[many].update(self._shown[few])
            self._shown[few] = {}

    def numbers(self) -> np.ndarray:
        """Return (N,) int, the same number for the sightings of one set, from 0 in the order of the sightings."""
        return pd.factorize(np.array([self.root(one) for one in range(len(self._parent))], int))[0]


def link(found: Parts, keys: np.ndarray, join: float) -> np.ndarray:
    """Return which sightings are parts of one defect.

    Args:
        found: the sightings.
        keys: (N,) int, only sightings of the same key are linked; negative: linked with none.
        join: largest gap; boxes that touch are linked whatever it is.

    Returns:
        (N,) int, the same number for the parts of one defect, from 0.
    """
    clusters = Clusters(found.view)
    i, j = _candidates(found, keys, join)
    if len(i):
        both, common = _twice(found, i, j)
        distance = np.hypot(*_distances(found, i, j).T)
        middles = np.hypot(*((found.low + found.high)[i] - (found.low + found.high)[j]).T)
        order = np.lexsort((middles, distance, -common))
        for k in order[both[order]].tolist():
            if not clusters.share_a_view(i[k], j[k]):
                clusters.unite(i[k], j[k])
        _unite_cut(clusters, found, i, j)
        order = np.lexsort((middles, distance))
        for k in order[~both[order]].tolist():
            if not clusters.share_a_view(i[k], j[k]):
                clusters.unite(i[k], j[k])
    return clusters.numbers()


def _candidates(found: Parts, keys: np.ndarray, join: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the pairs of different views with the same key whose gap is at most ``join``, or that touch."""
    chosen = np.flatnonzero(keys >= 0)
    low, high = found.low[chosen], found.high[chosen]
    pairs = []
    for i, j in near_pairs(low, high, keys[chosen], np.maximum(found.touch, join)):
        i, j = chosen[i], chosen[j]
        other = found.view[i] != found.view[j]
        i, j = i[other], j[other]
        away = _distances(found, i, j)
        kept = (np.hypot(*away.T) <= join) | (away <= found.touch).all(axis=1)
        pairs.append((i[kept], j[kept]))
    if not pairs:
        return np.zeros(0, int), np.zeros(0, int)
    first, second = (np.concatenate(one) for one in zip(*pairs, strict=True))
    return first, second


def _distances(found: Parts, i: np.ndarray, j: np.ndarray) -> np.ndarray:
    """Return (M, 2) float, the gap of pairs on both axes, 0 where they overlap."""
    return np.column_stack([np.maximum(gaps(found.low[:, k], found.high[:, k], i, j), 0) for k in (0, 1)])


def _twice(found: Parts, i: np.ndarray, j: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Tell which pairs lie where their views overlap, and what share of their area there is common to both.

    Returns:
        (M,) bool and (M,) float from 0 to 1: intersection over union of the boxes, clipped to the overlap.
    """
    low = np.maximum(found.view_low[i], found.view_low[j])
    high = np.minimum(found.view_high[i], found.view_high[j])
    both = (high - low > 2 * found.touch).all(axis=1)
    boxes = []
    for one in (i, j):
        both &= ((found.low[one] <= high + found.touch) & (found.high[one] >= low - found.touch)).all(axis=1)
        boxes.append((np.maximum(found.low[one], low), np.minimum(found.high[one], high)))
    areas = [np.maximum(b - a, 0).prod(axis=1) for a, b in boxes]
    inner = np.minimum(boxes[0][1], boxes[1][1]) - np.maximum(boxes[0][0], boxes[1][0])
    common = np.maximum(inner, 0).prod(axis=1)
    return both, common / np.maximum(areas[0] + areas[1] - common, 1e-12)


def _unite_cut(clusters: Clusters, found: Parts, i: np.ndarray, j: np.ndarray) -> None:
    """Unite the pairs that a border cuts, whatever else their sets have in the same views."""
    for one, other in ((i, j), (j, i)):
        cut = np.zeros(len(one), bool)
        for axis in (0, 1):
            beside = gaps(found.low[:, 1 - axis], found.high[:, 1 - axis], one, other) <= found.touch[1 - axis]
            for sense in (1, -1):
                cut |= beside & _goes_on(found, one, other, axis, sense)
        for a, b in zip(one[cut].tolist(), other[cut].tolist(), strict=True):
            # What the other image shows of this very part is known, and there it is apart from b.
            if clusters.shown(a, int(found.view[b])) in (None, b):
                clusters.unite(a, b)


def _goes_on(found: Parts, one: np.ndarray, other: np.ndarray, axis: int, sense: int) -> np.ndarray:
    """Tell for which pairs ``one`` reaches the last (sense 1) or first (-1) border of its view and ``other`` goes on.

    The view of ``other`` has to show what is beyond that border; ``other`` reaches the border, or is cut itself where
    its view begins.
    """
    touch = found.touch[axis]
    outer, inner = (found.high, found.low) if sense == 1 else (found.low, found.high)
    view_outer = found.view_high if sense == 1 else found.view_low
    view_inner = found.view_low if sense == 1 else found.view_high
    border = view_outer[one, axis]
    reaches = sense * (outer[one, axis] - border) >= -touch
    shows = sense * (view_outer[other, axis] - border) > 2 * touch
    comes = sense * (outer[other, axis] - border) >= -touch
    crosses = sense * (inner[other, axis] - border) <= touch
    begins = sense * (inner[other, axis] - view_inner[other, axis]) <= touch
    return reaches & shows & comes & (crosses | begins)

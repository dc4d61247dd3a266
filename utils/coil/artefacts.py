"""Find static marks: dirt on a lens or a fixed light, which a camera shows at one place of image after image.

Defects of the strip lie anywhere along the image, since frames begin anywhere on the strip; how they lie across it is
their own matter (most lie at the edges). So for one column of the image, and any stretch of frames, the defects of a
frame may be shifted along the image at will, and the chance that a given place of that column is covered is the share of
the column that is covered on average. The number of frames in which it is covered is then a sum of independent trials,
whose upper tail is at most exp(-n KL(k/n, p)) (Chernoff; Hoeffding 1956 for trials with unequal chances). A place is a
static mark where this, times the number of places and stretches that are looked at, is at most ``FALSE_ALARMS``: the
expected number of static marks found on a coil without any. Stretches are all frames of a camera, and halves, quarters,
... of them at half overlap, so dirt that comes and is wiped away is found too.

A scratch as long as the image covers all places alike and is no static mark. The mark of a roll moves from frame to
frame, by the rest that the frame's length leaves when divided by the roll's circumference; a row of boxes that moves
steadily is not taken. A roll whose circumference is one and a half frames, or two, three, ..., comes back to a place, but
in every third, second, third image alone, as no dirt does: a place whose frames go by turns is not taken either. Two lights
that take turns may show dirt in every second image, or fourth; there the marks of a roll walk, since the strip slips. Only a roll whose
circumference goes into the frame's length without any rest looks like dirt.
"""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import betaln

from utils.coil.tables import ARTEFACT_COLUMNS

# Expected number of static marks found on a coil that has none.
FALSE_ALARMS = 0.01
# A mark is in at least so many frames, and its odds of being covered are so many times those of its column.
FEWEST_FRAMES = 5
ODDS = 3.0
# Boxes are the same mark when their common area is this share of their joint one: detectors place boxes loosely.
COMMON = 0.25
# Places that are told apart along the image and across it, and frames in the shortest stretch.
PLACES = (64, 64)
SHORTEST = 8
# Steady movement: so many pixels, with such a correlation between place and frame, so many standard errors from none.
MOVES_PX, STEADY, SURE = 3.0, 0.7, 5.0
# Frames go by turns of up to so many when the odds against hits in any frame have this logarithm.
MOST_TURNS, BY_TURNS = 8, 7.0
# Marks walk when their steps are smaller than those of places at random by so many standard errors (von Neumann 1941).
WALKS = 3.0


@dataclass
class _Mark:
    """What a place of one camera showed: members are rows of the camera's boxes."""

    members: np.ndarray
    frames: int
    share: float
    expected: float
    surprise: float


def find_artefacts(sightings: pd.DataFrame, frames: pd.DataFrame) -> tuple[pd.DataFrame, np.ndarray]:
    """Find the static marks of every camera.

    Args:
        sightings: table with ``SIGHTING_COLUMNS``.
        frames: table with ``FRAME_COLUMNS``, those without a sighting too.

    Returns:
        Table with ``ARTEFACT_COLUMNS``, surest first, and (N,) int, the number of the mark that each sighting belongs to,
        0: none.
    """
    frames = frames.drop_duplicates("image").sort_values("begin", kind="stable")
    numbers = np.zeros(len(sightings), int)
    rows: list[dict[str, object]] = []
    found: list[np.ndarray] = []
    cameras = frames["camera"].unique()
    for camera in cameras:
        own = frames[frames["camera"] == camera]
        place = pd.Series(np.arange(len(own)), index=own["image"]).reindex(sightings["image"]).to_numpy()
        chosen = np.flatnonzero(~np.isnan(place))
        if len(own) < SHORTEST or len(chosen) < FEWEST_FRAMES:
            continue
        when = place[chosen].astype(int)
        boxes = sightings.iloc[chosen][["x", "y", "width", "height"]].to_numpy(float, copy=True)
        boxes[:, 2:] += boxes[:, :2]
        size = own[["width_px", "height_px"]].to_numpy(float).max(axis=0)
        along = _image_axis_along(sightings.iloc[chosen], own.iloc[when])
        for mark in _Search(boxes, when, len(own), size, along, len(cameras)).marks():
            low, high = np.median(boxes[mark.members, :2], axis=0), np.median(boxes[mark.members, 2:], axis=0)
            images = own["image"].to_numpy()[when[mark.members]]
            row = dict(zip(("x", "y", "width", "height"), (*low, *(high - low)), strict=True))
            row |= {"camera": camera, "frames": mark.frames, "share": mark.share, "expected": mark.expected}
            rows.append(row | {"first": images[0], "last": images[-1], "surprise": mark.surprise})
            found.append(chosen[mark.members])
    order = sorted(range(len(rows)), key=lambda k: -float(rows[k]["surprise"]))  # type: ignore[arg-type]
    for number, k in enumerate(order, 1):
        numbers[found[k]] = number
        rows[k]["artefact"] = number
    return pd.DataFrame([rows[k] for k in order], columns=list(ARTEFACT_COLUMNS)), numbers


def _image_axis_along(sightings: pd.DataFrame, own: pd.DataFrame) -> int:
    """Return the image axis that runs along the strip, 0: x, 1: y, by which one the places on the strip follow."""
    length = (own["end"] - own["begin"]).to_numpy(float)
    place = ((sightings["along0"] + sightings["along1"]).to_numpy(float) / 2 - own["begin"].to_numpy(float)) / length
    off = []
    for corner, extent, size in (("x", "width", "width_px"), ("y", "height", "height_px")):
        middle = (sightings[corner] + sightings[extent] / 2).to_numpy(float) / own[size].to_numpy(float)
        off.append(min(np.abs(place - middle).mean(), np.abs(place - (1 - middle)).mean()))
    return int(off[1] <= off[0])


class _Search:
    """The search for the static marks of one camera."""

    def __init__(
        self, boxes: np.ndarray, when: np.ndarray, frames: int, size: np.ndarray, along: int, cameras: int
    ) -> None:
        """Count which places are covered in which frame.

        Args:
            boxes: (N, 4) float, x0, y0, x1, y1 in pixels.
            when: (N,) int, number of the frame of each box.
            frames: number of frames of the camera.
            size: (2,) float, width and height of the images.
            along: image axis that runs along the strip, 0: x, 1: y.
            cameras: number of cameras that are searched.
        """
        self.boxes, self.when, self.frames, self.along = boxes, when, frames, along
        cells = [int(min(PLACES[k], max(size[axis], 1))) for k, axis in enumerate((along, 1 - along))]
        self.rows, self.columns = cells
        self.spans = []
        for cell_number, axis in zip(cells, (along, 1 - along), strict=True):
            cell = size[axis] / cell_number
            first = np.clip(np.floor(boxes[:, axis] / cell), 0, cell_number - 1).astype(int)
            last = np.clip(np.ceil(boxes[:, axis + 2] / cell), first + 1, cell_number).astype(int)
            self.spans.append((first, last))
        self.lengths = [frames]
        while self.lengths[-1] // 2 >= SHORTEST:
            self.lengths.append(self.lengths[-1] // 2)
        self.stretches = np.array([(s, s + n) for n in self.lengths for s in range(0, frames - n + 1, max(n // 2, 1))])
        tests = self.rows * self.columns * len(self.stretches) * cameras
        self.needed = float(np.log(tests / FALSE_ALARMS))
        self.free = np.ones(len(boxes), bool)
        # Surest place of each column: surprise, row, stretch.
        self.best = np.zeros((self.columns, 3))

    def marks(self) -> list[_Mark]:
        """Return the static marks, surest first; what one takes is free for no other."""
        found: list[_Mark] = []
        blocked = np.zeros((self.columns, self.rows), bool)
        stale = np.ones(self.columns, bool)
        while True:
            for column in np.flatnonzero(stale).tolist():
                self.best[column] = self._surest(column, blocked[column])
            column = int(self.best[:, 0].argmax())
            surprise = float(self.best[column, 0])
            row, stretch = self.best[column, 1:].astype(int).tolist()
            if surprise < self.needed:
                return found
            before = self.free.copy()
            mark = self._mark(column, row, stretch, surprise)
            stale[:] = False
            if mark is None:
                nearby = slice(max(column - 1, 0), column + 2), slice(max(row - 1, 0), row + 2)
                blocked[nearby] = True
                stale[nearby[0]] = True
            else:
                found.append(mark)
                self.free[mark.members] = False
            taken = np.flatnonzero(before & ~self.free)
            if len(taken):
                stale[self.spans[1][0][taken].min() : self.spans[1][1][taken].max()] = True

    def _covered(self, column: int) -> tuple[np.ndarray, np.ndarray]:
        """Return which places of a column some free box covers.

        Returns:
            (U,) int frames with a box in this column, in order, which are few of all; and (U, rows) bool.
        """
        first, last = self.spans[1]
        here = np.flatnonzero(self.free & (first <= column) & (column < last))
        frames, number = np.unique(self.when[here], return_inverse=True)
        steps = np.zeros((len(frames), self.rows + 1), np.int32)
        np.add.at(steps, (number, self.spans[0][0][here]), 1)
        np.add.at(steps, (number, self.spans[0][1][here]), -1)
        return frames, steps[:, :-1].cumsum(axis=1) > 0

    def _surest(self, column: int, blocked: np.ndarray) -> tuple[float, int, int]:
        """Return the surprise of the surest place of a column, its row and its stretch."""
        first, last = self.spans[1]
        if (self.free & (first <= column) & (column < last)).sum() < FEWEST_FRAMES:
            return 0.0, 0, 0
        frames, covered = self._covered(column)
        sums = np.zeros((len(frames) + 1, self.rows), np.int32)
        np.cumsum(covered, axis=0, out=sums[1:])
        begin, end = np.searchsorted(frames, self.stretches).T
        counts = sums[end] - sums[begin]
        number = np.diff(self.stretches, axis=1)[:, 0]
        chance = counts.mean(axis=1) / number
        counts[:, blocked] = 0
        most = counts.max(axis=1)
        surprise = _surprise(most, number, chance)
        surprise[(most < FEWEST_FRAMES) | (_odds(most / number) < ODDS * _odds(chance))] = 0
        k = int(surprise.argmax())
        # The middle of the rows that share the maximum: the place that loose boxes have in common.
        rows = np.flatnonzero(counts[k] == most[k])
        return float(surprise[k]), int(rows[len(rows) // 2]), k

    def _mark(self, column: int, row: int, stretch: int, surprise: float) -> _Mark | None:
        """Return the static mark at a place, or None where the boxes there are no such thing."""
        covers = self.free.copy()
        for (first, last), place in zip(self.spans, (row, column), strict=True):
            covers &= (first <= place) & (place < last)
        begin, end = self.stretches[stretch]
        here = np.flatnonzero(covers & (self.when >= begin) & (self.when < end))
        alike = self._alike(here)
        if len(np.unique(self.when[here[alike]])) < FEWEST_FRAMES:
            return None
        typical = np.median(self.boxes[here[alike]], axis=0)
        hits = np.flatnonzero(covers)
        hits = hits[_common(self.boxes[hits], typical) >= COMMON]
        chance = float(self._covered(column)[1].sum() / (self.frames * self.rows))
        begin, end = _period(np.unique(self.when[hits]), self.frames, chance)
        members = hits[(self.when[hits] >= begin) & (self.when[hits] < end)]
        members = members[np.argsort(self.when[members], kind="stable")]
        frames = len(np.unique(self.when[members]))
        if frames < FEWEST_FRAMES or self._moves(members) or self._of_turns(members, begin, end):
            return None
        return _Mark(members, frames, frames / (end - begin), chance * (end - begin), surprise)

    def _alike(self, here: np.ndarray) -> np.ndarray:
        """Return which boxes are like the one that most others are like."""
        boxes = self.boxes[here[:: max(1, len(here) // 200)]]
        likes = np.array([(_common(boxes, box) >= COMMON).sum() for box in boxes])
        return _common(self.boxes[here], boxes[likes.argmax()]) >= COMMON

    def _moves(self, members: np.ndarray) -> bool:
        """Check whether boxes move steadily along the image from frame to frame, as the mark of a roll does.

        If they do, they and those that go on before and after them are free no longer: a few of them tell too little.
        """
        some = members[:: max(1, len(members) // 200)]
        middle, when = self._middles(some), self.when[some].astype(float)
        i, j = np.triu_indices(len(when), 1)
        i, j = i[when[i] != when[j]], j[when[i] != when[j]]
        if np.ptp(middle) < MOVES_PX or len(i) == 0:
            return False
        # A line that other boxes at the place do not bend (Theil-Sen), and the four fifths that lie nearest to it.
        slope = np.median((middle[j] - middle[i]) / (when[j] - when[i]))
        begin = np.median(middle - slope * when)
        near = np.argsort(np.abs(middle - slope * when - begin))[: max(len(when) * 4 // 5, 3)]
        if np.ptp(middle[near]) == 0 or np.ptp(when[near]) == 0:
            return False
        steady = abs(float(np.corrcoef(when[near], middle[near])[0, 1]))
        if steady < STEADY or steady * ((len(near) - 2) / max(1 - steady**2, 1e-9)) ** 0.5 < SURE:
            return False
        box = np.median(self.boxes[members], axis=0)
        across = 1 - self.along
        follows = (
            np.abs(self._middles(slice(None)) - slope * self.when - begin) <= box[self.along + 2] - box[self.along]
        )
        follows &= (self.boxes[:, across] < box[across + 2]) & (self.boxes[:, across + 2] > box[across])
        follows &= np.abs(self.when - when.mean()) <= 2 * np.ptp(when)
        self.free[members] = False
        self.free[follows] = False
        return True

    def _of_turns(self, members: np.ndarray, begin: int, end: int) -> bool:
        """Check whether boxes are in every n-th frame of a stretch alone, as the marks of a roll are."""
        hits, first = np.unique(self.when[members], return_index=True)
        turns = _turns(hits - begin, end - begin)
        if turns % 2:  # lights come in twos and fours
            return turns > 1
        middle = self._middles(members[first])
        spread = float(middle.var())
        if np.ptp(middle) < MOVES_PX or spread == 0:
            return False
        steps = float(np.mean(np.diff(middle) ** 2)) / (2 * spread)
        return (1 - steps) * math.sqrt(len(middle)) > WALKS

    def _middles(self, boxes: np.ndarray | slice) -> np.ndarray:
        return (self.boxes[boxes, self.along] + self.boxes[boxes, self.along + 2]) / 2


def _turns(hits: np.ndarray, frames: int) -> int:
    """Return n where hits are in every n-th frame alone, and 1 where any frame may have one.

    Any share of frames with a hit is as likely, in all of them or apart in every n-th one and the others.
    """
    any_one = betaln(len(hits) + 1, frames - len(hits) + 1)
    best, least = 1, BY_TURNS
    for turns in range(2, min(MOST_TURNS, frames - 1) + 1):
        residue = int(np.bincount(hits % turns, minlength=turns).argmax())
        number = len(range(residue, frames, turns))
        own = int((hits % turns == residue).sum())
        others = len(hits) - own
        odds = betaln(own + 1, number - own + 1) + betaln(others + 1, frames - number - others + 1)
        odds -= any_one + math.log(turns * (MOST_TURNS - 1))
        if odds > least and own / number > others / max(frames - number, 1):
            best, least = turns, float(odds)
    return best


def _surprise(count: np.ndarray, number: np.ndarray, chance: np.ndarray) -> np.ndarray:
    """Return -ln of Chernoff's bound of the chance of ``count`` or more in ``number`` trials; 0 below the mean."""
    share, chance = count / number, np.clip(chance, 1e-12, 1 - 1e-12)
    with np.errstate(divide="ignore", invalid="ignore"):
        bits = np.where(share > 0, share * np.log(share / chance), 0)
        bits = bits + np.where(share < 1, (1 - share) * np.log((1 - share) / (1 - chance)), 0)
    return np.where(share > chance, number * bits, 0.0)


def _odds(share: np.ndarray) -> np.ndarray:
    return share / np.maximum(1 - share, 1e-9)


def _common(boxes: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Return the intersection over union of (N, 4) boxes with one box."""
    inner = np.minimum(boxes[:, 2:], box[2:]) - np.maximum(boxes[:, :2], box[:2])
    inner = np.maximum(inner, 0).prod(axis=1)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    return inner / np.maximum(areas + (box[2:] - box[:2]).prod() - inner, 1e-12)


def _period(hits: np.ndarray, frames: int, chance: float) -> tuple[int, int]:
    """Return the first frame of a mark and the one after its last: the stretch that hits and misses make likeliest.

    Within the stretch a frame has a hit with the chance of the densest tenth, outside with the chance of the column.
    """
    seen = np.zeros(frames)
    seen[hits] = 1
    gaps = np.diff(hits)
    within = min(max(1 / (1 + np.median(gaps)) if len(gaps) else 1, 2 * chance, 0.05), 0.95)
    outside = min(max(chance / 2, 1e-3), within / 2)
    gain = np.where(seen > 0, np.log(within / outside), np.log((1 - within) / (1 - outside)))
    total = np.concatenate([[0], np.cumsum(gain)])
    least = np.minimum.accumulate(total)
    end = int((total - least).argmax())
    begin = int(total[: end + 1].argmin())
    return begin, max(end, begin + 1)

"""What lies on a drawn strip with pixels: painted defects, some cut by borders of frames and cameras, and rolls' marks."""

import dataclasses
import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from utils.data.coil_truth import TRUE_DEFECT_COLUMNS, TRUE_REPEAT_COLUMNS
from utils.data.synthetic.coil.layout import Layout
from utils.data.synthetic.coil.series import DrawnRoll, Wander, turns_of, weave_of
from utils.data.synthetic.coil.stamps import StampPixels, paint

# Median size of a class in pixels, along and across.
SIZES = {"pits": (22.0, 16.0), "cracks": (90.0, 16.0), "scratches": (110.0, 11.0), "patches": (60.0, 75.0)}
SHARES = {"pits": 0.35, "cracks": 0.15, "scratches": 0.35, "patches": 0.15}
LONG_SHARE = 0.15  # of cracks and scratches: they run through several frames
NEIGHBOUR_SHARE = 0.15  # of all defects: they lie just as far from another as two defects may
PLACES_TRIED = 60
EDGE_SHARE = 0.3
SHORTEST_PERIOD = 400.0  # millimetres: rolls of a strip line are not thinner than a hand is long


@dataclass(frozen=True)
class PlacedDefect:
    """A defect on the strip.

    Attributes:
        stamp: its pixels, as large as those of the first camera.
        row, column: where the stamp begins, in these pixels from the strip's head and left edge.
        kind: ``single`` or ``mark``.
        repeat: number of its series, 0: none.
    """

    stamp: StampPixels
    row: int
    column: int
    kind: str = "single"
    repeat: int = 0


@dataclass(frozen=True)
class StripSettings:
    """What lies on the strip.

    Attributes:
        per_m: defects a metre that no roll prints.
        cut_share: share of these that a border of a frame or a camera cuts.
        series: rolls that print marks.
        missed: probability that a mark is not there.
        contrast: strength of the defects, 1 is as real ones look.
        spacing: pixels between any two defects, at least.
        wander: of the marks.
    """

    per_m: float
    cut_share: float
    series: int
    missed: float
    contrast: float = 1.0
    spacing: int = 6
    wander: Wander = Wander(slip=1.0, weave=4.0, jitter=0.3)


class _Room:
    """Which places of the strip are taken, in pixels of the first camera; ``blind``: columns that no sensor sees well."""

    def __init__(self, spacing: int, blind: np.ndarray) -> None:
        self.spacing, self.blind = spacing, blind
        self.boxes = np.zeros((0, 4))

    def take(self, row: int, column: int, shape: tuple[int, int]) -> bool:
        """Take a place, unless something lies on it or too near, or nobody could see where it ends."""
        sides = np.array([column, column + shape[1]])
        if (np.abs(sides[:, None] - self.blind[None, :]) < 3.0).any():
            return False
        box = np.array([row, row + shape[0], column, column + shape[1]], float)
        gap = self.spacing
        along = (self.boxes[:, 0] < box[1] + gap) & (self.boxes[:, 1] > box[0] - gap)
        if (along & (self.boxes[:, 2] < box[3] + gap) & (self.boxes[:, 3] > box[2] - gap)).any():
            return False
        self.boxes = np.vstack([self.boxes, box])
        return True


def line_rolls(rng: np.random.Generator, length: float, series: int) -> list[DrawnRoll]:
    """Return the rolls of a line: for each series one whose marks a coil so short can show, and one 2 % larger."""
    rolls = []
    for number in range(series):
        # A short coil shows twenty turns, however small the roll has to be for that.
        longest = length / 20.0
        shortest = min(longest, max(SHORTEST_PERIOD, length / 60.0))
        period = math.exp(rng.uniform(math.log(shortest), math.log(longest)))
        elongation = float(rng.choice([1.0, 1.25, 1.6]))
        diameter = period / math.pi / elongation
        for name, size in ((f"R{2 * number + 1}", diameter), (f"R{2 * number + 2}", 1.02 * diameter)):
            rolls.append(DrawnRoll(name, size, 0.995 * size, 1.005 * size, elongation))
    return rolls


def draw_strip(
    rng: np.random.Generator, layout: Layout, settings: StripSettings, rolls: list[DrawnRoll]
) -> tuple[list[PlacedDefect], pd.DataFrame]:
    """Draw all defects of a strip.

    Args:
        rng: source of chance.
        layout: the cameras; those of the first one are the pixels that defects are painted in.
        settings: what lies on the strip.
        rolls: of the line; every second one prints marks (see ``line_rolls``).

    Returns:
        The defects, and a frame of ``TRUE_REPEAT_COLUMNS``.
    """
    room = _Room(settings.spacing, layout.sensor_ends() / layout.cameras[0].across)
    placed: list[PlacedDefect] = []
    repeats = []
    for number, roll in enumerate(rolls[::2][: settings.series], start=1):
        marks, row = _marks(rng, layout, settings, roll, number, room)
        placed += marks
        repeats.append(row)
    for _ in range(int(rng.poisson(settings.per_m * layout.length / 1000.0))):
        defect = _single(rng, layout, settings, room, placed)
        if defect is not None:
            placed.append(defect)
    placed.sort(key=lambda one: (one.row, one.column))
    return placed, pd.DataFrame(repeats, columns=list(TRUE_REPEAT_COLUMNS))


def true_defects(placed: list[PlacedDefect], layout: Layout, views: list[int]) -> pd.DataFrame:
    """Return the table of what lies on the strip, ``TRUE_DEFECT_COLUMNS``, without what no image shows."""
    first = layout.cameras[0]
    rows = [
        {
            "class_name": one.stamp.class_name,
            "along0": one.row * first.along,
            "along1": (one.row + one.stamp.shape[0]) * first.along,
            "across0": one.column * first.across,
            "across1": (one.column + one.stamp.shape[1]) * first.across,
            "area": float(one.stamp.mask.sum()) * first.along * first.across,
            "repeat": one.repeat,
            "kind": one.kind,
            "views": count,
        }
        for one, count in zip(placed, views, strict=True)
        if count
    ]
    table = pd.DataFrame(rows, columns=[name for name in TRUE_DEFECT_COLUMNS if name != "defect"])
    table.insert(0, "defect", np.arange(1, len(table) + 1))
    return table


def _single(
    rng: np.random.Generator, layout: Layout, settings: StripSettings, room: _Room, placed: list[PlacedDefect]
) -> PlacedDefect | None:
    """Paint a defect and find a place for it; none: the strip is full."""
    first = layout.cameras[0]
    name = str(rng.choice(list(SHARES), p=list(SHARES.values())))
    along, across = (middle * math.exp(rng.normal(0.0, 0.35)) for middle in SIZES[name])
    along = min(along, 0.7 * first.rows)
    if name in ("cracks", "scratches") and rng.random() < LONG_SHARE:
        along = first.rows * rng.uniform(1.0, 3.2)
    # The strip must hold it, on small pictures too.
    head, length, width = layout.head / first.along, layout.length / first.along, layout.width / first.across
    size = (int(min(along, 0.3 * length)), int(min(across, 0.2 * width)))
    stamp = paint(rng, name, size, settings.contrast)
    height, breadth = stamp.shape
    borders, seams = layout.borders() / first.along, layout.seams() / first.across
    cut, beside = rng.random() < settings.cut_share, rng.random() < NEIGHBOUR_SHARE and bool(placed)
    for _ in range(PLACES_TRIED):
        row, column = rng.uniform(head, length - height), _column(rng, width, breadth)
        if beside:
            other = placed[int(rng.integers(len(placed)))]
            gap = settings.spacing * rng.uniform(1.0, 1.5)
            row = other.row + rng.choice([-height - gap, other.stamp.shape[0] + gap])
            column = other.column + rng.uniform(-0.5 * breadth, 0.5 * breadth)
        elif cut:
            which = rng.random()
            if len(borders) and (which < 0.7 or not len(seams)):
                row = rng.choice(borders) - height * rng.uniform(0.1, 0.9)
            if len(seams) and (which > 0.5 or not len(borders)):
                column = rng.choice(seams) - breadth * rng.uniform(0.1, 0.9)
        row, column = round(row), round(column)
        fits = head <= row <= length - height and 0 <= column <= width - breadth
        if fits and room.take(row, column, stamp.shape):
            return PlacedDefect(stamp, row, column)
    return None


def _column(rng: np.random.Generator, width: float, breadth: int) -> float:
    """Where a defect begins across: near an edge more often than elsewhere."""
    if rng.random() >= EDGE_SHARE:
        return float(rng.uniform(0.0, width - breadth))
    away = min(float(rng.exponential(0.04 * width)), width - breadth)
    return away if rng.random() < 0.5 else width - breadth - away


def _marks(
    rng: np.random.Generator, layout: Layout, settings: StripSettings, roll: DrawnRoll, number: int, room: _Room
) -> tuple[list[PlacedDefect], dict[str, object]]:
    """Print the marks of one roll, all from one painted defect, now fainter, now stronger."""
    first, length = layout.cameras[0], layout.length
    wander = dataclasses.replace(settings.wander, drift=settings.wander.drift * rng.choice([-1.0, 1.0]))
    places = turns_of(rng, roll, layout.head, length, length, wander)
    along, shifts = weave_of(rng, length, wander)
    name = str(rng.choice(["pits", "patches"]))
    longest = max(4, int(0.3 * roll.period / first.along))
    stamp = paint(rng, name, (min(24, longest), 20), settings.contrast)
    margin = min(3.0 * wander.weave, 0.2 * layout.width)
    across = float(rng.uniform(margin, layout.width - margin))
    placed = []
    for place in places:
        middle = place + rng.normal(0.0, wander.jitter)
        side = across + float(np.interp(place, along, shifts)) + rng.normal(0.0, wander.jitter)
        row = round(middle / first.along - stamp.shape[0] / 2.0)
        column = round(side / first.across - stamp.shape[1] / 2.0)
        fits = row * first.along >= layout.head and (row + stamp.shape[0]) * first.along <= length and column >= 0
        fits &= (column + stamp.shape[1]) * first.across <= layout.width
        if rng.random() < settings.missed or not fits or not room.take(row, column, stamp.shape):
            continue
        gain = np.maximum(1.0 + (stamp.gain - 1.0) * np.float32(rng.uniform(0.7, 1.2)), 0.05)
        placed.append(PlacedDefect(dataclasses.replace(stamp, gain=gain), row, column, "mark", number))
    period = float((places[-1] - places[0]) / max(1, len(places) - 1))
    row = {
        "repeat": number,
        "across": across + float(shifts.mean()),
        "period": period,
        "others": "",
        "drift": wander.drift,
        "onset": float(places[0]),
        "end": float(places[-1]),
        "hits": len(placed),
        "turns": len(places),
        "class_name": name,
        "roll": roll.name,
        "diameter": roll.diameter,
    }
    return placed, row

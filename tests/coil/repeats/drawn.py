"""Draw the defects of a coil: clutter as a mill has it, and marks of rolls that slip, drift, weave and are missed."""

import math
from dataclasses import dataclass

import numpy as np

from utils.coil.plan import CoilPlan, Roll


@dataclass
class Drawn:
    """Positions of defects, and of each series drawn its period, its middle across, onset, end and first defect."""

    along: np.ndarray
    across: np.ndarray
    names: np.ndarray
    series: list[dict]
    length: float


def clutter(rng, length=600_000.0, width=1500.0, per_m=2.0, edges=0.4, bursts=3, scratches=4):
    """Draw clutter: uniform and near the edges, bursts, and broken scratches with regular gaps; (N, 2)."""
    number = rng.poisson(per_m * length / 1000)
    at_edge = rng.random(number) < edges
    off = np.minimum(rng.exponential(60.0, number), width)
    across = np.where(at_edge, np.where(rng.random(number) < 0.5, off, width - off), rng.random(number) * width)
    parts = [np.column_stack([rng.random(number) * length, across])]
    for _ in range(rng.poisson(bursts)):
        count = rng.integers(8, 60)
        middle = rng.random(2) * (length, width)
        parts.append(middle + rng.normal(size=(count, 2)) * (rng.uniform(300, 4000), rng.uniform(30, 200)))
    for _ in range(rng.poisson(scratches)):
        count = rng.integers(5, 40)
        gap = math.exp(rng.uniform(math.log(40), math.log(900)))
        steps = gap * np.exp(rng.normal(size=count) * rng.uniform(0.1, 0.5))
        begin = rng.random(2) * (length, width)
        along = begin[0] + np.cumsum(steps)
        parts.append(
            np.column_stack([along, begin[1] + (along - begin[0]) * rng.normal() * 0.005 + rng.normal(size=count) * 2])
        )
    points = np.concatenate(parts)
    inside = (points[:, 0] >= 0) & (points[:, 0] < length) & (points[:, 1] >= 0) & (points[:, 1] < width)
    return points[inside]


def marks(rng, period, across, onset, turns, missed, slip=3.0, drift=0.003, weave=12.0, jitter=2.0, length=600_000.0):
    """Draw the marks of one spot on a roll; (h, 2)."""
    turn = np.arange(turns)
    growth = 1 + drift * (onset + turn * period) / length * rng.choice([-1, 1])
    along = onset + np.cumsum(np.concatenate([[0.0], (period * growth + rng.normal(size=turns) * slip)[:-1]]))
    sway = weave * np.sin(2 * np.pi * along / rng.uniform(60_000, 250_000) + rng.random() * 6.3)
    points = np.column_stack([along, across + sway]) + rng.normal(size=(turns, 2)) * jitter
    return points[(rng.random(turns) >= missed) & (points[:, 0] < length) & (points[:, 0] >= 0)]


def coil(seed, number=1, missed=0.5, per_m=2.0, length=600_000.0, width=1500.0, kind="mark", turns=(10, 300), **noise):
    """Draw a coil with some series; ``kind``: mark, pair (two spots on a roll in one lane) or opposite."""
    rng = np.random.default_rng(seed)
    parts = [clutter(rng, length, width, per_m)]
    names = [np.full(len(parts[0]), "clutter")]
    drawn = []
    while len(drawn) < number:
        period = math.exp(rng.uniform(math.log(300.0), math.log(7000.0)))
        count = int(min(rng.integers(turns[0], turns[1] + 1), length * 0.98 / period))
        onset = rng.random() * (length - count * period)
        across = rng.uniform(30, width - 30)
        offsets = {"mark": [0.0], "pair": [0.0, rng.uniform(0.1, 0.45)], "opposite": [0.0, 0.5]}[kind]
        state = rng.bit_generator.state
        for offset in offsets:
            rng.bit_generator.state = state  # the same slip
            shift = rng.uniform(-1, 1) * 0
            points = marks(rng, period, across + shift, onset, count, 0.0, **noise)
            points[:, 0] += offset * period
            points[:, 1] += 0.0 if offset == 0 else 4.0
            seen = np.random.default_rng([seed, len(drawn), int(offset * 1000)]).random(len(points)) >= missed
            parts.append(points[seen & (points[:, 0] < length)])
            names.append(np.full(len(parts[-1]), "mark"))
        drawn.append({"period": period, "across": across, "onset": onset, "turns": count, "hits": len(parts[-1])})
    points = np.concatenate(parts)
    order = rng.permutation(len(points))
    return Drawn(points[order, 0], points[order, 1], np.concatenate(names)[order], drawn, length)


def plan(rolls: tuple[Roll, ...] = ()) -> CoilPlan:
    return CoilPlan(unit="mm", rolls=rolls)

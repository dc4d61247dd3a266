"""Defects that no roll prints: single ones, bursts, broken scratches and torn edges.

Each function gives boxes as a frame with ``class_name, along, across, size_along, size_across, kind``: middle and size in
millimetres.
"""

import numpy as np
import pandas as pd

# How far from an edge most single defects lie.
EDGE_REACH = 45.0

COLUMNS = ("class_name", "along", "across", "size_along", "size_across", "kind")


def boxes(
    names: np.ndarray, along: np.ndarray, across: np.ndarray, size_along: np.ndarray, size_across: np.ndarray, kind: str
) -> pd.DataFrame:
    """Return the frame of some boxes, all of one kind."""
    columns = dict(zip(COLUMNS, (names, along, across, size_along, size_across, kind), strict=True))
    return pd.DataFrame(columns, index=range(len(along)))


def sizes(rng: np.random.Generator, count: int, middle: float, spread: float = 0.6) -> np.ndarray:
    """Return (count,) log-normal sizes in millimetres, none under a tenth or over ten times the middle one."""
    return np.clip(middle * np.exp(rng.normal(0.0, spread, count)), middle / 10.0, middle * 10.0)


def singles(
    rng: np.random.Generator, count: int, length: float, width: float, edge_share: float, names: tuple[str, ...]
) -> pd.DataFrame:
    """Return single defects, a share of them near the edges, with stretches that have more of them than others."""
    # The rate swells and ebbs along the coil, as the slabs and the campaigns of the mill do.
    knots = np.exp(rng.normal(0.0, 0.5, max(2, round(length / 50e3) + 1)))
    grid = np.linspace(0.0, length, 2000)
    rate = np.interp(grid, np.linspace(0.0, length, len(knots)), knots)
    along = np.interp(rng.random(count), np.cumsum(rate) / rate.sum(), grid)
    away = rng.exponential(EDGE_REACH, count) % width
    near = np.where(rng.random(count) < 0.5, away, width - away)
    across = np.where(rng.random(count) < edge_share, near, rng.uniform(0.0, width, count))
    return boxes(rng.choice(names, count), along, across, sizes(rng, count, 12.0), sizes(rng, count, 8.0), "single")


def burst(rng: np.random.Generator, count: int, length: float, width: float, names: tuple[str, ...]) -> pd.DataFrame:
    """Return a dense patch of small defects of one class."""
    middle = (rng.uniform(0.0, length), rng.uniform(0.0, width))
    reach = (rng.uniform(150.0, 1500.0), rng.uniform(30.0, 200.0))
    along, across = (rng.normal(place, spread, count) for place, spread in zip(middle, reach, strict=True))
    name = np.full(count, rng.choice(names))
    return boxes(name, along, across, sizes(rng, count, 7.0), sizes(rng, count, 6.0), "burst")


def scratch(rng: np.random.Generator, count: int, length: float, width: float, name: str) -> pd.DataFrame:
    """Return a long scratch in parts: a loose guide skips along the strip in a nearly even rhythm, the worst of clutter."""
    step = rng.uniform(120.0, 900.0)
    gaps = step * np.exp(rng.normal(0.0, rng.uniform(0.15, 0.6), count))
    along = rng.uniform(0.0, length) + np.cumsum(gaps)
    start, lean = rng.uniform(0.0, width), rng.normal(0.0, 0.0015)
    across = start + lean * (along - along[:1]) + rng.normal(0.0, 1.5, count)
    lengths = np.minimum(gaps * rng.uniform(0.2, 0.9, count), 0.95 * gaps)
    return boxes(np.full(count, name), along - lengths / 2.0, across, lengths, sizes(rng, count, 3.0, 0.3), "scratch")


def edge(rng: np.random.Generator, count: int, length: float, width: float, name: str) -> pd.DataFrame:
    """Return a stretch of torn edge: short cracks at one edge, spaced less evenly than a roll's marks."""
    step = rng.uniform(40.0, 700.0)
    along = rng.uniform(0.0, length) + np.cumsum(rng.gamma(2.0, step / 2.0, count))
    depth = sizes(rng, count, 9.0, 0.5)
    across = depth / 2.0 if rng.random() < 0.5 else width - depth / 2.0
    return boxes(np.full(count, name), along, across, sizes(rng, count, 5.0), depth, "edge")


def clutter(
    rng: np.random.Generator,
    length: float,
    width: float,
    per_m: float,
    edge_share: float,
    clean_share: float,
    names: tuple[str, ...],
) -> pd.DataFrame:
    """Return all defects of a coil that no roll prints.

    Args:
        rng: source of chance.
        length, width: of the strip, millimetres.
        per_m: defects a metre, whatever kind; six tenths of them are single ones.
        edge_share: share of the single ones that lie near the edges.
        clean_share: share of the coil that has none of them, in a few stretches.
        names: classes: pits, cracks, scratches, patches in this order; fewer serve for more.

    Returns:
        Frame as of the other functions.
    """
    total = int(rng.poisson(per_m * length / 1000.0))
    crack, line = names[1 % len(names)], names[2 % len(names)]
    used = length * (1.0 - clean_share)
    kinds = (
        (0.2, 15.0, lambda count: burst(rng, count, used, width, names)),
        (0.1, 12.0, lambda count: scratch(rng, count, used, width, line)),
        (0.1, 20.0, lambda count: edge(rng, count, used, width, crack)),
    )
    parts = []
    for share, size, draw in kinds:
        left = int(rng.binomial(total, share))
        while left > 0:
            count = min(left, 2 + int(rng.geometric(1.0 / size)))
            left -= count
            parts.append(draw(count))
    parts.append(singles(rng, max(0, total - sum(map(len, parts))), used, width, edge_share, names))
    found = pd.concat(parts, ignore_index=True)
    # Clean stretches are put between what was drawn, so that the coil has as many defects with as without them.
    begins = np.sort(rng.uniform(0.0, used, int(rng.integers(1, 4))))
    gap = (length - used) / len(begins)
    found["along"] += gap * np.searchsorted(begins, found["along"].to_numpy())
    inside = found["along"].between(0.0, length) & found["across"].between(0.0, width)
    return found[inside].reset_index(drop=True)

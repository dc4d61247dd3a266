"""Join the sightings of one defect: seen twice where views overlap, or cut by borders, seams and tiles."""

import numpy as np
import pandas as pd

from utils.coil.links import Parts, link, parts
from utils.coil.neighbours import near_pairs
from utils.coil.plan import CoilPlan
from utils.coil.tables import DEFECT_COLUMNS

# The largest part of a defect gives these.
_OF_LARGEST = ["image", "camera", "x", "y", "width", "height"]


def join(sightings: pd.DataFrame, frames: pd.DataFrame, plan: CoilPlan) -> pd.DataFrame:
    """Return the defects of the strip, each once, in the order along it.

    ``utils.coil.links`` says what is joined. The box of a defect is the hull of its parts, its probability their mean by
    area. Its area is the sum over the parts, the largest first, each without what lies where the view of a part before
    it looks too: that one has counted it already. A part's area is taken as spread evenly over its box.

    Args:
        sightings: table with ``SIGHTING_COLUMNS``; with a column ``artefact`` (see ``find_artefacts``), those with a
            number other than 0 are joined with nothing.
        frames: table with ``FRAME_COLUMNS`` of all images of ``sightings``.
        plan: largest gap (``join``), cameras with their seams, and side.

    Returns:
        Table with ``DEFECT_COLUMNS``; repeat, group and earlier are 0.
    """
    return join_numbered(sightings, frames, plan)[0]


def join_numbered(sightings: pd.DataFrame, frames: pd.DataFrame, plan: CoilPlan) -> tuple[pd.DataFrame, np.ndarray]:
    """Return the defects as ``join`` does, and (N,) int, the number of each sighting's defect."""
    if sightings.empty:
        return pd.DataFrame({name: [] for name in DEFECT_COLUMNS}), np.zeros(0, int)
    sightings = sightings.reset_index(drop=True)
    artefact = sightings["artefact"].to_numpy(int) if "artefact" in sightings else np.zeros(len(sightings), int)
    found = parts(sightings, frames, plan)
    classes = pd.factorize(sightings["class_name"])[0]
    numbers = link(found, np.where(artefact > 0, -1, classes), plan.join)
    table = _table(sightings.assign(artefact=artefact, counted=_counted(found, sightings, numbers)), numbers, plan.side)
    table = table.sort_values(["along0", "across0", "along1", "across1"], kind="stable")
    places = np.empty(len(table), int)
    places[table.index.to_numpy()] = np.arange(1, len(table) + 1)
    table["defect"] = np.arange(1, len(table) + 1)
    return table.reset_index(drop=True)[list(DEFECT_COLUMNS)], places[numbers]


def _table(sightings: pd.DataFrame, numbers: np.ndarray, side: str) -> pd.DataFrame:
    """Return a row for each number, in their order."""
    weights = np.maximum(sightings["area"].to_numpy(float), 1e-12)
    sightings = sightings.assign(weight=weights, weighted=weights * sightings["probability"].to_numpy(float))
    of = sightings.groupby(numbers, sort=True)
    table = of.agg(
        class_name=("class_name", "first"),
        along0=("along0", "min"),
        along1=("along1", "max"),
        across0=("across0", "min"),
        across1=("across1", "max"),
        area=("counted", "sum"),
        sightings=("image", "size"),
        artefact=("artefact", "first"),
        weight=("weight", "sum"),
        weighted=("weighted", "sum"),
    )
    table["probability"] = table["weighted"] / table["weight"]
    largest = np.lexsort((-sightings["area"].to_numpy(float), numbers))
    largest = largest[np.diff(numbers[largest], prepend=-1) > 0]
    for name in _OF_LARGEST:
        table[name] = sightings[name].to_numpy()[largest]
    return table.assign(side=side, repeat=0, group=0, earlier=0)


def _counted(found: Parts, sightings: pd.DataFrame, numbers: np.ndarray) -> np.ndarray:
    """Return (N,) float, the area of each sighting that no larger part of the same defect has counted."""
    area = sightings["area"].to_numpy(float)
    several = np.flatnonzero(np.bincount(numbers)[numbers] > 1)
    rank = np.empty(len(area), int)
    rank[np.argsort(-area, kind="stable")] = np.arange(len(area))
    left = np.ones(len(area))
    covers: dict[int, list[int]] = {}
    views = found.view_low[several], found.view_high[several]
    for i, j in near_pairs(*views, pd.factorize(numbers[several])[0], np.zeros(2)):
        i, j = several[i], several[j]
        before = rank[i] < rank[j]
        larger, smaller = np.where(before, i, j), np.where(before, j, i)
        low = np.maximum(found.view_low[larger], found.low[smaller])
        high = np.minimum(found.view_high[larger], found.high[smaller])
        meet = (high > low).all(axis=1)
        for one, other in zip(smaller[meet].tolist(), larger[meet].tolist(), strict=True):
            covers.setdefault(one, []).append(other)
    for one, others in covers.items():
        low, high = found.low[one], found.high[one]
        inside = np.clip(found.view_low[others], low, high), np.clip(found.view_high[others], low, high)
        left[one] = 1 - _union(*inside) / np.prod(high - low)
    return area * np.maximum(left, 0)


def _union(low: np.ndarray, high: np.ndarray) -> float:
    """Return the area that boxes cover together, (K, 2) float each."""
    if len(low) == 1:
        return float((high - low).prod())
    xs, ys = (np.unique(np.concatenate([low[:, axis], high[:, axis]])) for axis in (0, 1))
    middles = [(edges[1:] + edges[:-1]) / 2 for edges in (xs, ys)]
    inside = [(low[:, k, None] < middles[k]) & (middles[k] < high[:, k, None]) for k in (0, 1)]
    covered = (inside[0][:, :, None] & inside[1][:, None, :]).any(axis=0)
    return float(np.diff(xs) @ covered @ np.diff(ys))

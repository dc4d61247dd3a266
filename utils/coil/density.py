"""Count defects along the strip and across it."""

import numpy as np
import pandas as pd

from utils.coil.plan import CoilPlan

# Stretches along the strip: ten metres; without a scale the strip is cut into so many, of a round number of pixels.
STRETCH_MM, STRETCHES_PX = 10_000.0, 60
# Lanes across the strip.
LANES = 24


def stretch_length(length: float, plan: CoilPlan) -> float:
    """Return how long the stretches of ``defects_along`` are: 10 m, or 1, 2 or 5 times a power of ten pixels."""
    if plan.unit == "mm":
        return STRETCH_MM
    least = max(length / STRETCHES_PX, 1.0)
    power = 10.0 ** np.floor(np.log10(least))
    return float(next(step * power for step in (1, 2, 5, 10) if step * power >= least * (1 - 1e-9)))


def defects_along(defects: pd.DataFrame, length: float, plan: CoilPlan) -> pd.DataFrame:
    """Count the defects of every stretch of the strip.

    Args:
        defects: table with ``DEFECT_COLUMNS``; static marks are left out.
        length: of the strip, in the unit of the plan.
        plan: its unit gives the length of a stretch.

    Returns:
        A row for each stretch: ``begin``, ``end`` (the last one may be shorter), ``defects`` and ``area`` of those whose
        middle lies in it, ``touched`` (number that lie in it at least in part), and a column ``of CLASS`` for each class.
    """
    own, step = _on_strip(defects), stretch_length(length, plan)
    number = max(int(np.ceil(length / step - 1e-9)), 1)
    begin = np.arange(number) * step
    table = pd.DataFrame({"begin": begin, "end": np.minimum(begin + step, max(length, 0.0))})
    return pd.concat([table, _counts(own, "along", step, number)], axis=1)


def lateral_profile(defects: pd.DataFrame, left: float, right: float, lanes: int = LANES) -> pd.DataFrame:
    """Count the defects of every lane across the strip.

    Args:
        defects: table with ``DEFECT_COLUMNS``; static marks are left out.
        left, right: edges of the strip, in the unit of the plan; what lies beyond them counts in the outermost lanes.
        lanes: number of lanes of equal width.

    Returns:
        A row for each lane, with the columns of ``defects_along``.
    """
    step = max(right - left, 1e-9) / lanes
    borders = left + step * np.arange(lanes + 1)
    table = pd.DataFrame({"begin": borders[:-1], "end": borders[1:]})
    return pd.concat([table, _counts(_on_strip(defects), "across", step, lanes, left)], axis=1)


def _on_strip(defects: pd.DataFrame) -> pd.DataFrame:
    return defects[defects["artefact"] == 0] if "artefact" in defects else defects


def _counts(own: pd.DataFrame, axis: str, step: float, number: int, begin: float = 0.0) -> pd.DataFrame:
    """Return the counts of ``number`` steps along an axis, from ``begin``."""
    low, high = (own[f"{axis}{k}"].to_numpy(float) - begin for k in (0, 1))
    place = np.clip(np.floor((low + high) / 2 / step), 0, number - 1).astype(int)
    first = np.clip(np.floor(low / step), 0, number - 1).astype(int)
    last = np.clip(np.ceil(high / step), first + 1, number).astype(int)
    steps = np.bincount(first, minlength=number + 1) - np.bincount(last, minlength=number + 1)
    found = {
        "defects": np.bincount(place, minlength=number),
        "area": np.bincount(place, own["area"].to_numpy(float), number),
        "touched": np.cumsum(steps)[:number],
    }
    for name in sorted(own["class_name"].unique()):
        found[f"of {name}"] = np.bincount(place[(own["class_name"] == name).to_numpy()], minlength=number)
    return pd.DataFrame(found)

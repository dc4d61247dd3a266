"""Stretches of the strip that a camera should have seen and has not."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from utils.coil.plan import CoilPlan
from utils.coil.tables import GAP_COLUMNS


def find_gaps(table: pd.DataFrame, plan: CoilPlan, length: float | None = None) -> pd.DataFrame:
    """Find the stretches of the coil that a camera has not seen.

    Args:
        table: of ``FRAME_COLUMNS``.
        plan: of the coil.
        length: of the coil; none: it ends with its last image.

    Returns:
        A row of ``GAP_COLUMNS`` for each, and rows without a camera for what none of several has seen. Gaps of a pixel or
        less, and at head and tail of less than half a frame where other cameras see it, are none.
    """
    tail = float(table["end"].max()) if length is None else length
    missing: dict[str, list[tuple[float, float]]] = {}
    for camera, own in table.groupby("camera", sort=False):
        seen = plan.camera(str(camera))
        pixel = (seen.mm_per_px_along if seen else None) or 1.0
        begin, end = own["begin"].to_numpy(float), np.maximum.accumulate(own["end"].to_numpy(float))
        missing[str(camera)] = _missing(begin, end, tail, pixel)
    several = len(missing) > 1
    rows: list[tuple[str, float, float]] = [("", *gap) for gap in _common(list(missing.values()))]
    if several:
        whole = {gap[1:] for gap in rows}
        for camera, gaps in missing.items():
            own = table[table["camera"] == camera]
            half = float(np.median(own["end"] - own["begin"])) / 2
            # Cameras need not stand in one line across the strip.
            inner = [gap for gap in gaps if (gap[0] > 0 and gap[1] < tail) or gap[1] - gap[0] > half]
            rows += [(camera, *gap) for gap in inner if gap not in whole]
    found = pd.DataFrame(rows, columns=list(GAP_COLUMNS))
    return found.sort_values(["begin", "end", "camera"], kind="stable", ignore_index=True)


def _missing(begin: np.ndarray, end: np.ndarray, tail: float, pixel: float) -> list[tuple[float, float]]:
    """Return what lies between images in the order along the strip, ``end`` being the farthest end so far."""
    starts, ends = np.concatenate([[0.0], end]), np.concatenate([begin, [tail]])
    open_ = ends - starts > 1.5 * pixel
    return list(zip(starts[open_].tolist(), ends[open_].tolist(), strict=True))


def _common(parts: Sequence[list[tuple[float, float]]]) -> list[tuple[float, float]]:
    """Return what all lists of stretches have in common."""
    found = parts[0]
    for others in parts[1:]:
        pairs = [(max(a, c), min(b, d)) for a, b in found for c, d in others]
        found = [pair for pair in pairs if pair[1] > pair[0]]
    return found

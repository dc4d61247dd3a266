"""Zones of the strip and the parts of it that no image shows.

A defect lies in every zone that it touches, so that none slips between two of them.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from utils.coil.plan import CoilPlan
from utils.coil.tables import texts

ACROSS = ("edge", "centre")
ALONG = ("head", "body", "tail")
ZONES = (*ACROSS, *ALONG)

Stretch = tuple[float, float]


def strip_edges(plan: CoilPlan, frames: pd.DataFrame) -> Stretch | None:
    """Return where the strip's edges lie across: as the plan says, else from its width, else the border of the images.

    Args:
        plan: of the coil.
        frames: ``FRAME_COLUMNS``.

    Returns:
        Left and right edge in the unit of the plan; None where neither the plan nor an image tells.
    """
    if isinstance(plan.edges, tuple):
        return plan.edges
    left = float(frames["left"].min()) if len(frames) else 0.0
    if plan.width is not None:
        return (left, left + plan.width)
    return (left, float(frames["right"].max())) if len(frames) else None


def stretches(zones: Sequence[str], plan: CoilPlan, length: float) -> list[Stretch]:
    """List the stretches of the strip that zones along it name, in order and apart; the whole strip when none does."""
    head, tail = min(plan.zones.head, length), min(plan.zones.tail, length)
    where = {"head": (0.0, head), "body": (head, length - tail), "tail": (length - tail, length)}
    named = [where[name] for name in ALONG if name in zones] or [(0.0, length)]
    return _united([(begin, end) for begin, end in named if end > begin])


def touching(
    table: pd.DataFrame, zones: Sequence[str], plan: CoilPlan, length: float, edges: Stretch | None
) -> np.ndarray:
    """Check which boxes touch the zones: one of those named along the strip, and one of those named across it.

    Args:
        table: with the columns ``along0 along1 across0 across1``.
        zones: of ``ZONES``; none of a direction: everywhere.
        plan: of the coil.
        length: of the strip.
        edges: of the strip; needed for zones across it.

    Returns:
        (N,) bool.
    """
    along0, along1 = table["along0"].to_numpy(float), table["along1"].to_numpy(float)
    inside = np.ones(len(table), np.bool_)
    if any(name in ALONG for name in zones):
        inside = np.zeros(len(table), np.bool_)
        for begin, end in stretches(zones, plan, length):
            # What lies before the head or behind the tail by a rounding belongs to it.
            inside |= (along0 < end if end < length else True) & (along1 > begin if begin > 0 else True)
    if any(name in ACROSS for name in zones):
        assert edges is not None, "zones across need the strip's edges"
        across0, across1 = table["across0"].to_numpy(float), table["across1"].to_numpy(float)
        left, right = edges[0] + plan.zones.edge, edges[1] - plan.zones.edge
        edge = ((across0 < left) | (across1 > right)) & (plan.zones.edge > 0)
        centre = (across1 > left) & (across0 < right) if plan.zones.edge else np.ones(len(table), np.bool_)
        inside &= ("edge" in zones) & edge | ("centre" in zones) & centre
    return inside


def not_seen(gaps: pd.DataFrame, length: float) -> list[Stretch]:
    """List the stretches that no camera shows, in order and apart."""
    return camera_gaps(gaps[texts(gaps["camera"]) == ""] if len(gaps) else gaps, length)


def camera_gaps(gaps: pd.DataFrame, length: float) -> list[Stretch]:
    """List the stretches for which at least one camera has no image, in order and apart."""
    pairs = [(max(0.0, float(a)), min(length, float(b))) for a, b in zip(gaps["begin"], gaps["end"], strict=True)]
    return _united([(begin, end) for begin, end in pairs if end > begin])


def total(parts: Sequence[Stretch], without: Sequence[Stretch] = ()) -> float:
    """Return the length of stretches that lie apart, less what of others lies in them."""
    missing = sum(max(0.0, min(b, d) - max(a, c)) for a, b in parts for c, d in without)
    return sum(end - begin for begin, end in parts) - missing


def _united(parts: Sequence[Stretch]) -> list[Stretch]:
    found: list[Stretch] = []
    for begin, end in sorted(parts):
        if found and begin <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((begin, end))
    return found

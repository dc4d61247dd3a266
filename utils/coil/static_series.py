"""Tell series of marks that a lens or a light leaves at one place of the image from marks of a roll.

What lies at one place of the image repeats along the strip with the step of the images, and so does a roll whose
circumference goes with their length: one frame, or one and a half with two places in turn. Two hypotheses are compared by
their likelihood, where nearly all marks lie at one or two places of the image:

- a roll: a step of its own, any as likely by its logarithm, from which the strip slips more and more; a mark is seen in
  some share of the *turns*;
- lens or light: one or two places, each anywhere in the image, from which marks differ at random; a mark is seen in some
  share of the *images*, whatever their number. A roll of one and a half frames leaves out every third image, and never has
  its two places in one: no dirt does so. Two lights that take turns, and show dirt in every second image, are rare.

A step of a whole number of images is dirt in any case: on real plates, whose boxes are less exact than drawn ones, the
likelihood takes dirt for rolls of exactly one, two or four images, which no mill has by chance.
"""

import math

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from utils.coil.plan import CoilPlan
from utils.coil.repeats import Repeats
from utils.coil.repeats.scales import Floats, Scales, scales_of
from utils.coil.repeats.series import evidence
from utils.coil.tables import ARTEFACT_COLUMNS

# Marks lie at one place when they differ by less than this part of the image's length; a series that has not nearly all
# its marks at so few places wanders.
_PLACE = 0.04
_MOST_PLACES = 2
_NEARLY_ALL = 0.85
# Standard deviation, in pixels, below which nobody places a mark.
_FINEST_PX = 1.0
# Part of the step by which a step of a whole number of images may differ from it: dirt of loose boxes on real plates has
# up to 0.0034.
_WHOLE = 0.004
# Log of the odds of dirt that every second image alone shows, against dirt that any may show.
_EVERY_SECOND = -8.0


def static_series(defects: pd.DataFrame, repeats: Repeats, frames: pd.DataFrame, plan: CoilPlan) -> pd.DataFrame:
    """Find the series that a lens or a light left.

    Args:
        defects: ``DEFECT_COLUMNS``, those that series were looked for in.
        repeats: the series, and the one that each defect belongs to.
        frames: ``FRAME_COLUMNS``.
        plan: of the coil.

    Returns:
        ``ARTEFACT_COLUMNS``, a row for each series, without numbers of static marks; and ``repeat``, that of the series.
    """
    sizes = {side: dict(zip(frames["camera"], frames[side], strict=True)) for side in ("height_px", "width_px")}
    scales = scales_of(plan)
    rows: list[dict[str, object]] = []
    for series in repeats.table.to_dict("records"):
        marks = defects[repeats.numbers == series["repeat"]]
        camera = str(marks["camera"].mode().iloc[0])
        own = marks[marks["camera"] == camera].sort_values("along0", kind="stable")
        seen = plan.camera(camera)
        assert seen is not None, "frames were placed by the plan"
        low, size, side = ("y", "height", "height_px") if seen.along == "y" else ("x", "width", "width_px")
        place = (own[low] + own[size] / 2).to_numpy(float)
        length = float(sizes[side][camera])
        at = _places(place, _PLACE * length)
        if (at >= 0).sum() < _NEARLY_ALL * len(marks):
            continue
        images = own["image"].unique()
        views = frames[frames["camera"] == camera].sort_values("begin", kind="stable")["image"]
        order = pd.Series(np.arange(len(views)), index=views)
        shown = order.reindex(own["image"]).to_numpy(int)
        scale = seen.mm_per_px_along or 1.0
        along = (own["along0"] + own["along1"]).to_numpy(float) / 2
        if not _is_whole(float(series["period"]) / (length * scale)):
            of_roll = _of_roll(along, float(series["period"]), own["area"].to_numpy(float), scale, scales)
            if of_roll is None or _of_lens(place * scale, at, shown, length * scale, scale) <= of_roll:
                continue
        looked = int(shown.max() - shown.min()) + 1
        rows.append(
            {
                "camera": camera,
                **own[["x", "y", "width", "height"]].median().to_dict(),
                "frames": len(images),
                "share": len(images) / looked,
                "expected": 0.0,
                "first": images[0],
                "last": images[-1],
                "repeat": int(series["repeat"]),
            }
        )
    return pd.DataFrame(rows, columns=[*ARTEFACT_COLUMNS, "repeat"])


def _is_whole(images: float) -> bool:
    """Check whether a step is a whole number of images, as far as loose boxes tell."""
    return round(images) >= 1 and abs(images - round(images)) <= _WHOLE * images


def _places(place: Floats, reach: float) -> NDArray[np.int64]:
    """Return at which of few stretches of the image each mark lies, the fullest is 0; -1: at none of them."""
    at = np.full(len(place), -1)
    for number in range(_MOST_PLACES):
        left = np.flatnonzero(at < 0)
        if not left.size:
            break
        left = left[np.argsort(place[left], kind="stable")]
        ends = np.searchsorted(place[left], place[left] + reach, side="right")
        first = int((ends - np.arange(left.size)).argmax())
        if number and ends[first] - first < 2:  # one mark elsewhere is no place
            break
        at[left[first : ends[first]]] = number
    return at


def _of_roll(along: Floats, period: float, area: Floats, pixel: float, scales: Scales) -> float | None:
    """Return the log likelihood of marks along the strip, were they a roll's; none: they are of one turn.

    Of several parts of a mark the largest counts. Noise is as large as it is likeliest.
    """
    turns = np.concatenate([[0], np.cumsum(np.rint(np.diff(along) / period))])
    largest = np.lexsort((-area, turns))
    largest = largest[np.flatnonzero(np.diff(turns[largest], prepend=-1))]
    along, turns = along[largest], turns[largest]
    if len(along) < 2:
        return None
    far = np.diff(turns)
    residual = np.diff(along) - far * (along[-1] - along[0]) / turns[-1]
    variance = 2 * scales.place + far * scales.slip
    variance = np.maximum(variance * float(np.mean(residual**2 / variance)), 2 * (_FINEST_PX * pixel) ** 2)
    # The first distance tells the step.
    prior = -math.log(period) - math.log(math.log(scales.longest / scales.shortest))
    return evidence(prior + float(_log_normal(residual, variance)[1:].sum()), len(far), float(turns[-1]))


def _of_lens(place: Floats, at: NDArray[np.int64], shown: NDArray[np.int64], length: float, pixel: float) -> float:
    """Return the log likelihood of the same marks, were they dirt at the places of the image."""
    kept = at >= 0
    elsewhere = -float((~kept).sum()) * math.log(length)
    place, at, shown = place[kept], at[kept], shown[kept]
    # Parts of a mark, and an image that shows a place twice, count once.
    _, first = np.unique(np.column_stack([at, shown]), axis=0, return_index=True)
    place, at, shown = place[first], at[first], shown[first]
    places = range(int(at.max()) + 1)
    middles = np.array([np.median(place[at == one]) for one in places])
    off = place - middles[at]
    variance = np.full(len(off), max(float(np.mean(off**2)), (_FINEST_PX * pixel) ** 2))
    total = float(_log_normal(off, variance).sum())
    # The first mark of a place may lie anywhere in the image; that of the first place is where the series begins, which
    # costs a roll the same.
    total -= float(_log_normal(np.zeros(len(places)), variance[: len(places)]).sum())
    total += elsewhere - (len(places) - 1) * math.log(length)
    looked = int(shown.max() - shown.min()) + 1
    counts = [float((at == one).sum()) for one in places]
    best = sum(evidence(0.0, count - (one == 0), looked - (one == 0)) for one, count in enumerate(counts))
    if len(places) == 1 and not (np.diff(shown) % 2).any():
        best = max(best, evidence(_EVERY_SECOND, counts[0] - 1, (looked - 1) // 2))
    return total + best


def _log_normal(residual: Floats, variance: Floats) -> Floats:
    return -0.5 * residual**2 / variance - 0.5 * np.log(2 * math.pi * variance)

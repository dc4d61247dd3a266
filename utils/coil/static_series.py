"""Tell series of marks that lie at one place of the image from marks of a roll.

What a lens or a light leaves in some images repeats along the strip with the step of the images. A roll's marks wander
through the image, since its circumference is no whole number of steps; a roll for which it is one cannot be told apart,
and counts as lens or light.
"""

import numpy as np
import pandas as pd

from utils.coil.plan import CoilPlan
from utils.coil.tables import ARTEFACT_COLUMNS

# Marks lie at one place when they differ by less than this part of the image's length; a series that has nearly all its
# marks at so few places does not wander.
_PLACE = 0.04
_MOST_PLACES = 2
_NEARLY_ALL = 0.85


def static_series(defects: pd.DataFrame, numbers: np.ndarray, frames: pd.DataFrame, plan: CoilPlan) -> pd.DataFrame:
    """Find the series whose marks lie at one or two places of the image.

    Args:
        defects: ``DEFECT_COLUMNS``.
        numbers: (N,) number of the series that each belongs to, 0: none.
        frames: ``FRAME_COLUMNS``.
        plan: of the coil.

    Returns:
        ``ARTEFACT_COLUMNS``, a row for each series, without numbers of static marks; and ``repeat``, that of the series.
    """
    sizes = {side: dict(zip(frames["camera"], frames[side], strict=True)) for side in ("height_px", "width_px")}
    rows: list[dict[str, object]] = []
    for number in np.unique(numbers[numbers > 0]):
        marks = defects[numbers == number]
        camera = str(marks["camera"].mode().iloc[0])
        own = marks[marks["camera"] == camera]
        seen = plan.camera(camera)
        assert seen is not None, "frames were placed by the plan"
        low, size, side = ("y", "height", "height_px") if seen.along == "y" else ("x", "width", "width_px")
        place = (own[low] + own[size] / 2).to_numpy(float)
        if _at_few_places(place, _PLACE * sizes[side][camera], len(marks)):
            images = own.sort_values("along0")["image"].unique()
            begin = frames.loc[frames["camera"] == camera].set_index("image")["begin"]
            looked = begin.between(begin[images[0]], begin[images[-1]]).sum()
            rows.append(
                {
                    "camera": camera,
                    **own[["x", "y", "width", "height"]].median().to_dict(),
                    "frames": len(images),
                    "share": len(images) / max(int(looked), 1),
                    "expected": 0.0,
                    "first": images[0],
                    "last": images[-1],
                    "repeat": int(number),
                }
            )
    return pd.DataFrame(rows, columns=[*ARTEFACT_COLUMNS, "repeat"])


def _at_few_places(place: np.ndarray, reach: float, marks: int) -> bool:
    """Check whether nearly all marks lie in so few stretches of the image, the fullest first."""
    left, taken = np.sort(place), 0
    for _ in range(_MOST_PLACES):
        if not left.size:
            break
        ends = np.searchsorted(left, left + reach, side="right")
        first = int((ends - np.arange(left.size)).argmax())
        taken += int(ends[first]) - first
        left = np.delete(left, slice(first, ends[first]))
    return taken >= _NEARLY_ALL * marks

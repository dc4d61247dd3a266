"""From boxes in images to boxes on the strip."""

import numpy as np
import pandas as pd

from utils.coil.frames import Frames
from utils.coil.plan import Camera, CoilPlan
from utils.coil.tables import SIGHTING_COLUMNS


def place(defects: pd.DataFrame, frames: Frames, plan: CoilPlan) -> pd.DataFrame:
    """Place defects of images on the strip.

    Args:
        defects: image, class_name, x, y, width, height, area_px, probability; boxes in pixels of the image.
        frames: where the images lie.
        plan: of the coil.

    Returns:
        A row of ``SIGHTING_COLUMNS`` for each, in the order of ``defects`` and with its index; boxes are half open.
        Defects of images that were not placed are left out.
    """
    where = frames.table.set_index("image")[["camera", "begin", "end", "left", "right"]]
    if not where.index.is_unique:
        raise ValueError("frames: an image has two places")
    found = where.index.get_indexer(pd.Index(defects["image"]))
    placed = defects[found >= 0].drop(columns="camera", errors="ignore")
    own = where.iloc[found[found >= 0]].set_index(placed.index)
    parts = [
        _on_strip(placed.loc[rows], own.loc[rows], _seen(plan, str(camera)))
        for camera, rows in own.groupby("camera", sort=False).groups.items()
    ]
    if not parts:
        return pd.DataFrame(columns=list(SIGHTING_COLUMNS))
    return pd.concat(parts).loc[placed.index, list(SIGHTING_COLUMNS)]


def _seen(plan: CoilPlan, camera: str) -> Camera:
    seen = plan.camera(camera)
    assert seen is not None, "frames were placed by the plan"
    return seen


def _on_strip(boxes: pd.DataFrame, own: pd.DataFrame, camera: Camera) -> pd.DataFrame:
    """Place the boxes of one camera."""
    x, y, width, height = (boxes[name].to_numpy(float) for name in ("x", "y", "width", "height"))
    scale_along, scale_across = camera.mm_per_px_along or 1.0, camera.mm_per_px_across or 1.0
    (low, long), (left, wide) = ((y, height), (x, width)) if camera.along == "y" else ((x, width), (y, height))
    along = _axis(low, long, scale_along, own["begin"].to_numpy(), own["end"].to_numpy(), camera.reversed_along)
    across = _axis(left, wide, scale_across, own["left"].to_numpy(), own["right"].to_numpy(), camera.reversed_across)
    return boxes.assign(
        camera=own["camera"].to_numpy(),
        along0=along[0],
        along1=along[1],
        across0=across[0],
        across1=across[1],
        area=boxes["area_px"].to_numpy(float) * scale_along * scale_across,
    )


def _axis(
    low: np.ndarray, size: np.ndarray, scale: float, begin: np.ndarray, end: np.ndarray, reversed_: bool
) -> tuple[np.ndarray, np.ndarray]:
    if reversed_:
        return end - (low + size) * scale, end - low * scale
    return begin + low * scale, begin + (low + size) * scale

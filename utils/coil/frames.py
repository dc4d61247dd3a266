"""The images of a coil where they lie on the strip."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import pandas as pd

from utils.coil.gaps import find_gaps
from utils.coil.plan import Camera, CoilPlan

Size = tuple[int, int]  # height, width in pixels


@dataclass(frozen=True)
class Frames:
    """The images of a coil on the strip.

    Attributes:
        table: a row of ``FRAME_COLUMNS`` for each image that was placed, in the order along the strip.
        gaps: a row of ``GAP_COLUMNS`` for each stretch of the strip that a camera should have seen and has not.
        warnings: what was wrong with the tables and what was made of it, a line each.
        unplaced: images that were left out -> why.
        counted: places come from the numbers of the images alone, so 0 is where the first one begins.
        reach: where the last image ends whose place is known, one that could not be read too.
    """

    table: pd.DataFrame
    gaps: pd.DataFrame
    warnings: tuple[str, ...] = ()
    unplaced: Mapping[str, str] = field(default_factory=dict)
    counted: bool = False
    reach: float = 0.0

    @property
    def length(self) -> float:
        """From the head of the coil, 0, to the end of the last image whose place is known."""
        return max(float(self.table["end"].max()), self.reach)

    def without(self, unread: Mapping[str, str], plan: CoilPlan) -> "Frames":
        """Return the frames without images that could not be read: their places are gaps, and are not moved."""
        lost = self.table["image"].isin(list(unread))
        if not lost.any():
            return self
        kept = self.table[~lost].reset_index(drop=True)
        gaps = find_gaps(kept, plan, self.length)
        return replace(self, table=kept, gaps=gaps, unplaced={**self.unplaced, **unread}, reach=self.length)


def extent(size: Size, camera: Camera) -> tuple[float, float]:
    """Return the length along and across the strip that an image shows, in the unit of the plan.

    Args:
        size: height and width in pixels.
        camera: that took it.
    """
    along, across = size if camera.along == "y" else size[::-1]
    return along * (camera.mm_per_px_along or 1.0), across * (camera.mm_per_px_across or 1.0)

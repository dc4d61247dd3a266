"""All that is known of one coil, as its page and its files show it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from utils.coil.crops import Pictures
from utils.coil.grading import Grade
from utils.coil.plan import CoilPlan
from utils.coil.tables import GAP_COLUMNS, LIGHT_COLUMNS, count_texts, texts
from utils.coil.units import Units
from utils.coil.zones import Stretch, strip_edges


def _no_rows(columns: tuple[str, ...]) -> pd.DataFrame:
    return pd.DataFrame(columns=list(columns))


@dataclass(frozen=True, eq=False)
class Coil:
    """One coil; every table has the columns of ``utils.coil.tables``.

    Attributes:
        plan: what ``coil.yaml`` says.
        length: of the strip in the unit of the plan, head at 0.
        frames: the images that were placed.
        gaps: what no image shows.
        defects: those of static marks among them.
        artefacts: static marks.
        repeats: series of marks at a fixed step.
        groups: patches, long scratches and the like.
        grade: the verdict and its reasons.
        notes: sentences that a reader of the page has to know: what was left out, mended or guessed.
        crops: pictures of the gravest defects and their images.
        light: mean grey level along and across the strip.
        made: when and from what, for the page; empty: not said.
    """

    plan: CoilPlan
    length: float
    frames: pd.DataFrame
    defects: pd.DataFrame
    repeats: pd.DataFrame
    groups: pd.DataFrame
    artefacts: pd.DataFrame
    grade: Grade
    gaps: pd.DataFrame = field(default_factory=lambda: _no_rows(GAP_COLUMNS))
    notes: tuple[str, ...] = ()
    crops: Pictures = field(default_factory=Pictures)
    light: pd.DataFrame = field(default_factory=lambda: _no_rows(LIGHT_COLUMNS))
    made: str = ""

    @property
    def units(self) -> Units:
        """How its lengths are written."""
        return Units.of(self.plan.unit)

    @property
    def edges(self) -> Stretch:
        """Where the strip's edges lie across, as well as they are known: else the outermost defects."""
        known = strip_edges(self.plan, self.frames)
        if known is not None:
            return known
        across = self.defects[["across0", "across1"]].to_numpy(float)
        return (float(across.min(initial=0.0)), float(across.max(initial=1.0)))

    def gap_boxes(self, most: int) -> list[list[float]]:
        """List what no image shows as boxes on the strip: over the whole width, then over that of one camera.

        Args:
            most: rows of ``gaps`` that count.

        Returns:
            Begin and end along the strip, left and right across it.
        """
        left, right = self.edges
        boxes = [[begin, end, left, right] for begin, end in self.grade.not_seen]
        sides = self.frames.groupby(texts(self.frames["camera"])).agg({"left": "min", "right": "max"})
        gaps = self.gaps.head(most)
        for camera, begin, end in zip(texts(gaps["camera"]), gaps["begin"], gaps["end"], strict=True):
            if camera and camera in sides.index:
                low, high = sides.loc[camera, "left"], sides.loc[camera, "right"]
                boxes.append([float(begin), float(end), float(low), float(high)])
        return boxes

    @property
    def real(self) -> np.ndarray:
        """Which defects belong to no static mark, (N,) bool."""
        return self.defects["artefact"].fillna(0).to_numpy() == 0

    @property
    def counts(self) -> Mapping[str, int]:
        """The number of defects of each class, static marks left out, most first."""
        return count_texts(texts(self.defects["class_name"])[self.real])

    @property
    def order(self) -> np.ndarray:
        """The rows of ``defects``, gravest first."""
        return gravest_first(self.defects, self.grade)


def gravest_first(defects: pd.DataFrame, grade: Grade) -> np.ndarray:
    """Return the rows of defects, gravest first: by the gravest rule that fired for each, then by area; static marks last.

    Args:
        defects: ``DEFECT_COLUMNS``.
        grade: whose reasons name defects.

    Returns:
        (N,) int, positions of rows.
    """
    rank = np.zeros(len(defects))
    numbers = defects["defect"].to_numpy(np.int64)
    fired = grade.fired
    for place, outcome in enumerate(reversed(fired), start=1):
        rank[np.isin(numbers, outcome.defects)] = place
    rank[defects["artefact"].fillna(0).to_numpy() != 0] = -1
    area = np.nan_to_num(defects["area"].to_numpy(float))
    return np.lexsort((numbers, -area, -rank))

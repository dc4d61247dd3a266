"""The tables that pass from one step of a coil to the next, as pandas frames with these columns.

Every length is in the unit of the plan (``utils.coil.plan``): millimetres, or pixels where the scale is unknown. ``along``
grows from the head of the coil to its tail, ``across`` from the left edge to the right one. Boxes are half open.
"""

from collections import Counter
from collections.abc import Iterable

import numpy as np
import pandas as pd

# A row for each image that was placed, in the order along the strip.
FRAME_COLUMNS = (
    "image",  # name of the image
    "camera",  # name of its camera, text
    "begin",  # where it begins along the strip
    "end",
    "left",  # where it begins across the strip
    "right",
    "width_px",  # size of the image
    "height_px",
)

# A row for each defect as one image shows it.
SIGHTING_COLUMNS = (
    "image",
    "camera",
    "class_name",
    "x",  # box in the image, pixels
    "y",
    "width",
    "height",
    "area_px",
    "probability",  # mean over its pixels
    "along0",  # the same box on the strip
    "along1",
    "across0",
    "across1",
    "area",  # square units
)

# A row for each defect of the strip: sightings of one defect are one row.
DEFECT_COLUMNS = (
    "defect",  # number, from 1 in the order along the strip
    "class_name",
    "along0",
    "along1",
    "across0",
    "across1",
    "area",
    "probability",
    "sightings",  # number of parts
    "image",  # the image that shows the largest part, with its camera and the part's box in pixels
    "camera",
    "x",
    "y",
    "width",
    "height",
    "side",  # "top" or "bottom"
    "artefact",  # number of the static mark that it belongs to, 0: none
    "repeat",  # number of the series that it belongs to, 0: none
    "group",  # number of the group that it belongs to, 0: none
    "earlier",  # number of the same defect on the map of an earlier stage, 0: none
)

# A row for each static mark: dirt on a lens, a fixed reflection.
ARTEFACT_COLUMNS = (
    "artefact",  # number, from 1, surest first
    "camera",
    "x",  # its box in the images, pixels: the median of those it was seen with
    "y",
    "width",
    "height",
    "frames",  # number of frames that show it
    "share",  # the same, by the number of frames from the first to the last that shows it
    "expected",  # number of those frames that would show something there by chance
    "first",  # image that shows it first, and last
    "last",
)

# A row for each series of marks at a fixed step.
REPEAT_COLUMNS = (
    "repeat",  # number, from 1, surest first
    "across",  # middle of the marks
    "period",  # step along the strip
    "period_error",  # one standard error
    "drift",  # relative change of the period from onset to end
    "onset",  # along the strip
    "end",
    "hits",  # marks seen
    "turns",  # marks expected between onset and end
    "false_alarms",  # expected number of series as sure as this one on a coil without any
    "class_name",  # of most marks
    "roll",  # name of the likeliest one, empty: none fits
    "diameter",  # that this period means for the likeliest roll
    "rolls",  # all that fit, likeliest first, separated by ";"
)

# A row for each group: a dense patch, a long scratch in parts, a stretch that goes on to the tail.
GROUP_COLUMNS = ("group", "kind", "class_name", "along0", "along1", "across0", "across1", "defects", "to_tail")

# A row for each stretch of the strip that no image of a camera shows.
GAP_COLUMNS = ("camera", "begin", "end")  # camera empty: none of any camera, the whole width is missing

# Mean grey level along and across the strip.
LIGHT_COLUMNS = ("axis", "camera", "at", "grey")  # axis "along" or "across"; grey 0 to 255


def texts(column: pd.Series) -> np.ndarray:
    """Return a column of names, ``(N,)`` object, each a ``str``; empty where there is none.

    Names of files may hold bytes that are no UTF-8, which the text columns of pandas refuse.
    """
    found = np.empty(len(column), object)
    found[:] = ["" if word is None or word is pd.NA or word != word else str(word) for word in column.tolist()]
    return found


def count_texts(names: np.ndarray) -> dict[str, int]:
    """Count names, most first, then by their letters."""
    counts = Counter(names.tolist())
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def among(names: np.ndarray, wanted: Iterable[str]) -> np.ndarray:
    """Check which names are among others, ``(N,)`` bool."""
    known = set(wanted)
    return np.array([name in known for name in names], np.bool_)

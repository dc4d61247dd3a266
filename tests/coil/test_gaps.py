"""What a camera has not seen is a gap of that camera, and of the strip where none has."""

import pandas as pd
import pytest

from utils.coil.gaps import find_gaps
from utils.coil.plan import CoilPlan


@pytest.mark.parametrize(
    ("frames", "length", "gaps"),
    [
        ([("1", 0, 10), ("1", 10, 20)], None, []),
        ([("1", 0, 10), ("1", 11, 20)], None, []),  # a pixel
        ([("1", 5, 10), ("1", 14, 20)], 30, [("", 0, 5), ("", 10, 14), ("", 20, 30)]),
        ([("1", 0, 20), ("1", 2, 10), ("1", 20, 30)], None, []),  # a short one within a long one
        ([("1", 0, 10), ("1", 20, 30), ("2", 0, 15), ("2", 15, 30)], None, [("1", 10, 20)]),
        (
            [("1", 0, 10), ("1", 20, 30), ("2", 4, 14), ("2", 24, 34)],
            None,
            [("1", 10, 20), ("", 14, 20), ("2", 14, 24)],
        ),
    ],
)
def test_gaps(frames, length, gaps):
    table = pd.DataFrame(frames, columns=["camera", "begin", "end"]).astype({"begin": float, "end": float})
    assert [tuple(row) for row in find_gaps(table, CoilPlan(), length).to_numpy()] == gaps

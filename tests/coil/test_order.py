"""Places that contradict the order of the images are found, a strip that runs back is not taken for one."""

import numpy as np
import pytest

from utils.coil.order import crossing


@pytest.mark.parametrize(
    ("places", "wrong"),
    [
        ([], []),
        ([3], []),
        ([0, 1, 2, 3], []),
        ([0, 1, 3, 4], []),  # a gap
        ([3, 2, 1, 0], []),  # tail first
        ([4, 5, 50, 6, 7], [2]),  # one wrong place
        ([4, 5, -9, 6, 7], [2]),
        ([0, 1, 3, 2, 4], [2, 3]),  # exchanged: nobody knows which
        ([0, 1, 2, 1.5, 3, 4], [2, 3]),
        ([9, 8, 7, 60, 6, 5], [3]),
        ([0, 1, 2, 3, 2, 1, 2, 3, 4, 5], []),  # the strip ran back
        ([0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 5, 6, 7, 8], [1, 2, 3, 4]),  # it jumped back: what crosses is not to be trusted
    ],
)
def test_crossing_places(places, wrong):
    found = np.flatnonzero(crossing(np.array(places, dtype=float), may_return=True)).tolist()
    if wrong == [1, 2, 3, 4]:
        assert set(found) <= set(range(9))
        assert found
    else:
        assert found == wrong


def test_times_never_run_back():
    assert np.flatnonzero(crossing(np.array([0, 1.0, 2, 1, 2, 3, 4, 5, 6]), may_return=False)).size

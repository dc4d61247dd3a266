"""Distances from speed.csv: straight lines between its rows."""

import numpy as np
import pandas as pd
import pytest

from utils.coil.speed import distances, seconds
from utils.errors import InputError


def run(tmp_path, text, times):
    file = tmp_path / "speed.csv"
    file.write_text(text)
    return distances(file, np.array(times, dtype=float), tmp_path / "positions.csv")


@pytest.mark.parametrize(
    ("rows", "times", "expected"),
    [
        ([(0, 2), (10, 2)], [0, 3, 10], [0, 6, 20]),
        ([(0, 0), (10, 10)], [5, 10], [12.5, 50]),  # a ramp: v = t, way = t^2 / 2
        ([(10, 10), (0, 0)], [5, 10], [12.5, 50]),  # out of order
        ([(0, 1), (1, 1), (2, -1), (3, -1)], [1, 1.5, 2, 3], [1, 1.25, 1, 0]),  # reversal
        ([(0, 1), (1, 0), (9, 0), (10, 1)], [1, 5, 9], [0.5, 0.5, 0.5]),  # standstill
        ([(0, 1), (1, 1), (1, 3), (2, 3)], [0.5, 1.5, 2], [0.5, 2.5, 4]),  # a step
        ([(0, 1), (0, 1), (2, 1)], [2], [2]),  # doubled
        ([(5, 1), (6, 1)], [4, 5, 7], [np.nan, 0, np.nan]),  # nothing is known outside
        ([(0, "nan"), (1, 1), (2, 1)], [0.5, 2], [np.nan, 1]),
        ([(0, 1), (1, 1), (2, ""), (3, 1), (4, 1)], [4], [4]),
        ([(0, 1), (1, 1), (2, 1), (30, 1), (31, 1)], [31], [31]),  # logged while it changes only
    ],
)
def test_way_is_the_integral_of_the_speed(tmp_path, rows, times, expected):
    text = "time,speed\n" + "".join(f"{time},{speed}\n" for time, speed in rows)
    way, notes = run(tmp_path, text, times)
    np.testing.assert_allclose(way, expected, atol=1e-12)
    assert len(notes) == any(word in text for word in ("nan", ",\n"))


def test_metres_a_minute(tmp_path):
    assert run(tmp_path, "time,m_per_min\n0,120\n60,120\n", [30])[0] == pytest.approx([60])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "empty file"),
        ("time,speed\n", "fewer than two rows"),
        ("time,speed\n0,nan\n1,x\n", "fewer than two rows"),
        ("clock,speed\n0,1\n", "missing column time"),
        ("time,velocity\n0,1\n", "expected one column of the speed: speed"),
        ("time,speed\n0,1\n1,1\n2,1\n3,1\n40,9\n41,9\n", "row 6: no row for the 37 s before it"),
        ("time,speed\nsoon,1\nlater,1\n", "neither seconds nor dates"),
    ],
)
def test_table_that_says_nothing_is_refused_in_a_line(tmp_path, text, said):
    with pytest.raises(InputError, match=said) as error:
        run(tmp_path, text, [0])
    assert "speed.csv" in str(error.value)


def test_missing_table_is_named(tmp_path):
    with pytest.raises(InputError, match=r"positions.csv: has a column time, and there is no speed.csv"):
        distances(tmp_path / "speed.csv", np.zeros(1), tmp_path / "positions.csv")


def test_dates_are_seconds(tmp_path):
    words = pd.Series(["2026-03-01T12:00:00", "2026-03-01 12:00:00.25", "?"])
    found = seconds(tmp_path, words)
    assert found[1] - found[0] == 0.25
    assert np.isnan(found[2])

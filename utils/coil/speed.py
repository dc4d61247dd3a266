"""How far the strip has run at a time: ``speed.csv``, integrated as straight lines between its rows."""

from pathlib import Path

import numpy as np
import pandas as pd

from utils.data.tables import AnnotationError, read_table, require_columns
from utils.errors import InputError
from utils.text import plural

SPEED = "speed.csv"  # beside positions.csv

# Names of the column of the speed -> metres a second of one.
_UNITS = {"speed": 1.0, "speed_m_s": 1.0, "m_per_s": 1.0, "speed_m_min": 1 / 60, "m_per_min": 1 / 60}
_LAYOUT = "time,speed (seconds or date and time; metres a second, or m_per_min)"
# Rows that are missing for more than this many usual steps leave a hole; over it the speed must not change by more than
# this share, else nobody knows how far the strip has run.
_HOLE = 5.0
_SAME_SPEED = 0.02


def distances(file: Path, times: np.ndarray, positions: Path) -> tuple[np.ndarray, list[str]]:
    """Compute how far the strip has run since the first row of ``speed.csv``.

    Args:
        file: ``speed.csv``, in any order.
        times: seconds, on the same clock.
        positions: the table that the times are from, for messages.

    Returns:
        Metres; nan at times before its first row or after its last one. And what was wrong with the table, a line each.

    Raises:
        InputError: no such file, nothing in it, or a hole over which the speed changes.
    """
    if not file.exists():
        raise InputError(
            f"{positions}: has a column time, and there is no {file.name} beside it; add it, or give start_m"
        )
    try:
        table = read_table(file)
        require_columns(file, table, ["time"], f"expected {_LAYOUT}")
    except AnnotationError as error:
        row = "" if error.row is None else f", row {error.row}"
        raise InputError(f"{file}{row}: {error.reason}; expected a table {_LAYOUT}") from None
    column = next((name for name in _UNITS if name in table), None)
    if column is None or list(table.columns).count(column) > 1:
        raise InputError(f"{file}: expected one column of the speed: {', '.join(_UNITS)}")
    speed = pd.to_numeric(table[column].str.strip(), errors="coerce").to_numpy(float) * _UNITS[column]
    time = seconds(file, table["time"])
    rows = table.index.to_numpy()
    whole = np.isfinite(time) & np.isfinite(speed)
    notes = []
    if not whole.all():
        number, first = int((~whole).sum()), rows[~whole][0]
        notes.append(f"{file}: {plural(number, 'row')} without a number (the first: row {first}) not used")
    if whole.sum() < 2:
        raise InputError(f"{file}: fewer than two rows with numbers; expected {_LAYOUT}")
    order = np.argsort(time[whole], kind="stable")
    time, speed, rows = time[whole][order], speed[whole][order], rows[whole][order]
    # The same row twice changes nothing; two speeds at one time are a step, which is integrated as such.
    _refuse_holes(file, time, speed, rows)
    run = np.concatenate([[0.0], np.cumsum(np.diff(time) * (speed[1:] + speed[:-1]) / 2)])
    place = np.clip(np.searchsorted(time, times, side="right") - 1, 0, len(time) - 2)
    since, step = times - time[place], time[place + 1] - time[place]
    # The speed is a straight line between two rows, so the way is a parabola.
    slope = np.divide(speed[place + 1] - speed[place], step, out=np.zeros_like(step), where=step > 0)
    way = run[place] + speed[place] * since + slope * since**2 / 2
    return np.where((times < time[0]) | (times > time[-1]), np.nan, way), notes


def _refuse_holes(file: Path, time: np.ndarray, speed: np.ndarray, rows: np.ndarray) -> None:
    steps = np.diff(time)
    usual = float(np.median(steps[steps > 0])) if (steps > 0).any() else 0.0
    largest = float(np.abs(speed).max())
    changed = np.abs(np.diff(speed)) > _SAME_SPEED * largest
    holes = np.flatnonzero((steps > _HOLE * usual) & changed)
    if holes.size:
        one = int(holes[0])
        raise InputError(
            f"{file}, row {rows[one + 1]}: no row for the {steps[one]:.3g} s before it, in which the speed went from"
            f" {speed[one]:.3g} to {speed[one + 1]:.3g} m/s, so nobody knows how far the strip ran; complete the table, or"
            " give start_m"
        )


def seconds(file: Path, column: pd.Series) -> np.ndarray:
    """Read times as seconds: numbers, or dates with times; nan where there is neither.

    Args:
        file: of the table, for the message.
        column: text.

    Raises:
        InputError: numbers and dates are mixed.
    """
    words = column.str.strip()
    numbers: np.ndarray = pd.to_numeric(words, errors="coerce").to_numpy(float)
    if np.isfinite(numbers).any() or not len(words):
        return numbers
    dates = pd.to_datetime(words, errors="coerce", utc=True, format="ISO8601")
    if dates.isna().all():
        raise InputError(f"{file}: column time holds neither seconds nor dates as 2026-03-01T12:00:00.25; correct it")
    epoch: np.ndarray = (dates - pd.Timestamp(0, tz="UTC")).dt.total_seconds().to_numpy(float)
    return epoch

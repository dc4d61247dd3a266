"""Small coils for tests, written as words: ``4*crack@100+50:5 a20 bottom`` is four cracks from 100 m on, 50 m apart,
5 mm from the left edge, of 20 mm², on the bottom side."""

import re
from typing import Any

import pandas as pd

from utils.coil.coil import Coil
from utils.coil.grading import grade
from utils.coil.plan import CoilPlan, Zones
from utils.coil.tables import (
    ARTEFACT_COLUMNS,
    DEFECT_COLUMNS,
    FRAME_COLUMNS,
    GAP_COLUMNS,
    GROUP_COLUMNS,
    REPEAT_COLUMNS,
)

_WORD = re.compile(r"(?:(\d+)\*)?(\S+?)@([\d.]+)(?:\+([\d.]+))?:([\d.]+)")
_SERIES = re.compile(r"~(\d+):(\S+?)@([\d.]+)-([\d.]+):([\d.]+)")
_GAP = re.compile(r"gap(?::(\S+))?@([\d.]+)-([\d.]+)")


def table(columns: tuple[str, ...], rows: list[dict[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=list(columns))


def read(words: str, per_metre: float = 1000.0) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Return the defects, the series and the gaps that words between semicolons say."""
    defects, series, gaps = [], [], []
    for entry in filter(None, map(str.strip, words.split(";"))):
        if match := _SERIES.fullmatch(entry):
            number, name, onset, end, across = match.groups()
            series.append(
                {"repeat": int(number), "class_name": name, "onset": float(onset) * per_metre}
                | {"end": float(end) * per_metre, "across": float(across), "period": 2000.0, "period_error": 1.5}
                | {"drift": 0.001, "hits": 90, "turns": 120, "false_alarms": 1e-9, "roll": "F6 top"}
                | {"diameter": 636.6, "rolls": "F6 top;F5 top"}
            )
        elif match := _GAP.fullmatch(entry):
            camera, begin, end = match.groups(default="")
            gaps.append({"camera": camera, "begin": float(begin) * per_metre, "end": float(end) * per_metre})
        else:
            defects += _of_entry(entry, per_metre)
    defects.sort(key=lambda row: row["along0"])
    for number, row in enumerate(defects, start=1):
        row["defect"] = number
    return table(DEFECT_COLUMNS, defects), table(REPEAT_COLUMNS, series), table(GAP_COLUMNS, gaps)


def _of_entry(entry: str, per_metre: float) -> list[dict[str, Any]]:
    first, *options = entry.split()
    match = _WORD.fullmatch(first)
    assert match, entry
    many, name, along, step, across = match.groups()
    values = {option[0]: float(option[1:]) for option in options if re.fullmatch(r"[alwrg][\d.]+", option)}
    rows = []
    for turn in range(int(many or 1)):
        begin, left = (float(along) + turn * float(step or 0)) * per_metre, float(across)
        rows.append(
            {"class_name": name, "along0": begin, "along1": begin + values.get("l", 10.0), "across0": left}
            | {"across1": left + values.get("w", 10.0), "area": values.get("a", 10.0), "probability": 0.9}
            | {"sightings": 1, "image": f"{int(begin / per_metre):05d}.png", "camera": "1", "x": 100, "y": 20}
            | {"width": 40, "height": 30, "side": "bottom" if "bottom" in options else "top"}
            | {"artefact": int("art" in options), "repeat": int(values.get("r", 0)), "group": int(values.get("g", 0))}
            | {"earlier": 0}
        )
    return rows


def frames(count: int = 10, size: float = 1000.0, width: float = 1200.0) -> pd.DataFrame:
    """Return frames of one camera, one behind the other."""
    rows = [
        {"image": f"{k:05d}.png", "camera": "1", "begin": k * size, "end": (k + 1) * size, "left": 0.0}
        | {"right": width, "width_px": 1200, "height_px": 1000}
        for k in range(count)
    ]
    return table(FRAME_COLUMNS, rows)


def coil(words: str = "", plan: CoilPlan | None = None, length: float = 1_000_000.0, **more: Any) -> Coil:
    """Return a coil of 1,000 m, graded by the plan."""
    plan = plan or CoilPlan(coil="4711", unit="mm", width=1200.0, zones=Zones(25.0, 10_000.0, 20_000.0))
    per_metre = 1000.0 if plan.unit == "mm" else 1.0
    defects, repeats, gaps = read(words, per_metre)
    parts: dict[str, Any] = {
        "frames": frames(size=length / 10, width=plan.width or 1200.0),
        "groups": table(GROUP_COLUMNS, []),
        "artefacts": table(ARTEFACT_COLUMNS, []),
        "gaps": gaps,
    } | more
    graded = grade(defects, repeats, plan, length, parts["frames"], parts["gaps"])
    return Coil(plan=plan, length=length, defects=defects, repeats=repeats, grade=graded, **parts)

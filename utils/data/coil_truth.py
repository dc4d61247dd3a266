"""What is true of a coil: its defects, the series of marks that a roll printed, and the dirt on the lenses.

A truth comes from whoever drew the coil, or from a person who looked at one. Lengths are in the unit of the truth,
``along`` grows from head to tail and ``across`` from the left edge to the right one; boxes are half open.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from utils.errors import InputError
from utils.files import write_text

# A row for each defect of the strip, as large as it is, whatever the images cut off it.
TRUE_DEFECT_COLUMNS = (
    "defect",  # number, from 1 in the order along the strip
    "class_name",
    "along0",
    "along1",
    "across0",
    "across1",
    "area",  # square units
    "repeat",  # number of the series that it belongs to, 0: none
    "kind",  # "single", "burst", "scratch", "edge" or "mark": what drew it
    "views",  # number of images that show a part of it
)
_NEEDED = ("class_name", "along0", "along1", "across0", "across1")

# A row for each series of marks at a fixed step.
TRUE_REPEAT_COLUMNS = (
    "repeat",
    "across",  # middle of the marks
    "period",  # mean step along the strip, for one turn of the roll
    "others",  # other periods that are as right, separated by ";": half of it for two like marks half a turn apart
    "drift",  # relative change of the period over the whole coil
    "onset",
    "end",
    "hits",  # marks that were seen
    "turns",
    "class_name",
    "roll",
    "diameter",
)

# A row for each static mark, in pixels of the image.
TRUE_ARTEFACT_COLUMNS = ("camera", "x", "y", "width", "height", "frames")

FORMAT = 1


def _empty(columns: tuple[str, ...]) -> Any:
    return field(default_factory=lambda: pd.DataFrame(columns=list(columns)))


@dataclass(frozen=True)
class Truth:
    """What is true of a coil.

    Attributes:
        unit: of every length, ``"mm"`` or ``"px"``.
        length, width: of the strip.
        px_along, px_across: length of the strip under one pixel of the coarsest camera; 1 in pixels.
        defects: frame of ``TRUE_DEFECT_COLUMNS``.
        repeats: frame of ``TRUE_REPEAT_COLUMNS``.
        artefacts: frame of ``TRUE_ARTEFACT_COLUMNS``.
        drawn: the coil is drawn by the computer, so scores on it are simulation.
    """

    unit: str
    length: float
    width: float
    px_along: float = 1.0
    px_across: float = 1.0
    defects: pd.DataFrame = _empty(TRUE_DEFECT_COLUMNS)
    repeats: pd.DataFrame = _empty(TRUE_REPEAT_COLUMNS)
    artefacts: pd.DataFrame = _empty(TRUE_ARTEFACT_COLUMNS)
    drawn: bool = True


def write_truth(truth: Truth, path: Path) -> None:
    """Write a truth as JSON, a line for each row of its tables."""
    head = {
        "format": FORMAT,
        "drawn": truth.drawn,
        "unit": truth.unit,
        "length": round(truth.length, 3),
        "width": round(truth.width, 3),
        "px_along": truth.px_along,
        "px_across": truth.px_across,
    }
    tables = {"defects": truth.defects, "repeats": truth.repeats, "artefacts": truth.artefacts}
    lines = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in head.items()]
    for name, table in tables.items():
        rows = json.loads(table.round(4).to_json(orient="values"))
        body = ",\n".join(f"  {json.dumps(row)}" for row in [list(table.columns), *rows])
        lines.append(f"{json.dumps(name)}: [\n{body}\n]")
    write_text(path, "{\n" + ",\n".join(lines) + "\n}\n")


def read_truth(path: Path) -> Truth:
    """Read the truth of a coil.

    Args:
        path: a JSON file as ``write_truth`` writes it; or a CSV with a row for each defect (``class_name``, ``along0``,
            ``along1``, ``across0``, ``across1`` in pixels, or in millimetres when their names end in ``_mm``).

    Raises:
        InputError: the file is missing, is none of these, or holds numbers that no strip has.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file; give -truth the truth.json of a drawn coil, or a CSV of its defects")
    return _read_csv(path) if path.suffix.lower() == ".csv" else _read_json(path)


def _read_json(path: Path) -> Truth:
    try:
        content = json.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{path}: not a JSON file ({' '.join(str(error).split())}); give -truth a truth.json"
        ) from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise InputError(f"{path}: not the truth of a coil of format {FORMAT}; write it anew with synthesise -coil")
    if content.get("unit") not in ("mm", "px"):
        raise InputError(f"{path}: unit {content.get('unit')!r}; expected mm or px")
    numbers = {}
    for name in ("length", "width", "px_along", "px_across"):
        value = content.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e12:
            raise InputError(f"{path}: {name} {value!r}; expected a number above 0")
        numbers[name] = float(value)
    tables = {
        name: _table(path, name, content.get(name, [list(columns)]), columns)
        for name, columns in (
            ("defects", TRUE_DEFECT_COLUMNS),
            ("repeats", TRUE_REPEAT_COLUMNS),
            ("artefacts", TRUE_ARTEFACT_COLUMNS),
        )
    }
    _check(path, tables["defects"])
    _numeric(path, "defects", tables["defects"], ("views",))
    _numeric(path, "repeats", tables["repeats"], ("across", "period", "onset", "end"))
    _numeric(path, "artefacts", tables["artefacts"], ("x", "y", "width", "height"))
    for row, others in enumerate(tables["repeats"]["others"], 1):
        try:
            [float(other) for other in filter(None, str(others).split(";"))]
        except ValueError:
            raise InputError(f"{path}: repeats {row} has others {others}; expected numbers separated by ;") from None
    return Truth(
        unit=content["unit"],
        length=numbers["length"],
        width=numbers["width"],
        px_along=numbers["px_along"],
        px_across=numbers["px_across"],
        defects=tables["defects"],
        repeats=tables["repeats"],
        artefacts=tables["artefacts"],
        drawn=bool(content.get("drawn", False)),
    )


def _table(path: Path, name: str, rows: Any, columns: tuple[str, ...]) -> pd.DataFrame:
    """Make a frame of a list of rows, the first of which has the names of the columns."""
    whole = isinstance(rows, list) and rows and all(isinstance(row, list) and len(row) == len(rows[0]) for row in rows)
    if not whole:
        raise InputError(f"{path}: {name} is not a list of rows of equal length below the names of their columns")
    missing = [column for column in columns if column not in rows[0]]
    if missing:
        raise InputError(f"{path}: {name} has no column {missing[0]}; write the file anew with synthesise -coil")
    return pd.DataFrame(rows[1:], columns=rows[0])[list(columns)]


def _read_csv(path: Path) -> Truth:
    try:
        table = pd.read_csv(path)
    except (ValueError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a CSV file ({' '.join(str(error).split())})") from None
    unit = "mm" if "along0_mm" in table else "px"
    table = table.rename(columns={f"{name}_mm": name for name in _NEEDED})
    missing = [name for name in _NEEDED if name not in table]
    if missing:
        raise InputError(f"{path}: no column {missing[0]}; expected {', '.join(_NEEDED)}")
    table["class_name"] = table["class_name"].astype(str)
    _check(path, table)
    table = table.sort_values("along0", kind="stable").reset_index(drop=True)
    boxes = (table["along1"] - table["along0"]) * (table["across1"] - table["across0"])
    defaults: dict[str, Any] = {
        "defect": np.arange(1, len(table) + 1),
        "area": boxes,
        "repeat": 0,
        "kind": "single",
        "views": 1,
    }
    for name, value in defaults.items():
        if name not in table:
            table[name] = value
    ends = (float(table["along1"].max()), float(table["across1"].max())) if len(table) else (1.0, 1.0)
    return Truth(unit, *ends, defects=table[list(TRUE_DEFECT_COLUMNS)], drawn=False)


def _numeric(path: Path, name: str, table: pd.DataFrame, columns: tuple[str, ...]) -> None:
    """Refuse cells that are no number where one is counted with."""
    for column in columns:
        values = pd.to_numeric(table[column], errors="coerce").to_numpy(float)
        if not np.isfinite(values).all():
            row = int(np.argmin(np.isfinite(values)))
            raise InputError(f"{path}: {name} {row + 1} has {column} {table[column].iloc[row]}; expected a number")
        table[column] = values


def _check(path: Path, table: pd.DataFrame) -> None:
    """Refuse boxes that no strip has."""
    for name in _NEEDED[1:]:
        values = pd.to_numeric(table[name], errors="coerce")
        if not np.isfinite(values.to_numpy(float)).all():
            row = int(np.argmin(np.isfinite(values.to_numpy(float))))
            raise InputError(f"{path}: defect {row + 1} has {name} {table[name].iloc[row]}; expected a number")
        table[name] = values.astype(float)
    for low, high in (("along0", "along1"), ("across0", "across1")):
        wrong = np.flatnonzero(table[high].to_numpy() < table[low].to_numpy())
        if len(wrong):
            raise InputError(f"{path}: defect {wrong[0] + 1} has {high} before {low}; exchange them")

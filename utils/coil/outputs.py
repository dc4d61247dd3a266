"""The files of a coil: tables as CSV, and as Parquet where pyarrow is installed, and the grade as JSON."""

import importlib
import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from utils.coil.coil import Coil
from utils.coil.grading import Outcome
from utils.coil.tables import ARTEFACT_COLUMNS, DEFECT_COLUMNS, GROUP_COLUMNS, REPEAT_COLUMNS, among, texts
from utils.coil.zones import ACROSS, ALONG, touching
from utils.data.tables import write_frame
from utils.files import make_folder, staged, write_text

NO_PARQUET = (
    "defects.parquet was not written: the package pyarrow is not installed; defects.csv has the same, or run"
    " .venv/bin/uv pip install -r requirements-coil.txt"
)
MOST_NAMED = 1000  # defects that a reason of grade.json names
DECIMALS = 2  # of millimetres, pixels and areas in tables
DECIMALS_M = 4  # of metres
DIGITS = 4  # of numbers that are no lengths
SUMMARY = "summary.json"
PAGE, PICTURE = "coil.html", "coil.png"  # beside them, written by whoever draws them
FILES = (
    "defects.csv",
    "defects.parquet",
    "repeats.csv",
    "groups.csv",
    "artefacts.csv",
    "warnings.csv",
    "grade.json",
)
_WHOLE = ("defect", "sightings", "x", "y", "width", "height", "artefact", "repeat", "group", "earlier", "frames")
_NO_LENGTHS = ("false_alarms", "probability", "drift", "share", "expected", "period_error", "surprise")
_WHOLE_ALSO = ("hits", "turns", "defects")


def write_coil(out: Path, coil: Coil, more: Callable[[Path, list[str]], None] | None = None) -> list[str]:
    """Write the tables and the grade of a coil: all of them or none.

    Args:
        out: folder; it is made if missing.
        coil: all of it.
        more: writes further files that belong to them into the folder it is given, and knows what is returned; none: no
            others. Of them ``summary.json`` is there only while all others are.

    Returns:
        What the user has to know, a line each.
    """
    make_folder(out)
    notes = []
    with staged(out, SUMMARY) as place:
        defects = tidy(coil.defects, DEFECT_COLUMNS)
        write_frame(defects, place / "defects.csv")
        write_frame(tidy(coil.repeats, REPEAT_COLUMNS), place / "repeats.csv")
        write_frame(tidy(coil.groups, GROUP_COLUMNS), place / "groups.csv")
        write_frame(tidy(coil.artefacts, ARTEFACT_COLUMNS), place / "artefacts.csv")
        write_frame(warnings_of(coil), place / "warnings.csv")
        write_text(place / "grade.json", json.dumps(grade_of(coil), indent=2, allow_nan=False) + "\n")
        if importlib.util.find_spec("pyarrow") is None:
            notes.append(NO_PARQUET)
        else:
            _write_parquet(defects, place / "defects.parquet", coil)
        if more is not None:
            more(place, notes)
    if notes:
        (out / "defects.parquet").unlink(missing_ok=True)  # of an earlier run: it would say something else
    return notes


def tidy(table: pd.DataFrame, columns: tuple[str, ...]) -> pd.DataFrame:
    """Return a table with its columns in their order, whole numbers as such and lengths without digits that mean nothing."""
    more = [name for name in table if name not in columns]
    shown = table.reindex(columns=[*columns, *more]).reset_index(drop=True)
    for name in shown:
        if name in _WHOLE or name in _WHOLE_ALSO:
            numbers = pd.to_numeric(shown[name], errors="coerce")
            whole = not len(numbers) or bool(((numbers % 1 == 0) | numbers.isna()).all())
            shown[name] = numbers.astype("Int64") if whole else numbers.round(DECIMALS)
        elif shown[name].dtype.kind == "f":
            shown[name] = _digits(shown[name]) if name in _NO_LENGTHS else shown[name].round(DECIMALS)
    return shown


def _digits(numbers: pd.Series) -> pd.Series:
    """Round numbers to digits, wherever their point is."""
    return numbers.map(lambda number: float(f"{number:.{DIGITS}g}"))


def warnings_of(coil: Coil) -> pd.DataFrame:
    """List what the next line must be told: groups and defects of the plan's ``warn_classes``, in the order along the strip.

    A group is one row, and its defects have none of their own. The tail comes first at the next line where the coil is
    turned, so that each place is counted from there too.

    Returns:
        Columns ``class_name what count begin_m end_m from_tail_m left_mm right_mm zones side number``; without a scale
        they end in ``_px``.
    """
    units, plan = coil.units, coil.plan
    defects = coil.defects[coil.real & among(texts(coil.defects["class_name"]), plan.warn_classes)]
    groups = coil.groups[among(texts(coil.groups["class_name"]), plan.warn_classes)]
    groups = groups[groups["group"].isin(defects["group"])]
    alone = defects[~defects["group"].isin(groups["group"])]
    columns = ["class_name", "what", "count", "along0", "along1", "across0", "across1", "side", "number"]
    sides = defects.drop_duplicates("group").set_index("group")["side"]
    counts = defects["group"].value_counts()
    rows = [
        *zip(
            groups["class_name"],
            groups["kind"],
            groups["group"].map(counts),
            *(groups[name] for name in columns[3:7]),
            groups["group"].map(sides),
            groups["group"],
            strict=True,
        ),
        *zip(
            alone["class_name"],
            ["defect"] * len(alone),
            [1] * len(alone),
            *(alone[name] for name in columns[3:7]),
            alone["side"],
            alone["defect"],
            strict=True,
        ),
    ]
    table = pd.DataFrame(rows, columns=columns).sort_values(["along0", "across0"], kind="stable", ignore_index=True)
    zones = zone_words(coil, table)
    left = coil.edges[0]
    along, across = units.suffix
    decimals = DECIMALS_M if units.along == "m" else DECIMALS
    named = {
        "class_name": texts(table["class_name"]),
        "what": texts(table["what"]),
        "count": table["count"].astype("Int64"),
        f"begin{along}": (table["along0"].astype(float) / units.per_along).round(decimals),
        f"end{along}": (table["along1"].astype(float) / units.per_along).round(decimals),
        f"from_tail{along}": ((coil.length - table["along1"].astype(float)) / units.per_along).round(decimals),
        f"left{across}": (table["across0"].astype(float) - left).round(DECIMALS),
        f"right{across}": (table["across1"].astype(float) - left).round(DECIMALS),
        "zones": zones,
        "side": texts(table["side"]),
        "number": table["number"].astype("Int64"),
    }
    return pd.DataFrame(named)


def zone_words(coil: Coil, table: pd.DataFrame) -> list[str]:
    """Name the zones that each box touches, of those that the plan has: ``edge head``."""
    plan, words = coil.plan, [""] * len(table)
    there = {"edge": plan.zones.edge, "centre": plan.zones.edge, "head": plan.zones.head, "tail": plan.zones.tail}
    there["body"] = plan.zones.head or plan.zones.tail
    for zone in (*ACROSS, *ALONG):
        if there[zone]:
            touched = touching(table, (zone,), plan, coil.length, coil.edges)
            words = [f"{word} {zone}".strip() if here else word for word, here in zip(words, touched, strict=True)]
    return words


def grade_of(coil: Coil) -> dict[str, Any]:
    """Return ``grade.json``: the verdict, the rules that fired with their evidence, and what the others measured."""
    grade, plan = coil.grade, coil.plan
    return {
        "coil": plan.coil,
        "line": plan.line,
        "steel": plan.steel,
        "side": plan.side,
        "unit": plan.unit,
        "length": round(coil.length, DECIMALS),
        "edges": [round(edge, DECIMALS) for edge in coil.edges],
        "verdict": grade.verdict or None,
        "verdicts": list(plan.verdicts),
        "why": grade.why,
        "fired": [_plain(outcome) for outcome in grade.fired],
        "not_fired": [_plain(outcome, named=False) for outcome in grade.outcomes if not outcome.fired],
        "not_seen": [[round(begin, DECIMALS), round(end, DECIMALS)] for begin, end in grade.not_seen],
        "camera_gaps": [[round(begin, DECIMALS), round(end, DECIMALS)] for begin, end in grade.camera_gaps],
        "defects": int(coil.real.sum()),
        "classes": dict(coil.counts),
        "static_marks": len(coil.artefacts),
        "defects_of_static_marks": int((~coil.real).sum()),
        "repeats": len(coil.repeats),
        "notes": list(coil.notes),
    }


def _plain(outcome: Outcome, named: bool = True) -> dict[str, Any]:
    rule = outcome.rule
    plain: dict[str, Any] = {
        "rule": rule.name,
        "verdict": rule.verdict,
        "measure": rule.measure,
        "value": float(f"{outcome.value:.9g}"),
        "at_least": rule.at_least,
        "measured_in": outcome.unit,
        "classes": list(rule.classes),
        "zones": list(rule.zones),
        "sides": list(rule.sides),
        "smallest_area": rule.smallest_area,
        "begin": round(outcome.begin, DECIMALS),
        "end": round(outcome.end, DECIMALS),
        "text": outcome.text,
    }
    if rule.window_m is not None:
        plain["window_m"] = rule.window_m
    if named:
        plain["count"] = len(outcome.defects)
        plain["defects"] = outcome.defects[:MOST_NAMED].tolist()
        plain["repeats"] = list(outcome.repeats)
    return plain


def _write_parquet(defects: pd.DataFrame, path: Path, coil: Coil) -> None:
    """Write the table of defects with the unit and the names of the coil in its schema."""
    arrow: Any = importlib.import_module("pyarrow")
    parquet: Any = importlib.import_module("pyarrow.parquet")
    plan = coil.plan
    about = {"unit": plan.unit, "coil": plan.coil, "line": plan.line, "steel": plan.steel, "length": repr(coil.length)}
    whole = arrow.Table.from_pandas(_valid(defects), preserve_index=False)
    stored = {key.encode(): value.encode("utf-8", "backslashreplace") for key, value in about.items()}
    parquet.write_table(whole.replace_schema_metadata({**(whole.schema.metadata or {}), **stored}), path)


def _valid(table: pd.DataFrame) -> pd.DataFrame:
    """Write names of other bytes than UTF-8 as the CSV does: Parquet holds no others."""
    shown = table.copy()
    for name in ("class_name", "image", "camera", "side"):
        shown[name] = [word.encode("utf-8", "backslashreplace").decode() for word in texts(shown[name])]
    return shown

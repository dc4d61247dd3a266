"""The page of a coil: one HTML file that needs nothing else, neither a server nor a network, and has at most 5 MB.

What everybody has to see without a script stands in the page as text: grade, reasons, series, warnings, profiles and a
picture of the map. ``coil.js`` draws the map that can be moved, the list of defects and their pictures, from the data in
the page; ``coil.css`` lays all of it out, on a screen, on a phone and on A4.
"""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from utils.coil.coil import Coil
from utils.coil.crops import Pictures
from utils.coil.grading import GAPS, MEANING, Outcome, about_rule, figure
from utils.coil.outputs import warnings_of
from utils.coil.tables import count_texts, texts
from utils.coil.zones import ZONES, Stretch, total, touching
from utils.reporting.coil_charts import charts
from utils.reporting.coil_map import MOST_GAPS, class_order, map_pages, spelled
from utils.reporting.page import shown
from utils.reporting.plots import colour
from utils.text import plural

if TYPE_CHECKING:
    from jinja2 import Template

LARGEST = 5_000_000  # bytes of the page
MOST_DEFECTS = 60_000  # that the page holds
MOST_ROWS = 100  # of a table, beside the list of defects
MOST_WARNINGS = 40
LONGEST_NAME = 80  # letters of a name in the page
_HERE = Path(__file__).parent
_KIND = "artefact", "repeat", "group", "earlier"


def coil_page(coil: Coil, largest: int = LARGEST) -> str:
    """Build the page of a coil.

    Args:
        coil: all of it.
        largest: bytes that the page may have. Pictures are left out first, the least grave first, then defects.

    Returns:
        The page, for ``utils.files.write_text``.
    """
    context = _context(coil)
    pictures = [_address(part, "image/png") for part in map_pages(coil)]
    kept = min(len(coil.defects), MOST_DEFECTS)
    while True:
        data = _data(coil, kept, context["classes"])
        bare = len(_render(context, pictures, data, kept).encode(errors="backslashreplace"))
        if bare <= 0.9 * largest or not kept:
            break
        kept = int(kept * min(0.8, 0.8 * largest / bare))
    data["pictures"] = _pictures(coil.crops, coil, kept, largest - bare - 2000)
    return _render(context, pictures, data, kept)


def _render(context: Mapping[str, Any], pictures: Sequence[str], data: Mapping[str, Any], kept: int) -> str:
    script = (_HERE / "coil.js").read_text("utf-8")
    return _template().render(
        **context,
        pictures=pictures,
        kept=kept,
        data=as_json(data),
        style=(_HERE / "coil.css").read_text("utf-8"),
        script=script,
        # The one script that may run, whatever a name in the page tries.
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


def as_json(value: Any) -> str:
    """Write JSON that may stand in a ``<script>`` element: no name in it can end the element."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def pack(values: np.ndarray, resolution: float = 0.0) -> dict[str, Any]:
    """Write a column of numbers small: whole multiples of a resolution above the smallest one, in as few bytes as hold them.

    Args:
        values: (N,) numbers.
        resolution: what they are rounded to; 0: they stay as they are, in 32 bits of floating point.

    Returns:
        ``kind`` of the numbers in ``data``, base64 of little-endian bytes, and ``step`` and ``begin`` to make the values
        of them; a column of one value has only that, as ``same``.
    """
    values = np.nan_to_num(np.asarray(values, float))
    if not len(values) or (values == values[0]).all():
        return {"same": float(values[0]) if len(values) else 0}
    if not resolution:
        return {"kind": "f32", "data": _base64(values.astype("<f4").tobytes()), "step": 1, "begin": 0}
    begin = np.floor(values.min() / resolution) * resolution
    whole = np.round((values - begin) / resolution)
    kind = next(
        kind for kind, most in (("u1", 2**8), ("u2", 2**16), ("u4", 2**32), ("f4", np.inf)) if whole.max() < most
    )
    data = _base64(whole.astype(f"<{kind}").tobytes())
    return {"kind": {"u1": "u8", "u2": "u16", "u4": "u32", "f4": "f32"}[kind], "data": data} | {
        "step": resolution,
        "begin": float(begin),
    }


def _data(coil: Coil, kept: int, classes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what the script draws: the gravest defects, gravest first, as packed columns, and what belongs to them."""
    units, plan = coil.units, coil.plan
    table = coil.defects.iloc[coil.order[:kept]]
    fine = 0.1 if plan.unit == "mm" else 1.0
    sides = {"along0": fine, "across0": fine}
    columns = {name: pack(table[name].to_numpy(float), step) for name, step in sides.items()}
    for name in ("along", "across"):
        extent = (table[f"{name}1"] - table[f"{name}0"]).to_numpy(float)
        columns[f"{name}_size"] = pack(extent, fine)
    index = {entry["key"]: number for number, entry in enumerate(classes)}
    columns["class"] = pack(np.array([index[name] for name in texts(table["class_name"])]), 1)
    columns["area"] = pack(table["area"].to_numpy(float))
    columns["probability"] = pack(table["probability"].astype(float).to_numpy(), 1 / 250)
    for name in ("defect", "sightings", "x", "y", "width", "height", *_KIND):
        columns[name] = pack(table[name].fillna(0).astype(float).to_numpy(), 1)
    zones = np.zeros(len(table))
    for bit, zone in enumerate(ZONES):
        zones += 2**bit * (touching(table, (zone,), plan, coil.length, coil.edges) & bool(_has(coil, zone)))
    columns["zones"] = pack(zones, 1)
    for name in ("image", "camera", "side"):
        order, words = pd.factorize(texts(table[name]))
        columns[name] = pack(order, 1) | {"words": list(map(spelled, words))}
    return {
        "units": {"along": units.along, "per": units.per_along, "across": units.across, "area": units.area}
        | {"digits": units.digits},
        "length": coil.length,
        "edges": list(coil.edges),
        "classes": classes,
        "zones": list(ZONES),
        "edge": plan.zones.edge,
        "gaps": coil.gap_boxes(MOST_GAPS),
        "count": len(table),
        "total": len(coil.defects),
        "columns": columns,
        "rules": [_bits(table, outcome) | {"name": _cut(outcome.rule.name)} for outcome in coil.grade.fired],
        "series": [
            [int(row["repeat"]), float(row["across"]), float(row["onset"]), float(row["end"]), float(row["period"])]
            for row in _records(coil.repeats)
        ],
        "groups": [
            [int(row["group"]), *(float(row[name]) for name in ("along0", "along1", "across0", "across1"))]
            for row in _records(coil.groups)
        ],
        "pictures": {"crops": {}, "thumbs": {}},
    }


def _has(coil: Coil, zone: str) -> float:
    zones = coil.plan.zones
    return {"edge": zones.edge, "centre": zones.edge, "head": zones.head, "tail": zones.tail}.get(
        zone, zones.head or zones.tail
    )


def _bits(table: pd.DataFrame, outcome: Outcome) -> dict[str, Any]:
    """Write which defects a rule counted, a bit each."""
    counted = np.isin(table["defect"].to_numpy(np.int64), outcome.defects)
    return {"bits": _base64(np.packbits(counted, bitorder="little").tobytes()), "count": int(counted.sum())}


def _pictures(pictures: Pictures, coil: Coil, kept: int, room: int) -> dict[str, Any]:
    """Choose pictures, gravest first, until the page is full: a defect's crop with the image that it lies in."""
    table = coil.defects.iloc[coil.order[:kept]]
    crops: dict[str, Any] = {}
    thumbs: dict[str, Any] = {}
    for number, image in zip(table["defect"].astype(int), texts(table["image"]), strict=True):
        crop = pictures.crops.get(number)
        if crop is None:
            continue
        thumb = pictures.thumbs.get(image)
        more: dict[str, Any] = {}
        if thumb is not None and spelled(image) not in thumbs:
            more = {spelled(image): [_base64(thumb.jpeg), thumb.width, thumb.height]}
        entry = [_base64(crop.jpeg), *crop.box, int(crop.whole)]
        needed = len(as_json({str(number): entry})) + (len(as_json(more)) if more else 0)
        if needed > room:
            break
        room -= needed
        crops[str(number)] = entry
        thumbs |= more
    return {"crops": crops, "thumbs": thumbs}


def _context(coil: Coil) -> dict[str, Any]:
    """Return what the template writes: words, tables and charts."""
    plan, grade, units = coil.plan, coil.grade, coil.units
    names, counts = class_order(coil), coil.counts
    classes = [
        {"key": name, "name": _cut(shown(name)), "colour": colour(index), "count": counts.get(name, 0)}
        for index, name in enumerate(names)
    ]
    warnings = warnings_of(coil)
    grave = len(plan.verdicts) - 1
    return {
        "coil": coil,
        "title": f"Coil {_cut(plan.coil)}" if plan.coil else "Coil",
        "facts": _facts(coil),
        "verdict": grade.verdict,
        "tone": "none" if grade.rank < 0 else "good" if not grade.rank else "bad" if grade.rank == grave else "middle",
        "fired": [_reason(coil, outcome, place) for place, outcome in enumerate(grade.fired)],
        "others": [_reason(coil, outcome, -1) for outcome in grade.outcomes if not outcome.fired],
        "classes": classes,
        "static": int((~coil.real).sum()),
        "earlier": int((coil.defects["earlier"].fillna(0).to_numpy(float)[coil.real] != 0).sum()),
        "charts": charts(coil, names),
        "repeats": [_repeat(coil, row) for row in _records(coil.repeats)],
        "groups": [_group(coil, row) for row in _records(coil.groups)],
        "artefacts": [_artefact(row) for row in _records(coil.artefacts)],
        "warnings": [[_cell(value) for value in row] for row in warnings.head(MOST_WARNINGS).itertuples(index=False)],
        "warning_columns": [_heading(name) for name in warnings.columns],
        "more": {
            "repeats": len(coil.repeats) - MOST_ROWS,
            "groups": len(coil.groups) - MOST_ROWS,
            "artefacts": len(coil.artefacts) - MOST_ROWS,
            "warnings": len(warnings) - MOST_WARNINGS,
        },
        "warn_classes": [_cut(name) for name in plan.warn_classes],
        "gaps": _gap_rows(coil),
        "notes": [_cut(note, 400) for note in coil.notes[:100]],
        "units": units,
        "total": len(coil.defects),
    }


def _facts(coil: Coil) -> list[tuple[str, str, str]]:
    """Return the numbers at the top: label, number, note."""
    plan, units = coil.plan, coil.units
    whole = total(coil.grade.not_seen)
    lengths = (whole, "not seen"), (total(coil.grade.camera_gaps) - whole, "not seen by every camera")
    unseen = [f"{units.place(length)} {what}" for length, what in lengths if length > 0]
    width = coil.edges[1] - coil.edges[0]
    cameras = coil.frames["camera"].nunique()
    static = int((~coil.real).sum())
    facts = [
        ("defects", f"{int(coil.real.sum()):,}", plural(len(coil.counts), "class", ",").replace("classs", "classes")),
        ("length", units.place(coil.length), ", ".join(unseen) or "seen from head to tail"),
        ("width", units.size(width), f"{plan.side} side"),
        ("repeating marks", f"{len(coil.repeats):,}", "series"),
        ("images", f"{len(coil.frames):,}", plural(cameras, "camera")),
    ]
    if len(coil.artefacts):
        facts.append(("static marks", f"{len(coil.artefacts):,}", f"{plural(static, 'defect', ',')} left out"))
    return facts


def _reason(coil: Coil, outcome: Outcome, place: int) -> dict[str, Any]:
    rule, unit = outcome.rule, outcome.unit
    number = len(outcome.repeats) if rule.measure == "repeats" else len(outcome.defects)
    counted = np.isin(coil.defects["defect"].to_numpy(np.int64), outcome.defects)
    classes = list(count_texts(texts(coil.defects["class_name"])[counted]).items())
    where = coil.units.stretch(outcome.begin, outcome.end) if number or (rule.measure in GAPS and outcome.value) else ""
    return {
        "place": place,
        "verdict": rule.verdict,
        "name": _cut(rule.name),
        "about": _cut(about_rule(rule), 300),
        "measure": MEANING[rule.measure],
        "value": f"{figure(outcome.value)} {unit}".strip(),
        "limit": f"{figure(rule.at_least)} {unit}".strip(),
        "where": where,
        "count": len(outcome.defects),
        "classes": ", ".join(f"{_cut(shown(str(name)), 30)} {count:,}" for name, count in classes[:5]),
        "series": ", ".join(map(str, outcome.repeats[:12])),
    }


def _repeat(coil: Coil, row: Mapping[str, Any]) -> dict[str, Any]:
    units = coil.units
    known = units.along == "m"
    hits, turns = int(row["hits"]), int(row["turns"])
    others = [word for word in _word(row["rolls"]).split(";") if word and word != _word(row["roll"])]
    return {
        "number": int(row["repeat"]),
        "class": _cut(shown(_word(row["class_name"]))),
        "roll": _cut(_word(row["roll"])),
        "diameter": units.size(float(row["diameter"])) if known and row["diameter"] == row["diameter"] else "",
        "others": _cut(", ".join(others), 120),
        "period": f"{float(row['period']):,.1f} ± {float(row['period_error']):,.1f} {units.across}",
        "drift": f"{100 * float(row['drift']):+.2f} %" if row["drift"] == row["drift"] else "",
        "across": units.size(float(row["across"]) - coil.edges[0]),
        "where": units.stretch(float(row["onset"]), float(row["end"])),
        "hits": f"{hits:,} of {turns:,}",
        "alarms": f"{float(row['false_alarms']):.1g}",
    }


def _group(coil: Coil, row: Mapping[str, Any]) -> dict[str, Any]:
    units, left = coil.units, coil.edges[0]
    tail = row["to_tail"] is not None and row["to_tail"] == row["to_tail"] and bool(row["to_tail"])
    return {
        "number": int(row["group"]),
        "kind": _cut(_word(row["kind"])),
        "class": _cut(shown(_word(row["class_name"]))),
        "where": units.stretch(float(row["along0"]), float(row["along1"])) + (", goes on to the tail" if tail else ""),
        "across": f"{units.size(float(row['across0']) - left)} to {units.size(float(row['across1']) - left)}",
        "count": f"{int(row['defects']):,}",
    }


def _artefact(row: Mapping[str, Any]) -> dict[str, Any]:
    camera = _word(row["camera"])
    where = f"column {int(row['x']):,} to {int(row['x'] + row['width']):,}"
    return {
        "number": int(row["artefact"]),
        "place": f"camera {_cut(camera)}, {where}: lens or light" if camera else f"{where}: lens or light",
        "row": f"{int(row['y']):,} to {int(row['y'] + row['height']):,}",
        "frames": f"{int(row['frames']):,}",
        "share": f"{100 * float(row['share']):.1f} %",
        "expected": f"{float(row['expected']):,.1f}",
    }


def _gap_rows(coil: Coil) -> list[dict[str, str]]:
    """List what no image shows: all of the width first, then camera by camera."""
    units = coil.units

    def row(camera: str, part: Stretch) -> dict[str, str]:
        return {"camera": camera, "where": units.stretch(*part), "length": units.place(part[1] - part[0])}

    rows = [row("all", part) for part in coil.grade.not_seen]
    for entry in _records(coil.gaps):
        if camera := _word(entry["camera"]):
            rows.append(row(_cut(camera), (float(entry["begin"]), float(entry["end"]))))
    return rows[:MOST_ROWS]


def _records(table: pd.DataFrame, most: int = MOST_ROWS) -> list[dict[Any, Any]]:
    return table.head(most).to_dict("records")


def _heading(column: str) -> str:
    name, _, unit = column.rpartition("_")
    return (
        f"{name.replace('_', ' ')}, {unit}"
        if unit in ("m", "mm", "px")
        else column.replace("_name", "").replace("_", " ")
    )


def _cell(value: Any) -> str:
    if value is None or value is pd.NA or value != value:
        return ""
    if isinstance(value, str):
        return _cut(value)
    return f"{value:,.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else f"{int(value):,}"


def _word(value: Any) -> str:
    return "" if value is None or value != value else str(value)


def _cut(text: str, length: int = LONGEST_NAME) -> str:
    """Cut a name that would push the page out of shape, see ``spelled``."""
    text = spelled(text)
    return text if len(text) <= length else f"{text[: length - 1]}…"


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _address(data: bytes, kind: str) -> str:
    return f"data:{kind};base64,{_base64(data)}"


@cache
def _template() -> "Template":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("coil.html")

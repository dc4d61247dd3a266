"""All steps from defects in images to a graded map of the coil."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from utils.coil.against import register
from utils.coil.artefacts import find_artefacts
from utils.coil.coil import Coil
from utils.coil.edges import Profile, edges_of_coil, find_edges, outside
from utils.coil.frames import Frames
from utils.coil.gaps import find_gaps
from utils.coil.grading import grade
from utils.coil.grouping import group
from utils.coil.joining import join
from utils.coil.outputs import SUMMARY
from utils.coil.placing import place
from utils.coil.plan import CoilPlan
from utils.coil.repeats import Repeats, find_repeats
from utils.coil.static_series import static_series
from utils.coil.tables import ARTEFACT_COLUMNS, LIGHT_COLUMNS, texts
from utils.coil.units import Units
from utils.coil.zones import camera_gaps, not_seen, total
from utils.errors import InputError
from utils.text import plural

# Steps across the strip in which the light of a camera is told.
_LIGHT_STEPS = 100


def map_coil_of(
    defects: pd.DataFrame,
    frames: Frames,
    plan: CoilPlan,
    profiles: Mapping[str, Profile],
    *,
    keep_static: bool = False,
    earlier: pd.DataFrame | None = None,
    notes: Sequence[str] = (),
) -> Coil:
    """Make the map of a coil.

    Args:
        defects: image, class_name, x, y, width, height, area_px, probability.
        frames: where the images lie.
        plan: of the coil.
        profiles: image -> light across, where images are at hand; for the strip's edges.
        keep_static: treat static marks as defects.
        earlier: the map of an earlier stage, ``DEFECT_COLUMNS``.
        notes: what a reader of the map has to know already.

    Returns:
        The map, without pictures.

    Raises:
        InputError: the plan wants edges found, and no image shows any; or a rule that nothing can be measured for.
    """
    said = [*notes, *frames.warnings]
    plan, edges = _edges(frames, plan, profiles, said)
    dark = set() if edges is None or isinstance(edges, tuple) else set(edges.index[~edges["strip"].to_numpy(bool)])
    lit = _strip_alone(frames, dark, plan) if dark else frames
    sightings = place(defects, lit, plan)
    lost = int((~defects["image"].isin(frames.table["image"])).sum())
    if lost:
        said.append(f"{plural(lost, 'defect')} of images without a place left out")
    frames = lit
    on_strip = np.ones(len(sightings), dtype=bool) if edges is None else ~outside(sightings, edges)
    sightings = sightings[on_strip].reset_index(drop=True)
    if beside := len(defects) - lost - len(sightings):
        said.append(f"{plural(beside, 'defect')} beside the strip left out")
    artefacts, numbers = find_artefacts(sightings, frames.table)
    table = join(sightings.assign(artefact=0 if keep_static else numbers), frames.table, plan)
    repeats = _repeats_of(table, frames, plan)
    static = static_series(table[table["artefact"] == 0], repeats, frames.table, plan)
    if len(static) and not keep_static:
        first = int(artefacts["artefact"].max()) + 1 if len(artefacts) else 1
        static["artefact"] = np.arange(first, first + len(static))
        own = table.index[table["artefact"] == 0]
        mark = dict(zip(static["repeat"], static["artefact"], strict=True))
        table.loc[own, "artefact"] = [mark.get(number, 0) for number in repeats.numbers.tolist()]
        artefacts = (
            pd.concat([artefacts, static[list(ARTEFACT_COLUMNS)]], ignore_index=True) if len(artefacts) else static
        )
        artefacts = artefacts[list(ARTEFACT_COLUMNS)]
        repeats = _repeats_of(table, frames, plan)
        repeats = _without(repeats, static_series(table[table["artefact"] == 0], repeats, frames.table, plan))
    if len(artefacts):
        said += _static_marks(artefacts, keep_static)
    real = table["artefact"].to_numpy(int) == 0
    real_ones = table[real].reset_index(drop=True)
    real_ones["repeat"] = repeats.numbers
    groups, real_ones["group"] = group(real_ones, plan, frames.length)
    if earlier is not None:
        registration = register(real_ones, earlier, plan)
        real_ones["earlier"] = registration.numbers
        said.append(registration.text)
    for name in ("repeat", "group", "earlier"):
        column = np.zeros(len(table), np.int64)
        column[real] = real_ones[name].to_numpy(np.int64)
        table[name] = column
    said += _camera_gaps(frames, plan)
    verdict = grade(table, repeats.table, plan, frames.length, frames.table, frames.gaps)
    return Coil(
        plan=plan,
        length=frames.length,
        frames=frames.table,
        defects=table,
        repeats=repeats.table,
        groups=groups,
        artefacts=artefacts,
        grade=verdict,
        gaps=frames.gaps,
        notes=tuple(said),
        light=light_of(profiles, frames, plan),
    )


def read_earlier(folder: Path, plan: CoilPlan) -> pd.DataFrame:
    """Read the map of an earlier stage.

    Args:
        folder: that ``Map_coil.py`` wrote, or its ``defects.csv``.
        plan: of this coil.

    Raises:
        InputError: it is no such map, or its lengths are in another unit.
    """
    file = folder / "defects.csv" if folder.is_dir() else folder
    try:
        table = pd.read_csv(file)
        table[["along0", "along1", "across0", "across1"]].astype(float)
        table["class_name"] = table["class_name"].astype(str)
    except FileNotFoundError:
        raise InputError(f"-against {folder}: no defects.csv; name a folder that Map_coil.py wrote") from None
    except (ValueError, KeyError, UnicodeError):
        raise InputError(f"-against {file}: not the table of a map; name a folder that Map_coil.py wrote") from None
    unit = plan.unit
    if (file.parent / "grade.json").is_file():
        if not (file.parent / SUMMARY).is_file():  # it comes last
            raise InputError(f"-against {folder}: {SUMMARY} is missing, so the map is not whole; map that stage again")
        try:
            unit = json.loads((file.parent / "grade.json").read_text("utf-8"))["unit"]
        except (ValueError, KeyError, TypeError):
            raise InputError(f"-against {file.parent / 'grade.json'}: damaged; map that stage again") from None
    if unit != plan.unit:
        raise InputError(
            f"-against {folder}: is in {unit}, and this map in {plan.unit}; give both the same mm_per_pixel"
        )
    return table


def light_of(profiles: Mapping[str, Profile], frames: Frames, plan: CoilPlan) -> pd.DataFrame:
    """Return the mean grey level along the strip, image by image, and across it, camera by camera: ``LIGHT_COLUMNS``."""
    rows: list[tuple[str, str, float, float]] = []
    table = frames.table[frames.table["image"].isin(list(profiles))]
    for name, own in table.groupby("camera", sort=False):
        camera = str(name)
        middles = (own["begin"].to_numpy(float) + own["end"].to_numpy(float)) / 2
        means = [float(profiles[image].levels.mean()) for image in own["image"]]
        rows += [("along", camera, middle, mean) for middle, mean in zip(middles, means, strict=True)]
        seen = plan.camera(camera)
        sizes = {len(profiles[image].levels) for image in own["image"]}
        if len(sizes) > 1 or seen is None:
            continue
        levels = np.mean([profiles[image].levels for image in own["image"]], axis=0)
        levels = levels[::-1] if seen.reversed_across else levels
        parts = np.array_split(levels, min(_LIGHT_STEPS, len(levels)))
        ends = np.cumsum([len(part) for part in parts])
        left, scale = float(own["left"].median()), seen.mm_per_px_across or 1.0
        rows += [
            ("across", camera, left + (end - len(part) / 2) * scale, float(part.mean()))
            for part, end in zip(parts, ends.tolist(), strict=True)
        ]
    return pd.DataFrame(rows, columns=list(LIGHT_COLUMNS))


def _repeats_of(table: pd.DataFrame, frames: Frames, plan: CoilPlan) -> Repeats:
    """Find the series among the defects that belong to no static mark."""
    own = table[table["artefact"].to_numpy(int) == 0]
    along, across = ((own[f"{axis}0"] + own[f"{axis}1"]).to_numpy(float) / 2 for axis in ("along", "across"))
    return find_repeats(along, across, own["class_name"].tolist(), frames.length, plan)


def _without(repeats: Repeats, static: pd.DataFrame) -> Repeats:
    """Return the series that wander through the image, numbered anew."""
    kept = repeats.table[~repeats.table["repeat"].isin(static["repeat"])].reset_index(drop=True)
    number = {int(old): new for new, old in enumerate(kept["repeat"], 1)}
    kept["repeat"] = np.arange(1, len(kept) + 1)
    return Repeats(kept, np.array([number.get(one, 0) for one in repeats.numbers.tolist()], dtype=np.int64))


def _edges(
    frames: Frames, plan: CoilPlan, profiles: Mapping[str, Profile], said: list[str]
) -> tuple[CoilPlan, pd.DataFrame | tuple[float, float] | None]:
    """Find the edges where the plan asks for it; return the plan with them, and those of each frame or of all; none: none."""
    if plan.edges is None or isinstance(plan.edges, tuple):
        return _as_wide(plan, plan.edges), plan.edges
    if not profiles:
        raise InputError(
            "edges: found in coil.yaml needs the images; give their folder with -dir, or the edges as numbers"
        )
    edges = find_edges(profiles, frames, plan)
    dark = edges.index[~edges["strip"].to_numpy(bool)].tolist()
    if len(dark) == len(edges):
        raise InputError("edges: found in coil.yaml: no image shows any strip, all are dark; give the edges as numbers")
    if dark:
        more = "..." if len(dark) > 3 else ""
        said.append(f"{plural(len(dark), 'image')} without strip: {', '.join(map(str, dark[:3]))}{more}")
    found = edges_of_coil(edges, plan)
    if found is None:
        said.append("the strip's edges are not in the images; all that they show counts as strip")
    elif plan.width is not None and abs(found[1] - found[0] - plan.width) > 0.02 * plan.width:
        said.append(
            f"the strip is {found[1] - found[0]:.0f} {plan.unit} wide in the images, and {plan.width:.0f} in coil.yaml;"
            " one of scale, left edges and width is wrong"
        )
    return _as_wide(dataclasses.replace(plan, edges=found), found), edges


def _as_wide(plan: CoilPlan, edges: tuple[float, float] | None) -> CoilPlan:
    """Return a plan that knows the strip's width where it is not given and its edges are known."""
    return plan if plan.width is not None or edges is None else dataclasses.replace(plan, width=edges[1] - edges[0])


def _strip_alone(frames: Frames, dark: set[str], plan: CoilPlan) -> Frames:
    """Drop the images after the last one that shows strip, and those before the first where nothing says where 0 is."""
    table = frames.table
    lit = table[~table["image"].isin(dark)]
    begin, end = (float(lit["begin"].min()) if frames.counted else 0.0), float(lit["end"].max())
    kept = table[(table["begin"] < end) & (table["end"] > begin)].reset_index(drop=True)
    moved = kept.assign(begin=kept["begin"] - begin, end=kept["end"] - begin)
    # Unread images behind the last one with strip end the coil only where no dark one lies between.
    last = str(table["image"].iloc[int(table["end"].to_numpy().argmax())])
    reach = 0.0 if last in dark else frames.reach - begin
    gaps = find_gaps(moved, plan, max(float(moved["end"].max()), reach))
    return dataclasses.replace(frames, table=moved, gaps=gaps, reach=reach)


def _camera_gaps(frames: Frames, plan: CoilPlan) -> list[str]:
    """Say where a camera has no image though another one has, a line for each camera."""
    units, lines = Units.of(plan.unit), []
    whole = not_seen(frames.gaps, frames.length)
    cameras = texts(frames.gaps["camera"])
    for camera in sorted(set(cameras) - {""}):
        parts = camera_gaps(frames.gaps[cameras == camera], frames.length)
        lines.append(
            f"camera {camera}: no image of {units.place(total(parts, whole))} of strip that another camera shows, the"
            f" first at {units.stretch(*parts[0])}; rules of the measure camera_gaps count it, not_seen does not"
        )
    return lines


def _static_marks(artefacts: pd.DataFrame, kept: bool) -> list[str]:
    """Say where the static marks are, a line for each of the surest."""
    lines = []
    for row in artefacts.head(5).to_dict("records"):
        who = f"camera {row['camera']}" if row["camera"] else "the camera"
        column, line = row["x"] + row["width"] / 2, row["y"] + row["height"] / 2
        lines.append(
            f"{who}, column {column:.0f}, row {line:.0f}: lens or light, in {int(row['frames'])} images"
            f"{'' if kept else ', left out of the map'}"
        )
    if len(artefacts) > len(lines):
        lines.append(f"{len(artefacts) - len(lines)} more static marks, in artefacts.csv")
    return lines

"""The map of a coil against drawn coils, whose truth is known: joins, positions, repeats, grades, and large coils.

Everything here is simulation: the coils are drawn by ``utils.data.synthetic.coil``, which knows nothing of the detector.

    python benchmarks/coil_map.py
    python benchmarks/coil_map.py -parts repeats -coils 100
    python benchmarks/coil_map.py -parts records -frames 10000
"""

import contextlib
import dataclasses
import datetime
import io
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.machine import facts, write_rows
from config import MapCoilConfig, SynthesiseConfig, flag
from utils.cli import DONE, parse, run

ROOT = Path(__file__).parents[1]
PARTS = ("joins", "repeats", "grades", "records")


@dataclasses.dataclass(frozen=True, kw_only=True)
class CoilMapConfig:
    """What this benchmark does."""

    parts: tuple[str, ...] = flag("joins (and positions), repeats, grades, records", PARTS)
    coils: int = flag("coils of each case with repeats; of clean ones twice as many", 100, low=1)
    frames: int = flag("frames of the large coil", 10_000, low=10)
    seed: int = flag("fixes every coil; 20 seeds apart they share none", 0, low=0)
    threads: int = flag("CPU threads", 1, low=1)
    work: Path = flag("folder for what is drawn", Path(tempfile.gettempdir()) / "steel-benchmark" / "coil_map")
    out: Path = flag("CSV file to append to", Path(__file__).parent / "results/coil_map.csv")


def main(argv: Sequence[str]) -> int:
    """Measure, print and append to the CSV."""
    config = parse(CoilMapConfig, argv, "coil_map.py", "Score maps of drawn coils.")
    work = {"joins": joins, "repeats": repeats, "grades": grades, "records": records}
    about = {**facts(config.threads, "numpy", "scipy", "pandas"), "seed": config.seed}
    for part in config.parts:
        for row in work[part](config):
            print(", ".join(f"{name} {value}" for name, value in row.items() if value != ""), flush=True)
            about["date"] = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d")
            write_rows(config.out, [{"part": part, **row, **about}])
    return DONE


def row_of(case: str, coils: int, bar: str, measured: str, met: bool, **more: Any) -> dict[str, Any]:
    """Return a row of figures; those that a part lacks are empty."""
    row = {"case": case, "coils": coils, "measured": measured, "bar": bar, "met": "yes" if met else "NO"}
    return row | {"cpu_s_a_coil": "", "largest_cpu_s": "", "peak_mb": ""} | more


# Joins and positions: coils with pixels, as defects.csv lists a network's answers without a fault.

JOIN_CASES: dict[str, dict[str, Any]] = {
    "two cameras, overlaps": {},
    "no overlap": {"frame_overlap": 0, "camera_overlap": 0},
    "head at the end of x, speed.csv": {
        "along": "x",
        "image_size": (800, 256),
        "reversed_along": True,
        "reversed_across": True,
        "positions": "time",
    },
    "seams in each image, counts": {"seams": 2, "positions": "count"},
    "three cameras of other scales": {"cameras": 3, "camera_scale": 1.15},
    "rows missing, doubled, in disorder": {"spoil": 0.05},
    "no scale": {"mm_per_px": None},
}


def joins(config: CoilMapConfig) -> Iterator[dict[str, Any]]:
    """Draw coils whose defects are cut by frames, cameras and seams, map them, and score joins and positions."""
    from utils.data.synthetic.coil.folder import draw_coil

    total, good, wrong, near = 0, 0, 0, 0
    for number, (case, changes) in enumerate(JOIN_CASES.items()):
        folder = config.work / f"joins_{number}"
        settings = SynthesiseConfig(
            dir=folder,
            coil=True,
            frames=30,
            image_size=(256, 800),
            defects_per_m=9.0,
            cut=0.9,
            seed=100 * config.seed + number,
        )
        with contextlib.redirect_stderr(io.StringIO()):
            draw_coil(dataclasses.replace(settings, **changes))
        scores = map_folder(folder)
        one = scores.joins
        lost = "spoil" in changes  # what lies where no image is left cannot be whole
        if not lost:
            total, good = total + one.cut, good + one.cut_joined
            near += sum(a <= 1.0 and b <= 1.0 for a, b in zip(one.along, one.across, strict=True)) - one.joined
        wrong += one.wrong_joins
        measured = scores.text().replace("\n", "; ").replace(", ", " / ")
        met = not one.wrong_joins and (lost or one.joined == one.defects)
        yield row_of(case, 1, "all joined / 0 wrong joins / within one pixel", measured, met)
    measured = f"{good} of {total} cut ones joined / {wrong} wrong joins / {-near} farther than one pixel off"
    yield row_of("all", len(JOIN_CASES), "all / 0 / 0", measured, good == total and not wrong and not near)


def map_folder(folder: Path) -> Any:
    """Map a drawn coil from its tables, as Map_coil.py does, and score the map."""
    from utils.commands.map_coil import map_coil

    config = MapCoilConfig(
        dir=folder,
        coil=folder / "coil.yaml",
        defects=folder / "defects.csv",
        truth=folder / "truth.json",
        out=folder.with_name(f"{folder.name}_map"),
        crops=0,
    )
    with contextlib.redirect_stderr(io.StringIO()):
        scores = map_coil(config).scores
    assert scores is not None
    return scores


# Repeats: 600 m of events.


def repeats(config: CoilMapConfig) -> Iterator[dict[str, Any]]:
    """Draw coils without pixels and look for what repeats in them."""
    cases: list[tuple[str, int, dict[str, Any], float]] = [
        (f"{per_m:g} others a metre, {missed:.0%} missed", config.coils, {"per_m": per_m, "missed": missed}, recall)
        for missed, recall in ((0.5, 0.95), (0.7, 0.85))
        for per_m in (0.5, 2.0)
    ]
    cases += [
        ("three rolls, 2 others a metre, 50% missed", config.coils // 2, {"per_m": 2.0, "series": 3}, 0.95),
        (
            "opposite marks, 1 other a metre, 50% missed",
            config.coils // 2,
            {"per_m": 1.0, "arrangement": "opposite"},
            0.95,
        ),
    ]
    for number, (case, count, changes, recall) in enumerate(cases):
        one = _Series(config, 1 + number, count, changes)
        measured = f"recall {one.recall:.3f} / period right {one.period:.3f} / {one.covered:.0%} of the length"
        measured += f" / {one.parts} further parts / {one.others} of another period / {one.alarms} false alarms"
        bar = f"recall {recall} / period right 0.95 / 0.5 s"
        met = one.recall >= recall and one.period >= 0.95 and one.cpu.mean() <= 0.5
        yield row_of(case, count, bar, measured, met, **one.spent())
    one = _Series(config, 50, config.coils, {"per_m": 0.5, "twins": True})
    bar = "right roll first in 0.9"
    yield row_of("two rolls that differ by 2%", config.coils, bar, f"{one.roll:.3f}", one.roll >= 0.9, **one.spent())
    for number, per_m in enumerate((0.5, 2.0)):
        one = _Series(config, 60 + number, config.coils, {"per_m": per_m, "series": 0})
        bar = "1 false alarm in 200 coils"
        case = f"clean, {per_m:g} defects a metre"
        yield row_of(case, config.coils, bar, f"{one.alarms} false alarms", one.alarms <= 1, **one.spent())


class _Series:
    """What was found on the coils of one case.

    Attributes:
        recall: share of the series found.
        period: share of those found whose period is right.
        roll: share of those found with the right roll first.
        covered: mean share of the stretch of the right ones.
        parts: further series on the maps that are the same ones.
        others: series on the maps at the place of a true one, of another period.
        alarms: false ones.
        cpu: (coils,) seconds of processor time of each search.
    """

    def __init__(self, config: CoilMapConfig, case: int, count: int, changes: dict[str, Any]) -> None:
        from utils.coil.plan import CoilPlan, Roll
        from utils.coil.repeats import find_repeats
        from utils.coil.truth import score_repeats
        from utils.data.synthetic.coil import EventSettings, draw_events, draw_rolls

        changes = dict(changes)
        twins = changes.pop("twins", False)
        base = EventSettings(**changes)
        scores = []
        spent = []
        for coil in range(count):
            seed = [config.seed, case, coil]
            rng = np.random.default_rng([*seed, 1])
            rolls = draw_rolls(rng, base, 8)
            if twins:
                # Each prints in turn. As ground they never meet, but nearly; six others are far away.
                nominal = rolls[0].diameter
                first, second = (
                    dataclasses.replace(
                        rolls[0],
                        name=name,
                        diameter=size * rng.uniform(0.9905, 1.0095),
                        smallest=0.9905 * size,
                        largest=1.0095 * size,
                    )
                    for name, size in (("R1", nominal), ("twin", 1.02 * nominal))
                )
                printing, listed = ((first, second)[coil % 2],), [first, second, *rolls[2:]]
            else:
                printing, listed = tuple(rolls[: base.series]), rolls
            events, truth = draw_events(dataclasses.replace(base, rolls=printing), seed)
            table = tuple(Roll(one.name, one.smallest, one.largest, one.elongation) for one in listed)
            plan = CoilPlan(unit="mm", width=base.width, edges=(0.0, base.width), rolls=table)
            along = (events["along0"] + events["along1"]).to_numpy() / 2.0
            across = (events["across0"] + events["across1"]).to_numpy() / 2.0
            started = time.process_time()
            found = find_repeats(along, across, events["class_name"].to_numpy(), truth.length, plan)
            spent.append(time.process_time() - started)
            scores.append(score_repeats(found.table, truth, plan))
        series, hits = sum(one.series for one in scores), sum(one.found for one in scores)
        self.recall = hits / max(1, series)
        self.period = sum(one.period_right for one in scores) / max(1, hits)
        self.roll = sum(one.roll_right for one in scores) / max(1, sum(one.rolls for one in scores))
        self.covered = float(np.mean([share for one in scores for share in one.covered] or [0.0]))
        self.parts, self.others = sum(one.doubles for one in scores), sum(one.other_periods for one in scores)
        self.alarms = sum(one.false_alarms for one in scores)
        self.cpu = np.array(spent)

    def spent(self) -> dict[str, Any]:
        """Return the columns of processor time."""
        return {"cpu_s_a_coil": round(float(self.cpu.mean()), 3), "largest_cpu_s": round(float(self.cpu.max()), 3)}


# Grades: the rules once more, by plain loops.


def grades(config: CoilMapConfig) -> Iterator[dict[str, Any]]:
    """Grade 50 drawn coils and compare verdict and rules with plain loops over the defects."""
    from utils.coil.grading import grade
    from utils.coil.plan import CoilPlan, Rule, Zones
    from utils.coil.tables import DEFECT_COLUMNS, REPEAT_COLUMNS
    from utils.data.synthetic.coil import EventSettings, draw_events

    rules = (
        Rule("cracks at the edge", "hold", "count", 150, ("cracks",), ("edge",)),
        Rule("dense", "downgrade", "count", 60, window_m=10.0),
        Rule("often", "downgrade", "count_per_m", 1.5),
        Rule("large", "hold", "largest_area", 5000.0),
        Rule("head", "downgrade", "count", 60, zones=("head",)),
        Rule("long", "downgrade", "longest", 1200.0, ("scratches",)),
        Rule("rolls", "hold", "repeats", 2),
    )
    plan = CoilPlan(unit="mm", width=1250.0, edges=(0.0, 1250.0), zones=Zones(edge=25.0, head=20_000.0), rules=rules)
    right, verdicts = 0, []
    for coil in range(50):
        rng = np.random.default_rng([config.seed, 90, coil])
        settings = EventSettings(per_m=float(rng.uniform(0.02, 2.0)), series=int(rng.choice(3, p=(0.5, 0.35, 0.15))))
        events, truth = draw_events(settings, [config.seed, 91, coil])
        defects = events.reindex(columns=list(dict.fromkeys([*DEFECT_COLUMNS])), fill_value=0).assign(side="top")
        series = truth.repeats.reindex(columns=list(REPEAT_COLUMNS), fill_value=0)
        got = grade(defects, series, plan, truth.length)
        fired = {one.rule.name for one in got.fired}
        wanted, names = _by_hand(defects.to_dict("records"), len(series))
        right += (got.verdict, fired) == (wanted, names)
        verdicts.append(wanted)
    counts = " / ".join(f"{verdicts.count(word)} {word}" for word in plan.verdicts)
    yield row_of(f"50 coils: {counts}", 50, "50 right", f"{right} right", right == 50)


def _by_hand(defects: list[dict[Any, Any]], series: int) -> tuple[str, set[str]]:
    """Grade by the rules of ``grades``, with nothing but loops."""
    fired = set()
    edge = [one for one in defects if one["across0"] < 25.0 or one["across1"] > 1225.0]
    if sum(one["class_name"] == "cracks" for one in edge) >= 150:
        fired.add("cracks at the edge")
    # The densest stretch touches a defect's end with its beginning.
    for start in [one["along1"] - 1e-6 for one in defects] + [one["along0"] for one in defects]:
        if sum(one["along1"] > start and one["along0"] < start + 10_000.0 for one in defects) >= 60:
            fired.add("dense")
            break
    if len(defects) / 600.0 >= 1.5:
        fired.add("often")
    if any(one["area"] >= 5000.0 for one in defects):
        fired.add("large")
    if sum(one["along0"] < 20_000.0 for one in defects) >= 60:
        fired.add("head")
    if any(one["class_name"] == "scratches" and one["along1"] - one["along0"] >= 1200.0 for one in defects):
        fired.add("long")
    if series >= 2:
        fired.add("rolls")
    holds = fired & {"cracks at the edge", "large", "rolls"}
    return ("hold" if holds else "downgrade" if fired else "accept"), fired


# A large coil: nothing but records.

RULES = """
zones: {edge: 25, head: 20000, tail: 20000}
rules:
  - {name: cracks at the edge, verdict: hold, measure: count, at_least: 60, classes: [cracks], zones: [edge]}
  - {name: dense, verdict: downgrade, measure: count, at_least: 25, window_m: 10}
  - {name: roll marks, verdict: hold, measure: repeats, at_least: 1}
"""


def records(config: CoilMapConfig) -> Iterator[dict[str, Any]]:
    """Map thousands of frames from defects.csv alone, in a process of its own, and look at time, page and memory."""
    folder, out = config.work / "records", config.work / "records_map"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.rmtree(out, ignore_errors=True)
    listed = write_records(folder, config.frames, config.seed)
    words = ["-dir", folder, "-coil", folder / "coil.yaml", "-defects", folder / "defects.csv", "-out", out]
    words += ["-truth", folder / "truth.json", "-frame_size", "1024,2048"]
    code = "import resource, runpy, sys, time; started = time.perf_counter(); sys.argv = sys.argv[1:]\n"
    code += "try: runpy.run_path(sys.argv[0], run_name='__main__')\n"
    code += "finally: print('spent', time.perf_counter() - started, time.process_time(),"
    code += " resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)"
    command = [sys.executable, "-c", code, "Map_coil.py", *map(str, words)]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if answer.returncode:
        raise SystemExit(f"{' '.join(command)}: {answer.stderr}")
    print(answer.stdout)
    seconds, cpu, peak = map(float, answer.stdout.split("spent ")[1].split())
    page = (out / "coil.html").stat().st_size / 1e6
    # Processor time: other programs on the machine do not count.
    measured = f"{cpu:.1f} s of processor time ({seconds:.1f} s) / page {page:.2f} MB / {peak:.0f} MB"
    met = cpu <= 10.0 and page <= 5.0 and peak <= 1024
    case = f"{config.frames} frames / {listed} rows of defects.csv"
    yield row_of(case, 1, "10 s / 5 MB / 1024 MB", measured, met, cpu_s_a_coil=round(cpu, 2), peak_mb=round(peak))


def write_records(folder: Path, frames: int, seed: int) -> int:
    """Write the folder of a coil without images: events, cut by the frames of two cameras.

    Returns:
        Rows of defects.csv.
    """
    from utils.data.coil_truth import write_truth
    from utils.data.synthetic.coil import EventSettings, draw_events
    from utils.data.synthetic.coil import tables as drawn
    from utils.data.synthetic.coil.layout import make_layout

    settings = SynthesiseConfig(dir=folder, coil=True, mm_per_px=(0.5, 0.4), seed=seed)
    layout = make_layout(2, frames // 2, 1024, 2048, (0.5, 0.4), 1.0, 32, 64, 40.0)
    rolls = [drawn.DrawnRoll("R1", 300.0, 294.0, 306.0, 1.2), drawn.DrawnRoll("R2", 310.0, 307.0, 316.0, 1.2)]
    events = EventSettings(
        length=layout.length, width=layout.width, per_m=4.0, rolls=tuple(rolls), series=1, missed=0.3
    )
    defects, truth = draw_events(events, seed)
    rows, views = cut(defects, layout)
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    positions = drawn.positions_table(rng, layout, "start_m", "mm", drawn.speed_table(rng, 10.0), 0.0)
    positions.to_csv(folder / "positions.csv", index=False)
    rows.to_csv(folder / "defects.csv", index=False)
    (folder / "coil.yaml").write_text(drawn.coil_yaml(settings, layout, rolls, "mm") + RULES, "utf-8")
    seen = dataclasses.replace(truth, defects=defects.assign(views=views), px_along=0.5, px_across=0.4)
    write_truth(seen, folder / "truth.json")
    return len(rows)


def cut(defects: pd.DataFrame, layout: Any) -> tuple[pd.DataFrame, np.ndarray]:
    """Cut boxes on the strip into those that each frame shows: rows of defects.csv, and the views of each defect."""
    from utils.data.synthetic.coil import tables as drawn
    from utils.data.synthetic.statistics import CLASS_NAMES

    numbers = {name: number for number, name in enumerate(CLASS_NAMES, start=1)}
    rows: list[tuple[Any, ...]] = []
    views = np.zeros(len(defects), int)
    for place, one in enumerate(defects.itertuples()):
        for camera in layout.cameras:
            # Pixels whose middle lies in the box.
            left, right = (
                int(np.clip(np.rint((side - camera.left) / camera.across), 0, camera.columns))
                for side in (one.across0, one.across1)
            )
            if right <= left:
                continue
            reach = camera.rows * camera.along
            first = max(0, int((one.along0 - camera.first - reach) // camera.step) + 1)
            for frame in range(first, layout.frames):
                begin = camera.begin(frame)
                if begin >= one.along1:
                    break
                top, bottom = (
                    int(np.clip(np.rint((side - begin) / camera.along), 0, camera.rows))
                    for side in (one.along0, one.along1)
                )
                if bottom > top:
                    views[place] += 1
                    area = max(1, round(0.7 * (bottom - top) * (right - left)))
                    box = (left, top, right - left, bottom - top)
                    name = drawn.image_name(camera, frame)
                    rows.append((name, numbers[one.class_name], one.class_name, area, *box, 0.9))
    return pd.DataFrame(rows, columns=list(drawn.DEFECT_TABLE)), views


if __name__ == "__main__":
    run(main)

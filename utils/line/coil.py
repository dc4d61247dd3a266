"""The coil that is on the line: which one, from which event on, and its verdict when it has passed.

Its frames are read from the spool, which keeps them until then, so that a restart in the middle of a coil loses none.
"""

import csv
import json
import logging
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from utils.coil.grading import check_rules
from utils.coil.images import POSITIONS
from utils.coil.mapping import map_coil_of
from utils.coil.plan import CoilPlan
from utils.coil.plan_file import check_classes, read_plan
from utils.coil.positions import read_frames
from utils.errors import InputError
from utils.inspection.failures import one_line
from utils.line.event import CoilEvent, FrameEvent, Verdict, event_id, utc
from utils.line.spool import Spool

SHED = "shed: "  # begins the reason of a frame that was not inspected because too many came
_COLUMNS = ["image", "class_name", "x", "y", "width", "height", "area_px", "probability"]
MOST_REASONS = 20

log = logging.getLogger("steel.line")


@dataclass
class OnLine:
    """A coil on the line.

    Attributes:
        coil_id: its number; None: unknown.
        began: seconds since 1970.
        first: place in the spool of its first event.
    """

    coil_id: str | None = None
    began: float = 0.0
    first: int = 0


class Coils:
    """Knows the coil on the line, over restarts.

    Args:
        spool: that keeps its events.
        plan: of ``-coil``; None: the verdict is of the frames alone.
        source: in its events.
    """

    def __init__(self, spool: Spool, plan: CoilPlan | None, source: str) -> None:
        self._spool, self._plan, self._source = spool, plan, source
        note, first = spool.held
        self.now = OnLine()
        if note:
            found = json.loads(note)
            self.now = OnLine(found["coil_id"], float(found["began"]), first)

    def begin(self, coil_id: str | None) -> CoilEvent | None:
        """Let another coil follow; return the event of the one that has passed, if there was one.

        The events of the one before are kept until ``hold`` is called, after that event is on disk.
        """
        passed = self._passed() if self.now.coil_id is not None else None
        self.now = OnLine(coil_id, time.time(), 0)
        return passed

    def hold(self) -> None:
        """Keep the events of the coil that has begun, from the next one on; raises ``SpoolError``."""
        if self.now.coil_id is None:
            self._spool.hold("", 0)
            return
        self.now.first = self._spool.last + 1
        note = json.dumps({"coil_id": self.now.coil_id, "began": self.now.began})
        self._spool.hold(note, self.now.first)

    def _passed(self) -> CoilEvent:
        coil_id = self.now.coil_id
        assert coil_id is not None
        events = (one for one in self._spool.since(self.now.first) if isinstance(one, FrameEvent))
        return coil_event(
            [one for one in events if one.coil_id == coil_id], coil_id, self.now.began, self._source, self._plan
        )


def read_line_plan(path: Path | None, classes: Iterable[str], weights: str) -> CoilPlan | None:
    """Read ``-coil`` and check that its rules can be asked; None without the flag.

    Raises:
        InputError: the file makes no sense, or wants what only images that are kept can tell.
    """
    if path is None:
        return None
    plan = read_plan(path)
    check_rules(plan)
    check_classes(plan, tuple(classes), path, weights)
    if plan.edges == "found":
        raise InputError(f"-coil {path}: edges found in images are for Map_coil.py; give their places in the file")
    return plan


def coil_event(frames: list[FrameEvent], coil_id: str, began: float, source: str, plan: CoilPlan | None) -> CoilEvent:
    """Make the event of a coil that has passed.

    Args:
        frames: its events, in order.
        coil_id: its number.
        began: seconds since 1970.
        source: of the frames.
        plan: with the rules of the coil; None: NG when a frame is.
    """
    verdicts = Counter(frame.verdict for frame in frames)
    counts = {
        "frames": len(frames),
        "ok": verdicts["OK"],
        "ng": verdicts["NG"],
        "no_verdict": verdicts["NO_VERDICT"],
        "shed": sum((frame.reason or "").startswith(SHED) for frame in frames),
    }
    classes = Counter(defect.class_name for frame in frames for defect in frame.defects)
    counts |= {f"defects.{name}": number for name, number in sorted(classes.items())}
    verdict: Verdict
    grade, reasons = None, []
    if plan is None:
        verdict = "NG" if verdicts["NG"] else "OK"
        why = Counter(frame.reason for frame in frames if frame.verdict == "NG")
        reasons = [f"{number} frames: {reason}" for reason, number in why.most_common(MOST_REASONS)]
    else:
        verdict, grade, reasons = _graded(frames, plan)
    unknown = counts["no_verdict"]
    if verdict == "OK" and (unknown or not frames):
        verdict = "NO_VERDICT"
    if unknown:
        reasons.append(f"{unknown} of {len(frames)} frames without verdict")
    if not frames:
        reasons.append("no frames came")
    return CoilEvent(
        id=event_id(source, f"coil/{coil_id}/{began:.3f}"),
        time=utc(time.time()),
        source=source,
        coil_id=coil_id,
        verdict=verdict,
        grade=grade,
        reasons=tuple(reasons),
        counts=counts,
        start=frames[0].time if frames else None,
        end=frames[-1].time if frames else None,
    )


def _graded(frames: list[FrameEvent], plan: CoilPlan) -> tuple[Verdict, str | None, list[str]]:
    """Grade a coil as ``Map_coil.py`` does, out of the events of its frames."""
    seen = {f"{number:08d}.jpg": frame for number, frame in enumerate(frames)}
    sizes = {name: frame.size_px for name, frame in seen.items() if frame.size_px and frame.verdict != "NO_VERDICT"}
    if not sizes:
        return "NO_VERDICT", None, ["no frame of the coil was inspected"]
    unread = [name for name in seen if name not in sizes]
    cameras = {name: frame.camera or "" for name, frame in seen.items()}
    rows = [
        (name, one.class_name, *one.box, one.area_px, one.probability) for name in sizes for one in seen[name].defects
    ]
    try:
        with tempfile.TemporaryDirectory() as place:
            folder = None
            if all(frame.position_m is not None for frame in frames):
                folder = Path(place)
                with open(folder / POSITIONS, "w", encoding="utf-8", newline="") as file:
                    table = csv.writer(file)
                    table.writerow(["ImageId", "camera", "start_m"])
                    table.writerows([name, cameras[name], frame.position_m] for name, frame in seen.items())
            placed = read_frames(folder, plan, sizes, cameras, unread)
        defects = pd.DataFrame(rows, columns=_COLUMNS)
        for name in _COLUMNS[2:]:
            defects[name] = defects[name].astype(np.float64 if name == "probability" else np.int64)
        coil = map_coil_of(defects, placed, plan, {})
    except InputError as error:
        return "NO_VERDICT", None, [f"the coil could not be mapped: {error}"]
    except Exception as error:  # a full disk, or a mistake of ours: the next coil begins all the same
        log.error("coil %s could not be mapped: %s", frames[0].coil_id, one_line(error))
        return "NO_VERDICT", None, ["the coil could not be mapped; the log of the service says why"]
    graded = coil.grade
    if not graded.verdict:
        return "NO_VERDICT", None, [graded.why or "the file of -coil has no rules"]
    reasons = [f"{outcome.rule.name}: {outcome.text}" for outcome in graded.fired][:MOST_REASONS]
    return ("OK" if graded.rank == 0 else "NG"), graded.verdict, reasons

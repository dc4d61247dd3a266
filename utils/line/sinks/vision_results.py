"""Events as results of OPC 40100-1 Machine Vision, without any library."""

import json
import math
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from utils.line.event import CoilEvent, Event, FrameEvent, event_id

# ResultStateDataType of the specification, 12.19.
COMPLETED, PROCESSING, FAILED = 1, 2, 4
NO_JOB = "-"  # JobId while the coil is unknown: it is mandatory


@dataclass(frozen=True, kw_only=True)
class VisionResult:
    """What a ResultReady event and the list of results say.

    Attributes:
        result_id: the event's id, so that receivers can drop doubles; of a segment one made of its first frame.
        is_partial: whether it is of a segment of a coil that is still running.
        state: COMPLETED, PROCESSING for segments, FAILED without a verdict, so that nobody takes it for good.
        part_id: the coil; None: unknown.
        job_id: the coil, or ``NO_JOB``.
        meas_id: name of the frame, or the segment; None: of a coil.
        recipe: sha256 of the weights, hex digits; empty: not known yet.
        configuration: sha256 of the thresholds.
        created: when the event was made.
        start: of the inspection.
        end: of it.
        verdict: OK, NG or NO_VERDICT.
        content: JSON: the event, or the counts of a segment.
        seq: place in the spool.
    """

    result_id: str
    is_partial: bool
    state: int
    part_id: str | None
    job_id: str
    meas_id: str | None
    recipe: str
    configuration: str
    created: datetime
    start: datetime
    end: datetime
    verdict: str
    content: str
    seq: int


@dataclass
class _Segment:
    """Frames of a stretch of one coil, as far as they were seen."""

    coil_id: str | None
    number: int
    whole: bool  # false where the service started in its middle
    first: FrameEvent
    last: FrameEvent
    counts: Counter[str] = field(default_factory=Counter)


class VisionResults:
    """Makes results of events; what belongs together over several events it remembers.

    Args:
        metres: length of a segment. Frames without a position count as a tenth of that each.
    """

    def __init__(self, metres: float) -> None:
        self._metres = metres
        self._segment: _Segment | None = None
        self._recipe = self._configuration = ""
        self._seq = 0
        self._began = False  # before the first frame: its segment may have begun before this service did

    def of(self, seq: int, event: Event) -> list[VisionResult]:
        """Return the results of an event: of a segment that it ends, and its own. An event that came before has none."""
        if seq <= self._seq:
            return []
        self._seq = seq
        match event:
            case FrameEvent():
                self._recipe, self._configuration = event.model, event.thresholds
                ended = self._add(seq, event)
                return [*ended, self._frame(seq, event)]
            case CoilEvent():
                ended = self._end_segment(seq)
                return [*ended, self._coil(seq, event)]
        return []

    def _add(self, seq: int, frame: FrameEvent) -> list[VisionResult]:
        place = frame.position_m if frame.position_m is not None else seq * self._metres / 10
        number = math.floor(place / self._metres)
        segment, ended = self._segment, []
        if segment is None or (segment.coil_id, segment.number) != (frame.coil_id, number):
            ended = self._end_segment(seq - 1)
            self._segment = segment = _Segment(frame.coil_id, number, self._began, frame, frame)
        self._began = True
        segment.last = frame
        segment.counts["frames"] += 1
        segment.counts[frame.verdict.lower()] += 1
        segment.counts.update(f"defects.{defect.class_name}" for defect in frame.defects)
        return ended

    def _end_segment(self, seq: int) -> list[VisionResult]:
        segment, self._segment = self._segment, None
        if segment is None:
            return []
        counts = dict(segment.counts)
        verdict = "NG" if counts.get("ng") else "NO_VERDICT" if counts.get("no_verdict") else "OK"
        name = f"segment {segment.coil_id} {segment.number}"
        content = {
            "schema": "1",
            "kind": "segment",
            "coil_id": segment.coil_id,
            "segment": segment.number,
            "whole": segment.whole,
            "verdict": verdict,
            "counts": counts,
            "position_m": segment.first.position_m,
            "first_seq": segment.first.seq,
            "last_seq": segment.last.seq,
        }
        result = VisionResult(
            result_id=event_id(segment.first.source, f"{name} {segment.first.id}"),
            is_partial=True,
            state=PROCESSING,
            part_id=segment.coil_id,
            job_id=segment.coil_id or NO_JOB,
            meas_id=name,
            recipe=self._recipe,
            configuration=self._configuration,
            created=_time(segment.last.time),
            start=_time(segment.first.time),
            end=_time(segment.last.time),
            verdict=verdict,
            content=json.dumps(content),
            seq=seq,
        )
        return [result]

    def _frame(self, seq: int, event: FrameEvent) -> VisionResult:
        begin = _time(event.time)
        return VisionResult(
            result_id=event.id,
            is_partial=False,
            state=FAILED if event.verdict == "NO_VERDICT" else COMPLETED,
            part_id=event.coil_id,
            job_id=event.coil_id or NO_JOB,
            meas_id=event.frame,
            recipe=event.model,
            configuration=event.thresholds,
            created=begin,
            start=begin,
            end=begin + timedelta(milliseconds=max(0.0, min(event.ms.get("total", 0.0), 1e9))),
            verdict=event.verdict,
            content=event.to_json(),
            seq=seq,
        )

    def _coil(self, seq: int, event: CoilEvent) -> VisionResult:
        made = _time(event.time)
        return VisionResult(
            result_id=event.id,
            is_partial=False,
            state=FAILED if event.verdict == "NO_VERDICT" else COMPLETED,
            part_id=event.coil_id,
            job_id=event.coil_id,
            meas_id=None,
            recipe=self._recipe,
            configuration=self._configuration,
            created=made,
            start=_time(event.start) if event.start else made,
            end=_time(event.end) if event.end else made,
            verdict=event.verdict,
            content=event.to_json(),
            seq=seq,
        )


def _time(text: str) -> datetime:
    """Read a time of an event; the beginning of 1970 where it is none."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return datetime.fromtimestamp(0, UTC)
    return found if found.tzinfo else found.replace(tzinfo=UTC)

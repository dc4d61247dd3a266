"""What the line's service tells the plant: one event a frame, one a coil, one an alarm; as JSON with a schema of its own.

``docs/line-event.schema.json`` is the schema. A receiver drops doubles by ``id``; ``seq`` grows in the order of the frames.
"""

import dataclasses
import hashlib
import json
import math
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, ClassVar, Literal

SCHEMA = "1"

Verdict = Literal["OK", "NG", "NO_VERDICT"]
VERDICTS: tuple[Verdict, ...] = ("OK", "NG", "NO_VERDICT")


class EventError(ValueError):
    """A text that is no event of this schema; the message says why in one line."""


@dataclass(frozen=True)
class LineDefect:
    """A connected defect of a frame.

    Attributes:
        class_name: of the weights file; ``class`` in JSON.
        area_px: pixels of it.
        box: x, y, width, height in pixels of the frame.
        probability: mean over its pixels, 0..1.
    """

    class_name: str
    area_px: int
    box: tuple[int, int, int, int]
    probability: float

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "class": self.class_name,
            "area_px": self.area_px,
            "box": list(self.box),
            "probability": round(self.probability, 4),
        }


@dataclass(frozen=True, kw_only=True)
class FrameEvent:
    """What is known about one frame.

    Attributes:
        id: the same whenever the same frame of the same source is inspected again, 32 hex digits, see ``event_id``.
        seq: place in the spool, from 1, which it gives; 0 before.
        time: when the frame was taken or came, UTC, as ``2026-03-01T12:00:00.123Z``.
        source: address that it came from.
        frame: its name there: a file's name, a camera's number of the frame.
        coil_id: of the coil that was on the line; None: unknown.
        position_m: of the frame's beginning on the strip, in metres; None: unknown.
        camera: its name; None: only one.
        side: of the strip; None: unknown.
        size_px: height and width of the frame; None: nothing was decoded.
        verdict: NO_VERDICT where nothing is known, which is never OK.
        reason: of NG the rule, of NO_VERDICT what went wrong; None for OK.
        defects: that were found, the rules' and others.
        model: sha256 of the weights, or of the system file and its members.
        thresholds: sha256 of the thresholds and areas in use.
        ms: milliseconds by stage: ``wait`` until the inspection began, ``decode``, ``network``, ``decide``, ``total``
            from the complete frame to the spool.
    """

    kind: ClassVar[Literal["frame"]] = "frame"

    id: str
    time: str
    source: str
    frame: str
    verdict: Verdict
    seq: int = 0
    coil_id: str | None = None
    position_m: float | None = None
    camera: str | None = None
    side: str | None = None
    size_px: tuple[int, int] | None = None
    reason: str | None = None
    defects: tuple[LineDefect, ...] = ()
    model: str = ""
    thresholds: str = ""
    ms: dict[str, float] = field(default_factory=dict)

    def to_json(self) -> str:
        """Return it as one line of JSON."""
        return _dump(self, defects=[defect.as_dict() for defect in self.defects])


@dataclass(frozen=True, kw_only=True)
class CoilEvent:
    """What is known about a coil that has passed.

    Attributes:
        id: see ``event_id``; of the coil.
        seq: see ``FrameEvent``.
        time: when this event was made, UTC.
        source: address of the frames.
        coil_id: of the coil.
        verdict: NO_VERDICT where a frame of it has none, or the map could not be made.
        grade: of the rules of its coil file; None: no such rules.
        reasons: of the verdict, in words.
        counts: ``frames``, ``ok``, ``ng``, ``no_verdict``, ``shed``, and defects by class as ``defects.CLASS``.
        start: time of its first frame, UTC; None: it had none.
        end: time of its last frame, UTC; None: it had none.
    """

    kind: ClassVar[Literal["coil"]] = "coil"

    id: str
    time: str
    source: str
    coil_id: str
    verdict: Verdict
    seq: int = 0
    grade: str | None = None
    reasons: tuple[str, ...] = ()
    counts: dict[str, int] = field(default_factory=dict)
    start: str | None = None
    end: str | None = None

    def to_json(self) -> str:
        """Return it as one line of JSON."""
        return _dump(self)


@dataclass(frozen=True, kw_only=True)
class AlarmEvent:
    """What somebody should look at: the images have become other ones than the network learnt from.

    Attributes:
        id: see ``event_id``.
        seq: see ``FrameEvent``.
        time: when it was raised, UTC.
        source: address of the frames.
        name: of the property, as ``brightness``.
        message: one sentence.
        frames: names of three frames that show it.
        coil_id: of the coil that was on the line; None: unknown.
    """

    kind: ClassVar[Literal["alarm"]] = "alarm"

    id: str
    time: str
    source: str
    name: str
    message: str
    seq: int = 0
    frames: tuple[str, ...] = ()
    coil_id: str | None = None

    def to_json(self) -> str:
        """Return it as one line of JSON."""
        return _dump(self)


Event = FrameEvent | CoilEvent | AlarmEvent
_KINDS: dict[str, type[FrameEvent] | type[CoilEvent] | type[AlarmEvent]] = {
    kind.kind: kind for kind in (FrameEvent, CoilEvent, AlarmEvent)
}


def event_id(source: str, key: str) -> str:
    """Return the id of what ``key`` names at a source: 32 hex digits of the sha256 of both, the same in every run."""
    return hashlib.sha256(f"{source}\n{key}".encode("utf-8", "surrogatepass")).hexdigest()[:32]


# Seconds since 1970 at which the years begin and end that every receiver can read and add to: 1601 (OPC UA) to 9998.
_FIRST, _LAST = -11_644_473_600.0, 253_370_764_799.0


def utc(seconds: float) -> str:
    """Write seconds since 1970 as UTC with milliseconds, ``2026-03-01T12:00:00.123Z``.

    Disks and cameras with a wrong clock name any time; of one that cannot be written the nearest is.
    """
    return (
        datetime.fromtimestamp(min(max(seconds, _FIRST), _LAST), UTC)
        .isoformat(timespec="milliseconds")
        .replace("+00:00", "Z")
    )


def from_json(text: str | bytes) -> Event:
    """Read an event from one line of JSON.

    Raises:
        EventError: no JSON, another schema, a field that is missing or of the wrong kind.
    """
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise EventError("this is no JSON") from None
    if not isinstance(found, dict):
        raise EventError("an event is a JSON object")
    if found.get("schema") != SCHEMA:
        raise EventError(f"schema {found.get('schema')!r}: this version knows {SCHEMA!r}")
    kind = _KINDS.get(str(found.get("kind")))
    if kind is None:
        raise EventError(f"kind {found.get('kind')!r}: expected {', '.join(_KINDS)}")
    values = {}
    for one in dataclasses.fields(kind):
        if one.name in found:
            values[one.name] = _read(one.name, found[one.name])
        elif one.default is dataclasses.MISSING and one.default_factory is dataclasses.MISSING:
            raise EventError(f"the field {one.name} is missing")
    return kind(**values)


def with_seq(event: Event, seq: int) -> Event:
    """Return an event with the place that the spool gave it."""
    return dataclasses.replace(event, seq=seq)


def _dump(event: Event, **changed: Any) -> str:
    values = {one.name: getattr(event, one.name) for one in dataclasses.fields(event)} | changed
    # Not dataclasses.asdict, which copies every value deeply.
    text = json.dumps({"schema": SCHEMA, "kind": event.kind, **values}, ensure_ascii=False, allow_nan=False)
    # A file's name may hold bytes that are no UTF-8, which neither the spool nor a receiver takes.
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


_TEXTS = ("id", "time", "source", "frame", "name", "message", "model", "thresholds")
_TEXTS_OR_NONE = ("coil_id", "camera", "side", "reason", "grade", "start", "end")


def _read(name: str, value: Any) -> Any:
    """Check one field of an event and return it as the dataclass has it."""
    match value:
        case str() if name == "verdict" and value in VERDICTS:
            return value
        case None | str() if name in _TEXTS_OR_NONE or (name == "coil_id"):
            return value
        case str() if name in _TEXTS:
            return value
        case int() if name == "seq" and not isinstance(value, bool) and value >= 0:
            return value
        case None if name == "position_m":
            return None
        case None if name == "size_px":
            return None
        case [int(height), int(width)] if name == "size_px" and height > 0 and width > 0:
            return height, width
        case int() | float() if name == "position_m" and math.isfinite(value):
            return float(value)
        case list() if name in ("reasons", "frames") and all(isinstance(one, str) for one in value):
            return tuple(value)
        case list() if name == "defects":
            return tuple(_read_defect(one) for one in value)
        case dict() if name == "ms" and all(_is_number(one) for one in value.values()):
            return {key: float(one) for key, one in value.items()}
        case dict() if name == "counts" and all(isinstance(one, int) for one in value.values()):
            return value
    raise EventError(f"the field {name} has the value {str(value)[:60]!r}")


def _read_defect(value: Any) -> LineDefect:
    try:
        box = tuple(map(int, value["box"]))
        found = LineDefect(value["class"], int(value["area_px"]), box, float(value["probability"]))  # type: ignore[arg-type]
    except (TypeError, KeyError, ValueError):
        raise EventError(f"a defect has the value {str(value)[:60]!r}") from None
    if len(box) != 4 or not isinstance(found.class_name, str) or not 0 <= found.probability <= 1:
        raise EventError(f"a defect has the value {str(value)[:60]!r}")
    return found


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)

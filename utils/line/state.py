"""How the line's service is at one moment: for heartbeats of sinks, ``/healthz``, ``/metrics`` and the page."""

import dataclasses
from dataclasses import dataclass, field
from typing import Any, Literal

# running: frames come and are inspected. starved: none came for longer than -stale. overloaded: frames are being shed.
# paused: somebody said so; frames get NO_VERDICT. stopping: SIGTERM, what is inside is finished. fault: events cannot be
# kept, the source cannot be opened, or a thread of ours has ended.
Condition = Literal["running", "starved", "overloaded", "paused", "stopping", "fault"]
CONDITIONS: tuple[Condition, ...] = ("running", "starved", "overloaded", "paused", "stopping", "fault")


@dataclass(frozen=True)
class SinkState:
    """How one sink is.

    Attributes:
        name: its address without secrets.
        ok: the last try to send, or to open it, went well.
        depth: events that wait for it in the spool.
        sent: events that it took since the start.
        dropped: events that the bounds of the spool took from it, in all runs.
        malformed: events that could not be read and were left out, since the start.
        error: the last error in one line; None: none since it last went well.
        retry_s: seconds until the next try; None: none is waited for.
    """

    name: str
    ok: bool
    depth: int
    sent: int
    dropped: int
    malformed: int = 0
    error: str | None = None
    retry_s: float | None = None


@dataclass(frozen=True, kw_only=True)
class LineState:
    """How the service is at one moment.

    Attributes:
        condition: see ``Condition``.
        since: seconds that it has been so, by a clock that nobody sets.
        reason: of a condition other than running, in one line; None: none.
        frames: that came since the start, as all counters count.
        ok: of them.
        ng: of them.
        no_verdict: of them.
        shed: frames that were not inspected because too many came; each has an event with NO_VERDICT.
        refused: frames that could not be decoded or judged; each has an event with NO_VERDICT.
        lost: frames that a camera says were sent and that did not arrive whole.
        resized: frames of another size than the one before of the same camera.
        unrecorded: frames that got no event, since the disk took none for so long that too many waited.
        pictures_lost: pictures of NG frames that the disk did not take, or that were too many.
        events: that went into the spool.
        depth: events that wait in the spool for the slowest sink.
        waiting: frames that wait before the network.
        last_frame: when the last frame came, UTC; None: none yet.
        last_frame_s: seconds since then; None: none yet.
        rate: frames a second, mean of the last 10 s.
        p50_ms: median of the last 1,000 frames from complete frame to the spool, in milliseconds; None: none yet.
        p99_ms: 99th percentile of them.
        coil_id: of the coil that is on the line; None: unknown.
        alarms: messages of drift that hold now.
        sinks: each one's.
    """

    condition: Condition = "starved"
    since: float = 0.0
    reason: str | None = None
    frames: int = 0
    ok: int = 0
    ng: int = 0
    no_verdict: int = 0
    shed: int = 0
    refused: int = 0
    lost: int = 0
    resized: int = 0
    unrecorded: int = 0
    pictures_lost: int = 0
    events: int = 0
    depth: int = 0
    waiting: int = 0
    last_frame: str | None = None
    last_frame_s: float | None = None
    rate: float = 0.0
    p50_ms: float | None = None
    p99_ms: float | None = None
    coil_id: str | None = None
    alarms: tuple[str, ...] = ()
    sinks: tuple[SinkState, ...] = field(default=())

    @property
    def healthy(self) -> bool:
        """Whether a verdict of OK may be believed now: a watchdog stops where it is not."""
        return self.condition in ("running", "overloaded")

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return dataclasses.asdict(self) | {"healthy": self.healthy}

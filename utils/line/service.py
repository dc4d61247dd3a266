"""The service beside a line: sources, one inspector, the spool, and a thread for each sink.

Every frame that a source gives gets exactly one event, in the order in which they came: OK, NG, or NO_VERDICT with what went
wrong. An event is on disk before a sink sees it, and before its frame is acknowledged.
"""

import dataclasses
import logging
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from utils.inspection.failures import one_line
from utils.inspection.inspector import Inspector
from utils.line.coil import Coils
from utils.line.drift import Drift
from utils.line.event import Event, FrameEvent
from utils.line.forwarding import Forwarder
from utils.line.frame import Frame
from utils.line.intake import Intake, Shed, Slot
from utils.line.judging import Judge, Judged
from utils.line.meter import Meter
from utils.line.orders import Order
from utils.line.pictures import Waiting
from utils.line.quiet import Quiet
from utils.line.rules import Rules
from utils.line.sources.source import Source, SourceError
from utils.line.spool import Spool, SpoolError
from utils.line.state import Condition, LineState

BATCH = 64  # events that share an fsync
LAST = 60  # frames that the page shows
RETRY = 1.0  # seconds until the spool is tried again
FIRST_WAIT, LONGEST_WAIT = 1.0, 5.0  # seconds until a source is opened again: meanwhile strip passes unseen
TIDY = 5.0  # seconds between tidying of the spool
STALL = 60.0  # seconds after which a frame that the inspector does not answer is given up

log = logging.getLogger("steel.line")


@dataclass(frozen=True)
class Settings:
    """How the service behaves.

    Attributes:
        shed: see ``utils.line.intake``.
        queue: frames that may wait.
        late: seconds.
        stale: seconds without a frame after which the state is ``starved``.
        drain: seconds that SIGTERM gives frames and sinks.
        model: sha256 of the weights.
        thresholds: sha256 of thresholds and areas.
    """

    shed: Shed = "newest"
    queue: int = 64
    late: float = 2.0
    stale: float = 10.0
    drain: float = 20.0
    model: str = ""
    thresholds: str = ""


@dataclass(frozen=True)
class Shown:
    """A frame as the page shows it."""

    event: FrameEvent
    small: bytes


class Service:
    """Runs until it is told to stop, or until every source has come to its end.

    Args:
        inspector: of the weights.
        spool: that knows the sinks.
        rules: what is NG.
        settings: see ``Settings``.
        coils: which coil is on the line; None: none is ever named.
        drift: what watches how the images look; None: the weights do not know.
        pictures: keeps pictures of NG frames until a sink has them; None: no sink wants any.
    """

    def __init__(
        self,
        inspector: Inspector,
        spool: Spool,
        rules: Rules,
        settings: Settings = Settings(),
        coils: Coils | None = None,
        drift: Drift | None = None,
        pictures: Waiting | None = None,
    ) -> None:
        self._spool, self.settings = spool, settings
        self._coils = coils or Coils(spool, None, "")
        self._named = self._coils.now.coil_id  # by the last order, whose turn comes after the frames before it
        self._drift, self._pictures = drift, pictures
        self.meter = Meter()
        told = settings.model, settings.thresholds
        self._judge = Judge(inspector.about, rules, self._coils, self.meter, drift, pictures, *told)
        self._intake = Intake(inspector, self._judge.look, self.meter, settings.shed, settings.queue, settings.late)
        self._sources: list[tuple[Source, threading.Thread]] = []
        self._forwarders: list[Forwarder] = []
        self._stop = threading.Event()
        self._committer = threading.Thread(target=self._commit, name="events", daemon=True)
        self._tidier = threading.Thread(target=self._tidy, name="tidy", daemon=True)
        self._end_of_frames = threading.Event()
        self._faults: dict[str, str] = {}  # of the spool and of sources, by name
        self._stopping = False
        self._condition: tuple[Condition, float] = ("starved", time.monotonic())
        self._lock = threading.Lock()
        self.last: deque[Shown] = deque(maxlen=LAST)
        self.last_ng: deque[Shown] = deque(maxlen=LAST)
        self._began = time.monotonic()

    def add_source(self, source: Source) -> None:
        """Have a source give frames once it starts."""
        coil = self._coils.now
        if coil.coil_id is not None:  # it goes on, over the restart
            source.positions.restart(time.monotonic() - max(0.0, time.time() - coil.began))
        thread = threading.Thread(target=self._run_source, args=(source,), name=f"source {source.name}", daemon=True)
        self._sources.append((source, thread))

    def add_forwarder(self, forwarder: Forwarder) -> None:
        """Have a sink get events once it starts."""
        self._forwarders.append(forwarder)

    def start(self) -> None:
        """Begin; returns at once."""
        self._intake.start()
        self._committer.start()
        self._tidier.start()
        for forwarder in self._forwarders:
            forwarder.start()
        for _, thread in self._sources:
            thread.start()

    def wait(self, timeout: float) -> bool:
        """Wait until every source has come to its end, and its frames have their events; False when the time is up."""
        until = time.monotonic() + timeout
        for _, thread in self._sources:
            thread.join(max(0.0, until - time.monotonic()))
            if thread.is_alive():
                return False
        while self._intake.order:
            if time.monotonic() >= until:
                return False
            time.sleep(0.02)
        return True

    def stop(self) -> None:
        """Finish the frames that were taken, send what the sinks take in time, and end."""
        until = time.monotonic() + self.settings.drain
        self._stopping = True
        self._stop.set()
        self._intake.close()
        for _, thread in self._sources:
            thread.join(2.0)
        while self._intake.order and time.monotonic() < until and not self._faults.get("spool"):
            time.sleep(0.01)
        self._intake.give_up()
        self._end_of_frames.set()
        self._committer.join(5.0)
        self._tidier.join(TIDY + 1.0)
        for forwarder in self._forwarders:
            forwarder.drain(max(0.5, until - time.monotonic()))
        for forwarder in self._forwarders:
            forwarder.join(max(1.0, until - time.monotonic() + 1.0))

    def order(self, order: Order) -> None:
        """Do what the plant asks for."""
        log.warning("order: %s %s", order.kind, order.coil_id or "")
        if order.kind == "coil":
            if order.coil_id is None or order.coil_id != self._named:
                for source, _ in self._sources:
                    source.positions.restart(time.monotonic())
            self._named = order.coil_id
            self._intake.mark(lambda: self._change_coil(order.coil_id))
        else:
            self._intake.paused = order.kind == "pause"

    def knows(self, event_id: str) -> bool:
        """Check whether there was an event of this id."""
        return self._spool.knows(event_id)

    @property
    def drift_scores(self) -> dict[str, float]:
        """How far the images are from those learnt from, see ``Drift.scores``; {} where nobody watches."""
        return self._drift.scores if self._drift else {}

    @property
    def state(self) -> LineState:
        """How it is now."""
        counts, meter = self.meter.counts, self.meter
        for source, _ in self._sources:
            if source.ready:  # it came back, and no frame has come yet
                self._faults.pop(source.name, None)
        condition, reason = self._now()
        low, high = meter.latency()
        since = meter.seconds_since_last
        sinks = tuple(forwarder.state for forwarder in self._forwarders)
        with self._lock:
            if condition != self._condition[0]:
                self._condition = (condition, time.monotonic())
            began = self._condition[1]
        return LineState(
            condition=condition,
            since=round(time.monotonic() - began, 1),
            reason=reason,
            frames=counts["frames"],
            ok=counts["ok"],
            ng=counts["ng"],
            no_verdict=counts["no_verdict"],
            shed=counts["shed"],
            refused=counts["refused"],
            lost=sum(source.lost for source, _ in self._sources),
            resized=counts["resized"],
            unrecorded=counts["unrecorded"],
            pictures_lost=self._pictures.failed if self._pictures is not None else 0,
            events=self._spool.events,
            depth=max((sink.depth for sink in sinks), default=0),
            waiting=self._intake.waiting,
            last_frame=meter.last_frame,
            last_frame_s=None if since is None else round(since, 1),
            rate=round(meter.rate(), 2),
            p50_ms=low,
            p99_ms=high,
            coil_id=self._coils.now.coil_id,
            alarms=self._drift.alarms if self._drift else (),
            sinks=sinks,
        )

    def _now(self) -> tuple[Condition, str | None]:
        faults = dict(self._faults)
        if self._stopping:
            return "stopping", "it was told to stop"
        if faults:
            return "fault", next(iter(faults.values()))
        for thread in (self._committer, self._tidier, self._intake.thread):
            if thread.ident is not None and not thread.is_alive():
                return "fault", f"the thread {thread.name} has ended by a mistake of ours; restart the service"
        if self._intake.paused:
            return "paused", "an order paused it"
        since = self.meter.seconds_since_last
        quiet = time.monotonic() - self._began if since is None else since
        if quiet > self.settings.stale or since is None:
            return "starved", f"no frame for {quiet:.0f} s"
        if self._intake.overloaded:
            return "overloaded", f"frames wait too long, or were shed ({self.settings.shed})"
        return "running", None

    def _run_source(self, source: Source) -> None:
        """Open a source again and again; the body of a thread."""
        wait = FIRST_WAIT
        while not self._stop.is_set():
            before = self.meter.counts["frames"]
            try:
                source.run(lambda frame: self._taken(source, frame), self._stop)
                self._faults.pop(source.name, None)
                return
            except (
                BaseException
            ) as error:  # of a library that nobody foresaw, panics of Rust too: the other sources go on
                text = " ".join(str(error).split()) or type(error).__name__
                if not isinstance(error, SourceError):
                    text = f"{source.name}: {type(error).__name__}: {text}"
                if self._faults.get(source.name) != text:
                    log.error("%s", text)
                self._faults[source.name] = text
            wait = FIRST_WAIT if self.meter.counts["frames"] > before else min(LONGEST_WAIT, wait * 2)
            self._stop.wait(wait)

    def _taken(self, source: Source, frame: Frame) -> None:
        self._faults.pop(source.name, None)
        self._intake.take(source.name, frame)

    def _commit(self) -> None:
        """Write events in the order of the frames; the body of a thread."""
        while True:
            slot = self._intake.head(0.2)
            if slot is None:
                if self._end_of_frames.is_set():
                    return
                continue
            if slot.frame is None:
                self._do_mark(slot)
                continue
            if not self._answered(slot):
                continue
            slots = [slot]
            for following in list(self._intake.order)[1:BATCH]:
                if following.frame is None or not following.answer.done():
                    break
                slots.append(following)
            judged = self._judged([one for one in slots if not one.left])
            if judged:
                self._record(judged)
            self._intake.pop(len(slots))

    def _judged(self, slots: Sequence[Slot]) -> list[Judged]:
        """Make the events of frames; one of which none can be made is counted, and ends neither the thread nor the others."""
        judged = []
        for slot in slots:
            try:
                judged.append(self._judge.judge(slot))
            except Exception as error:
                log.error("%s: no event could be made: %s", slot.frame and slot.frame.name, one_line(error))
                self.meter.count("unrecorded")
        return judged

    def _answered(self, slot: Slot) -> bool:
        """Wait for what is known of a frame; give it up when that takes too long."""
        assert slot.frame is not None
        try:
            slot.answer.result(timeout=0.2)
            return True
        except TimeoutError:
            if slot.waited and time.monotonic() - slot.frame.complete - slot.waited > STALL:
                self.meter.count("refused")
                slot.refuse(f"the network gave no answer within {STALL:.0f} s")
            return False

    def _do_mark(self, slot: Slot) -> None:
        assert slot.mark is not None
        try:
            slot.mark()
        except SpoolError as error:
            self._fault(error)
            return
        except Exception as error:  # a mistake of ours: frames go on
            log.error("an order could not be done: %s", one_line(error))
        self._intake.pop(1)

    def _record(self, judged: Sequence[Judged]) -> None:
        """Write events, and tell whoever waits for them; one that cannot be written is counted, and keeps no other from it."""
        alarms = [one.alarm for one in judged if one.alarm is not None]
        events: list[Event] = [one.event for one in judged]
        events += alarms
        while True:
            try:
                places = self._spool.extend(events)
                self._faults.pop("spool", None)
                break
            except SpoolError as error:
                self._fault(error)
                if self._end_of_frames.is_set():
                    self.meter.count("unrecorded", len(judged))
                    return
            except Exception as error:  # of an event that cannot be written, whatever the reason
                if len(judged) > 1:
                    for one in judged:
                        self._record([one])
                    return
                log.error("%s: no event could be written: %s", judged[0].event.frame, one_line(error))
                self.meter.count("unrecorded")
                return
        now = time.monotonic()
        for one, seq in zip(judged, places, strict=False):
            frame, event = one.slot.frame, dataclasses.replace(one.event, seq=seq)
            assert frame is not None
            self.meter.recorded(event, 1e3 * (now - frame.complete))
            shown = Shown(event, one.small)
            self.last.append(shown)
            if event.verdict != "OK":
                self.last_ng.append(shown)
            if frame.settled is not None:
                try:
                    frame.settled(event)
                except Exception as error:  # nobody waits for it any more
                    log.warning("%s: the event is on disk, its sender was not told: %s", event.frame, one_line(error))
        for alarm in alarms:
            log.error("drift: %s", alarm.message)

    def _fault(self, error: SpoolError) -> None:
        if "spool" not in self._faults:
            log.error("%s; frames wait", error)
        self._faults["spool"] = str(error)
        time.sleep(RETRY)

    def _change_coil(self, coil_id: str | None) -> None:
        """Let the coil end, write its event, and let the next begin; called between two frames.

        The coil that is on the line already goes on: a broker may bring an order twice.

        Raises:
            SpoolError: the disk does not take it now; then it is called again.
        """
        if coil_id is not None and coil_id == self._coils.now.coil_id:
            return
        before = dataclasses.replace(self._coils.now)
        passed = self._coils.begin(coil_id)
        try:
            if passed is not None:
                self._spool.extend([passed])
            self._coils.hold()
        except SpoolError:
            self._coils.now = before
            raise

    def _tidy(self) -> None:
        """Keep the spool within its bounds; the body of a thread, which the disk does not end: it is tried again."""
        quiet = Quiet(60.0)
        while not self._end_of_frames.wait(TIDY):
            try:
                lost = self._spool.tidy()
                if lost and self._pictures is not None:
                    self._pictures.tidy()
            except SpoolError as error:
                log.debug("%s", error)
            except Exception as error:  # as of a network disk that is away for a moment
                if quiet.over():
                    log.error("the spool could not be tidied, it is tried again: %s", one_line(error))

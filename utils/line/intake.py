"""From the sources to the inspector: frames in their order, and what is shed when too many come.

``newest``: a frame that comes while ``queue`` frames wait is shed. ``late``: one that waited longer than ``late`` seconds is
shed when its turn comes, and the oldest that waits makes room. A patient frame, a file in a folder, waits where it lies instead.
"""

import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass, field
from typing import Any, Literal

from utils.inference.inspected import Inspected, Refused
from utils.inspection.batching import Busy, Closing
from utils.inspection.failures import one_line
from utils.inspection.inspector import Inspector
from utils.inspection.upload import Upload
from utils.line.coil import SHED
from utils.line.frame import Frame
from utils.line.looking import Look
from utils.line.meter import Meter

Shed = Literal["newest", "late"]
# Frames whose events could not be written yet. A camera does not stop for a full disk: what comes beyond them is counted alone.
MOST_SLOTS = 20_000
ERROR = "the service made an error, which its log names"

log = logging.getLogger("steel.line")


@dataclass(eq=False)
class Slot:
    """A frame's place in the order.

    Attributes:
        frame: None: a mark in the order, at which ``mark`` is called.
        answer: what is known of it.
        waited: seconds until its inspection began.
        mark: see ``frame``.
        source: name of the frame's source.
        left: gets no event: it lies where it was, and the next run takes it.
    """

    frame: Frame | None
    source: str = ""
    answer: "Future[Look | Refused]" = field(default_factory=Future)
    waited: float = 0.0
    mark: Callable[[], None] | None = None
    left: bool = False

    def refuse(self, reason: str) -> None:
        """Say that nothing is known of the frame."""
        self.settle(Refused(self.frame.name if self.frame else "", reason))

    def settle(self, answer: "Look | Refused") -> None:
        """Say what is known of the frame; the first answer counts, and another may come in the same moment."""
        with contextlib.suppress(InvalidStateError):
            self.answer.set_result(answer)


class Intake:
    """Takes frames of all sources and gives them to the inspector.

    Args:
        inspector: that is asked.
        look: what to keep of an inspected frame; called in its threads.
        meter: to count with.
        shed: the rule.
        queue: frames that may wait before the inspector.
        late: seconds, of ``shed``; also what makes the state ``overloaded``.
    """

    def __init__(
        self,
        inspector: Inspector,
        look: Callable[[Frame, Inspected], Look],
        meter: Meter,
        shed: Shed = "newest",
        queue: int = 64,
        late: float = 2.0,
    ) -> None:
        self._inspector, self._look, self._meter = inspector, look, meter
        self._shed, self._queue, self._late = shed, queue, late
        self._changed = threading.Condition()
        self._waiting: deque[Slot] = deque()
        self.order: deque[Slot] = deque()  # of all frames whose events are not yet on disk
        self.paused = False
        self._closing = False
        self._shed_at = float("-inf")
        self.thread = threading.Thread(target=self._feed, name="intake", daemon=True)

    def start(self) -> None:
        """Begin."""
        self.thread.start()

    @property
    def waiting(self) -> int:
        """Frames that wait before the inspector."""
        return len(self._waiting)

    @property
    def overloaded(self) -> bool:
        """Whether frames were shed within the last ten seconds, or wait longer than they may."""
        with self._changed:
            oldest = self._waiting[0].frame if self._waiting else None
        waits = oldest is not None and time.monotonic() - oldest.complete > self._late
        return waits or time.monotonic() - self._shed_at < 10

    def take(self, source: str, frame: Frame) -> None:
        """Take a frame; returns at once, but for a patient frame, which waits for room."""
        slot = Slot(frame, source)
        with self._changed:
            if frame.patient:
                self._changed.wait_for(
                    lambda: self._closing or (len(self._waiting) < self._queue and len(self.order) < MOST_SLOTS // 2)
                )
                if self._closing:  # it lies where it was, and is found there by the next run
                    return
            self._meter.came()
            if len(self.order) >= MOST_SLOTS:
                self._meter.count("unrecorded")
                return
            self.order.append(slot)
            if self._closing:
                slot.refuse("the service is stopping")
            elif self.paused:
                slot.refuse("paused")
            elif frame.problem is not None or frame.data is None:
                self._meter.count("refused")
                slot.refuse(frame.problem or "nothing came")
            else:
                if len(self._waiting) >= self._queue:
                    if self._shed == "newest":
                        self._do_shed(slot, f"{self._queue} frames wait already")
                        self._changed.notify_all()
                        return
                    self._do_shed(self._waiting.popleft(), f"{self._queue} frames came after it")
                self._waiting.append(slot)
            self._changed.notify_all()

    def mark(self, call: Callable[[], None]) -> None:
        """Have something called when all frames up to now have their events."""
        with self._changed:
            self.order.append(Slot(None, mark=call))
            self._changed.notify_all()

    def head(self, timeout: float) -> Slot | None:
        """Return the slot whose event comes next, not removed; None when none came within ``timeout`` seconds."""
        with self._changed:
            self._changed.wait_for(lambda: self.order, timeout)
            return self.order[0] if self.order else None

    def pop(self, count: int) -> None:
        """Remove slots from the head, whose events are on disk."""
        with self._changed:
            for _ in range(count):
                self.order.popleft()
            self._changed.notify_all()

    def close(self) -> None:
        """Take no more; what waits is still inspected."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()

    def give_up(self) -> None:
        """Say of all that has no answer yet that the service is stopping; what is patient is left to the next run."""
        with self._changed:
            slots, self._waiting = list(self.order), deque()
        for slot in slots:
            self._give_up(slot)

    def _give_up(self, slot: Slot) -> None:
        slot.left = slot.frame is not None and slot.frame.patient and not slot.answer.done()
        slot.refuse("the service is stopping")

    def _do_shed(self, slot: Slot, why: str) -> None:
        self._shed_at = time.monotonic()
        self._meter.count("shed")
        slot.refuse(SHED + why)

    def _feed(self) -> None:
        """Give the inspector one frame after the other; the body of a thread."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closing)
                if not self._waiting:
                    return
                slot = self._waiting[0]
            if not self._inspector.wait_for_room(1, 0.5):
                continue
            with self._changed:
                if not self._waiting or self._waiting[0] is not slot:
                    continue  # shed meanwhile
                self._waiting.popleft()
                self._changed.notify_all()
            try:
                self._submit(slot)
            except Exception as error:  # of whatever kind: the next frames are inspected all the same
                log.error("a frame without verdict: %s", one_line(error))
                self._meter.count("refused")
                slot.refuse(ERROR)

    def _submit(self, slot: Slot) -> None:
        frame = slot.frame
        assert frame is not None
        assert frame.data is not None
        slot.waited = time.monotonic() - frame.complete
        if self._shed == "late" and slot.waited > self._late:
            self._do_shed(slot, f"it waited {slot.waited:.1f} s")
            return
        try:
            (future,) = self._inspector.submit([Upload(frame.name, frame.data)], lambda seen: self._look(frame, seen))
        except Busy:  # somebody else asks the same inspector
            with self._changed:
                self._waiting.appendleft(slot)
            time.sleep(0.005)
            return
        except Closing:
            self._give_up(slot)
            return

        def done(found: "Future[Any]") -> None:
            try:
                answer = found.result()
            except Exception as error:
                log.error("a frame without verdict: %s", one_line(error))
                answer = Refused(frame.name, ERROR)
            if isinstance(answer, Refused):
                self._meter.count("refused")
            slot.settle(answer)
            with self._changed:
                self._changed.notify_all()

        future.add_done_callback(done)

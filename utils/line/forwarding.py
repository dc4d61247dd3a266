"""A thread for each sink: from its place in the spool to the receiver, with ever longer waits while that is away."""

import logging
import random
import threading
import time
from collections.abc import Callable

from utils.line.sinks.sink import Sink, SinkError
from utils.line.spool import Spool
from utils.line.state import LineState, SinkState

FIRST_WAIT, LONGEST_WAIT = 1.0, 60.0  # seconds; doubled after every failure

log = logging.getLogger("steel.line")


class Forwarder:
    """Sends what the spool holds for one sink, in its own thread.

    Args:
        spool: that knows the sink by its name.
        sink: only this thread calls it.
        state: of the service, for heartbeats.
        heartbeat: seconds between them.
        first_wait: seconds after the first failure.
        longest_wait: seconds at most.
    """

    def __init__(
        self,
        spool: Spool,
        sink: Sink,
        state: Callable[[], LineState],
        heartbeat: float = 1.0,
        first_wait: float = FIRST_WAIT,
        longest_wait: float = LONGEST_WAIT,
    ) -> None:
        self._spool, self._sink, self._state = spool, sink, state
        self._heartbeat, self._first_wait, self._longest_wait = heartbeat, first_wait, longest_wait
        self.name = sink.name
        self._stop = threading.Event()
        self._drain_until: float | None = None
        self._sent, self._error, self._retry_at = 0, "", 0.0
        self._failures = 0
        self._waits_since: float | None = None
        self._open = False
        self._beaten = float("-inf")
        self._thread = threading.Thread(target=self._run, name=f"sink {sink.name}", daemon=True)

    @property
    def state(self) -> SinkState:
        """How it is; cheap, from any thread."""
        waits = self._retry_at - time.monotonic()
        return SinkState(
            name=self.name,
            ok=self._open and not self._error,
            depth=self._spool.depth(self.name),
            sent=self._sent,
            dropped=self._spool.dropped(self.name),
            malformed=self._spool.malformed(self.name),
            error=self._error or None,
            retry_s=round(waits, 1) if self._error and waits > 0 else None,
        )

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def drain(self, seconds: float) -> None:
        """Send what is there, but for no more than so many seconds, and end; returns at once, ``join`` waits."""
        self._drain_until = time.monotonic() + seconds
        self._stop.set()
        self._spool.wake()

    def join(self, timeout: float | None = None) -> bool:
        """Wait for its end; False when the time is up before, as when the receiver hangs."""
        if self._thread.ident is not None:
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._ended():
            try:
                if not self._open:
                    self._sink.open()
                    self._open = True
                self._send()
                self._beat()
                self._went_well()
            except (
                BaseException
            ) as error:  # of a library that nobody foresaw, panics of Rust too, it must not end the thread
                self._failed(error)
                self._rest()
        self._sink.close()

    def _send(self) -> None:
        # So that heartbeats go on, it never waits longer than until the next one.
        rest = 0.0 if self._stop.is_set() else max(0.0, self._beaten + self._heartbeat - time.monotonic())
        if not self._spool.wait(self.name, rest):
            return
        seconds, most = self._sink.gather
        if seconds and not self._stop.is_set():
            # A receiver of large portions: what waits lies in the spool until there is one.
            now = time.monotonic()
            self._waits_since = now if self._waits_since is None else self._waits_since
            if self._spool.depth(self.name) < most and now - self._waits_since < seconds:
                self._stop.wait(min(0.2, seconds))
                return
        events = self._spool.read(self.name, most)
        if events:
            self._sink.send(events)
            self._spool.acknowledge(self.name, events[-1][0])
            self._sent += len(events)
            self._waits_since = None

    def _beat(self) -> None:
        if time.monotonic() - self._beaten >= self._heartbeat:
            self._beaten = time.monotonic()
            self._sink.heartbeat(self._state())

    def _went_well(self) -> None:
        if self._error:
            log.warning("%s: takes events again; %d wait", self.name, self._spool.depth(self.name))
        self._error, self._failures = "", 0

    def _failed(self, error: BaseException) -> None:
        text = " ".join(str(error).split()) or type(error).__name__
        if not isinstance(error, SinkError):
            text = f"{type(error).__name__}: {text}"
            log.debug("%s", self.name, exc_info=error)
        if text != self._error:
            log.error("%s: %s; events wait in the spool", self.name, text)
        self._error = text
        self._open = False  # so it is opened again, which closes what is half open

    def _rest(self) -> None:
        wait = min(self._longest_wait, self._first_wait * 2.0 ** min(self._failures, 16))
        wait *= random.uniform(0.8, 1.2)  # so that many senders do not all come back at once
        self._failures += 1
        self._retry_at = time.monotonic() + wait
        if not self._stop.wait(wait):
            return
        # While it drains, it tries again more often, up to the time that is left.
        left = (self._drain_until or 0.0) - time.monotonic()
        if left > 0:
            time.sleep(min(left, self._first_wait / 2))

    def _ended(self) -> bool:
        if not self._stop.is_set():
            return False
        over = self._drain_until is None or time.monotonic() >= self._drain_until
        return over or self._spool.depth(self.name) == 0

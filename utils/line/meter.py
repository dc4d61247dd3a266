"""Counts of frames and how long they took, for the state of the service."""

import threading
import time
from collections import Counter, deque

import numpy as np

from utils.line.event import FrameEvent

RATE_SECONDS = 10.0
LATENCIES = 1000  # frames
CAMERAS = 1000  # whose last size is known


class Meter:
    """Counts frames; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._begin = time.monotonic()
        self.counts: Counter[str] = Counter()  # frames, ok, ng, no_verdict, shed, refused, unrecorded, resized
        self.defects: Counter[str] = Counter()  # by class
        self._came: deque[float] = deque()
        self._ms: deque[float] = deque(maxlen=LATENCIES)
        self.last_frame: str | None = None
        self._last_came: float | None = None
        self._sizes: dict[str, tuple[int, int]] = {}  # of the last frame, by camera

    def came(self) -> None:
        """Count a frame that came."""
        now = time.monotonic()
        with self._lock:
            self.counts["frames"] += 1
            self._last_came = now
            self._came.append(now)
            while self._came and now - self._came[0] > RATE_SECONDS:
                self._came.popleft()

    def count(self, name: str, number: int = 1) -> None:
        """Count something else."""
        with self._lock:
            self.counts[name] += number

    def recorded(self, event: FrameEvent, ms: float) -> None:
        """Count a frame whose event is on disk, which took so many milliseconds."""
        with self._lock:
            self.counts[event.verdict.lower()] += 1
            self.last_frame = event.time
            if event.verdict != "NO_VERDICT":
                self._ms.append(ms)
            for defect in event.defects:
                self.defects[defect.class_name] += 1

    def saw(self, camera: str, size: tuple[int, int]) -> tuple[int, int] | None:
        """Note the size of a frame; return that of the one before where it was another, which is counted as ``resized``."""
        before = self._sizes.pop(camera, size)
        self._sizes[camera] = size
        if len(self._sizes) > CAMERAS:  # senders may name them as they like
            del self._sizes[next(iter(self._sizes))]
        if before == size:
            return None
        self.count("resized")
        return before

    @property
    def seconds_since_last(self) -> float | None:
        """Seconds since the last frame came; None: none has come."""
        return None if self._last_came is None else time.monotonic() - self._last_came

    def rate(self) -> float:
        """Return the frames a second that came, a mean over the last 10 s."""
        now = time.monotonic()
        with self._lock:
            recent = sum(now - one <= RATE_SECONDS for one in self._came)
            return recent / min(RATE_SECONDS, max(1.0, now - self._begin))

    def latency(self) -> tuple[float | None, float | None]:
        """Return median and 99th percentile of the last frames, in milliseconds; None before the first."""
        with self._lock:
            if not self._ms:
                return None, None
            values = np.fromiter(self._ms, float)
        low, high = np.percentile(values, [50, 99])
        return round(float(low), 2), round(float(high), 2)

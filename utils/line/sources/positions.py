"""Where on the strip a frame lies: from an encoder's counter, a table beside the images, or time and speed."""

import csv
import math
import time
from pathlib import Path

from utils.line.address import Address

TABLE = "positions.csv"
_NAMES = ("ImageId", "image", "frame")
_METRES = ("start_m", "position_m")


class Positions:
    """Says where frames of one source lie.

    Args:
        address: of the source. ``speed`` is in metres a second, counted from where the coil begins, without one from the
            first frame; ``mm_per_count`` in millimetres of strip for each count of the encoder in a frame's metadata.
        folder: that may hold ``positions.csv`` with the columns ImageId and start_m; None: none.
    """

    def __init__(self, address: Address, folder: Path | None = None) -> None:
        self._speed = address.number("speed", 0.0, 0.0, 100.0)
        self._mm_per_count = address.number("mm_per_count", 0.0, -1e6, 1e6)
        self._table = None if folder is None else folder / TABLE
        self._known: dict[str, float] = {}
        self._stamp: tuple[int, int] | None = None
        self._begin: float | None = None

    def restart(self, began: float) -> None:
        """Begin at 0 again, for a coil, where places come from the time.

        Args:
            began: when the coil did, by ``time.monotonic``.
        """
        self._begin = began

    def of(self, name: str, counter: int | None = None, now: float | None = None) -> float | None:
        """Return the place of a frame in metres; None where nothing tells it.

        Args:
            name: of the frame.
            counter: of the encoder; None: the frame has none.
            now: when it came, by ``time.monotonic``; None: now.
        """
        if counter is not None and self._mm_per_count:
            return counter * self._mm_per_count / 1000
        if self._table is not None:
            if name not in self._known:
                self._read(self._table)
            if name in self._known:
                return self._known[name]
        if self._speed:
            now = time.monotonic() if now is None else now
            self._begin = now if self._begin is None else self._begin
            return max(0.0, now - self._begin) * self._speed
        return None

    def _read(self, path: Path) -> None:
        """Read the table anew where it has changed; rows that say nothing are left out."""
        try:
            found = path.stat()
            stamp = (found.st_mtime_ns, found.st_size)
            if stamp == self._stamp:
                return
            self._stamp = stamp
            with open(path, encoding="utf-8-sig", newline="", errors="replace") as file:
                rows = csv.DictReader(file)
                names = [name for name in _NAMES if name in (rows.fieldnames or ())]
                metres = [name for name in _METRES if name in (rows.fieldnames or ())]
                if not names or not metres:
                    return
                known = {}
                for row in rows:
                    try:
                        value = float(row[metres[0]])
                    except (TypeError, ValueError):
                        continue
                    if math.isfinite(value):
                        known[str(row[names[0]])] = value
                self._known = known
        except (OSError, csv.Error):
            return

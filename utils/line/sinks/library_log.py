"""What a library writes about every damaged request becomes one line now and then: a stranger must not fill the log."""

import logging
import threading
import time

QUIET = 10.0  # seconds between two lines

log = logging.getLogger("steel.line")


class Summed(logging.Filter):
    """Counts the lines of a library's logger and lets none of them through; says how many there were, now and then.

    Args:
        sink: its name, for the line.
    """

    def __init__(self, sink: str) -> None:
        super().__init__(sink)
        self.count = 0
        self._lock = threading.Lock()
        self._silent_until = float("-inf")

    def filter(self, record: logging.LogRecord) -> bool:
        """Count a line, and keep it back."""
        with self._lock:
            self.count += 1
            now, count = time.monotonic(), self.count
            if now < self._silent_until:
                return False
            self._silent_until = now + QUIET
        # The first line alone: others hold the bytes that the stranger has sent.
        text = " ".join(record.getMessage().split("\n")[0].split())[:100]
        log.warning("%s: %d damaged requests or lost connections so far: %s", self.name, count, text)
        return False


def sum_up(logger: str, sink: str) -> Summed:
    """Put a ``Summed`` in place of an earlier one on a library's logger, and return it."""
    place = logging.getLogger(logger)
    for one in [one for one in place.filters if isinstance(one, Summed)]:
        place.removeFilter(one)
    summed = Summed(sink)
    place.addFilter(summed)
    return summed

"""One line of the log now and then, where the same goes wrong again and again."""

import threading
import time


class Quiet:
    """Says when a line may be written, so that a flood of the same does not fill the log; thread-safe.

    Args:
        seconds: between two lines.
    """

    def __init__(self, seconds: float = 10.0) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self._until = float("-inf")

    def over(self) -> bool:
        """Check whether a line may be written now; then the next may not before ``seconds``."""
        now = time.monotonic()
        with self._lock:
            if now < self._until:
                return False
            self._until = now + self._seconds
        return True

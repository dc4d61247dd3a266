"""What a library writes about every damaged request becomes one line now and then: a stranger must not fill the log."""

import logging

from utils.line.quiet import Quiet

log = logging.getLogger("steel.line")


class Summed(logging.Handler):
    """Counts the lines of a library, and says how many there were, now and then.

    Args:
        sink: its name, for the line.
        level: of the lines that count.
    """

    def __init__(self, sink: str, level: int) -> None:
        super().__init__(level)
        self._sink, self._quiet = sink, Quiet()
        self.count = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Count a line."""
        self.count += 1
        if self._quiet.over():
            # Its first line alone: others hold the bytes that the stranger has sent.
            text = " ".join(record.getMessage().split("\n")[0].split())[:100]
            log.warning("%s: %d damaged requests or lost connections so far: %s", self._sink, self.count, text)


def sum_up(logger: str, sink: str, level: int = logging.WARNING) -> Summed:
    """Put a ``Summed`` in place of all that a library's logger and those below it write, and return it."""
    place = logging.getLogger(logger)
    for one in [one for one in place.handlers if isinstance(one, Summed)]:
        place.removeHandler(one)
    summed = Summed(sink, level)
    place.addHandler(summed)
    place.propagate = False
    return summed

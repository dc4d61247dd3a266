"""What a request may cost, and the errors that say so."""

import asyncio
from dataclasses import dataclass
from typing import Any

# Beside the images a request has its boundaries and headers.
FORM_BYTES = 64 * 1024
# Requests to the API that may be under way at once: each of them holds a connection and some memory.
MOST_REQUESTS = 256
# Bodies that may lie in memory at once, in units of the largest one.
MOST_BODIES = 4
# Seconds that the head of a request may take.
HEAD_SECONDS = 10
# Seconds that the page's requests may keep silent in the middle of their body, and that all of it may take.
SILENT_SECONDS = 20
BODY_SECONDS = 600
# Bytes of the head of a request.
HEAD_BYTES = 32 * 1024


@dataclass(frozen=True)
class Limits:
    """Bounds of one request.

    Attributes:
        images: images.
        bytes: of the body.
        pixels: height times width of an image.
        seconds: from its head to its answer.
    """

    images: int
    bytes: int
    pixels: int
    seconds: float


class Problem(Exception):
    """An answer other than 200.

    Args:
        status: of HTTP.
        code: one word for programs.
        message: one plain sentence.
        retry_after: seconds after which it is worth trying again.
        close: whether the connection ends, since the rest of the request is not read.
        headers: further headers of the answer.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        retry_after: int | None = None,
        close: bool = False,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message
        self.headers = dict(headers or {})
        if retry_after is not None:
            self.headers["Retry-After"] = str(retry_after)
        if close:
            self.headers["Connection"] = "close"

    def body(self, number: str) -> dict[str, Any]:
        """Return the JSON of the answer; ``number`` identifies the request in the log."""
        return {"error": {"code": self.code, "message": self.message, "id": number}}


class Traffic:
    """What is under way, so that it stays within bounds and can be brought to an end.

    Args:
        most_bytes: of bodies that lie in memory, all requests together.
    """

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes = most_bytes
        self.closing = False
        self.bytes = 0
        self.accepted = 0  # requests whose images were accepted and that have no answer yet
        self.reading: set[asyncio.Timeout] = set()  # requests whose body is still coming

    def close(self) -> None:
        """Refuse what comes from now on, and what has not come whole."""
        self.closing = True
        for timeout in self.reading:
            if not timeout.expired():  # of one that is over nothing may be changed
                timeout.reschedule(asyncio.get_running_loop().time())

    def take(self, count: int) -> None:
        """Count bytes that a body takes in memory.

        Raises:
            Problem: too many.
        """
        if self.bytes + count > self.most_bytes:
            raise Problem(503, "busy", "The server is busy; try again in 1 s.", retry_after=1, close=True)
        self.bytes += count


def closing_problem() -> Problem:
    """Return the answer to requests that come during the shutdown."""
    return Problem(503, "closing", "The server is shutting down; try again later.", retry_after=10, close=True)

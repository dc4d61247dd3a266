"""Places for requests under way: those to the API, those of the page, and the page's streams, which stay open for hours.

Each kind has its own, so that open pages shut nobody out of the API, and one client cannot take all of the page's.
"""

import contextlib
import re
from collections import Counter
from collections.abc import Iterator, MutableMapping
from typing import Any

from utils.web.limits import MOST_REQUESTS, Problem

Scope = MutableMapping[str, Any]

MOST_OF_PAGE = 256  # requests of the page
MOST_STREAMS = 256  # an open page holds one or two
MOST_OF_CLIENT = 128  # of each of the two, for one address: behind a proxy all visitors may have the same
MOST_OF_VISIT = 16  # streams: several people, each with several tabs
API = ("/api/", "/metrics")
# The news of a visit; the word between says of which.
EVENTS = re.compile(r"/desk/v1/visits/([^/]+)/events")


class Places:
    """Counts requests under way.

    Args:
        most_requests: to the API, at once.
    """

    def __init__(self, most_requests: int = MOST_REQUESTS) -> None:
        self.most_requests = most_requests
        self.requests = 0  # to the API
        self._page: Counter[str] = Counter()  # by client
        self._streams: Counter[str] = Counter()  # by client
        self._visits: Counter[str] = Counter()  # streams by visit

    @property
    def full(self) -> bool:
        """Whether the API has no place left."""
        return self.requests >= self.most_requests

    @contextlib.contextmanager
    def taken(self, scope: Scope) -> Iterator[None]:
        """Take a place for a request while it is under way.

        Args:
            scope: of ASGI.

        Raises:
            Problem: there is none.
        """
        path: str = scope["path"]
        if path.startswith(API):
            if self.full:
                raise _busy("The server is busy; try again in 1 s.", 1)
            self.requests += 1
            try:
                yield
            finally:
                self.requests -= 1
            return
        client = str((scope.get("client") or ("",))[0])
        visit = visit_of(path)
        counts, most = (self._page, MOST_OF_PAGE) if visit is None else (self._streams, MOST_STREAMS)
        if counts.total() >= most or counts[client] >= MOST_OF_CLIENT:
            raise _busy("Too many pages are open; close some, or try again in 10 s.", 10)
        if visit is not None and self._visits[visit] >= MOST_OF_VISIT:
            raise _busy("This page is connected too often; load it again.", 10)
        taken = [(counts, client)] + ([] if visit is None else [(self._visits, visit)])
        for count, key in taken:
            count[key] += 1
        try:
            yield
        finally:
            for count, key in taken:
                count[key] -= 1
                if not count[key]:
                    del count[key]


def visit_of(path: str) -> str | None:
    """Return of which visit a stream is; None for requests that are none."""
    events = EVENTS.fullmatch(path)
    return events[1] if events else None


def _busy(message: str, seconds: int) -> Problem:
    return Problem(503, "busy", message, retry_after=seconds, close=True)

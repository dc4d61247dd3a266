"""Fixtures of tests that fetch weights: a server, a small disk, and no waiting."""

import contextlib
import resource
import signal
from collections.abc import Callable, Iterator

import pytest

from tests.weights.misbehaving_server import Site, running
from utils.weights import http as web


@pytest.fixture
def site() -> Iterator[Site]:
    """Run a server over HTTP."""
    with running(Site()) as server:
        yield server


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try again at once, and without the proxy that the machine may have."""
    monkeypatch.setattr(web, "WAITS", (0.0, 0.0, 0.0, 0.0))
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.delenv("STEEL_WEIGHTS_INDEX", raising=False)


@pytest.fixture
def small_disk() -> Callable[[], contextlib.AbstractContextManager[None]]:
    """Return a context in which no file grows beyond 1,000 bytes: a write fails in the middle, as on a full disk.

    Only for the write itself, since the limit holds for the file that pytest may be printing to as well.
    """

    @contextlib.contextmanager
    def limited() -> Iterator[None]:
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
            signal.signal(signal.SIGXFSZ, handler)

    return limited

"""The server under the application: slow heads end, and a shutdown finishes what was accepted."""

import asyncio
import contextlib
import logging
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from utils.web.limits import HEAD_BYTES, HEAD_SECONDS, Traffic

IDLE_SECONDS = 20  # that a connection may stay open between two requests
MOST_CONNECTIONS = 512  # of a system that lets 1,024 files be open; half of them are for images, databases and others
FLUSH_SECONDS = 30  # that a client may take to read an answer after the last of it was written


class HttpProtocol(H11Protocol):
    """HTTP/1.1 for one connection, with a limit to how long the head of a request may take."""

    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > MOST_CONNECTIONS:
            transport.abort()
        else:
            self._wait_for_head()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.their_state is h11.IDLE and not self.transport.is_closing():
            self._wait_for_head()
        elif self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        super().connection_lost(exc)

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        self.loop.call_later(FLUSH_SECONDS, self.transport.abort)

    def send_400_response(self, msg: str) -> None:
        if len(self.conn.trailing_data[0]) > HEAD_BYTES:
            self._refuse(431, b"too_long_head", b"The head of the request has more than %d bytes." % HEAD_BYTES)
        else:
            self._refuse(400, b"malformed", b"The request is not HTTP.")

    def _wait_for_head(self) -> None:
        if self._timer is None:
            self._timer = self.loop.call_later(HEAD_SECONDS, self._too_slow)

    def _too_slow(self) -> None:
        self._timer = None
        if self.conn.their_state is h11.IDLE and not self.transport.is_closing():
            self._refuse(408, b"timeout", b"The head of the request took too long.")

    def _refuse(self, status: int, code: bytes, message: bytes) -> None:
        """Answer a request that the application never saw, and end the connection."""
        body = b'{"error": {"code": "%s", "message": "%s", "id": null}}' % (code, message)
        headers = [("content-type", "application/json"), ("content-length", str(len(body))), ("connection", "close")]
        with contextlib.suppress(h11.LocalProtocolError):  # an answer is under way already
            for event in (h11.Response(status_code=status, headers=headers), h11.Data(data=body), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()


class Server(uvicorn.Server):
    """Serves until SIGTERM or Ctrl-C, then finishes what was accepted and returns.

    Args:
        app: the ASGI application.
        traffic: what is under way.
        started: is called when requests are answered.
        closing: is called when the shutdown begins.
        patience: seconds that accepted requests may take to finish.
    """

    def __init__(
        self, app: Any, traffic: Traffic, started: Callable[[], None], closing: Callable[[], None], patience: float
    ) -> None:
        config = uvicorn.Config(
            app,
            http=HttpProtocol,
            ws="none",
            loop="asyncio",
            lifespan="on",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            h11_max_incomplete_event_size=HEAD_BYTES,
            timeout_keep_alive=IDLE_SECONDS,
            timeout_graceful_shutdown=1,
            backlog=128,  # which are accepted at once, before any can be turned away
        )
        super().__init__(config)
        # Whatever anybody sends is no remark worth: the answers say it, and the metrics count them.
        logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
        self._traffic, self._on_start, self._on_close, self._patience = traffic, started, closing, patience

    async def startup(self, sockets: list[Any] | None = None) -> None:
        """Open the doors."""
        await super().startup(sockets)
        self._on_start()

    async def shutdown(self, sockets: list[Any] | None = None) -> None:
        """Refuse what comes, finish what was accepted, and end the rest, such as pages that wait for news."""
        self._on_close()
        until = asyncio.get_running_loop().time() + self._patience
        while self._traffic.accepted and not self.force_exit and asyncio.get_running_loop().time() < until:
            await asyncio.sleep(0.02)
        # What is cancelled now was never accepted; that is no error.
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Let signals end the server, and the process with exit code 0: uvicorn would send itself the signal once more."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        numbers = (signal.SIGINT, signal.SIGTERM)
        before = {number: signal.signal(number, self.handle_exit) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


@contextlib.contextmanager
def ending_on_sigterm() -> Iterator[None]:
    """Let SIGTERM end the process with exit code 0 also while it loads; from then on ``Server`` takes care of that."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)

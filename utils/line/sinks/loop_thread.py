"""A thread with an event loop, for servers of libraries that are written for asyncio."""

import asyncio
import concurrent.futures
import socket
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

from utils.line.sinks.sink import SinkError

Result = TypeVar("Result")


class LoopThread:
    """An event loop that runs until ``stop``; its thread does not keep the program alive.

    Args:
        name: of the thread.
    """

    def __init__(self, name: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def call(self, work: Coroutine[Any, Any, Result], timeout: float) -> Result:
        """Run a coroutine there, and return what it returns.

        Raises:
            SinkError: the time is up, or the loop has ended.
        """
        if not self.runs:
            work.close()
            raise SinkError("the server has ended")
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result(timeout)
        except concurrent.futures.TimeoutError:
            future.cancel()
            raise SinkError(f"the server has not answered within {timeout:.0f} s") from None
        except concurrent.futures.CancelledError:
            raise SinkError("the server has ended") from None

    @property
    def runs(self) -> bool:
        """Whether it still does."""
        return self._thread.is_alive() and not self._loop.is_closed()

    def stop(self, timeout: float = 5.0) -> None:
        """End the loop and what runs in it."""
        if self.runs:
            self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
            tasks = asyncio.all_tasks(self._loop)
            for task in tasks:
                task.cancel()
            self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        finally:
            self._loop.close()


def port_to_listen(host: str, port: int) -> int:
    """Return the port, of 0 a free one, after a short try: libraries only log why they cannot listen.

    Raises:
        SinkError: it is taken or not allowed.
    """
    try:
        with socket.create_server((host, port)) as probe:
            return int(probe.getsockname()[1])
    except OSError as error:
        remedy = "; ports below 1024 need CAP_NET_BIND_SERVICE, or take another" if 0 < port < 1024 else ""
        raise SinkError(f"cannot listen on {host}:{port}: {error.strerror}{remedy}") from None

"""A server with the page on it, before an inspector whose answers are known."""

import dataclasses
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI

from config import ServeConfig
from tests.web.page.bright import Bright
from utils.web.page import mount


@pytest.fixture
def bright() -> Bright:
    return Bright()


@pytest.fixture(scope="module")
def other_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose weights files the page offers; it looks at their names only."""
    folder = tmp_path_factory.mktemp("weights")
    for name in ("bright", "broken", "second"):
        (folder / f"{name}-00000000.pth").write_bytes(b"never opened")
    return folder


@dataclasses.dataclass
class Running:
    """A server with the page on it."""

    url: str
    inspector: Bright
    app: FastAPI
    stop: Callable[[], None]


@pytest.fixture(scope="module")
def serve(other_weights: Path) -> Iterator[Callable[..., Running]]:
    """Return a function that starts a server with the page; it runs to the end of the module or until it is stopped."""
    import uvicorn

    stops: list[Callable[[], None]] = []

    def start(folder: Path | None = None, **flags: Any) -> Running:
        inspector = Bright()
        config = ServeConfig(weights_dir=other_weights, dir=folder, **flags)
        app = mount(FastAPI(), inspector, config)
        listener = socket.create_server(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="critical", timeout_graceful_shutdown=1))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()

        def stop() -> None:
            server.should_exit = True
            thread.join(30)
            assert not thread.is_alive(), "the server does not end"

        stops.append(stop)
        until = time.monotonic() + 120
        while app.state.page.made is None:
            assert time.monotonic() < until, "no page"
            time.sleep(0.05)
        assert app.state.page.made
        return Running(f"http://127.0.0.1:{listener.getsockname()[1]}/", inspector, app, stop)

    yield start
    for stop in stops:
        stop()

"""The server of a line's page, in a thread beside the service: guarded and limited as the inspector's."""

import asyncio
import threading
from pathlib import Path

from fastapi import FastAPI, Response
from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest

from config import ServeConfig
from utils.errors import InputError
from utils.line.service import Service
from utils.line.sources.push import PushSource
from utils.web.address import bind, shown_address
from utils.web.limits import FORM_BYTES, MOST_BODIES, Traffic
from utils.web.line.metrics import LineCollector
from utils.web.line.routes import line_routes
from utils.web.metrics import Metrics
from utils.web.places import Places
from utils.web.problems import answer_problems
from utils.web.security import Guard, Policy
from utils.web.server import Server
from utils.web.static_page import FOLDER, page_routes

FLAG = "-http"
PAGE = Path(__file__).with_name("page")
PATIENCE = 5.0  # seconds that requests under way may take when the service ends


def parse_address(text: str) -> tuple[str, int]:
    """Return host and port of ``-http``.

    Raises:
        InputError: it is no HOST:PORT.
    """
    host, mark, port = text.removeprefix("http://").rstrip("/").rpartition(":")
    if not mark or not host or not port.isdecimal() or int(port) > 65535:
        raise InputError(f"{FLAG} {text}: expected HOST:PORT, as 127.0.0.1:7870")
    return host, int(port)


class LineServer:
    """Serves until it is closed.

    Args:
        address: host and port.
        service: that runs.
        push: takes pushed frames; None: they are refused.
        name: of the line.
        token: that callers send; None: that of the environment, or none.
        insecure: other computers need no token.
        max_mb: megabytes of a request.

    Raises:
        InputError: the port is taken, or other computers could come in without a token.
    """

    def __init__(
        self,
        address: tuple[str, int],
        service: Service,
        push: PushSource | None,
        name: str,
        token: str | None = None,
        insecure: bool = False,
        max_mb: int = 128,
    ) -> None:
        host, port = address
        try:
            policy = Policy(ServeConfig(host=host, port=port, token=token, insecure=insecure))
            self._socket = bind(host, port)
        except InputError as error:
            raise InputError(str(error).replace("-host", FLAG).replace("-port", FLAG)) from None
        self.address = shown_address(host, self._socket.getsockname()[1])
        registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        registry.register(LineCollector(service))
        most = max_mb * 10**6 + FORM_BYTES
        traffic = Traffic(MOST_BODIES * most)
        guard = Guard(_application(service, push, name, registry), policy, traffic, Places(), Metrics(), most)
        self._server = Server(guard, traffic, lambda: None, traffic.close, PATIENCE)
        self._thread = threading.Thread(target=self._run, name="http", daemon=True)

    def start(self) -> None:
        """Begin; returns at once."""
        self._thread.start()

    def close(self) -> None:
        """Finish what is under way, and end."""
        self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join(PATIENCE + 5)
        self._socket.close()

    def _run(self) -> None:
        asyncio.run(self._server.serve(sockets=[self._socket]))


def _application(service: Service, push: PushSource | None, name: str, registry: CollectorRegistry) -> FastAPI:
    app = FastAPI(title="Line", openapi_url=None, docs_url=None, redoc_url=None)
    app.include_router(line_routes(service, push, name))
    app.include_router(page_routes(PAGE, {"base.css": FOLDER / "css/base.css", "icon.svg": FOLDER / "icon.svg"}))

    @app.get("/metrics")
    def metrics() -> Response:
        return Response(generate_latest(registry), media_type="text/plain; version=0.0.4; charset=utf-8")

    answer_problems(app)
    return app

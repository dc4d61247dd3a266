"""The application: the guard around the API and the page."""

import dataclasses
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Response
from fastapi.openapi.utils import get_openapi
from fastapi.responses import HTMLResponse
from starlette.middleware.cors import CORSMiddleware

from config import ServeConfig
from utils.inspection.choosing import Inspectors, find_weights
from utils.inspection.inspector import Inspector
from utils.web.api import Api
from utils.web.described import described_page
from utils.web.limits import FORM_BYTES, MOST_BODIES, Limits, Traffic
from utils.web.metrics import Metrics
from utils.web.places import Places
from utils.web.problems import answer_problems
from utils.web.security import EXPOSED, OPEN, Guard, Policy

ABOUT = """Finds defects in photographs of flat steel.

Every answer other than 200 has the form `{"error": {"code", "message", "id"}}`. A `503` with `Retry-After` means that the
queue is full: send the request again after that time."""


class Application:
    """What ``Serve.py`` serves; ``guard`` is the ASGI application.

    Args:
        inspector: what answers; it was opened with ``metrics.batches.observe`` as ``on_batch``.
        config: the flags.
        metrics: to count with.

    Raises:
        InputError: flags that contradict each other, see ``Policy``.
    """

    def __init__(self, inspector: Inspector, config: ServeConfig, metrics: Metrics) -> None:
        self.inspector, self.metrics = inspector, metrics
        policy = Policy(config)
        limits = Limits(config.max_images, config.max_mb * 10**6 + FORM_BYTES, config.max_pixels, config.max_seconds)
        self.traffic, self.places = Traffic(MOST_BODIES * limits.bytes), Places()

        def open_file(path: Path) -> Inspector:
            return type(inspector).open(dataclasses.replace(config, weights_dir=path, weights=None))

        self.inspectors = Inspectors(inspector, find_weights(config.weights_dir), open_file)
        self.api = Api(self.inspectors, limits, self.traffic, self.places, metrics, config.save)
        metrics.watch(lambda: inspector.inside, inspector.room)
        self.app = self._routes(policy)
        self.guard = Guard(self.app, policy, self.traffic, self.places, metrics, limits.bytes)

    def set_ready(self) -> None:
        """Mark the server as ready to inspect images."""
        about = self.inspector.about
        self.metrics.tell_loaded(about.file, about.backend)
        self.metrics.ready.set(1)
        self.api.ready = True

    def close(self) -> None:
        """Refuse what comes from now on."""
        self.metrics.ready.set(0)
        self.traffic.close()

    def _routes(self, policy: Policy) -> FastAPI:
        app = FastAPI(
            title="Steel inspector",
            version="1",
            description=ABOUT,
            openapi_url="/api/v1/openapi.json",
            docs_url=None,  # its page would fetch scripts from elsewhere; ours is made here
            redoc_url=None,
        )
        app.include_router(self.api.router())
        if policy.origins:
            app.add_middleware(
                CORSMiddleware,
                allow_origins=policy.origins,
                allow_methods=["GET", "POST"],
                allow_headers=["Authorization", "Content-Type"],
                expose_headers=EXPOSED,
            )

        answer_problems(app)

        def describe() -> dict[str, Any]:
            if app.openapi_schema is None:
                servers = [{"url": policy.root or "/"}]
                described = get_openapi(
                    title=app.title, version=app.version, description=ABOUT, routes=app.routes, servers=servers
                )
                described["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
                for path, operations in described["paths"].items():
                    if policy.needs_token and path not in OPEN:
                        for operation in operations.values():
                            operation["security"] = [{"token": []}]
                app.openapi_schema = described
            return app.openapi_schema

        app.openapi = describe  # type: ignore[method-assign]

        @app.get("/docs", include_in_schema=False)
        def show_description() -> Response:
            return HTMLResponse(described_page(describe()))

        return app

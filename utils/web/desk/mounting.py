"""The desk's place in the server: made while the server starts, ended with it."""

import contextlib
import dataclasses
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.concurrency import run_in_threadpool

from config import ServeConfig
from utils.desk.desk import Desk
from utils.desk.services import Services
from utils.desk.sources import Part, open_folder
from utils.inference.inspected import Inspected, Refused
from utils.inspection.about import About
from utils.inspection.choosing import Inspectors, find_weights
from utils.inspection.inspector import Inspector
from utils.web.desk.answering import PREFIX, Serving
from utils.web.desk.downloads import download_routes
from utils.web.desk.events import event_routes
from utils.web.desk.images import image_routes
from utils.web.desk.jobs import job_routes
from utils.web.desk.pictures import picture_routes
from utils.web.desk.reviews import review_routes
from utils.web.desk.visits import visit_routes
from utils.web.limits import Limits, Traffic
from utils.web.security import origins_of


def mount_desk(
    app: FastAPI,
    inspector: Inspector,
    config: ServeConfig,
    limits: Limits,
    traffic: Traffic,
    told: Callable[[About, Inspected | Refused], None],
    inspectors: Inspectors | None = None,
) -> None:
    """Put the desk's routes into the server; its folder is taken when the server starts.

    Args:
        app: the server.
        inspector: loaded at start; the desk leaves it open.
        config: the flags of ``Serve.py``.
        limits: of a request.
        traffic: what is under way.
        told: is told of every image that the desk has inspected, and of every refusal.
        inspectors: of all weights, which the API uses too; None: the desk has its own.

    Raises:
        InputError: another process uses the folder of ``-save``.
    """
    parts: Sequence[Part] = open_folder(config.dir) if config.dir else []

    def open_file(path: Path) -> Inspector:
        return type(inspector).open(dataclasses.replace(config, weights_dir=path, weights=None))

    inspectors = inspectors or Inspectors(inspector, find_weights(config.weights_dir), open_file)
    desk = Desk(inspectors, config.save, parts, limits.bytes, told, config.class_names or ())
    services = Services(desk, origins_of(config.callbacks or (), "-callbacks"))
    serving = Serving(services, limits, traffic, config.coil is not None)
    routes = APIRouter(prefix=PREFIX, include_in_schema=False)
    for make in (visit_routes, image_routes, picture_routes, download_routes, review_routes, event_routes):
        routes.include_router(make(serving))
    app.include_router(routes)
    app.include_router(job_routes(serving, services.jobs))
    app.state.desk = desk
    before = app.router.lifespan_context

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[Any]:
        async with before(app) as state:
            services.start()
            try:
                yield state
            finally:
                await run_in_threadpool(services.close)

    app.router.lifespan_context = lifespan

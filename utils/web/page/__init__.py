"""The page for people: strips, what was found in them, and why, in a browser.

``sources`` is where images come from, ``choosing`` which weights; ``visit`` what is known of a visitor and ``actions``
what happens when somebody does something. ``description`` is what a browser gets and ``workbench.js`` draws. ``layout``
is the page around it, ``events`` connects it to the actions, ``weights_text`` describes the weights; ``downloads`` gives
pictures and tables, ``mounting`` puts all of it into the server.
"""

import contextlib
import dataclasses
import threading
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from fastapi import FastAPI

from config import ServeConfig
from utils.desk.sources import draw_samples, open_folder
from utils.inference.inspected import Inspected, Refused
from utils.inspection.about import About
from utils.inspection.choosing import Inspectors, find_weights
from utils.inspection.inspector import Inspector
from utils.web.answers import image_answer, join, pack, refusal_answer
from utils.web.coil import check_coil, coil_routes
from utils.web.page.actions import Asked, Keep, PageActions
from utils.web.page.downloads import make_routes
from utils.web.page.mounting import Page, PageApp, PageRoute
from utils.web.storage import save_request


def mount(app: FastAPI, inspector: Inspector, config: ServeConfig, after: threading.Event | None = None) -> FastAPI:
    """Put the page at ``/`` of the server; what the server answers already stays.

    Args:
        app: the server.
        inspector: loaded at start; the page leaves it open.
        config: the flags of ``Serve.py``.
        after: making the page, which takes seconds of computing, waits for this; None: it begins with the server.

    Returns:
        ``app``; its ``state.page`` is a ``Page``, which is ``made`` some seconds after the start.

    Raises:
        InputError: the folder of ``-dir`` has no images, or that of ``-coil`` no page.
    """
    parts = open_folder(config.dir) if config.dir else []
    if config.coil is not None:
        check_coil(config.coil)

    def open_file(path: Path) -> Inspector:
        return type(inspector).open(dataclasses.replace(config, weights_dir=path, weights=None))

    def make() -> PageActions:
        inspectors = Inspectors(inspector, find_weights(config.weights_dir), open_file)
        return PageActions(inspectors, draw_samples(), parts, _keeper(config.save) if config.save else None)

    page_app = PageApp()
    page = Page(make, page_app, config.max_mb * 1_000_000, config.max_images, after, coil=config.coil is not None)
    app.include_router(make_routes(lambda: page.actions))
    if config.coil is not None:
        app.include_router(coil_routes(config.coil))
    before = app.router.lifespan_context

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[Any]:
        async with before(app) as state, page.running():
            yield state

    app.router.lifespan_context = lifespan
    app.state.page = page
    app.router.routes.append(PageRoute("/", page_app))
    return app


def _keeper(folder: Path) -> Keep:
    """Keep uploads and their answers as the API does with its requests."""

    def keep(about: About, asked: Asked) -> None:
        number, uploads = uuid.uuid4().hex[:16], [upload for upload, _ in asked]
        refused = sum(isinstance(answer, Refused) for _, answer in asked)
        images = [
            pack(refusal_answer(answer) if isinstance(answer, Refused) else image_answer(about, answer, overlay=False))
            for _, answer in asked
        ]
        seconds = max((answer.seconds for _, answer in asked if isinstance(answer, Inspected)), default=0.0)
        save_request(folder, number, uploads, join(number, about.file, seconds, refused, images))

    return keep

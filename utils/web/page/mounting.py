"""The page's place in the server: made in the background, behind an application that answers until then and lets through what the page needs."""

import asyncio
import contextlib
import logging
import os
import sys
import tempfile
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from starlette.datastructures import MutableHeaders
from starlette.responses import HTMLResponse, PlainTextResponse
from starlette.routing import Match, Mount
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from utils.inspection.failures import one_line
from utils.web.page.actions import PageActions
from utils.web.page.uploads import Uploads, Watched

log = logging.getLogger(__name__)

# What a browser that has the page open asks for. All else that Gradio answers is closed: nobody needs it here.
# Of these ``queue/join`` alone takes what could name a file; ``Watched`` looks at it.
_EXACT = {
    "/",
    "/config",
    "/theme.css",
    "/favicon.ico",
    "/manifest.json",
    "/robots.txt",
    "/gradio_api/info",
    "/gradio_api/startup-events",
    "/gradio_api/queue/join",
    "/gradio_api/queue/data",
    "/gradio_api/upload",
    "/gradio_api/upload_progress",
    "/gradio_api/cancel",
    "/gradio_api/reset",
}
_BELOW = ("/assets/", "/static/", "/gradio_api/heartbeat/")
SWEEP_SECONDS = 60  # between two looks at uploads that nobody takes
STYLES = ("page.css", "workbench.css")
# Nothing from elsewhere, whatever a library would like to fetch. Gradio's own scripts need the two "unsafe".
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline';"
    " img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; worker-src 'self' blob:;"
    " object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'self'"
)
_SOON = """<!doctype html><html lang="en"><head><meta charset="utf-8"><meta http-equiv="refresh" content="1">
<title>Inspector</title></head><body style="font-family: sans-serif; margin: 3em"><p>The page is being made; it
opens by itself in a few seconds.</p></body></html>"""


class PageApp:
    """Stands before Gradio's application.

    Until that is there, a browser is asked to wait.
    """

    def __init__(self) -> None:
        self.inside: ASGIApp | None = None
        self.failed = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if self.failed:
            await PlainTextResponse("The page could not be made; the server's log says why.", 500)(scope, receive, send)
        elif self.inside is None:
            answer: Any = PlainTextResponse("The page is being made.", 503, {"Retry-After": "2"})
            if scope["path"].endswith("/"):
                answer = HTMLResponse(_SOON, headers={"Cache-Control": "no-store"})
            await answer(scope, receive, send)
        else:
            await self.inside(scope, receive, _with_headers(send))


class _OneLine:
    """Stands for the module ``traceback`` where a library prints what it caught."""

    def print_exc(self) -> None:
        """Log it in one line."""
        if (error := sys.exception()) is not None:
            log.warning("page event refused: %s", one_line(error))


class PageRoute(Mount):
    """The place of ``PageApp`` among the routes of the server: addresses that the page has no use for do not exist."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Check whether a request is for the page."""
        path = scope["path"].removeprefix(scope.get("root_path", "")) or "/"
        if scope["type"] != "http" or not (path in _EXACT or path.startswith(_BELOW)):
            return Match.NONE, {}
        return super().matches(scope)


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers.setdefault("Content-Security-Policy", POLICY)
            headers.setdefault("X-Content-Type-Options", "nosniff")
            headers.setdefault("Referrer-Policy", "no-referrer")
        await send(message)

    return sending


class Page:
    """Makes the page while the server already answers, and clears up behind it.

    Args:
        make: makes what the page does, in a thread; it may take seconds.
        page_app: gets it then.
        most_bytes: of an upload, all files together.
        most_files: of an upload.
        after: what making it waits for.
        coil: whether it links to the page of a coil.
    """

    def __init__(
        self,
        make: Callable[[], PageActions],
        page_app: PageApp,
        most_bytes: int,
        most_files: int,
        after: threading.Event | None = None,
        coil: bool = False,
    ) -> None:
        self.after, self.coil = after, coil
        self.make, self.page_app, self.most_bytes, self.most_files = make, page_app, most_bytes, most_files
        self.actions: PageActions | None = None

    @property
    def made(self) -> bool | None:
        """Whether the page is there; None while it is being made."""
        return False if self.page_app.failed else True if self.page_app.inside is not None else None

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run from the start of the server to its end."""
        ended = asyncio.Event()
        task = asyncio.create_task(self._run(ended))
        try:
            yield
        finally:
            ended.set()
            await task

    async def _run(self, ended: asyncio.Event) -> None:
        while self.after is not None and not self.after.is_set() and not ended.is_set():
            await asyncio.sleep(0.05)
        if ended.is_set():
            return
        # Gradio keeps uploads in a folder of its own until they are taken: it goes with the server.
        with tempfile.TemporaryDirectory(prefix="steel-inspector-", ignore_cleanup_errors=True) as place:
            uploads = Uploads(Path(place), self.most_files, self.most_bytes)
            os.environ["GRADIO_TEMP_DIR"] = str(uploads.place)
            try:
                shell = await asyncio.to_thread(self._build, uploads)
                async with shell.router.lifespan_context(shell):
                    self.page_app.inside = Watched(shell, uploads)
                    while not ended.is_set():
                        with contextlib.suppress(TimeoutError):
                            await asyncio.wait_for(ended.wait(), SWEEP_SECONDS)
                        await asyncio.to_thread(uploads.clear)
            except Exception:
                self.page_app.failed = True
                log.exception("the page could not be made; the API works without it")
            finally:
                self.page_app.inside = None
                if self.actions is not None:
                    await asyncio.to_thread(self.actions.close)

    def _build(self, uploads: Uploads) -> FastAPI:
        """Make the page; importing Gradio alone takes seconds."""
        os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
        import gradio as gr
        from gradio import queueing, route_utils, routes

        # They print what an event of a stranger raises in them, past every log.
        for module in (queueing, route_utils, routes):
            module.traceback = _OneLine()  # type: ignore[attr-defined]

        from utils.web.page.layout import HERE, build

        self.actions = self.make()
        shell = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
        return gr.mount_gradio_app(
            shell,
            build(self.actions, uploads, self.coil),
            path="/",
            footer_links=[],
            run_history=False,
            show_error=False,
            max_file_size=self.most_bytes,
            ssr_mode=False,
            enable_monitoring=False,
            mcp_server=False,
            pwa=False,
            # Fonts of the system: Gradio's own would come from elsewhere.
            theme=gr.themes.Default(
                font=["system-ui", "Segoe UI", "Roboto", "sans-serif"], font_mono=["ui-monospace", "monospace"]
            ),
            # In the head as it is: Gradio would rewrite the selectors of ``css``.
            head="<style>{}</style>".format("".join((HERE / name).read_text("utf-8") for name in STYLES)),
        )

"""What changes in a visit, told to its pages as it happens: Server-Sent Events.

Source: https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse

from utils.web.desk.answering import Serving, query_of

LOOK_SECONDS = 0.2  # between two looks for news
HEARTBEAT_SECONDS = 10.0
RECONNECT_MS = 1000
MOST_TOLD = 100  # images at once


def event_routes(serving: Serving) -> APIRouter:
    """Make the routes."""
    routes = APIRouter()

    @routes.get("/visits/{visit}/events")
    async def events(visit: str, request: Request) -> Response:
        query = query_of(request, "after")
        await serving.run(lambda: serving.desk.visit(visit))
        word = request.headers.get("last-event-id") or query.get("after") or ""
        last = int(word) if word.isascii() and word.isdigit() and len(word) < 18 else None
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}  # nginx would hold it back
        return StreamingResponse(_told(serving, visit, last), media_type="text/event-stream", headers=headers)

    return routes


async def _told(serving: Serving, visit: str, last: int | None) -> AsyncIterator[bytes]:
    """Tell what is new, forever: first the visit as it is, then what changes after ``last``."""
    desk = serving.desk
    await serving.run(lambda: desk.visits.used(visit))
    yield b"retry: %d\n\n" % RECONNECT_MS
    version, first, said = (desk.news.version(visit) if last is None else last), True, time.monotonic()
    while not serving.traffic.closing:
        changes = desk.news.after(visit, version)
        if first or changes.version > version or changes.lost:
            first, version, said = False, changes.version, time.monotonic()

            def read(changes: Any = changes) -> tuple[dict[str, Any] | None, list[tuple[str, Any]]]:
                known = desk.visits.find(visit)
                if known is None:
                    return None, []
                told: list[tuple[str, Any]] = [("reload", {})] if changes.lost else []
                images = [] if changes.lost else changes.images
                for begin in range(0, len(images), MOST_TOLD):
                    told += [("image", row) for row in desk.images.rows(visit, images[begin : begin + MOST_TOLD])]
                for key in [] if changes.lost else changes.reviews:
                    row = desk.images.row(visit, key)
                    review = desk.reviews.describe(row["sha256"], desk.naming(known)) if row else None
                    told += [("review", {"key": str(key), "review": review})] if review else []
                told += [("removed", {"key": str(key)}) for key in changes.removed]
                return desk.describe(known), told

            described, told = await serving.run(read)
            if described is None:
                yield _event("gone", {}, version)
                return
            for name, content in told:
                yield _event(name, content, None)
            yield _event("visit", described, version)
        elif time.monotonic() - said >= HEARTBEAT_SECONDS:
            said = time.monotonic()
            yield b"event: heartbeat\ndata: {}\n\n"  # a comment would not reach the page
        await asyncio.sleep(LOOK_SECONDS)


def _event(name: str, content: Any, version: int | None) -> bytes:
    """Write an event; the version comes with the last one of a change, so that a break before it loses nothing."""
    line = f"id: {version}\n" if version is not None else ""
    return f"event: {name}\n{line}data: {json.dumps(content, ensure_ascii=False)}\n\n".encode()

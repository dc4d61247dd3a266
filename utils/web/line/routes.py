"""The routes of a line: health, state, pictures of the last frames, and frames that programs push."""

import asyncio
import hashlib
import math
import re
from concurrent.futures import Future
from typing import Any

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import JSONResponse, Response

from utils.line.event import FrameEvent
from utils.line.frame import Frame
from utils.line.orders import OrderError
from utils.line.service import Service
from utils.line.sinks.received_orders import read_order
from utils.line.sources.push import NotTaking, PushSource
from utils.web.limits import Problem, closing_problem

ANSWER_SECONDS = 60.0  # that a pushed frame may take
_TEXT = re.compile(r"[^\x00-\x1f\x7f]{0,200}")


def line_routes(service: Service, push: PushSource | None, name: str) -> APIRouter:
    """Make the routes.

    Args:
        service: that runs.
        push: takes pushed frames; None: they are refused.
        name: of the line.
    """
    routes = APIRouter()

    @routes.get("/healthz")
    def healthz() -> Response:
        """Tell a supervisor whether the service works: 503 for a fault, and while it stops."""
        state = service.state
        status = 503 if state.condition in ("fault", "stopping") else 200
        told = {"condition": state.condition, "reason": state.reason, "healthy": state.healthy}
        return JSONResponse(told, status_code=status)

    @routes.get("/api/v1/line")
    def state() -> dict[str, Any]:
        """Tell all of the state, and the last frames."""
        shown = [one.event for one in list(service.last)[::-1]]
        ng = [one.event for one in list(service.last_ng)[::-1]]
        return {
            "line": name,
            "state": service.state.as_dict(),
            "frames": [_short(event) for event in shown],
            "ng": [_short(event) for event in ng],
        }

    @routes.get("/api/v1/line/frames/{event_id}.jpg")
    def picture(event_id: str) -> Response:
        """Send the small picture of one of the last frames."""
        for shown in (*list(service.last), *list(service.last_ng)):
            if shown.event.id == event_id and shown.small:
                return Response(shown.small, media_type="image/jpeg", headers={"Cache-Control": "private, max-age=60"})
        raise HTTPException(404)

    @routes.post("/api/v1/line/orders")
    async def order(request: Request) -> dict[str, Any]:
        """Pause, resume, or name the next coil, by the words that sinks take, too: {"order": "coil", "coil_id": "4711"}."""
        try:
            asked, name = read_order(await request.body())
            service.order(asked)
        except OrderError as error:
            raise Problem(422, "wrong_order", f"{error}.") from None
        return {"ok": True, "id": name}

    @routes.post("/api/v1/line/frames")
    async def push_frame(request: Request) -> Response:
        """Inspect the image of the body; the answer is its event, which is on disk by then."""
        if push is None:
            raise Problem(404, "not_found", "This line takes no pushed frames; start it with -source push://.")
        asked = request.query_params
        words = {one: asked.get(one, "") for one in ("name", "key", "camera", "side", "coil_id")}
        for one, word in words.items():
            if not _TEXT.fullmatch(word):
                raise Problem(422, "wrong_value", f"{one}: at most 200 letters, on one line.")
        position = _position(asked.get("position_m"))
        data = await request.body()
        name = words["name"] or "pushed"
        key = words["key"] or f"{name}|{hashlib.sha256(data).hexdigest()}"
        event_id = push.id_of(key)
        # In a thread: the spool may be waiting for its disk, and the other requests wait for neither.
        if await asyncio.to_thread(service.knows, event_id):
            return JSONResponse({"id": event_id, "known": True})
        frame = Frame(
            key,
            name,
            data,
            camera=words["camera"] or None,
            side=words["side"] or None,
            coil_id=words["coil_id"] or None,
            position_m=position,
        )
        try:
            # Shielded: its event is written all the same, and nobody may find that its future was cancelled.
            event = await asyncio.wait_for(asyncio.shield(_wrapped(push.push(frame))), ANSWER_SECONDS)
        except NotTaking:
            raise closing_problem() from None
        except TimeoutError:
            raise Problem(503, "busy", "No event within a minute; send the frame again.", retry_after=10) from None
        return Response(event.to_json(), media_type="application/json")

    return routes


def _wrapped(future: "Future[FrameEvent]") -> "asyncio.Future[FrameEvent]":
    return asyncio.wrap_future(future)


def _position(word: str | None) -> float | None:
    if not word:
        return None
    try:
        value = float(word)
    except ValueError:
        value = math.nan
    if not abs(value) < 1e8:
        raise Problem(422, "wrong_value", "position_m: expected metres.")
    return value


def _short(event: FrameEvent) -> dict[str, Any]:
    """Return what the page shows of a frame."""
    return {
        "id": event.id,
        "seq": event.seq,
        "time": event.time,
        "frame": event.frame,
        "camera": event.camera,
        "verdict": event.verdict,
        "reason": event.reason,
        "defects": len(event.defects),
        "position_m": event.position_m,
        "ms": event.ms.get("total"),
        "has_picture": event.verdict != "NO_VERDICT",
    }

"""The routes of the API: inspect, model, health, readiness, metrics."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request, Response

from utils.desk.visits import settings_of
from utils.errors import InputError
from utils.inference.inspected import Inspected, Refused
from utils.inference.tiles import LARGE
from utils.inspection.about import About
from utils.inspection.batching import Busy, Closing
from utils.inspection.choosing import Inspectors
from utils.inspection.decoding import FORMATS
from utils.inspection.inspector import Inspector
from utils.inspection.redeciding import redecide
from utils.inspection.upload import REFUSALS, Upload
from utils.web.answers import (
    InspectAnswer,
    LimitsAnswer,
    ModelAnswer,
    Problems,
    StateAnswer,
    WeightsAnswer,
    WeightsChoice,
    image_answer,
    join,
    model_answer,
    pack,
    refusal_answer,
)
from utils.web.asking import CONTEXT, is_context, meta_of, parameters, read_asked, read_query
from utils.web.limits import Limits, Problem, Traffic, closing_problem
from utils.web.metrics import Metrics
from utils.web.places import Places
from utils.web.reading import FIELD, read_form
from utils.web.security import user_of
from utils.web.storage import record_of, save_request

SMALL_FILE = 200_000  # bytes; no frame that is seen in tiles and shows anything is packed so small
REASONS = {
    400: "The request is malformed.",
    401: "The token is missing or wrong.",
    403: "A page of another origin called.",
    404: "There is no such job.",
    408: "The request took too long.",
    413: "Too many bytes, images or pixels.",
    415: "Not a form, or not a single image of a known format.",
    421: "The host name is another one's.",
    422: "A wrong field or value, or no image that can be read.",
    431: "The head of the request is too long.",
    503: "The queue is full, or the server is starting or shutting down; Retry-After says when to try again.",
}
BODY = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": [FIELD],
                "additionalProperties": False,
                "properties": {
                    FIELD: {
                        "type": "array",
                        "minItems": 1,
                        "description": "one file for each image: JPEG, PNG, BMP, TIFF or WebP",
                        "items": {"type": "string", "format": "binary"},
                    },
                    **{
                        name: {"type": "string", "maxLength": 200, "description": about}
                        for name, about in CONTEXT.items()
                    },
                },
                "patternProperties": {r"^meta\.[A-Za-z0-9_]{1,40}$": {"type": "string", "maxLength": 200}},
            },
            "encoding": {FIELD: {"contentType": "image/jpeg, image/png, image/bmp, image/tiff, image/webp"}},
        },
        **{f"image/{kind}": {"schema": {"type": "string", "format": "binary"}} for kind in ("jpeg", "png", "webp")},
    },
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Describe the answers of some statuses."""
    example = {"error": {"code": "truncated", "message": "The image file is cut off.", "id": "5f0c1e9ab2d34c77"}}
    shown = {"application/json": {"example": example}}
    return {status: {"model": Problems, "description": REASONS[status], "content": shown} for status in statuses}


class Api:
    """The routes around one inspector.

    Args:
        inspectors: of all weights; the one loaded at start answers unless a request names others.
        limits: of a request.
        traffic: what is under way.
        places: for requests.
        metrics: to count with.
        save: folder to keep requests in; None: nothing is kept.
    """

    def __init__(
        self,
        inspectors: Inspectors,
        limits: Limits,
        traffic: Traffic,
        places: Places,
        metrics: Metrics,
        save: Path | None = None,
    ) -> None:
        self.inspectors, self.inspector = inspectors, inspectors.served
        self.limits, self.metrics, self.save = limits, metrics, save
        self.traffic, self.places = traffic, places
        self.ready = False

    def router(self) -> APIRouter:
        """Return the routes."""
        router = APIRouter()
        router.add_api_route(
            "/api/v1/inspect",
            self.inspect,
            methods=["POST"],
            operation_id="inspect",
            summary="Find the defects of one or many images",
            response_model=InspectAnswer,
            responses=problems(400, 401, 403, 408, 413, 415, 421, 422, 431, 503),
            openapi_extra={"requestBody": BODY, "parameters": parameters()},
            tags=["inspection"],
        )
        router.add_api_route(
            "/api/v1/model",
            self.model,
            methods=["GET"],
            operation_id="model",
            summary="What is loaded, its classes and thresholds, and what a request may have",
            response_model=ModelAnswer,
            responses=problems(400, 401, 403, 421, 422, 431, 503),
            openapi_extra={"parameters": [one for one in parameters() if one["name"] == "weights"]},
            tags=["inspection"],
        )
        router.add_api_route(
            "/api/v1/weights",
            self.weights,
            methods=["GET"],
            operation_id="weights",
            summary="The weights that a request may name",
            response_model=WeightsAnswer,
            responses=problems(400, 401, 403, 421, 422, 431, 503),
            tags=["inspection"],
        )
        for path, answer, name, summary, statuses in (
            ("/healthz", self.health, "health", "Whether the process answers", (400, 403, 421, 431)),
            ("/readyz", self.readiness, "readiness", "Whether images are inspected", (400, 403, 421, 431, 503)),
        ):
            router.add_api_route(
                path,
                answer,
                methods=["GET"],
                operation_id=name,
                summary=summary,
                response_model=StateAnswer,
                responses=problems(*statuses),
                tags=["operation"],
            )
        router.add_api_route(
            "/metrics",
            self.show_metrics,
            methods=["GET"],
            operation_id="metrics",
            summary="Counters for Prometheus",
            response_class=Response,
            responses={
                200: {"content": {"text/plain": {"schema": {"type": "string"}}}},
                **problems(400, 401, 403, 421, 431, 503),
            },
            tags=["operation"],
        )
        return router

    async def inspect(self, request: Request) -> Response:
        """Inspect the images of a form, or the image that is the body. The answer has one entry for each, in their order;
        a bad image among good ones has an entry with its error, and a request without a single good one is answered with
        the error of the first.
        """
        loop = asyncio.get_running_loop()
        start: float = request.state.start
        asked = read_asked(request)
        inspector = await self._inspector(asked.weights)
        about = inspector.about
        decision = asked.decision(about)
        deadline = loop.time() + self.limits.seconds
        sent = await read_form(request, self.limits, self.traffic, deadline, FIELD, is_context, asked.name)
        uploads, meta = sent.uploads, {**asked.meta, **meta_of(sent.fields)}
        large = [upload for upload in uploads if len(upload.data) > SMALL_FILE]
        if large:
            deadline += self.limits.seconds * await asyncio.to_thread(inspector.pixels, large) / LARGE

        def finish(inspected: Inspected) -> bytes:
            if decision != about.decision:
                inspected = redecide(inspected, decision, task=about.task, gate=about.gate)
            self.count(about, inspected)
            return pack(image_answer(about, inspected, asked.overlay))

        futures = await self._submit(asked.weights, inspector, uploads, finish)
        self.traffic.accepted += 1
        try:
            images = await self._answers(request, futures, deadline)
            refused = [image for image in images if isinstance(image, Refused)]
            for image in refused:
                self.count(about, image)
            if len(refused) == len(images):
                raise Problem(REFUSALS[refused[0].code], refused[0].code, _first(refused, uploads))
            packed = [pack(refusal_answer(image)) if isinstance(image, Refused) else image for image in images]
            number, settings = request.state.number, settings_of(about, decision)
            seconds = time.monotonic() - start
            answer = join(number, about.file, seconds, len(refused), packed, settings, meta)
            if self.save is not None:
                record = {**record_of(about, decision, meta, user_of(request)), "settings": settings}
                await asyncio.to_thread(save_request, self.save, number, uploads, answer, record)
            return Response(answer, media_type="application/json")
        finally:
            self.traffic.accepted -= 1

    async def _inspector(self, name: str) -> Inspector:
        """Return the inspector of some weights, and load them if need be."""
        if not name or name == self.inspector.about.name:
            return self.inspector
        if name not in self.inspectors.names:
            raise Problem(422, "unknown_weights", "There are no weights of that name; GET /api/v1/weights lists them.")
        try:
            return await asyncio.to_thread(self.inspectors.get, name)
        except InputError as error:
            raise Problem(422, "unusable_weights", f"{error}.") from None

    async def _submit(
        self, name: str, inspector: Inspector, uploads: list[Upload], finish: Callable[[Inspected], bytes]
    ) -> "list[Future[Any]]":
        """Bring images on their way."""
        try:
            return inspector.submit(uploads, finish)
        except Busy as busy:
            raise Problem(503, "busy", str(busy), retry_after=busy.retry_after) from None
        except Closing:
            if inspector is self.inspector:
                raise closing_problem() from None
        # Somebody else's choice closed it between finding and asking it; it opens again.
        again = await self._inspector(name)
        try:
            return again.submit(uploads, finish)
        except (Busy, Closing):
            raise Problem(503, "busy", "The server is busy; try again in 1 s.", retry_after=1) from None

    async def model(self, request: Request) -> ModelAnswer:
        """Describe what is loaded, or other weights."""
        query = read_query(request, ("weights",))
        limits = self.limits
        about = LimitsAnswer(
            max_images=limits.images,
            max_bytes=limits.bytes,
            max_pixels=limits.pixels,
            max_seconds=limits.seconds,
            formats=list(FORMATS),
        )
        return model_answer((await self._inspector(query.get("weights", ""))).about, about)

    async def weights(self, request: Request) -> WeightsAnswer:
        """List the weights that a request may name."""
        read_query(request)
        choices = [
            WeightsChoice(name=name, file=self.inspectors.file_of(name) or "", loaded_at_start=not index)
            for index, name in enumerate(self.inspectors.names)
        ]
        return WeightsAnswer(weights=choices)

    async def health(self) -> StateAnswer:
        """Answer as long as the process does."""
        return StateAnswer(status="alive")

    async def readiness(self) -> StateAnswer:
        """Answer 200 once the first image went through; 503 before that, while no request fits in, and in the shutdown."""
        if self.traffic.closing:
            raise closing_problem()
        if not self.ready:
            raise Problem(503, "starting", "The server is starting; try again in 1 s.", retry_after=1)
        if self.places.full:
            raise Problem(503, "busy", "The server is busy; try again in 1 s.", retry_after=1)
        return StateAnswer(status="ready")

    async def show_metrics(self) -> Response:
        """Write the counters."""
        about = self.inspector.about
        if self.ready:  # what runs the network may have changed over
            self.metrics.tell_loaded(about.file, about.backend)
        return Response(self.metrics.text(), media_type="text/plain; version=0.0.4")

    async def _answers(
        self, request: Request, futures: "Sequence[Future[Any]]", deadline: float
    ) -> "list[bytes | Refused]":
        """Wait for the answers about all images; when time is up or nobody waits any more, drop what is left."""
        waiting = [asyncio.wrap_future(future) for future in futures]
        gone = asyncio.ensure_future(_gone(request))
        together = asyncio.ensure_future(asyncio.wait(waiting))
        try:
            left = max(0.0, deadline - asyncio.get_running_loop().time())
            await asyncio.wait((together, gone), timeout=left, return_when=asyncio.FIRST_COMPLETED)
            if together.done():
                return [future.result() for future in waiting]
            if gone.done():
                raise Problem(400, "disconnected", "The client has gone.")
            raise Problem(
                408, "timeout", f"The request took longer than {self.limits.seconds:g} s; send fewer or smaller images."
            )
        finally:
            for task in (gone, together):
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
            for future in waiting:
                future.cancel()

    def count(self, about: About, inspected: Inspected | Refused) -> None:
        """Count an image in the metrics, whoever sent it: a program or the page."""
        if isinstance(inspected, Refused):
            self.metrics.images.labels(inspected.code).inc()
            return
        self.metrics.images.labels(about.verdict(inspected)).inc()
        self.metrics.image_seconds.observe(inspected.seconds)
        for class_id in inspected.defects["class_id"].tolist():
            self.metrics.defects.labels(about.class_names[class_id - 1]).inc()


async def _gone(request: Request) -> None:
    """Return when the client has closed the connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _first(refused: "Sequence[Refused]", uploads: Sequence[Upload]) -> str:
    """Return the reason of the first image, with its name where there are several."""
    one = refused[0]
    return one.reason if len(uploads) == 1 else f"{one.name}: {one.reason}"

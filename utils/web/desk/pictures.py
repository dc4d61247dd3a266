"""The routes of pictures: small ones, whole ones, tiles, overlays, masks, probabilities; a browser keeps them by their tag."""

import hashlib
from collections.abc import Callable

from fastapi import APIRouter, Request, Response

from utils.web.desk.answering import Serving, key_of, number_of, query_of
from utils.web.limits import Problem

# A browser asks again each time, and gets 304 while nothing has changed.
ASKED = "private, no-cache"
# Pixels of an image never change under its key.
KEPT = "private, max-age=86400, immutable"


def picture_routes(serving: Serving) -> APIRouter:
    """Make the routes."""
    routes = APIRouter(prefix="/visits/{visit}/images/{key}")

    async def send(
        request: Request, visit: str, key: str, kind: str, make: Callable[[int], bytes], kept: str = ASKED
    ) -> Response:
        """Send a picture, or say that the browser has it already."""
        number = key_of(key)

        def tag_of() -> str:
            row = serving.desk.row(visit, number)
            review = row["review"] and row["review"]["time"]
            changing = (row["settings"], row["status"], review) if kept is ASKED else ()
            return '"' + hashlib.sha256(repr((row["sha256"], *changing)).encode()).hexdigest()[:24] + '"'

        tag = await serving.run(tag_of)
        headers = {"ETag": tag, "Cache-Control": kept}
        if tag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return Response(await serving.run(lambda: make(number)), media_type=kind, headers=headers)

    @routes.get("/thumb.jpg")
    async def thumb(visit: str, key: str, request: Request) -> Response:
        query_of(request, "version")
        return await send(
            request, visit, key, "image/jpeg", lambda number: serving.services.viewing.thumb(visit, number)
        )

    @routes.get("/picture.jpg")
    async def picture(visit: str, key: str, request: Request) -> Response:
        query_of(request, "version")
        return await send(
            request, visit, key, "image/jpeg", lambda number: serving.services.viewing.picture(visit, number), KEPT
        )

    @routes.get("/image.dzi")
    async def deep_zoom(visit: str, key: str, request: Request) -> Response:
        query_of(request, "version")

        def make(number: int) -> bytes:
            return serving.services.viewing.deep_zoom(visit, number).encode()

        return await send(request, visit, key, "application/xml", make, KEPT)

    @routes.get("/tiles/{level}/{place}.jpg")
    @routes.get("/image_files/{level}/{place}.jpg")  # where viewers look beside image.dzi
    async def tile(visit: str, key: str, level: str, place: str, request: Request) -> Response:
        query_of(request, "version")
        column, _, row = place.partition("_")
        words = (level, column, row)
        if not all(word.isascii() and word.isdigit() and len(word) < 6 for word in words):
            raise Problem(404, "not_found", "There is no such tile.")
        zoom, across, down = map(int, words)

        def make(number: int) -> bytes:
            return serving.services.viewing.tile(visit, number, zoom, across, down)

        return await send(request, visit, key, "image/jpeg", make, KEPT)

    @routes.get("/overlay.png")
    async def overlay(visit: str, key: str, request: Request) -> Response:
        query_of(request, "version")
        return await send(
            request, visit, key, "image/png", lambda number: serving.services.viewing.overlay(visit, number)
        )

    @routes.get("/mask.png")
    async def mask(visit: str, key: str, request: Request) -> Response:
        query_of(request, "version")
        return await send(request, visit, key, "image/png", lambda number: serving.services.viewing.mask(visit, number))

    @routes.get("/probability")
    async def probability(visit: str, key: str, request: Request) -> Response:
        query = query_of(request, "class_id", "x", "y", "width", "height", "version")
        class_id = number_of(query, "class_id", 1, 1)
        x, y = number_of(query, "x", 0), number_of(query, "y", 0)
        width, height = number_of(query, "width", 2**20, 1), number_of(query, "height", 2**20, 1)

        def make(number: int) -> bytes:
            return serving.services.viewing.probability(visit, number, class_id, (x, y, width, height))

        return await send(request, visit, key, "image/png", make)

    return routes

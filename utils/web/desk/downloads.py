"""The routes of what is taken along: tables and pictures of all images, sent while they are made."""

from collections.abc import AsyncIterator, Iterator

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse

from utils.web.desk.answering import HEADERS, Serving, answer, number_of, query_of

KINDS = {"zip": "application/zip", "csv": "text/csv; charset=utf-8", "html": "text/html", "pdf": "application/pdf"}


def download_routes(serving: Serving) -> APIRouter:
    """Make the routes."""
    routes = APIRouter()

    @routes.get("/visits/{visit}/download/{name}")
    async def download(visit: str, name: str, request: Request) -> Response:
        query_of(request)
        pieces = await serving.run(lambda: serving.services.taking.download(visit, name))
        kind = KINDS.get(name.rpartition(".")[2], "application/octet-stream")
        headers = {**HEADERS, "Content-Disposition": f'attachment; filename="{name}"'}
        return StreamingResponse(sent_in_pieces(pieces), media_type=kind, headers=headers)

    @routes.post("/visits/{visit}/keep_settings")
    async def keep_settings(visit: str, request: Request) -> Response:
        query_of(request)
        sent = await serving.read_json(request)
        return answer(await serving.run(lambda: serving.services.taking.keep_settings(visit, sent)), 201)

    @routes.get("/visits/{visit}/session")
    async def session(visit: str, request: Request) -> Response:
        query = query_of(request, "since", "who")
        since, who = number_of(query, "since", 0, 0, 2**40), query.get("who", "")
        return answer(await serving.run(lambda: serving.services.taking.sessions.session(visit, since, who)))

    return routes


async def sent_in_pieces(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Make each piece in a thread when the browser wants it."""
    while (piece := await run_in_threadpool(next, pieces, None)) is not None:
        if piece:
            yield piece

"""The routes of a visit's images: add, list, look, remove."""

import asyncio
import dataclasses

from fastapi import APIRouter, Request, Response

from utils.desk.image_table import SORTS, Filter
from utils.web.asking import is_context, meta_of
from utils.web.desk.answering import MOST_LISTED, Serving, answer, choice_of, key_of, number_of, query_of
from utils.web.limits import Problem
from utils.web.reading import read_form


def image_routes(serving: Serving) -> APIRouter:
    """Make the routes."""
    routes = APIRouter()

    @routes.post("/visits/{visit}/images")
    async def add(visit: str, request: Request) -> Response:
        query_of(request)
        return await add_image(serving, visit, request)

    @routes.post("/visits/{visit}/folder")
    async def add_folder(visit: str, request: Request) -> Response:
        query_of(request)
        sent = await serving.read_json(request)
        words, names = sent.pop("words", ""), sent.pop("names", None)
        right = isinstance(words, str) and (
            names is None or (isinstance(names, list) and all(isinstance(name, str) for name in names))
        )
        if sent or not right:
            raise Problem(
                422, "wrong_value", "Expected words, a text, and names, a list of texts; both may be left out."
            )
        return answer(await serving.run(lambda: serving.services.adding.add_folder(visit, words, names)), 202)

    @routes.post("/visits/{visit}/samples")
    async def add_samples(visit: str, request: Request) -> Response:
        query_of(request)
        return answer({"added": await serving.run(lambda: serving.services.adding.add_samples(visit))}, 202)

    @routes.get("/folder")
    async def folder(request: Request) -> Response:
        query = query_of(request, "words", "offset", "limit")
        offset, limit = number_of(query, "offset", 0), number_of(query, "limit", 100, 0, MOST_LISTED)
        return answer(await serving.run(lambda: serving.services.adding.folder(query.get("words", ""), offset, limit)))

    @routes.get("/visits/{visit}/images")
    async def list_all(visit: str, request: Request) -> Response:
        query = query_of(request, "sort", "class", "verdict", "review", "words", "offset", "limit", "key")
        wanted = Filter(
            query.get("class", ""),
            choice_of(query, "verdict", "", ("clean", "defective", "refused")),
            choice_of(query, "review", "", ("open", "done", "unsure", "clean")),
            query.get("words", ""),
        )
        sort = choice_of(query, "sort", "new", tuple(SORTS))
        limit, offset = number_of(query, "limit", 100, 0, MOST_LISTED), number_of(query, "offset", 0)
        key = key_of(query["key"]) if query.get("key") else None
        return answer(
            await serving.run(lambda: serving.services.listing.list_images(visit, wanted, sort, limit, offset, key))
        )

    @routes.get("/visits/{visit}/images/{key}")
    async def look(visit: str, key: str, request: Request) -> Response:
        query = query_of(request, "compare")
        number = key_of(key)
        return answer(
            await serving.run(lambda: serving.services.looking.image(visit, number, query.get("compare") == "1"))
        )

    @routes.delete("/visits/{visit}/images/{key}")
    async def remove(visit: str, key: str, request: Request) -> Response:
        query_of(request)
        number = key_of(key)
        await serving.run(lambda: serving.services.adding.remove(visit, number))
        return answer({})

    return routes


async def add_image(serving: Serving, visit: str, request: Request) -> Response:
    """Take the file of a form into a visit, with its context."""
    await serving.run(lambda: serving.desk.visit(visit))
    limits = dataclasses.replace(serving.limits, images=1)
    deadline = asyncio.get_running_loop().time() + limits.seconds
    sent = await read_form(
        request, limits, serving.traffic, deadline, "image", lambda name: name == "path" or is_context(name)
    )
    upload = sent.uploads[0]
    meta = meta_of(sent.fields)
    path, data = sent.fields.get("path") or upload.name, upload.data
    assert isinstance(data, bytes)
    return answer(await serving.run(lambda: serving.services.adding.add(visit, path, data, meta)), 202)

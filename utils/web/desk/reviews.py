"""The routes of reviews: what a person says about an image, and which image comes next."""

from fastapi import APIRouter, Request, Response

from utils.desk.listing import LONGEST_PAGE
from utils.web.desk.answering import Serving, answer, choice_of, key_of, query_of

QUEUES = ("uncertain", "new", "random", "ng")


def review_routes(serving: Serving) -> APIRouter:
    """Make the routes."""
    routes = APIRouter()

    @routes.post("/visits/{visit}/images/{key}/review")
    async def review(visit: str, key: str, request: Request) -> Response:
        query_of(request)
        number, sent = key_of(key), await serving.read_json(request)
        return answer(await serving.run(lambda: serving.services.reviewing.review(visit, number, sent)))

    @routes.get("/visits/{visit}/next")
    async def following(visit: str, request: Request) -> Response:
        query = query_of(request, "queue", "after", "page")
        queue = choice_of(query, "queue", "uncertain", QUEUES)
        after = key_of(query["after"]) if query.get("after") else None
        page = query.get("page", "")[:LONGEST_PAGE]
        return answer(await serving.run(lambda: serving.services.listing.next(visit, queue, after, page)))

    @routes.post("/visits/{visit}/images/{key}/hold")
    async def hold(visit: str, key: str, request: Request) -> Response:
        query_of(request)
        number, sent = key_of(key), await serving.read_json(request)
        return answer(await serving.run(lambda: serving.services.listing.hold(visit, number, sent)))

    return routes

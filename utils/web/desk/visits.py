"""The routes of visits: begin, list, look, change, stop, end."""

from fastapi import APIRouter, Request, Response

from utils.web.desk.answering import MOST_LISTED, Serving, answer, choice_of, number_of, query_of


def visit_routes(serving: Serving) -> APIRouter:
    """Make the routes."""
    routes = APIRouter()

    @routes.get("/about")
    async def about(request: Request) -> Response:
        query_of(request)
        return answer({**await serving.run(serving.desk.facts), "coil": serving.coil})

    @routes.post("/visits")
    async def begin(request: Request) -> Response:
        query_of(request)
        sent = await serving.read_json(request)
        return answer(await serving.run(lambda: serving.desk.begin(sent)), 201)

    @routes.get("/visits")
    async def list_all(request: Request) -> Response:
        query = query_of(request, "words", "day", "coil", "class", "verdict", "limit", "offset")
        verdict = choice_of(query, "verdict", "", ("clean", "defective", "refused"))
        limit = number_of(query, "limit", 50, 0, MOST_LISTED)
        offset = number_of(query, "offset", 0)
        words, day, coil, found = (query.get(name, "") for name in ("words", "day", "coil", "class"))
        return answer(
            await serving.run(
                lambda: serving.services.listing.list_visits(words, day, coil, found, verdict, limit, offset)
            )
        )

    @routes.get("/visits/{visit}")
    async def look(visit: str, request: Request) -> Response:
        query_of(request)
        return answer(await serving.run(lambda: serving.desk.describe(serving.desk.visit(visit))))

    @routes.patch("/visits/{visit}")
    async def change(visit: str, request: Request) -> Response:
        query_of(request)
        sent = await serving.read_json(request)
        return answer(await serving.run(lambda: serving.desk.change(visit, sent)))

    @routes.delete("/visits/{visit}")
    async def forget(visit: str, request: Request) -> Response:
        query_of(request)
        await serving.run(lambda: serving.desk.forget(visit))
        return answer({})

    @routes.post("/visits/{visit}/stop")
    async def stop(visit: str, request: Request) -> Response:
        query_of(request)
        return answer(await serving.run(lambda: serving.desk.stop(visit, True)))

    @routes.post("/visits/{visit}/go")
    async def go(visit: str, request: Request) -> Response:
        query_of(request)
        return answer(await serving.run(lambda: serving.desk.stop(visit, False)))

    return routes

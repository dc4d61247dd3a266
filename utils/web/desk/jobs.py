"""The routes of jobs: for programs, below ``/api/v1/jobs``."""

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse

from utils.desk.jobs import Jobs
from utils.web.answers import JobAnswer
from utils.web.api import problems
from utils.web.desk.answering import HEADERS, Serving, answer, query_of
from utils.web.desk.downloads import sent_in_pieces
from utils.web.desk.images import add_image

PATH = "/api/v1/jobs"
BEGIN = {
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "additionalProperties": False,
                "properties": {
                    "title": {"type": "string", "maxLength": 200},
                    "weights": {"type": "string", "description": "name, one of GET /api/v1/weights"},
                    "meta": {"type": "object", "description": "context of all images"},
                    "words": {"type": "string", "description": "images of -dir whose names hold this; empty: all"},
                    "names": {"type": "array", "items": {"type": "string"}, "description": "images of -dir"},
                    "decision": {"type": "array", "items": {"type": "object"}, "description": "one entry a class"},
                    "expected": {"type": "integer", "minimum": 1, "description": "images that will be sent"},
                    "callback": {"type": "string", "description": "address that is told when the job is done"},
                },
            }
        }
    }
}
IMAGE = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["image"],
                "properties": {"image": {"type": "string", "format": "binary"}, "path": {"type": "string"}},
            }
        }
    },
}


def job_routes(serving: Serving, jobs: Jobs) -> APIRouter:
    """Make the routes.

    Args:
        serving: what all routes of the desk need.
        jobs: of the desk.
    """
    routes = APIRouter(prefix=PATH, tags=["jobs"])

    @routes.post(
        "",
        status_code=202,
        operation_id="begin_job",
        summary="Inspect a folder of images, or images that follow, in the background",
        response_model=JobAnswer,
        responses=problems(400, 401, 403, 408, 413, 415, 421, 422, 431, 503),
        openapi_extra={"requestBody": BEGIN},
    )
    async def begin(request: Request) -> Response:
        query_of(request)
        sent = await serving.read_json(request)
        made = await serving.run(lambda: jobs.begin(sent))
        return answer(made, 202, {"Location": f"jobs/{made['id']}"})

    @routes.post(
        "/{job}/images",
        status_code=202,
        operation_id="add_to_job",
        summary="Send an image, or a zip of images, to a job",
        responses={202: {"description": "taken in"}, **problems(400, 401, 403, 404, 408, 413, 415, 421, 422, 431, 503)},
        openapi_extra={"requestBody": IMAGE},
    )
    async def add(job: str, request: Request) -> Response:
        query_of(request)
        await serving.run(lambda: jobs.status(job))
        return await add_image(serving, job, request)

    @routes.get(
        "/{job}",
        operation_id="job",
        summary="How far a job is",
        response_model=JobAnswer,
        responses=problems(400, 401, 403, 404, 421, 422, 431, 503),
    )
    async def status(job: str, request: Request) -> Response:
        query_of(request)
        return answer(await serving.run(lambda: jobs.status(job)))

    @routes.get(
        "/{job}/results",
        operation_id="job_results",
        summary="A line of JSON for each image that is inspected",
        response_class=Response,
        responses={
            200: {"content": {"application/x-ndjson": {"schema": {"type": "string"}}}},
            **problems(400, 401, 403, 404, 421, 422, 431, 503),
        },
    )
    async def results(job: str, request: Request) -> Response:
        query_of(request)
        lines = await serving.run(lambda: jobs.results(job))
        return StreamingResponse(sent_in_pieces(lines), media_type="application/x-ndjson", headers=HEADERS)

    return routes

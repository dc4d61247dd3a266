"""Problems as answers of an application, whichever it is."""

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from utils.web.limits import Problem
from utils.web.security import bug_problem


def problem_response(problem: Problem, number: str) -> JSONResponse:
    """Return the answer for a problem."""
    return JSONResponse(problem.body(number), problem.status, problem.headers)


def answer_problems(app: FastAPI) -> None:
    """Let the application answer every error in the one form that has code, message and id; ``Guard`` sets the id."""

    @app.exception_handler(Problem)
    async def answer_problem(request: Request, problem: Problem) -> Response:
        return problem_response(problem, request.state.number)

    @app.exception_handler(Exception)
    async def answer_bug(request: Request, error: Exception) -> Response:
        return problem_response(bug_problem(request.state.number), request.state.number)

    @app.exception_handler(RequestValidationError)
    async def answer_value(request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        place = " ".join(map(str, first["loc"]))
        return problem_response(Problem(422, "wrong_value", f"{place}: {first['msg']}."), request.state.number)

    @app.exception_handler(HTTPException)
    async def answer_status(request: Request, error: HTTPException) -> Response:
        words = {404: ("not_found", "There is nothing at this address."), 405: ("wrong_method", "Not this method.")}
        code, message = words.get(error.status_code, ("error", str(error.detail)))
        problem = Problem(error.status_code, code, message, headers=dict(error.headers or {}))
        return problem_response(problem, request.state.number)

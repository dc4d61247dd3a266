"""Every error of an application has one form."""

import pytest
from fastapi import FastAPI, Request
from starlette.testclient import TestClient

from utils.web.limits import Problem
from utils.web.problems import answer_problems


@pytest.fixture(scope="module")
def client():
    app = FastAPI()
    answer_problems(app)

    @app.middleware("http")
    async def number(request: Request, call_next):
        request.state.number = "7"
        return await call_next(request)

    @app.get("/problem")
    def problem():
        raise Problem(429, "busy", "The queue is full.", headers={"Retry-After": "3"})

    @app.get("/bug")
    def bug():
        raise ZeroDivisionError("secret of the server")

    @app.get("/value")
    def value(count: int):
        return count

    return TestClient(app, raise_server_exceptions=False)


@pytest.mark.parametrize(
    ("path", "status", "code", "said"),
    [
        ("/problem", 429, "busy", "The queue is full."),
        ("/value?count=x", 422, "wrong_value", "query count: "),
        ("/nowhere", 404, "not_found", "There is nothing at this address."),
        ("/bug", 500, None, ""),
    ],
)
def test_code_message_and_id(client, path, status, code, said):
    answer = client.get(path)
    error = answer.json()["error"]
    assert (answer.status_code, error["id"]) == (status, "7")
    assert code is None or error["code"] == code
    assert said in error["message"]
    assert "secret" not in answer.text


def test_headers_travel_along(client):
    assert client.get("/problem").headers["Retry-After"] == "3"
    refused = client.post("/value")
    assert (refused.status_code, refused.headers["Allow"], refused.json()["error"]["code"]) == (
        405,
        "GET",
        "wrong_method",
    )

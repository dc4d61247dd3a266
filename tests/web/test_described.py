"""The page of the API says what its description says, and asks no other server."""

import re

import pytest
from starlette.testclient import TestClient

from config import ServeConfig
from tests.web.red import Red, make_application


@pytest.fixture(scope="module")
def page():
    application = make_application(Red(), ServeConfig(token="a-token-of-some-length"))
    client = TestClient(
        application.guard, "http://127.0.0.1:7860", headers={"Authorization": "Bearer a-token-of-some-length"}
    )
    yield client.get("/docs").text, client.get("/api/v1/openapi.json").json()
    application.inspector.close(10)


def test_every_route_parameter_and_status_is_there(page):
    text, document = page
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            assert f"{method.upper()} {path}" in text
            for one in operation.get("parameters", ()):
                assert one["name"] in text
    assert {"Authorization: Bearer", "image/jpeg", "coil_id", "DefectAnswer", "503"} <= {
        word for word in ("Authorization: Bearer", "image/jpeg", "coil_id", "DefectAnswer", "503") if word in text
    }


def test_no_other_server_is_asked(page):
    text, _ = page
    assert not re.search(r"<script|src=.http|href=.http", text)

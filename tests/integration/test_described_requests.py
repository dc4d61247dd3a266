"""schemathesis: requests that the description allows, and such as it forbids; none may be an error of the server."""

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.core.failures import FailureGroup
from schemathesis.generation import GenerationMode

from config import ServeConfig
from tests.web.red import Red, make_application, running

load_all_checks()
ROUTES = [
    ("POST", "/api/v1/inspect"),
    ("GET", "/api/v1/model"),
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("GET", "/metrics"),
    ("GET", "/api/v1/weights"),
]


@pytest.fixture(scope="module")
def described():
    red = Red()
    with running(make_application(red, ServeConfig()), red) as server:
        yield schemathesis.openapi.from_url(f"{server.address}/api/v1/openapi.json")


def test_every_route_is_tried(described):
    assert {(method.upper(), path) for path in described for method in described[path]} == set(ROUTES)


@pytest.mark.slow
@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_no_request_is_an_error_of_the_server(described, method, path):
    operation = described[path][method]
    statuses = set()

    @settings(max_examples=150, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(st.sampled_from(list(GenerationMode)).flatmap(lambda mode: operation.as_strategy(generation_mode=mode)))
    def send(case):
        # Any bytes fit the description of a file, but only images are accepted.
        response = case.call_and_validate(excluded_checks=[CHECKS.get_one("positive_data_acceptance")])
        assert response.status_code < 500
        statuses.add(response.status_code)

    send()
    assert statuses & ({415, 422} if method == "POST" else {200})


def test_an_error_of_the_server_would_be_found():
    red = Red()
    application = make_application(red, ServeConfig())
    application.api.limits = None  # what is loaded cannot be told any more
    with running(application, red) as server:
        broken = schemathesis.openapi.from_url(f"{server.address}/api/v1/openapi.json")
        with pytest.raises(FailureGroup):
            broken["/api/v1/model"]["GET"].Case().call_and_validate()

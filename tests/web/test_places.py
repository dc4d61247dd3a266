"""Requests to the API, the page's and its streams have places of their own."""

import contextlib

import pytest

from utils.web import places as module
from utils.web.limits import Problem
from utils.web.places import Places, visit_of

API, PAGE = "/api/v1/inspect", "/desk/v1/visits"


def events(visit: object) -> str:
    return f"/desk/v1/visits/{visit}/events"


def scope(path: str, client: str = "10.0.0.1") -> dict:
    return {"path": path, "query_string": b"", "client": (client, 5)}


@pytest.fixture
def places(monkeypatch):
    for name, most in (("MOST_OF_PAGE", 5), ("MOST_STREAMS", 6), ("MOST_OF_CLIENT", 4), ("MOST_OF_VISIT", 2)):
        monkeypatch.setattr(module, name, most)
    return Places(most_requests=3)


def taken(places: Places, held: list[dict], one: dict) -> bool:
    """Check whether there is a place for a request beside others."""
    with contextlib.ExitStack() as stack:
        for other in held:
            stack.enter_context(places.taken(other))
        try:
            with places.taken(one):
                return True
        except Problem as problem:
            return (problem.status, problem.code, int(problem.headers["Retry-After"]) < 1) != (503, "busy", False)


@pytest.mark.parametrize(
    ("held", "one", "fits"),
    [
        ([scope(API)] * 2, scope(API), True),
        ([scope(API)] * 3, scope(API), False),
        ([scope("/metrics")] * 3, scope(API), False),
        ([scope(API)] * 3, scope(PAGE), True),
        ([scope(API)] * 3, scope(events("a")), True),
        ([scope(events(k), client=str(k)) for k in range(6)], scope(API), True),
        ([scope(events(k), client=str(k)) for k in range(6)], scope(PAGE), True),
        ([scope(events(k), client=str(k)) for k in range(5)], scope(events("z")), True),
        ([scope(events(k), client=str(k)) for k in range(6)], scope(events("z")), False),
        ([scope(events(k)) for k in range(4)], scope(events("z")), False),  # of one client
        ([scope(events(k)) for k in range(4)], scope(events("z"), client="10.0.0.2"), True),
        ([scope(events("a"))] * 2, scope(events("a")), False),  # of one visit
        ([scope(events("a"))] * 2, scope(events("b")), True),
        ([scope(PAGE, client=str(k)) for k in range(5)], scope(PAGE), False),
        ([scope(PAGE)] * 4, scope(PAGE), False),
        ([scope(PAGE)] * 4, scope(PAGE, client="10.0.0.2"), True),
        ([scope(PAGE)] * 4, scope(API), True),
        ([], {"path": PAGE, "query_string": b"", "client": None}, True),
    ],
)
def test_each_kind_of_request_leaves_the_others_their_places(places, held, one, fits):
    assert taken(places, held, one) is fits
    assert taken(places, [], one)  # all were given back
    assert (places.requests, len(places._page), len(places._streams), len(places._visits)) == (0, 0, 0, 0)


@pytest.mark.parametrize(
    ("path", "visit"),
    [
        (events("abc"), "abc"),
        ("/desk/v1/visits//events", None),
        ("/desk/v1/visits/a/b/events", None),
        ("/desk/v1/visits/abc", None),
        ("/api/v1/inspect", None),
    ],
)
def test_streams_are_known_by_their_visit(path, visit):
    assert visit_of(path) == visit

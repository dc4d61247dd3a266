"""Requests to the API, the page's and its streams have places of their own."""

import contextlib

import pytest

from utils.web import places as module
from utils.web.limits import Problem
from utils.web.places import Places, visit_of

API, PAGE, BEAT = "/api/v1/inspect", "/config", "/gradio_api/heartbeat/"


def scope(path: str, query: str = "", client: str = "10.0.0.1") -> dict:
    return {"path": path, "query_string": query.encode(), "client": (client, 5)}


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
        ([scope(API)] * 3, scope(f"{BEAT}a"), True),
        ([scope(f"{BEAT}{k}", client=str(k)) for k in range(6)], scope(API), True),
        ([scope(f"{BEAT}{k}", client=str(k)) for k in range(6)], scope(PAGE), True),
        ([scope(f"{BEAT}{k}", client=str(k)) for k in range(5)], scope(f"{BEAT}z"), True),
        ([scope(f"{BEAT}{k}", client=str(k)) for k in range(6)], scope(f"{BEAT}z"), False),
        ([scope(f"{BEAT}{k}") for k in range(4)], scope(f"{BEAT}z"), False),  # of one client
        ([scope(f"{BEAT}{k}") for k in range(4)], scope(f"{BEAT}z", client="10.0.0.2"), True),
        ([scope(f"{BEAT}a")] * 2, scope("/gradio_api/queue/data", "session_hash=a"), False),  # of one visit
        ([scope(f"{BEAT}a")] * 2, scope("/gradio_api/queue/data", "session_hash=b"), True),
        ([scope("/gradio_api/upload_progress", "upload_id=a")] * 2, scope(f"{BEAT}b"), True),
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
    ("path", "query", "visit"),
    [
        (f"{BEAT}abc", "", "abc"),
        ("/gradio_api/queue/data", "session_hash=abc", "abc"),
        ("/gradio_api/queue/data", "x=1&session_hash=a%20b&session_hash=c", "a b"),
        ("/gradio_api/queue/data", "session_hash=%ff", "\N{REPLACEMENT CHARACTER}"),
        ("/gradio_api/queue/data", "", ""),
        ("/gradio_api/upload_progress", "upload_id=7", "7"),
        ("/gradio_api/queue/join", "session_hash=abc", None),
        ("/api/v1/inspect", "", None),
    ],
)
def test_streams_are_known_by_their_visit(path, query, visit):
    assert visit_of(path, query.encode()) == visit

"""The desk by HTTP: from an image to its row, its pictures, its review, and back after a restart."""

import contextlib
import json
import time
import urllib.request
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from config import ServeConfig
from tests.web.red import Red, Running, form, make_application, pixels, png, running
from utils.web.desk.mounting import mount_desk


class Client:
    """Calls the desk of a server."""

    def __init__(self, server: Running) -> None:
        self.server = server

    def call(self, method: str, path: str, sent: Any = None, headers: dict[str, str] | None = None) -> tuple[int, Any]:
        """Send JSON, or the bytes of a form; give status and answer."""
        data = sent if isinstance(sent, bytes) or sent is None else json.dumps(sent).encode()
        kind = "multipart/form-data; boundary=xyz" if isinstance(sent, bytes) else "application/json"
        request = urllib.request.Request(
            f"{self.server.address}/desk/v1/{path}", data, {"Content-Type": kind, **(headers or {})}, method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                body, status, told = answer.read(), answer.status, answer.headers["content-type"]
        except urllib.error.HTTPError as error:
            body, status, told = error.read(), error.code, error.headers["content-type"]
        return status, json.loads(body) if told == "application/json" else body

    def add(self, visit: str, *files: tuple[str, bytes]) -> list[dict[str, Any]]:
        return [self.call("POST", f"visits/{visit}/images", form([one], "image"))[1] for one in files]

    def done(self, visit: str, wait: float = 60) -> dict[str, Any]:
        """Wait until nothing waits; give the visit."""
        until = time.monotonic() + wait
        while time.monotonic() < until:
            _, described = self.call("GET", f"visits/{visit}")
            if described["state"] == "idle" and not described["counts"]["waiting"] + described["counts"]["behind"]:
                return described
            time.sleep(0.02)
        raise AssertionError(described)


@contextlib.contextmanager
def serving(**flags: Any) -> Iterator[Client]:
    red = Red()
    config = ServeConfig(**flags)
    application = make_application(red, config)
    mount_desk(
        application.app,
        application.inspector,
        config,
        application.api.limits,
        application.traffic,
        application.api.count,
    )
    with running(application, red) as server:
        yield Client(server)


@pytest.fixture
def client():
    with serving() as client:
        yield client


def spotted(value: int = 220, size: tuple[int, int] = (40, 60)) -> bytes:
    image = pixels(100, size)
    image[10:20, 30:50] = value
    return png(image)


def test_image_becomes_a_row_with_its_defects(client):
    status, visit = client.call("POST", "visits", {"title": "shift 1", "meta": {"coil_id": "A7"}})
    assert (status, visit["title"], visit["kept"], visit["counts"]["images"]) == (201, "shift 1", False, 0)
    place = f"visits/{visit['id']}"
    assert client.add(visit["id"], ("a.png", spotted()))[0] == {
        "added": [{"key": "1", "name": "a.png", "new": True}],
        "refused": [],
    }
    told = client.done(visit["id"])
    assert (told["counts"]["done"], told["counts"]["defective"]) == (1, 1)
    _, listed = client.call("GET", f"{place}/images")
    row = listed["images"][0]
    assert (listed["total"], row["verdict"], row["found"], row["area"]) == (1, "defective", ["bright"], 200)
    assert row["meta"] == {"coil_id": "A7"}
    _, image = client.call("GET", f"{place}/images/1")
    (defect,) = image["defects"]
    assert defect["box"] == {"x": 30, "y": 10, "width": 20, "height": 10}
    assert defect["outline"] == [[[30, 10], [30, 20], [50, 20], [50, 10]]]


def test_pictures_come_and_have_a_tag(client):
    _, visit = client.call("POST", "visits", {})
    client.add(visit["id"], ("a.png", spotted()))
    client.done(visit["id"])
    place = f"visits/{visit['id']}/images/1"
    for name, start in [
        ("thumb.jpg", b"\xff\xd8"),
        ("picture.jpg", b"\xff\xd8"),
        ("image.dzi", b"<?xml"),
        ("tiles/6/0_0.jpg", b"\xff\xd8"),
        ("image_files/0/0_0.jpg", b"\xff\xd8"),
        ("overlay.png", b"\x89PNG"),
        ("mask.png", b"\x89PNG"),
        ("probability?class_id=1&x=25&y=5&width=10&height=10", b"\x89PNG"),
    ]:
        status, body = client.call("GET", f"{place}/{name}")
        assert (status, body[: len(start)]) == (200, start), name
    assert client.call("GET", f"{place}/tiles/9/0_0.jpg")[0] == 404


def test_other_thresholds_decide_anew_without_the_network(client):
    _, visit = client.call("POST", "visits", {})
    client.add(visit["id"], ("a.png", spotted()), ("b.png", spotted(202)))
    client.done(visit["id"])
    seen = len(client.server.application.inspector._pipeline.system.network.batches)
    status, _ = client.call("PATCH", f"visits/{visit['id']}", {"decision": [{"min_area": 201}, {}]})
    assert status == 200
    assert client.done(visit["id"])["counts"]["defective"] == 0
    client.call("PATCH", f"visits/{visit['id']}", {"decision": None})
    assert client.done(visit["id"])["counts"]["defective"] == 2
    assert len(client.server.application.inspector._pipeline.system.network.batches) == seen


def test_review_is_kept_and_told(client):
    _, visit = client.call("POST", "visits", {})
    client.add(visit["id"], ("a.png", spotted()))
    client.done(visit["id"])
    place = f"visits/{visit['id']}/images/1/review"
    one = {"id": "12345678-1234-4234-8234-123456789abc", "kind": "accept", "defect": 1}
    status, review = client.call("POST", place, {"who": "Ann", "actions": [one]})
    assert (status, review["state"], review["defects"][0]["review"]) == (200, "done", "accepted")
    assert client.call("POST", place, {"who": "Ann", "actions": [one]})[1]["revision"] == 1
    again = {**one, "id": "12345678-1234-4234-8234-123456789abd", "kind": "undo"}
    del again["defect"]
    assert client.call("POST", place, {"who": "Ann", "actions": [again]})[1]["state"] == "open"


def test_visit_is_found_after_a_restart(tmp_path):
    with serving(save=tmp_path) as client:
        _, visit = client.call("POST", "visits", {"title": "kept"})
        client.add(visit["id"], ("a.png", spotted()))
        client.done(visit["id"])
        _, before = client.call("GET", f"visits/{visit['id']}/images/1")
    with serving(save=tmp_path) as client:
        assert client.call("GET", f"visits/{visit['id']}/images/1") == (200, before)
        assert client.call("GET", "visits?words=kept")[1]["total"] == 1
        assert np.array(client.call("GET", "visits?words=other")[1]["visits"]).size == 0

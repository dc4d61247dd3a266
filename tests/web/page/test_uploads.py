"""A browser names its uploads by path; what no upload is, is neither read, kept, fetched nor told about."""

import json
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.web.page.bright import strip
from utils.errors import InputError
from utils.web.page.uploads import LONGEST_EVENT, Uploads

GONE = "An upload is not there any more; send it again."
STRIP = strip((10, 10, 20, 20, 240))


class Visitor:
    """What a browser would send, without one."""

    def __init__(self, url: str, session: str) -> None:
        self.url, self.session = url, session
        config = requests.get(url + "config", timeout=60).json()
        known = {one["props"].get("elem_id"): one["id"] for one in config["components"]}
        self.events = {
            (name, event): one["id"]
            for one in config["dependencies"]
            for target, event in one["targets"]
            for name, number in known.items()
            if number == target
        }

    def upload(self, name: str, data: bytes) -> str:
        answer = requests.post(self.url + "gradio_api/upload", files={"files": (name, data)}, timeout=60)
        return answer.json()[0]

    def join(self, event: tuple[str, str], *data: Any, **more: Any) -> requests.Response:
        body = {"data": data, "fn_index": self.events[event], "session_hash": self.session, **more}
        return requests.post(self.url + "gradio_api/queue/join", json=body, timeout=20)

    def told(self) -> dict[str, Any]:
        """Wait for the answer to an event."""
        address, sent = self.url + "gradio_api/queue/data", {"session_hash": self.session}
        with requests.get(address, params=sent, stream=True, timeout=60) as answer:
            for line in answer.iter_lines():
                message = json.loads(line[5:]) if line.startswith(b"data:") else {}
                if message.get("msg") == "process_completed":
                    return message["output"]
        raise AssertionError("no answer")


def file(path: object, name: str = "strip.png") -> dict[str, Any]:
    return {"path": str(path), "orig_name": name, "meta": {"_type": "gradio.FileData"}}


@pytest.fixture(scope="module")
def running(serve, kept):
    return serve(save=kept, max_images=3, max_mb=1)


@pytest.fixture(scope="module")
def kept(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("kept")


@pytest.fixture
def visitor(running, request) -> Visitor:
    return Visitor(running.url, request.node.name)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as made:
        made.settimeout(0.5)
        yield made


@pytest.fixture(params=["image", "secret", "fifo", "link", "folder", "device", "nothing", "http", "http that climbs"])
def foreign(request, tmp_path, listener, visitor) -> str:
    """Something that no browser may name."""
    port = listener.getsockname()[1]
    place = tmp_path / "upload.png"
    if request.param == "image":
        place.write_bytes(STRIP)
    elif request.param == "secret":
        place.write_bytes(b"of no image")
    elif request.param == "fifo":
        os.mkfifo(place)
    elif request.param == "folder":
        place.mkdir()
    elif request.param == "device":
        return "/dev/zero"
    elif request.param == "http":
        return f"http://127.0.0.1:{port}/strip.png"
    elif request.param.startswith("http"):  # by its letters it ends in the folder of uploads
        return f"http://127.0.0.1:{port}/{'../' * 20}{visitor.upload('a.png', STRIP).lstrip('/')}"
    elif request.param == "link":
        (tmp_path / "elsewhere.png").write_bytes(STRIP)
        link = Path(visitor.upload("b.png", STRIP)).with_name(f"link-{time.monotonic_ns()}.png")
        link.symlink_to(tmp_path / "elsewhere.png")
        return str(link)
    return str(place)


@pytest.mark.parametrize("event", [("files", "upload"), ("weights", "select")])
def test_what_is_no_upload_is_refused_before_anybody_looks_at_it(running, visitor, listener, foreign, event):
    for one in (file(foreign), {"path": foreign}, [file(foreign)], {"value": [{"deep": file(foreign)}]}):
        answer = visitor.join(event, one)
        assert (answer.status_code, answer.json()) == (422, {"detail": GONE})
    assert visitor.join(event, None, event_data=file(foreign)).status_code == 422
    assert requests.get(running.url + "config", timeout=5).status_code == 200  # it does not hang
    with pytest.raises(TimeoutError):
        listener.accept()


@pytest.mark.parametrize(
    "path", [None, 5, "", "a.png", "../a.png", "file:///etc/passwd", "/etc/pass\0wd", ["/etc/passwd"]]
)
def test_path_that_is_none_is_refused(visitor, path):
    assert visitor.join(("files", "upload"), [{**file(""), "path": path}]).status_code == 422


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"{", 400), (b"\xff\xfe\x00", 400), (b"[" * 100_000, 400), (b" " * (LONGEST_EVENT + 1), 413), (b"[]", 422)],
)
def test_event_that_no_page_sends_gets_a_clear_answer(running, body, status):
    sent = {"Content-Type": "application/json"}
    answer = requests.post(running.url + "gradio_api/queue/join", data=body, headers=sent, timeout=20)
    assert answer.status_code == status


def test_upload_is_inspected_kept_and_gone(visitor, kept):
    assert list(kept.iterdir()) == []  # of all that came before
    path = visitor.upload("a.png", strip((1, 2, 30, 20, 240)))
    assert visitor.join(("files", "upload"), [file(path, "C:\\strips\\a.png")]).status_code == 200
    told = visitor.told()["data"][0]
    assert [image["name"] for image in told["images"]] == ["a.png"]
    assert not Path(path).exists()
    assert visitor.join(("files", "upload"), [file(path)]).json() == {"detail": GONE}
    assert sorted(path.name for path in kept.rglob("*.*")) == ["0.png", "answer.json"]


def test_same_file_of_two_visitors_is_inspected_for_both(running, visitor):
    other = Visitor(running.url, "the other")
    (path,) = {one.upload("same.png", strip((3, 4, 30, 20, 240))) for one in (visitor, other)}
    for one in (visitor, other):
        assert one.join(("files", "upload"), [file(path)]).status_code == 200
        assert [image["name"] for image in one.told()["data"][0]["images"]] == ["strip.png"]
    assert not Path(path).exists()


def test_upload_that_went_meanwhile_is_said_in_plain_words(running, visitor, monkeypatch):
    path = visitor.upload("a.png", STRIP)
    monkeypatch.setattr(Uploads, "check", lambda uploads, event: Path(path).unlink())
    assert visitor.join(("files", "upload"), [file(path)]).status_code == 200
    assert visitor.told()["error"] == GONE


@pytest.fixture
def uploads(tmp_path) -> Uploads:
    (tmp_path / "place").mkdir()
    return Uploads(tmp_path / "place", 3, 1_000)


def lay(uploads: Uploads, name: str, size: int) -> str:
    path = uploads.place / name
    path.write_bytes(bytes(size))
    uploads.came([str(path)])
    return str(path)


def test_file_that_is_named_often_is_read_once(uploads):
    paths = [lay(uploads, name, 300) for name in "ab"]
    taken = uploads.take([(path, Path(path).name) for path in paths * 50])
    assert ([image.name for image in taken.images], taken.files) == (["a", "b"], 2)
    assert list(uploads.place.iterdir()) == []


def test_only_so_many_files_are_read_and_none_is_left_behind(uploads):
    taken = uploads.take([(lay(uploads, name, 10), name) for name in "abcde"])
    assert ([image.name for image in taken.images], taken.files) == (["a", "b", "c"], 5)
    assert list(uploads.place.iterdir()) == []


def test_files_that_are_too_large_together_are_not_read(uploads, monkeypatch):
    sent = [(lay(uploads, name, 600), name) for name in "ab"]
    monkeypatch.delattr("pathlib.Path.read_bytes")
    with pytest.raises(InputError, match=r"more than 0\.001 MB together; send them in parts"):
        uploads.check({"data": [[file(path) for path, _ in sent]]})
    with pytest.raises(InputError, match="send them in parts"):
        uploads.take(sent)
    assert list(uploads.place.iterdir()) == []


def test_taking_touches_nothing_else(uploads, tmp_path):
    other = tmp_path / "mine.png"
    other.write_bytes(STRIP)
    with pytest.raises(InputError, match="send it again"):
        uploads.take([(str(other), "mine.png")])
    assert other.exists()

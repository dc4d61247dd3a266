"""A browser names its uploads by path; what no upload is, is neither read, kept, fetched nor told about."""

import json
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import requests

from tests.web.page.bright import strip
from utils.errors import InputError
from utils.web.page import uploads as module
from utils.web.page.uploads import FULL, LONGEST_EVENT, MOST_OF_CLIENT, MOST_WAITING, SMALLEST, Uploads

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


@pytest.fixture
def large(tmp_path) -> Uploads:
    """Uploads of at most 10 files of the smallest size that counts."""
    (tmp_path / "large").mkdir()
    return Uploads(tmp_path / "large", 3, 10 * SMALLEST)


@pytest.mark.parametrize(
    ("held", "client", "count", "fits"),
    [
        ({}, "a", MOST_OF_CLIENT * 10, True),
        ({}, "a", MOST_OF_CLIENT * 10 + 1, False),
        ({"a": MOST_OF_CLIENT * 10}, "a", 1, False),
        ({"a": MOST_OF_CLIENT * 10}, "b", 1, True),
        ({str(k): 20 for k in range(MOST_WAITING // 2)}, "b", 1, False),
        ({str(k): 20 for k in range(MOST_WAITING // 2 - 1)}, "b", 20, True),
    ],
)
@pytest.mark.parametrize("how", ["on their way", "laid down", "lost"])
def test_bytes_on_the_disk_are_bounded_by_client_and_in_total(large, held, client, count, fits, how):
    for other, units in held.items():
        if how == "laid down":
            paths = [str(large.place / f"{other}-{k}") for k in range(units)]
            for path in paths:
                Path(path).touch()
            large.came(paths, other)
        else:
            assert large.come(other, units * SMALLEST)
            if how == "lost":
                large.left(other, units * SMALLEST, lost=True)
    assert large.come(client, count * SMALLEST) is fits


def test_room_comes_back_with_what_is_taken_given_up_or_old(large, monkeypatch):
    most = MOST_OF_CLIENT * large.most_bytes
    assert large.come("a", most)
    large.left("a", most, lost=False)
    path = str(large.place / "a.png")
    Path(path).write_bytes(bytes(SMALLEST + 1))
    large.came([path, path], "a")
    assert not large.come("a", most - SMALLEST)
    large.take([(path, "a.png")])
    assert not large.come("a", most)  # it is awaited once more
    large.take([(path, "a.png")])
    assert large.come("a", most)
    large.left("a", most, lost=True)
    large.clear()
    assert not large.come("a", 1)
    later = SimpleNamespace(monotonic=lambda: time.monotonic() + 10_000, time=lambda: time.time() + 10_000)
    monkeypatch.setattr(module, "time", later)
    large.clear()
    assert large.come("a", most)
    assert dict(large._held) == {"a": most}


def test_old_uploads_and_what_gradio_left_behind_are_removed(large):
    folder = large.place / "abcdef"
    folder.mkdir()
    old, lost, fresh = folder / "old.png", large.place / "tmp1234", large.place / "tmp5678"
    for path in (old, lost, fresh):
        path.write_bytes(STRIP)
    large.came([str(old)], "a")
    large.clear()
    assert old.exists()
    os.utime(lost, (time.time() - 10_000,) * 2)
    large.clear(seconds=0)
    assert sorted(large.place.iterdir()) == [fresh]  # it may be on its way
    assert not large._held


def test_uploads_that_nobody_takes_do_not_fill_the_disk(running, monkeypatch):
    monkeypatch.setattr(module, "SMALLEST", 200_000)  # counted 5 at a time
    noise = os.urandom(150_000)
    answers = []
    for number in range(30):
        data = noise[number:]
        files = {"files": ("a.png", data)}
        answers.append(requests.post(running.url + "gradio_api/upload", files=files, timeout=60))
    place = Path(answers[0].json()[0]).parents[1]
    statuses = [answer.status_code for answer in answers]
    assert statuses[:15] == [200] * 15
    assert statuses[25:] == [400] * 5
    assert answers[-1].text == FULL
    assert sum(path.stat().st_size for path in place.rglob("*") if path.is_file()) <= 20 * 150_000
    monkeypatch.setattr(module, "TAKEN_SOON", 0.0)  # later
    assert requests.post(running.url + "gradio_api/upload", files={"files": ("a.png", noise)}, timeout=60).ok
    assert len([path for path in place.rglob("*") if path.is_file()]) <= 2


MALFORMED = {
    "a field in place of a file": ("upload", {"files": (None, "text")}, None),
    "a file and a field": ("upload", [("files", ("a.png", STRIP)), ("files", (None, "text"))], None),
    "an event that is not there": ("queue/join", None, {"data": [], "fn_index": 99_999, "session_hash": "a"}),
    "an event of another kind": ("queue/join", None, {"data": [], "fn_index": -1, "session_hash": "a"}),
    "half of a character": ("queue/join", None, {"data": [], "fn_index": 0, "session_hash": "\ud800"}),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_request_is_answered_and_costs_one_line(running, name, caplog, capfd):
    where, files, event = MALFORMED[name]
    caplog.clear()
    answer = requests.post(f"{running.url}gradio_api/{where}", files=files, json=event, timeout=20)
    assert answer.status_code == 400
    assert len(caplog.records) <= 1
    assert all("\n" not in record.message and len(record.message) < 1000 for record in caplog.records)
    assert all(record.exc_info is None for record in caplog.records)
    assert "Traceback" not in capfd.readouterr().err


def test_event_with_values_of_another_kind_costs_one_line(running, visitor, caplog, capfd):
    assert visitor.join(("files", "upload"), {"x": 1}).status_code == 200
    deadline = time.monotonic() + 10
    while not caplog.records and time.monotonic() < deadline:
        time.sleep(0.02)
    assert [record.message.partition(":")[0] for record in caplog.records] == ["page event refused"]
    assert "Traceback" not in capfd.readouterr().err

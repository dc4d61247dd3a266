"""images://: pictures of NG frames, within their room."""

import pytest

from tests.line.conftest import frame_event
from utils.line.address import Address
from utils.line.event import with_seq
from utils.line.pictures import Waiting
from utils.line.sinks.pictures import make
from utils.line.sinks.sink import SinkError, SinkOptions


def opened(folder, waiting, query=""):
    sink = make(Address.parse(f"images://{folder}{query}", "-sinks"), SinkOptions(pictures=waiting.folder))
    sink.open()
    return sink


def ng(number):
    return number + 1, with_seq(frame_event(number, "NG"), number + 1)


def test_pictures_of_ng_frames_move_into_the_folder_of_their_day(tmp_path):
    waiting = Waiting(tmp_path / "waiting")
    events = [ng(0), ng(86_400), (3, with_seq(frame_event(2), 3))]
    for _, event in events[:2]:
        waiting.put(event.id, b"picture")
    opened(tmp_path / "out", waiting).send([*events, ng(5)])  # the last one has no picture
    assert [path.parent.name for path in sorted((tmp_path / "out").rglob("*.jpg"))] == ["2023-11-14", "2023-11-15"]
    assert list(waiting.folder.iterdir()) == []


def test_oldest_go_beyond_the_room_over_a_restart_too(tmp_path):
    waiting = Waiting(tmp_path / "waiting")
    for number in range(30):
        seq, event = ng(number)
        waiting.put(event.id, b"x" * 100_000)
        opened(tmp_path / "out", waiting, "?gb=0.001").send([(seq, event)])
    left = sorted((tmp_path / "out").rglob("*.jpg"))
    assert sum(path.stat().st_size for path in left) <= 1_000_000
    assert left[-1].name.split("-")[1] == "30"
    assert len(left) >= 8


def test_full_disk_keeps_the_picture_where_it_waits(tmp_path, monkeypatch):
    waiting = Waiting(tmp_path / "waiting")
    seq, event = ng(0)
    waiting.put(event.id, b"picture")
    sink = opened(tmp_path / "out", waiting)

    def full(path):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr("utils.line.sinks.pictures.replacing", full)
    with pytest.raises(SinkError, match="No space left"):
        sink.send([(seq, event)])
    assert waiting.get(event.id) == b"picture"

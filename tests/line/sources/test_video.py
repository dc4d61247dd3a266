"""video:// and rtsp://: every frame of a file, damage told, no password in messages."""

import threading

import numpy as np
import pytest

av = pytest.importorskip("av")

from utils.errors import InputError  # noqa: E402
from utils.line.address import Address  # noqa: E402
from utils.line.sources.source import SourceError, SourceOptions  # noqa: E402
from utils.line.sources.video import VideoSource  # noqa: E402


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """Write ten frames, each brighter than the one before."""
    path = tmp_path_factory.mktemp("film") / "film.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 32, "yuvj420p"
        for number in range(10):
            picture = av.VideoFrame.from_ndarray(np.full((32, 64, 3), 20 * number, np.uint8), format="rgb24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    return path


def frames_of(path, query=""):
    got = []
    source = VideoSource(Address.parse(f"video://{path}{query}", "-source"), SourceOptions())
    source.run(got.append, threading.Event())
    return source, got


def test_every_frame_comes_once(film):
    _, got = frames_of(film)
    assert [round(frame.data.mean() / 20) for frame in got] == list(range(10))
    assert [frame.key for frame in got] == [str(n) for n in range(1, 11)]
    assert all(frame.patient for frame in got)


def test_one_of_several_frames_and_frames_of_lines(film):
    assert [frame.name for frame in frames_of(film, "?every=4")[1]] == ["1", "5", "9"]
    assert {frame.data.shape for frame in frames_of(film, "?lines=40")[1]} == {(40, 64, 3)}


def test_damage_is_told_and_the_rest_is_read(film, tmp_path):
    data = bytearray(film.read_bytes())
    middle = data.index(b"\xff\xd8\xff", len(data) // 2)
    data[middle : middle + 150] = b"\0" * 150
    damaged = tmp_path / "damaged.mkv"
    damaged.write_bytes(bytes(data))
    source, got = frames_of(damaged)
    bad = [frame for frame in got if frame.problem]
    assert source.lost == len(bad) >= 1
    assert len(got) - len(bad) >= 8


def test_file_that_is_none_is_one_line(tmp_path):
    path = tmp_path / "a.mp4"
    path.write_bytes(b"no film" * 100)
    with pytest.raises(SourceError) as error:
        frames_of(path)
    assert "\n" not in str(error.value)
    with pytest.raises(InputError, match="no such file"):
        frames_of(tmp_path / "none.mp4")


def test_camera_that_does_not_answer_is_told_without_its_password(monkeypatch):
    monkeypatch.setenv("STEEL_RTSP_USER", "line")
    monkeypatch.setenv("STEEL_RTSP_PASSWORD", "very secret/word")
    source = VideoSource(Address.parse("rtsp://127.0.0.1:9/live?channel=1", "-source"), SourceOptions())
    assert source._place == "rtsp://line:very%20secret%2Fword@127.0.0.1:9/live?channel=1"
    with pytest.raises(SourceError) as error:
        source.run(lambda frame: None, threading.Event())
    assert "secret" not in str(error.value)
    assert source.name == "rtsp://127.0.0.1:9/live"


def test_lines_before_and_after_a_break_make_no_frame_together(film):
    source, got = VideoSource(Address.parse("rtsp://127.0.0.1/s?lines=60", "-source"), SourceOptions()), []
    source._place = str(film)  # a stream that ends after ten pictures of 32 lines: 20 are left
    for _ in range(2):
        with pytest.raises(SourceError, match="the stream has ended"):
            source.run(got.append, threading.Event())
    assert len(got) == 10
    assert [frame.data[0].mean() < 10 for frame in (got[0], got[5])] == [True, True]
    assert source.lost == 1

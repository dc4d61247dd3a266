"""gige://: a camera that loses packets: every frame is delivered or counted, none is damaged in silence."""

import socket
import threading

import numpy as np
import pytest

vg = pytest.importorskip("viva_genicam")
from viva_genicam.testing import FakeGigeCamera  # noqa: E402

from tests.line.conftest import eventually  # noqa: E402
from utils.line.address import Address  # noqa: E402
from utils.line.sources.genicam import GenicamSource, to_8_bit  # noqa: E402
from utils.line.sources.source import SourceError, SourceOptions  # noqa: E402


def source(query=""):
    return GenicamSource(Address.parse(f"gige://127.0.0.1{query}", "-source"), SourceOptions())


@pytest.fixture
def alone():
    """Hold the only port that such a camera can have, or skip: another test may have it now."""
    lock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        lock.bind(("127.0.0.1", 39569))
    except OSError:
        pytest.skip("another test has the camera's port")
    yield
    lock.close()


def gather(made, frames, wanted):
    stop = threading.Event()
    errors = []

    def run():
        try:
            made.run(frames.append, stop)
        except SourceError as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    eventually(lambda: len(frames) >= wanted or errors, 30)
    stop.set()
    thread.join(60)
    assert not thread.is_alive()
    return errors


def test_lost_packets_are_told_frame_by_frame(alone):
    frames, made = [], source("?camera=top")
    with FakeGigeCamera(320, 240, 50, packet_resend=False, drop_packets=[(3, 5), (7, 2), (8, 1)]) as fake:
        errors = gather(made, frames, 20)
        sent = fake.blocks_sent()
    assert errors == []
    numbers = [int(frame.name.split("-")[1]) for frame in frames]
    assert numbers == list(range(numbers[0], numbers[0] + len(frames)))
    assert len(frames) <= sent
    bad = {n for n, frame in zip(numbers, frames, strict=True) if frame.problem}
    assert bad == {3, 7, 8} & set(numbers)
    assert made.lost == len(bad)
    assert all(frame.data.shape == (240, 320) for frame in frames if not frame.problem)
    assert {frame.camera for frame in frames} == {"top"}


def test_frames_of_a_fixed_height_are_cut_from_the_running_lines(alone):
    frames = []
    with FakeGigeCamera(64, 50, 100) as fake:
        assert gather(source("?lines=80"), frames, 4) == []
        assert fake.blocks_sent() >= 7
    assert {frame.data.shape for frame in frames} == {(80, 64)}


@pytest.mark.parametrize(("comes_back", "words"), [(False, "went away"), (True, "was restarted")])
def test_camera_that_goes_away_is_told_and_found_again(alone, monkeypatch, comes_back, words):
    monkeypatch.setattr("utils.line.sources.genicam.SILENT", 0.2)
    made, frames, errors = source(), [], []

    def run():
        with pytest.raises(SourceError, match=words) as error:
            made.run(frames.append, threading.Event())
        errors.append(str(error.value))

    thread = threading.Thread(target=run)
    fake = FakeGigeCamera(64, 50, 20)
    fake.start()
    thread.start()
    assert eventually(lambda: frames)
    assert made.ready
    fake.stop()
    if comes_back:
        fake = FakeGigeCamera(48, 50, 20)
        fake.start()
    thread.join(60)
    assert len(errors) == 1
    assert "\n" not in errors[0]
    assert not made.ready
    if comes_back:
        assert gather(made, frames, len(frames) + 2) == []
        fake.stop()
        assert frames[-1].data.shape == (50, 48)
        assert len({frame.key for frame in frames}) == len(frames)


def test_camera_that_is_not_there_is_told_in_one_line():
    made = GenicamSource(Address.parse("gige://no-such-camera", "-source"), SourceOptions())
    with pytest.raises(SourceError, match="no such camera; found") as error:
        made.run(lambda frame: None, threading.Event())
    assert "\n" not in str(error.value)


class FakeFrame:
    """A camera's frame as the library gives it."""

    is_complete, missing_packets, chunks, pixel_format = True, None, None, "Mono8"

    def __init__(self, number, shape=(4, 6)):
        self.block_id, self.shape = number, shape

    def to_numpy(self, demosaic):
        return np.full(self.shape, self.block_id % 256, np.uint8)


def test_numbers_that_are_left_out_are_lost_frames():
    made, frames = source(), []
    for number in (1, 2, 6):
        made._pass_on(None, FakeFrame(number), frames.append)
    assert [frame.name for frame in frames] == ["0-1", "0-2", "0-3", "0-4", "0-5", "0-6"]
    assert [frame.problem is None for frame in frames] == [True, True, False, False, False, True]
    assert made.lost == 3


@pytest.mark.parametrize(
    ("numbers", "names", "lost"),
    [
        ((65534, 65535, 1, 2), (65534, 65535, 65536, 65537), 0),
        ((65534, 2), (65534, 65535, 65536, 65537), 2),
        ((1, 2, 1, 2), (1, 2, 3, 4), 0),  # the camera has begun anew
        ((65535, 1, 65535, 1), (65535, 65536, *range(65537, 66537), 131070, 131071), 65533),
        ((70000, 70001), (70000, 70001), 0),
    ],
)
def test_no_two_frames_have_the_same_number_though_those_of_cameras_begin_anew(numbers, names, lost):
    made, frames = source(), []
    for number in numbers:
        made._pass_on(None, FakeFrame(number), frames.append)
    assert [frame.name for frame in frames] == [f"0-{name}" for name in names]
    assert len({frame.key for frame in frames}) == len(frames)
    assert made.lost == lost


def test_camera_that_changes_its_size_joins_no_lines_of_both():
    made, frames = source("?lines=6"), []
    for number, shape in enumerate([(4, 6), (4, 8), (4, 8)], 1):
        made._pass_on(None, FakeFrame(number, shape), frames.append)
    assert made.lost == 1
    assert [frame.data.shape for frame in frames] == [(6, 8)]
    assert set(np.unique(frames[0].data)) == {2, 3}


@pytest.mark.parametrize(
    ("name", "value", "seen"), [("Mono12", 4095, 255), ("Mono10p", 512, 128), ("Mono16", 65535, 255)]
)
def test_more_than_8_bits_become_8(name, value, seen):
    assert to_8_bit(np.full((2, 2), value, np.uint16), name).max() == seen


def test_bytes_without_a_conversion_are_refused():
    with pytest.raises(ValueError, match="no conversion"):
        to_8_bit(np.zeros(10, np.uint8), "Odd8")


class Foreign:
    """A camera beside others in the network, known by its address; one of them is another program's."""

    def __init__(self, serial, ip, taken=False):
        self.own, self.ip, self.taken, self.closed = serial, ip, taken, False

    def get(self, name):
        return self.own

    def close(self):
        self.closed = True


def test_camera_is_found_by_its_serial_number_beside_those_of_other_programs(monkeypatch):
    cameras = [Foreign("1", "10.0.0.1"), Foreign("2", "10.0.0.2", taken=True), Foreign("77", "10.0.0.3")]

    def connect(device):
        if device.taken:
            raise vg.GenicamError("access denied")
        return device

    made = GenicamSource(Address.parse("gige://77", "-source"), SourceOptions())
    monkeypatch.setattr(vg, "discover", lambda *_, **__: cameras)
    monkeypatch.setattr(vg, "connect_gige", connect)
    assert made._connect() is cameras[2]
    assert [one.closed for one in cameras] == [True, False, False]


class Connection:
    """A camera and its stream, which breaks after some frames."""

    control_state = None

    def __init__(self, *numbers):
        self.frames = [FakeFrame(number) for number in numbers]

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def stream(self, **settings):
        return self

    def next_frame(self, timeout_ms):
        if not self.frames:
            raise vg.GenicamError("the camera went away")
        return self.frames.pop(0)


def test_lines_before_and_after_a_break_make_no_frame_together(monkeypatch):
    made, frames = source("?lines=6"), []
    for connection in (Connection(9), Connection(1, 2)):
        monkeypatch.setattr(made, "_connect", lambda connection=connection: connection)
        with pytest.raises(SourceError, match="went away"):
            made.run(frames.append, threading.Event())
    assert [set(np.unique(frame.data)) for frame in frames] == [{1, 2}]
    assert made.lost == 1

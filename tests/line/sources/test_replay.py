"""replay://: the true clock, whatever the service does."""

import itertools
import threading
import time

import pytest

from tests.line.conftest import jpeg
from utils.errors import InputError
from utils.line.address import Address
from utils.line.sources.replay import ReplaySource
from utils.line.sources.source import SourceOptions


def replay(folder, query):
    return ReplaySource(Address.parse(f"replay://{folder}?{query}", "-source"), SourceOptions())


def test_frames_come_at_their_rate_again_and_again(tmp_path):
    for number in range(3):
        (tmp_path / f"{number}.jpg").write_bytes(jpeg(seed=number))
    got = []
    begin = time.monotonic()
    replay(tmp_path, "rate=100&loop=1&seconds=0.3").run(got.append, threading.Event())
    assert time.monotonic() - begin >= 0.29
    assert [frame.name for frame in got] == [f"{n % 3}.jpg" for n in range(30)]
    assert len({frame.key for frame in got}) == 30
    steps = [b.complete - a.complete for a, b in itertools.pairwise(got)]
    assert all(abs(step - 0.01) < 1e-6 for step in steps)
    assert not any(frame.patient for frame in got)


def test_it_stops_when_it_is_told_to(tmp_path):
    (tmp_path / "a.jpg").write_bytes(jpeg())
    stop = threading.Event()
    stop.set()
    replay(tmp_path, "rate=0.01&loop=1").run(lambda frame: None, stop)


@pytest.mark.parametrize(("query", "words"), [("rate=0", "rate=0"), ("speedup=2", "no setting"), ("", "no images")])
def test_what_makes_no_sense_is_refused(tmp_path, query, words):
    if query:
        (tmp_path / "a.jpg").write_bytes(jpeg())
    with pytest.raises(InputError, match=words):
        replay(tmp_path, query)

"""push://: a frame's answer is its event."""

import threading

import pytest

from tests.line.conftest import eventually, frame_event
from utils.line.address import Address
from utils.line.frame import Frame
from utils.line.sources.push import NotTaking, PushSource
from utils.line.sources.source import SourceOptions


def test_frame_is_handed_on_and_answered_when_it_is_settled():
    source = PushSource(Address.parse("push://?camera=top", "-source"), SourceOptions())
    with pytest.raises(NotTaking):
        source.push(Frame("k", "n", b""))
    got, stop = [], threading.Event()
    thread = threading.Thread(target=source.run, args=(got.append, stop))
    thread.start()
    assert eventually(lambda: source._take is not None)
    answer = source.push(Frame("k", "n", b""))
    assert not answer.done()
    got[0].settled(frame_event(1))
    assert answer.result(1).frame == "1.jpg"
    assert got[0].camera == "top"
    stop.set()
    thread.join(60)
    with pytest.raises(NotTaking):
        source.push(Frame("k", "n", b""))

"""Forwarding: at least once, in order, one dead receiver holds up no other, and it comes back by itself."""

import threading
import time

import pytest

from tests.line.conftest import eventually, frame_event
from utils.line.forwarding import Forwarder
from utils.line.sinks.sink import AT_ONCE, Portion, SinkError
from utils.line.spool import Spool
from utils.line.state import LineState


class Receiver:
    """Keeps what it gets; ``broken`` says what it raises."""

    gather = AT_ONCE

    def __init__(self, name="a"):
        self.name, self.got, self.beats, self.opened, self.closed = name, [], [], 0, 0
        self.broken = None

    def _check(self):
        if self.broken is not None:
            raise self.broken

    def open(self):
        self._check()
        self.opened += 1

    def send(self, events):
        self._check()
        self.got += events

    def heartbeat(self, state):
        self._check()
        self.beats.append(state)

    def close(self):
        self.closed += 1


def forwarder(spool, receiver, **more):
    made = Forwarder(spool, receiver, LineState, **{"heartbeat": 0.02, "first_wait": 0.02, "longest_wait": 0.1, **more})
    made.start()
    return made


def test_sends_everything_in_order_and_ends_when_it_is_drained(tmp_path):
    with Spool(tmp_path, ["a"]) as spool:
        receiver = Receiver()
        sender = forwarder(spool, receiver)
        for number in range(0, 700, 70):
            spool.extend([frame_event(number + n) for n in range(70)])
        sender.drain(60)
        assert sender.join(60)
        assert [seq for seq, _ in receiver.got] == list(range(1, 701))
        assert (receiver.closed, sender.state.sent, sender.state.depth) == (1, 700, 0)


def test_dead_receiver_holds_up_no_other_and_loses_nothing(tmp_path):
    with Spool(tmp_path, ["a", "b"]) as spool:
        dead, well = Receiver("a"), Receiver("b")
        dead.broken = SinkError("no broker")
        senders = [forwarder(spool, one) for one in (dead, well)]
        spool.extend([frame_event(n) for n in range(5)])
        assert eventually(lambda: len(well.got) == 5)
        assert eventually(lambda: senders[0].state.error == "no broker")
        assert (senders[0].state.ok, senders[0].state.depth, senders[1].state.ok) == (False, 5, True)
        dead.broken = None
        assert eventually(lambda: len(dead.got) == 5)
        assert eventually(lambda: senders[0].state.ok and senders[0].state.error is None)
        for one in senders:
            one.drain(60)
            assert one.join(60)


class Panic(BaseException):
    """As libraries in Rust raise it."""


@pytest.mark.parametrize("error", [ZeroDivisionError("a library"), Panic("a library")])
def test_error_that_nobody_foresaw_does_not_end_the_thread(tmp_path, error):
    with Spool(tmp_path, ["a"]) as spool:
        receiver = Receiver()
        receiver.broken = error
        sender = forwarder(spool, receiver)
        assert eventually(lambda: sender.state.error == f"{type(error).__name__}: a library", 10)
        receiver.broken = None
        spool.append(frame_event())
        assert eventually(lambda: receiver.got)
        sender.drain(1)
        assert sender.join(60)


def test_waits_grow_and_end_at_the_longest(tmp_path, monkeypatch):
    monkeypatch.setattr("random.uniform", lambda low, high: 1.0)
    waits = []

    class Watch(threading.Event):
        def wait(self, timeout=None):
            waits.append(timeout)
            return super().wait(0)

    with Spool(tmp_path, ["a"]) as spool:
        sender = Forwarder(spool, Receiver(), LineState, first_wait=1.0, longest_wait=60.0)
        sender._stop = Watch()
        for _ in range(9):
            sender._rest()
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_heartbeats_come_without_events_too(tmp_path):
    with Spool(tmp_path, ["a"]) as spool:
        receiver = Receiver()
        sender = forwarder(spool, receiver)
        assert eventually(lambda: len(receiver.beats) >= 3)
        sender.drain(1)
        assert sender.join(60)


def test_large_portions_wait_in_the_spool(tmp_path):
    with Spool(tmp_path, ["a"]) as spool:
        receiver = Receiver()
        receiver.gather = Portion(30.0, 4)
        sender = forwarder(spool, receiver)
        spool.extend([frame_event(n) for n in range(3)])
        time.sleep(0.3)
        assert receiver.got == []
        spool.append(frame_event(3))
        assert eventually(lambda: len(receiver.got) == 4)
        spool.append(frame_event(4))
        sender.drain(20)
        assert sender.join(25)  # shorter than what it gathers for
        assert len(receiver.got) == 5


def test_end_is_not_held_up_by_a_receiver_that_is_away(tmp_path):
    with Spool(tmp_path, ["a"]) as spool:
        receiver = Receiver()
        receiver.broken = SinkError("away")
        sender = forwarder(spool, receiver)
        spool.append(frame_event())
        sender.drain(0.3)
        assert sender.join(60)  # and not for ever
        assert spool.depth("a") == 1

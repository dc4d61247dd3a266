"""The service: one event a frame, in order; whatever goes wrong is NO_VERDICT and counted, and nothing stops."""

import errno
import threading
import time
from concurrent.futures import Future

import numpy as np
import pytest

from tests.line.conftest import BrightInspector, eventually, jpeg
from utils.line.address import Address
from utils.line.coil import Coils, OnLine
from utils.line.event import CoilEvent, FrameEvent
from utils.line.frame import Frame
from utils.line.intake import Slot
from utils.line.judging import Judge
from utils.line.orders import Order
from utils.line.pictures import Waiting
from utils.line.rules import Rules
from utils.line.service import Service, Settings
from utils.line.sources.positions import Positions
from utils.line.sources.source import SourceError
from utils.line.spool import Spool, SpoolError


class Given:
    """A source that gives what it is told to, as quickly as it can."""

    ends, lost, ready = True, 0, False

    def __init__(self, frames, name="given"):
        self.frames, self.name = frames, name
        self.positions = Positions(Address.parse("push://?speed=2", "-source"))

    def run(self, take, stop):
        for frame in self.frames:
            take(frame)


def frame(number, level=40, **more):
    return Frame(str(number), f"{number}.jpg", jpeg(level), **more)


def events_of(spool, kind=FrameEvent):
    return [event for event in spool.since(0) if isinstance(event, kind)]


def run(spool, inspector, frames, settings=None, **more):
    settings = settings or Settings()
    service = Service(inspector, spool, Rules(), settings, **more)
    service.add_source(Given(frames))
    service.start()
    assert service.wait(60)
    return service


@pytest.fixture
def spool(tmp_path):
    with Spool(tmp_path / "spool", ["nobody"]) as spool:
        yield spool


def test_every_frame_has_one_event_in_order(spool, inspector):
    frames = [frame(n, 200 if n % 3 == 0 else 40, patient=True, position_m=0.5 * n, camera="top") for n in range(60)]
    service = run(spool, inspector, frames, Settings(model="a" * 64, thresholds="b" * 64))
    service.stop()
    events = events_of(spool)
    assert [event.frame for event in events] == [f"{n}.jpg" for n in range(60)]
    assert [event.verdict for event in events] == ["NG" if n % 3 == 0 else "OK" for n in range(60)]
    one = events[3]
    assert (one.seq, one.position_m, one.camera, one.size_px, one.reason) == (4, 1.5, "top", (32, 48), "any defect")
    assert (one.model, one.thresholds) == ("a" * 64, "b" * 64)
    assert [d.class_name for d in one.defects] == ["scratch"]
    assert set(one.ms) == {"wait", "network", "total"}
    state = service.state
    assert (state.frames, state.ok, state.ng, state.no_verdict, state.events) == (60, 40, 20, 0, 60)
    assert state.condition == "stopping"
    assert state.p99_ms is not None


@pytest.mark.parametrize(
    "bad",
    [
        Frame("x", "x.jpg", None, "the camera's frame lacks 3 packets"),
        Frame("x", "x.jpg", None),
        Frame("x", "x.jpg", b"no image"),
        Frame("x", "x.jpg", jpeg()[:200]),
        Frame("x", "x.jpg", np.zeros((4000, 4000), np.uint8)),
        Frame("fail", "fail.jpg", jpeg()),
        Frame("zero", "zero.jpg", jpeg()),
    ],
    ids=["problem", "nothing", "no image", "half", "too large", "network", "our mistake"],
)
def test_frame_of_which_nothing_is_known_is_never_ok(spool, inspector, bad, monkeypatch):
    inspector.fail = lambda name: name == "fail.jpg"
    if bad.key == "zero":
        monkeypatch.setattr(Rules, "judge", lambda *_: 1 / 0)
    service = run(spool, inspector, [bad, *([] if bad.key == "zero" else [frame(2)])])
    service.stop()
    first, *rest = events_of(spool)
    assert first.verdict == "NO_VERDICT"
    assert first.reason
    assert first.defects == ()
    assert [one.verdict for one in rest] == ([] if bad.key == "zero" else ["OK"])
    assert (service.state.refused, service.state.no_verdict) == (1, 1)


def test_newest_frames_are_shed_and_counted(spool):
    slow = BrightInspector(seconds=0.05, room=2)
    service = run(spool, slow, [frame(n) for n in range(30)], Settings(queue=4))
    assert service.state.condition == "overloaded"
    service.stop()
    events = events_of(spool)
    shed = [n for n, event in enumerate(events) if event.verdict == "NO_VERDICT"]
    assert len(events) == 30
    assert service.state.shed == len(shed) > 15
    assert all(events[n].reason.startswith("shed: 4 frames wait") for n in shed)
    assert 0 not in shed
    assert [event.frame for event in events] == [f"{n}.jpg" for n in range(30)]


def test_late_frames_are_shed_and_counted(spool):
    slow = BrightInspector(seconds=0.1, room=2)
    service = run(spool, slow, [frame(n) for n in range(20)], Settings(shed="late", queue=100, late=0.25))
    service.stop()
    events = events_of(spool)
    assert events[0].verdict == "OK"
    assert events[-1].reason.startswith("shed: it waited")
    assert service.state.shed == sum(event.verdict == "NO_VERDICT" for event in events)


def test_patient_frames_wait_where_they_lie(spool):
    slow = BrightInspector(seconds=0.01, room=2)
    service = run(spool, slow, [frame(n, patient=True) for n in range(40)], Settings(queue=3))
    service.stop()
    assert (service.state.shed, service.state.ok) == (0, 40)


def test_full_disk_is_a_fault_and_frames_wait_until_there_is_room(spool, inspector, monkeypatch):
    monkeypatch.setattr("utils.line.service.RETRY", 0.01)
    real, full = spool.extend, threading.Event()
    full.set()

    def extend(events):
        if full.is_set():
            raise SpoolError("database or disk is full")
        return real(events)

    monkeypatch.setattr(spool, "extend", extend)
    service = Service(inspector, spool, Rules())
    service.add_source(Given([frame(n) for n in range(5)]))
    service.start()
    assert eventually(lambda: service.state.condition == "fault")
    assert service.state.reason == "database or disk is full"
    assert not service.state.healthy
    full.clear()
    assert service.wait(60)
    service.stop()
    assert [event.frame for event in events_of(spool)] == [f"{n}.jpg" for n in range(5)]


def test_source_that_fails_is_a_fault_and_is_opened_again(spool, inspector, monkeypatch):
    monkeypatch.setattr("utils.line.service.FIRST_WAIT", 0.01)

    class Weak(Given):
        tries = 0

        def run(self, take, stop):
            self.tries += 1
            if self.tries == 1:
                raise SourceError("no such camera")
            if self.tries == 2:
                raise KeyError("a library")
            super().run(take, stop)

    service = Service(inspector, spool, Rules())
    weak = Weak([frame(1)])
    service.add_source(weak)
    service.start()
    assert service.wait(60)
    service.stop()
    assert (weak.tries, service.state.ok) == (3, 1)


def test_pause_gives_no_verdict_until_resume(spool, inspector):
    service = Service(inspector, spool, Rules())
    service.order(Order("pause"))
    service.add_source(Given([frame(1)]))
    service.start()
    assert service.wait(60)
    assert service.state.condition == "paused"
    service.order(Order("resume"))
    service.stop()
    (event,) = events_of(spool)
    assert (event.verdict, event.reason) == ("NO_VERDICT", "paused")


def test_no_frames_is_starved_and_not_healthy(spool, inspector):
    service = Service(inspector, spool, Rules(), Settings(stale=0.05))
    service.start()
    time.sleep(0.1)
    assert (service.state.condition, service.state.healthy) == ("starved", False)
    service.stop()


def test_coil_changes_between_two_frames_and_survives_a_restart(tmp_path, inspector):
    with Spool(tmp_path, ["nobody"]) as spool:
        service = Service(inspector, spool, Rules(), coils=Coils(spool, None, "given"))
        service.order(Order("coil", "A"))
        service.add_source(Given([frame(n, 200 if n == 1 else 40) for n in range(4)]))
        service.start()
        assert service.wait(60)
        service.stop()
        spool.acknowledge("nobody", 4)
    with Spool(tmp_path, ["nobody"]) as spool:
        coils = Coils(spool, None, "given")
        assert coils.now.coil_id == "A"
        service = Service(inspector, spool, Rules(), coils=coils)
        service.add_source(Given([frame(n) for n in range(4, 6)]))
        service.start()
        assert service.wait(60)
        service.order(Order("coil", "B"))
        assert eventually(lambda: coils.now.coil_id == "B")
        service.stop()
        (coil,) = events_of(spool, CoilEvent)
    assert (coil.coil_id, coil.verdict, coil.reasons) == ("A", "NG", ("1 frames: any defect",))
    assert coil.counts == {"frames": 6, "ok": 5, "ng": 1, "no_verdict": 0, "shed": 0, "defects.scratch": 1}


def test_coil_that_is_named_twice_goes_on(spool, inspector):
    coils = Coils(spool, None, "given")
    service = Service(inspector, spool, Rules(), coils=coils)
    for name in ("A", "A", None):  # a broker may bring an order twice
        service.order(Order("coil", name))
    service.start()
    assert eventually(lambda: not service._intake.order)
    service.stop()
    assert [coil.coil_id for coil in events_of(spool, CoilEvent)] == ["A"]


def test_places_from_time_and_speed_begin_anew_with_a_coil_and_go_on_over_a_restart(spool, inspector, monkeypatch):
    began, source = [], Given([])
    monkeypatch.setattr(source.positions, "restart", began.append)
    service = Service(inspector, spool, Rules(), coils=Coils(spool, None, "given"))
    service.add_source(source)
    counts = []
    for name in ("A", "A", "B", None, None):  # a broker may bring an order twice
        service.order(Order("coil", name))
        counts.append(len(began))
    assert counts == [1, 1, 2, 3, 4]
    coils = Coils(spool, None, "given")
    coils.now = OnLine("C", time.time() - 30)
    Service(inspector, spool, Rules(), coils=coils).add_source(source)
    assert began[-1] == pytest.approx(time.monotonic() - 30, abs=5)


def test_clock_that_is_set_back_changes_neither_order_nor_ids(spool, inspector):
    now, day = time.time(), 86_400.0
    frames = [frame(n, taken=now + ahead) for n, ahead in enumerate((0, -3600, 3650 * day, -day, -day))]
    service = run(spool, inspector, frames)
    service.stop()
    events = events_of(spool)
    assert [event.frame for event in events] == [f"{n}.jpg" for n in range(5)]
    assert [event.seq for event in events] == [1, 2, 3, 4, 5]
    assert len({event.id for event in events}) == 5
    assert service.state.ok == 5


def test_camera_that_changes_its_size_is_counted_and_one_line(spool, inspector, caplog):
    sizes = [(32, 48), (32, 48), (64, 48), (32, 48), (32, 48)]
    frames = [Frame(str(n), f"{n}.jpg", jpeg(40, size), camera="top") for n, size in enumerate(sizes)]
    frames.append(Frame("side", "side.jpg", jpeg(40, (16, 16)), camera="side"))
    service = run(spool, inspector, frames)
    service.stop()
    assert [event.size_px for event in events_of(spool)] == [*sizes, (16, 16)]
    assert (service.state.ok, service.state.resized) == (6, 2)
    lines = [record.getMessage() for record in caplog.records]
    assert lines == ["given top: the size of the frames changes: 48x64 now, 48x32 before; 1 times so far"]


def test_whoever_waits_for_a_frame_hears_when_its_event_is_on_disk(spool, inspector):
    heard = []
    one = frame(1)
    one.settled = lambda event: heard.append((event.seq, spool.knows(event.id)))
    run(spool, inspector, [one]).stop()
    assert heard == [(1, True)]


def test_pictures_of_ng_frames_are_kept_before_their_event(spool, inspector, tmp_path):
    pictures = Waiting(tmp_path / "pictures")
    run(spool, inspector, [frame(1, 200), frame(2)], pictures=pictures).stop()
    ng, ok = events_of(spool)
    assert pictures.get(ng.id) == jpeg(200)
    assert pictures.get(ok.id) is None


def test_stop_finishes_what_was_taken(spool):
    slow = BrightInspector(seconds=0.02)
    service = Service(slow, spool, Rules(), Settings(drain=20))
    service.add_source(Given([frame(n) for n in range(20)]))
    service.start()
    assert eventually(lambda: service.state.frames == 20)
    service.stop()
    assert [event.verdict for event in events_of(spool)] == ["OK"] * 20


def test_stop_does_not_wait_for_ever(spool):
    stuck = BrightInspector(seconds=3, room=1)
    service = Service(stuck, spool, Rules(), Settings(drain=0.2))
    service.add_source(Given([frame(n) for n in range(3)]))
    service.start()
    assert eventually(lambda: service.state.frames == 3)
    begin = time.monotonic()
    service.stop()
    assert time.monotonic() - begin < 8
    assert {event.verdict for event in events_of(spool)} == {"NO_VERDICT"}


def test_files_that_were_not_inspected_in_time_are_left_to_the_next_run(spool):
    stuck = BrightInspector(seconds=1.5, room=1)
    service = Service(stuck, spool, Rules(), Settings(drain=0.1))
    service.add_source(Given([frame(n, patient=n != 1) for n in range(4)]))
    service.start()
    assert eventually(lambda: service.state.frames == 4)
    service.stop()
    assert [(event.frame, event.verdict) for event in events_of(spool)] == [("1.jpg", "NO_VERDICT")]


def test_sender_that_waits_no_more_stops_nothing(spool, inspector):
    def settled(event):
        raise RuntimeError("cancelled")

    service = run(spool, inspector, [frame(0, settled=settled), frame(1)])
    service.stop()
    assert [event.frame for event in events_of(spool)] == ["0.jpg", "1.jpg"]


def test_event_that_cannot_be_written_is_counted_and_stops_nothing(spool, inspector, monkeypatch):
    real = spool.extend

    def extend(events):
        if any(event.frame == "2.jpg" for event in events):
            raise UnicodeError("a text that no disk takes")
        return real(events)

    monkeypatch.setattr(spool, "extend", extend)
    service = run(spool, inspector, [frame(n) for n in range(5)])
    service.stop()
    assert [event.frame for event in events_of(spool)] == ["0.jpg", "1.jpg", "3.jpg", "4.jpg"]
    assert service.state.unrecorded == 1


def test_inspector_that_raises_gives_no_verdict_and_stops_nothing(spool, monkeypatch):
    weak = BrightInspector()
    real = weak.submit

    def submit(images, finish):
        if images[0].name == "1.jpg":
            raise RuntimeError("a mistake")
        return real(images, finish)

    monkeypatch.setattr(weak, "submit", submit)
    run(spool, weak, [frame(n) for n in range(3)]).stop()
    assert [event.verdict for event in events_of(spool)] == ["OK", "NO_VERDICT", "OK"]


def test_order_that_fails_stops_nothing(spool, inspector, monkeypatch):
    coils = Coils(spool, None, "given")
    monkeypatch.setattr(coils, "begin", lambda coil_id: 1 / 0)
    service = Service(inspector, spool, Rules(), coils=coils)
    service.order(Order("coil", "A"))
    service.add_source(Given([frame(1)]))
    service.start()
    assert service.wait(10)
    service.stop()
    assert len(events_of(spool)) == 1


def test_source_that_came_back_is_no_fault_before_its_first_frame(spool, inspector, monkeypatch):
    monkeypatch.setattr("utils.line.service.FIRST_WAIT", 0.01)

    class Away(Given):
        tries = 0

        def run(self, take, stop):
            self.tries += 1
            if self.tries < 3:
                raise SourceError("no such folder any more")
            self.ready = True
            stop.wait()

    service = Service(inspector, spool, Rules())
    away = Away([])
    service.add_source(away)
    service.start()
    assert eventually(lambda: away.ready)
    assert service.state.condition == "starved"
    service.stop()


@pytest.mark.parametrize("taken", [1e12, -1e12])
def test_frame_of_a_time_that_no_calendar_has_has_an_event_and_stops_nothing(spool, inspector, taken):
    """As a file's that a camera or a network disk has written by a wrong clock."""
    run(spool, inspector, [frame(0), frame(1, taken=taken), frame(2)]).stop()
    events = events_of(spool)
    assert [event.verdict for event in events] == ["OK"] * 3
    assert events[1].time[:4] == ("9998" if taken > 0 else "1601")


def test_frame_of_which_no_event_can_be_made_is_counted_and_stops_nothing(spool, inspector, monkeypatch):
    real = Judge._event

    def event(self, slot, given, *rest):
        if given.name == "1.jpg":
            raise OverflowError("a number")
        return real(self, slot, given, *rest)

    monkeypatch.setattr(Judge, "_event", event)
    service = run(spool, inspector, [frame(n) for n in range(3)])
    service.stop()
    assert [event.frame for event in events_of(spool)] == ["0.jpg", "2.jpg"]
    assert service.state.unrecorded == 1


def test_spool_is_tidied_again_after_a_disk_was_away(spool, inspector, monkeypatch, caplog):
    monkeypatch.setattr("utils.line.service.TIDY", 0.01)
    real, tries = spool.tidy, []

    def tidy():
        tries.append(1)
        if len(tries) == 1:
            raise OSError(errno.ESTALE, "Stale file handle")
        return real()

    monkeypatch.setattr(spool, "tidy", tidy)
    service = Service(inspector, spool, Rules())
    service.start()
    assert eventually(lambda: len(tries) > 2, 10)
    service.stop()
    assert [record.getMessage()[:28] for record in caplog.records] == ["the spool could not be tidie"]


def test_thread_that_has_ended_is_a_fault_and_not_healthy(spool, inspector, monkeypatch):
    monkeypatch.setattr(Service, "_commit", lambda self: None)
    service = Service(inspector, spool, Rules())
    service.start()
    assert eventually(lambda: service.state.condition == "fault", 10)
    assert service.state.reason == "the thread events has ended by a mistake of ours; restart the service"
    assert not service.state.healthy
    service.stop()


def test_source_whose_library_panics_is_opened_again(spool, inspector, monkeypatch):
    monkeypatch.setattr("utils.line.service.FIRST_WAIT", 0.01)

    class Panic(BaseException):
        """As libraries in Rust raise it."""

    class Weak(Given):
        tries = 0

        def run(self, take, stop):
            self.tries += 1
            if self.tries == 1:
                raise Panic("index out of bounds")
            super().run(take, stop)

    service = Service(inspector, spool, Rules())
    service.add_source(Weak([frame(1)]))
    service.start()
    assert service.wait(60)
    service.stop()
    assert service.state.ok == 1


def test_first_answer_counts_where_another_comes_in_the_same_moment(monkeypatch):
    slot = Slot(frame(0))
    slot.refuse("no answer within 60 s")
    monkeypatch.setattr(Future, "done", lambda self: False)  # as it was when the other one looked
    slot.refuse("the service is stopping")
    assert slot.answer.result(0).reason == "no answer within 60 s"

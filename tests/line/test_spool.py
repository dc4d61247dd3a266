"""The spool: nothing is lost or doubled by a kill, a full disk is told, bounds are counted."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.line.conftest import frame_event
from utils.errors import InputError
from utils.line.spool import FILE, Limits, Spool, SpoolError

ROOT = Path(__file__).parents[2]


def seqs(spool, sink="a", limit=1000):
    return [seq for seq, _ in spool.read(sink, limit)]


def test_events_come_back_in_order_with_their_places(tmp_path):
    with Spool(tmp_path, ["a", "b"]) as spool:
        assert spool.extend([frame_event(n) for n in range(3)]) == [1, 2, 3]
        assert [(seq, event.frame, event.seq) for seq, event in spool.read("a", 2)] == [
            (1, "0.jpg", 1),
            (2, "1.jpg", 2),
        ]
        spool.acknowledge("a", 2)
        assert (seqs(spool, "a"), seqs(spool, "b")) == ([3], [1, 2, 3])
        assert (spool.depth("a"), spool.depth("b")) == (1, 3)


def test_same_id_is_no_second_event(tmp_path):
    with Spool(tmp_path, ["a"]) as spool:
        assert spool.extend([frame_event(0), frame_event(1), frame_event(0)]) == [1, 2, 1]
        spool.acknowledge("a", 2)
        spool.tidy()
        assert spool.append(frame_event(1)) == 2
        assert seqs(spool) == []
        assert spool.knows(frame_event(0).id)
        assert not spool.knows(frame_event(9).id)


def test_places_and_ids_live_on_over_a_restart_and_seq_never_comes_again(tmp_path):
    with Spool(tmp_path, ["a"]) as spool:
        spool.extend([frame_event(n) for n in range(4)])
        spool.acknowledge("a", 4)
    with Spool(tmp_path, ["a", "new"]) as spool:
        assert spool.depth("a") == 0
        assert spool.append(frame_event(2)) == 3
        assert spool.append(frame_event(9)) == 5
        assert (seqs(spool, "a"), seqs(spool, "new")) == ([5], [5])


def test_two_services_on_one_spool_are_one_too_many(tmp_path):
    with Spool(tmp_path), pytest.raises(InputError, match="another Watch_line"):
        Spool(tmp_path)
    Spool(tmp_path).close()


def test_damaged_file_is_named_and_left_alone(tmp_path):
    (tmp_path / FILE).write_bytes(b"no database " * 1000)
    with pytest.raises(InputError, match="move the file away"):
        Spool(tmp_path)
    assert (tmp_path / FILE).read_bytes().startswith(b"no database")


def test_later_version_is_refused(tmp_path):
    Spool(tmp_path).close()
    database = sqlite3.connect(tmp_path / FILE)
    database.execute("PRAGMA user_version=99")
    database.close()
    with pytest.raises(InputError, match="later version"):
        Spool(tmp_path)


def test_malformed_event_is_left_out_and_counted_for_whoever_had_not_read_it(tmp_path):
    with Spool(tmp_path, ["a", "b"]) as spool:
        spool.extend([frame_event(n) for n in range(3)])
        spool.acknowledge("b", 3)
        spool._database.execute("UPDATE events SET text='{' WHERE seq IN (2, 3)")
        assert seqs(spool) == [1]
        assert (spool.malformed("a"), spool.malformed("b")) == (2, 0)
        spool.acknowledge("a", 1)
        assert seqs(spool) == []
        assert not spool.wait("a", 0)  # else a sink would run in a circle


def test_age_and_size_bound_the_spool_and_count_what_they_take(tmp_path):
    with Spool(tmp_path, ["a", "b"], Limits(age=0.05)) as spool:
        spool.extend([frame_event(n) for n in range(5)])
        spool.acknowledge("b", 4)
        time.sleep(0.06)
        assert spool.tidy() == 6
        assert (spool.dropped("a"), spool.dropped("b"), spool.depth("a")) == (5, 1, 0)
    with Spool(tmp_path, ["a", "b"], Limits(size=200_000)) as spool:
        assert spool.dropped("a") == 5
        spool.extend([frame_event(n, reason="x" * 3000) for n in range(10, 400)])
        assert spool.tidy() > 0
        assert spool.size <= 200_000
        rest = seqs(spool)
        assert rest[-1] == 395  # the oldest went
        assert len(rest) + spool.dropped("a") - 5 == 390


def test_clock_of_the_machine_drops_nothing(tmp_path, monkeypatch):
    with Spool(tmp_path, ["a"], Limits(age=3600)) as spool:
        spool.append(frame_event(0))
        monkeypatch.setattr(time, "time", lambda: 4e9)
        assert spool.tidy() == 0
        monkeypatch.setattr(time, "time", lambda: 0.0)
        spool.append(frame_event(1))
        assert (spool.tidy(), seqs(spool)) == (0, [1, 2])


def test_sinks_that_are_no_longer_named_hold_nothing(tmp_path):
    with Spool(tmp_path, ["a", "gone"]) as spool:
        spool.extend([frame_event(n) for n in range(3)])
        spool.acknowledge("a", 3)
    with Spool(tmp_path, ["a"]) as spool:
        spool.tidy()
        assert list(spool.since(0)) == []


def test_held_events_stay_until_they_are_let_go(tmp_path):
    with Spool(tmp_path, ["a"]) as spool:
        spool.append(frame_event(0))
        spool.hold("coil 7", 2)
        spool.extend([frame_event(1), frame_event(2)])
        spool.acknowledge("a", 3)
        spool.tidy()
    with Spool(tmp_path, ["a"]) as spool:
        assert spool.held == ("coil 7", 2)
        assert [event.frame for event in spool.since(2)] == ["1.jpg", "2.jpg"]
        spool.hold("", 0)
        spool.tidy()
        assert list(spool.since(0)) == []


def test_full_disk_is_told_and_what_was_tried_is_not_half_there(tmp_path):
    with Spool(tmp_path, ["a"]) as spool:
        spool.append(frame_event(0))
        pages = spool._database.execute("PRAGMA page_count").fetchone()[0]
        spool._database.execute(f"PRAGMA max_page_count={pages}")
        with pytest.raises(SpoolError, match="full"):
            spool.extend([frame_event(n, reason="x" * 3000) for n in range(1, 60)])
        assert (seqs(spool), spool.events, spool.depth("a")) == ([1], 1, 1)
        spool._database.execute("PRAGMA max_page_count=100000")
        assert spool.append(frame_event(1)) == 2


FILLER = """
import contextlib
import sys
from pathlib import Path
from tests.line.conftest import frame_event
from utils.line.spool import Spool, SpoolError
spool, written, rounds = Spool(Path(sys.argv[1]), ["a"], spare=1024**2), 0, 0
assert (Path(sys.argv[1]) / "spare").is_file()
while rounds < 3:
    try:
        written = spool.append(frame_event(written, reason="x" * 3000))
    except SpoolError as error:
        assert "full" in str(error), error
        with contextlib.suppress(SpoolError):
            spool.tidy()  # nobody has got anything: the spare bytes stay
        assert (Path(sys.argv[1]) / "spare").is_file()
        while found := spool.read("a", 100):
            spool.acknowledge("a", found[-1][0])
        assert spool.tidy() == 0
        rounds += 1
    assert written < 20_000
print("went on", rounds)
"""


def test_really_full_disk_goes_on_when_the_sinks_have_their_events(tmp_path):
    unshare = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    mounted = f"mount -t tmpfs -o size=4m none {tmp_path}"
    if shutil.which("unshare") is None or subprocess.run([*unshare, mounted], capture_output=True).returncode:
        pytest.skip("needs a system that lets a user mount a small disk")
    command = f'{mounted} && exec "$0" -c "$1" {tmp_path}/spool'
    done = subprocess.run(
        [*unshare, command, sys.executable, FILLER], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert (done.stdout, done.returncode) == ("went on 3\n", 0), done.stderr[-2000:]


WRITER = """
import sys
from pathlib import Path
from utils.line.event import FrameEvent, event_id
from utils.line.spool import Spool
spool = Spool(Path(sys.argv[1]), ["a"])
for number in range(int(sys.argv[2]), 100000):
    name = f"{number}.jpg"
    spool.append(FrameEvent(id=event_id("test", name), time="", source="test", frame=name, verdict="OK"))
    print(number, flush=True)
"""


def test_kill_loses_no_event_that_was_written(tmp_path):
    begin = 0
    for round_ in range(3):
        command = [sys.executable, "-c", WRITER, str(tmp_path), str(begin)]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as writer:
            told = [int(writer.stdout.readline()) for _ in range(10 + 7 * round_)]
            os.kill(writer.pid, signal.SIGKILL)
            told += [int(line) for line in writer.stdout.read().split("\n")[:-1]]
        with Spool(tmp_path, ["a"]) as spool:
            there = [event.frame for _, event in spool.read("a", 100_000)]
        assert there[: told[-1] + 1] == [f"{n}.jpg" for n in range(told[-1] + 1)]
        assert len(there) == len(set(there))
        begin = len(there)


def test_events_that_the_disk_does_not_give_now_are_told_as_such(tmp_path):
    spool = Spool(tmp_path, ["a"])
    spool.append(frame_event(0))
    spool._database.close()  # any error of SQLite
    with pytest.raises(SpoolError, match=r"spool\.db"):
        list(spool.since(1))

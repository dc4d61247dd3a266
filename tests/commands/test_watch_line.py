"""The whole service: from a folder to files, through a real network; over kills; and flags that make no sense."""

import csv
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from config import WatchConfig
from tests.line.conftest import eventually, jpeg
from utils.commands.watch_line import _signals, watch_line
from utils.errors import InputError
from utils.inference.pipeline import InspectionPipeline

ROOT = Path(__file__).parents[2]
FAST = {"backend": "torch", "precision": "f32", "drain_s": 5.0}


@pytest.fixture
def strips(tmp_path):
    folder = tmp_path / "strips"
    folder.mkdir()
    for number in range(6):
        (folder / f"{number}.jpg").write_bytes(jpeg(100, (64, 96), number))
    (folder / "6.jpg").write_bytes(jpeg()[:300])
    return folder


def rows_of(folder):
    return [
        row for path in sorted(folder.glob("*.csv")) for row in csv.DictReader(path.read_text("utf-8").splitlines())
    ]


def test_replay_ends_and_every_frame_has_its_row(strips, tmp_path, make_weights):
    rules = tmp_path / "rules.yaml"
    rules.write_text("rules:\n- {name: never, min_area_px: 1000000}\n")
    result = watch_line(
        WatchConfig(
            line_source=(f"replay://{strips}?rate=50&camera=top&speed=2",),
            sinks=(f"csv://{tmp_path / 'events'}", f"images://{tmp_path / 'pictures'}"),
            weights_dir=make_weights(),
            spool=tmp_path / "spool",
            rules=rules,
            coil_id="C7",
            **FAST,
        )
    )
    assert (result.state.frames, result.state.ok, result.state.no_verdict) == (7, 6, 1)
    assert "7 frames in" in result.text()
    rows = rows_of(tmp_path / "events")
    assert [row["frame"] for row in rows] == [f"{n}.jpg" for n in range(7)]
    assert [row["verdict"] for row in rows] == ["OK"] * 6 + ["NO_VERDICT"]
    assert {(row["camera"], row["coil_id"], len(row["model"]), len(row["thresholds"])) for row in rows} == {
        ("top", "C7", 64, 64)
    }
    assert list((tmp_path / "pictures").rglob("*.jpg")) == []


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"line_source": ("ftp://x",)}, "no source ftp"),
        ({"line_source": ("folder://nowhere",)}, "no such folder"),
        ({"line_source": ("push://",)}, "needs -http"),
        ({"sinks": ("fax://x",)}, "no sink fax"),
        ({"sinks": ("csv://a", "csv://a")}, "named twice"),
        ({"http": "here"}, "HOST:PORT"),
        ({"drift_off": ("bright",)}, "no such property"),
        ({"coil_id": "../x"}, "coil_id"),
        ({"rules": Path("none.yaml")}, "No such file"),
    ],
)
def test_flags_that_make_no_sense_are_one_line(strips, tmp_path, make_weights, monkeypatch, flags, words):
    monkeypatch.chdir(tmp_path)
    given = {"line_source": (f"replay://{strips}?rate=50",), "weights_dir": make_weights(), **FAST, **flags}
    with pytest.raises(InputError, match=words) as error:
        watch_line(WatchConfig(**given))
    assert "\n" not in str(error.value)


@pytest.mark.slow  # starts four processes; its quicker siblings are in tests/line: test_spool.py and test_service.py
def test_kills_lose_nothing_and_double_nothing(tmp_path, make_weights):
    pytest.importorskip("watchfiles")
    inbox, events = tmp_path / "inbox", tmp_path / "events"
    inbox.mkdir()
    command = [sys.executable, "Watch_line.py", "-source", f"folder://{inbox}", "-weights_dir", make_weights()]
    command += ["-sinks", f"csv://{events}", "-spool", tmp_path / "spool", "-backend", "torch", "-precision", "f32"]
    sent = 0
    for round_ in range(4):
        with open(tmp_path / "log", "ab") as log:
            service = subprocess.Popen(list(map(str, command)), cwd=ROOT, stdout=log, stderr=log)
        for _ in range(15):
            part = inbox / f".{sent}.part"
            part.write_bytes(jpeg(100, (64, 96), sent))
            part.rename(inbox / f"{sent:03d}.jpg")
            sent += 1
        wanted = sent if round_ == 3 else sent - 10
        assert eventually(lambda wanted=wanted: len(rows_of(events)) >= wanted, 120)
        os.kill(service.pid, signal.SIGTERM if round_ == 3 else signal.SIGKILL)
        assert service.wait(60) == (0 if round_ == 3 else -signal.SIGKILL)
    rows = rows_of(events)
    assert sorted(row["frame"] for row in rows) == [f"{n:03d}.jpg" for n in range(sent)]
    assert len({row["id"] for row in rows}) == sent
    assert [int(row["seq"]) for row in rows] == sorted(int(row["seq"]) for row in rows)


def test_second_service_on_a_spool_is_refused(strips, tmp_path, make_weights):
    from utils.line.spool import Spool

    with Spool(tmp_path / "spool"), pytest.raises(InputError, match="another Watch_line"):
        watch_line(
            WatchConfig(
                line_source=(f"replay://{strips}?rate=50",),
                weights_dir=make_weights(),
                spool=tmp_path / "spool",
                **FAST,
            )
        )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_signals_end_it_in_order(number):
    stopped = threading.Event()
    before = signal.signal(number, signal.SIG_DFL)  # these tests may run under nohup
    try:
        with _signals(stopped):
            signal.raise_signal(number)
            assert stopped.is_set()
        assert signal.getsignal(number) is signal.SIG_DFL
    finally:
        signal.signal(number, before)


def test_hangup_that_nohup_switched_off_stays_off():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        stopped = threading.Event()
        with _signals(stopped):
            signal.raise_signal(signal.SIGHUP)
        assert not stopped.is_set()
    finally:
        signal.signal(signal.SIGHUP, before)


def test_network_that_hangs_keeps_no_service_from_its_end(strips, tmp_path, make_weights, monkeypatch):
    monkeypatch.setattr("utils.line.service.STALL", 0.2)
    monkeypatch.setattr("utils.commands.watch_line.CLOSING", 0.2)
    hangs, real, results = threading.Event(), InspectionPipeline.judge, []

    def judge(self, batch):
        if batch[0].name != "warm-up":
            hangs.wait(60)
        return real(self, batch)

    monkeypatch.setattr(InspectionPipeline, "judge", judge)
    config = WatchConfig(
        line_source=(f"replay://{strips}?rate=50",),
        weights_dir=make_weights(),
        spool=tmp_path / "spool",
        **{**FAST, "drain_s": 0.2},
    )
    watching = threading.Thread(target=lambda: results.append(watch_line(config)), daemon=True)
    watching.start()
    watching.join(40)
    ended = not watching.is_alive()
    hangs.set()
    watching.join(20)
    assert ended
    assert results[0].state.no_verdict == 7

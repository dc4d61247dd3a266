"""csv:// and parquet://: every event once, over kills, half lines and full disks."""

import csv
import dataclasses
import json

import pytest

from tests.line.conftest import frame_event
from utils.errors import InputError
from utils.line.address import Address
from utils.line.event import AlarmEvent, CoilEvent, LineDefect, utc, with_seq
from utils.line.sinks import day_files
from utils.line.sinks.day_files import COLUMNS, make
from utils.line.sinks.sink import AT_ONCE, SinkError, SinkOptions


def numbered(*events):
    return [(seq, with_seq(event, seq)) for seq, event in enumerate(events, 1)]


def opened(folder, scheme="csv", query=""):
    sink = make(Address.parse(f"{scheme}://{folder}{query}", "-sinks"), SinkOptions())
    sink.open()
    return sink


def rows(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_events_become_rows_of_their_day(tmp_path):
    coil = CoilEvent(
        id="c" * 32, time=utc(1.7e9), source="s", coil_id="7", verdict="NG", reasons=("a", "b"), counts={"ng": 1}
    )
    alarm = AlarmEvent(id="d" * 32, time=utc(1.7e9), source="s", name="brightness", message="darker", frames=("x", "y"))
    tomorrow = frame_event(86_400, "NO_VERDICT")
    opened(tmp_path).send(numbered(frame_event(0, "NG"), coil, alarm, tomorrow))
    first, second = sorted(tmp_path.iterdir())
    assert (first.name, second.name) == ("frames-2023-11-14.csv", "frames-2023-11-15.csv")
    ng, of_coil, of_alarm = rows(first)
    assert tuple(ng) == COLUMNS
    assert json.loads(ng["defects"])[0]["class"] == "scratch"
    assert (of_coil["kind"], of_coil["reason"]) == ("coil", "a; b")
    assert (of_alarm["frame"], of_alarm["reason"]) == ("x, y", "darker")


def test_what_is_sent_again_is_not_written_again_and_half_a_line_is_mended(tmp_path):
    events = numbered(*[frame_event(n) for n in range(6)])
    sink = opened(tmp_path)
    sink.send(events[:4])
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes() + b"5,abc,2023-1")  # a kill in the middle of a line
    opened(tmp_path).send(events[2:])
    assert [row["frame"] for row in rows(path)] == [f"{n}.jpg" for n in range(6)]
    sink = opened(tmp_path)
    sink.send(events[5:])
    assert len(rows(path)) == 6


def test_new_spool_beside_old_files_loses_nothing(tmp_path):
    opened(tmp_path).send([(900, with_seq(frame_event(1), 900))])
    opened(tmp_path).send(numbered(frame_event(2)))
    (path,) = tmp_path.iterdir()
    assert [row["seq"] for row in rows(path)] == ["900", "1"]


def test_names_of_strangers_make_no_formulas_and_no_lines(tmp_path):
    opened(tmp_path).send(numbered(frame_event(0, frame='=cmd|" /C"!A0\n1,2')))
    (path,) = tmp_path.iterdir()
    assert [row["frame"] for row in rows(path)] == ['\'=cmd|" /C"!A0 1,2']
    assert len(path.read_bytes().splitlines()) == 2


@pytest.mark.parametrize("scheme", ["csv", "parquet"])
def test_folder_that_cannot_be_written_is_for_later(tmp_path, scheme):
    if scheme == "parquet":
        pytest.importorskip("pyarrow")
    (tmp_path / "file").write_text("")
    sink = make(Address.parse(f"{scheme}://{tmp_path}/file", "-sinks"), SinkOptions())
    with pytest.raises(SinkError, match="exist"):
        sink.open()


def test_parquet_files_are_whole_and_hold_each_event_once(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    events = numbered(*[frame_event(n, "NG", position_m=1.5) for n in range(6)])
    sink = opened(tmp_path, "parquet", "?rows=100&seconds=5")
    assert sink.gather == (5.0, 100)
    sink.send(events[:3])
    opened(tmp_path, "parquet").send(
        events
    )  # the first three were written, but a kill came before they were acknowledged
    files = list(tmp_path.rglob("*.parquet"))
    assert len(files) == 1
    table = parquet.read_table(files[0])
    assert table.column_names == list(COLUMNS)
    assert table["frame"].to_pylist() == [f"{n}.jpg" for n in range(6)]
    assert table["position_m"].to_pylist() == [1.5] * 6


def test_unknown_setting_is_refused(tmp_path):
    with pytest.raises(InputError, match="no setting gb"):
        opened(tmp_path, "csv", "?gb=1")


def test_events_of_many_defects_that_are_sent_again_are_not_written_again(tmp_path, monkeypatch):
    one = LineDefect("a class with a long name of 40 letters...", 10**6, (1000, 1000, 1000, 1000), 0.1234)
    events = numbered(*[dataclasses.replace(frame_event(n, "NG"), defects=(one,) * 200) for n in range(AT_ONCE.most)])
    opened(tmp_path).send(events)
    read, real = [], day_files.mend
    monkeypatch.setattr(day_files, "mend", lambda path: read.append(path) or real(path))
    opened(tmp_path).send(events)  # a kill came before they were acknowledged
    (path,) = tmp_path.iterdir()
    assert path.read_bytes().count(b"\n") == 1 + len(events)
    assert read == [path]  # once, however many events there are

"""Events as JSON: what is written is read back, fits the published schema, and nothing else is taken for one."""

import json
from pathlib import Path

import jsonschema_rs
import pytest

from tests.line.conftest import frame_event
from utils.line.event import AlarmEvent, CoilEvent, EventError, event_id, from_json, utc, with_seq

SCHEMA = json.loads((Path(__file__).parents[2] / "docs/line-event.schema.json").read_text("utf-8"))
NUMBER = event_id("folder:///inbox", "a.jpg|5|7")
COIL = CoilEvent(
    id=NUMBER,
    time=utc(5.25),
    source="s",
    coil_id="C 1",
    verdict="NG",
    grade="scrap",
    reasons=("too many",),
    counts={"ng": 2},
)
ALARM = AlarmEvent(id=NUMBER, time=utc(5), source="s", name="brightness", message="darker", frames=("a", "b", "c"))
FRAME = frame_event(
    3,
    "NG",
    seq=9,
    coil_id="7",
    position_m=1.5,
    camera="top",
    side="top",
    size_px=(256, 1600),
    model="0" * 64,
    thresholds="f" * 64,
    ms={"total": 3.25},
)


@pytest.mark.parametrize("event", [FRAME, frame_event(1), frame_event(2, "NO_VERDICT"), COIL, ALARM])
def test_event_is_read_back_and_fits_the_schema(event):
    text = event.to_json()
    assert "\n" not in text
    assert from_json(text) == event
    jsonschema_rs.validate(SCHEMA, json.loads(text))


@pytest.mark.parametrize(
    "change", [{"verdict": "ok"}, {"schema": "2"}, {"defects": [{"class": "a"}]}, {"id": "x"}, {"ms": {"total": -1}}]
)
def test_schema_refuses_what_is_none(change):
    with pytest.raises(jsonschema_rs.ValidationError):
        jsonschema_rs.validate(SCHEMA, json.loads(FRAME.to_json()) | change)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no JSON"),
        ("[" * 100_000, "no JSON"),
        ("[1]", "a JSON object"),
        ('{"schema": "2"}', "schema '2'"),
        ('{"schema": "1", "kind": "dog"}', "kind 'dog'"),
        ('{"schema": "1", "kind": "frame"}', "id is missing"),
        (json.dumps(json.loads(FRAME.to_json()) | {"verdict": "MAYBE"}), "verdict"),
        (json.dumps(json.loads(FRAME.to_json()) | {"defects": [{"class": 1}]}), "defect"),
        (json.dumps(json.loads(FRAME.to_json()) | {"seq": True}), "seq"),
    ],
)
def test_what_is_no_event_is_refused_in_one_line(text, words):
    with pytest.raises(EventError, match=words) as error:
        from_json(text)
    assert "\n" not in str(error.value)


def test_ids_are_the_same_in_every_run_and_differ_by_source():
    assert event_id("a", "b") == event_id("a", "b") == "7e18f737311b2dc3b2f269dd78396b03"
    assert event_id("a", "b") != event_id("b", "a")
    assert with_seq(FRAME, 4).seq == 4


def test_time_is_utc_with_milliseconds():
    assert utc(1.25) == "1970-01-01T00:00:01.250Z"


def test_name_that_is_not_utf8_goes_through_the_spool_and_to_receivers():
    text = frame_event(frame="sp\udcfcle.jpg").to_json()
    assert text.encode()
    assert from_json(text).frame == "sp?le.jpg"

"""Events as results: frames, segments of a running coil, coils."""

import json

import pytest

from utils.line.event import AlarmEvent
from utils.line.sinks.vision_results import COMPLETED, FAILED, PROCESSING, VisionResults


@pytest.mark.parametrize(("verdict", "state"), [("OK", COMPLETED), ("NG", COMPLETED), ("NO_VERDICT", FAILED)])
def test_frame_is_a_result(verdict, state, frame):
    event = frame(5, verdict, ms={"total": 40.0})
    (result,) = VisionResults(10).of(5, event)
    assert (result.result_id, result.state, result.is_partial) == (event.id, state, False)
    assert (result.part_id, result.job_id, result.meas_id) == ("A4711", "A4711", "000005.jpg")
    assert json.loads(result.content)["verdict"] == result.verdict == verdict
    assert (result.end - result.start).total_seconds() == 0.04
    assert (result.recipe, result.configuration) == ("ab" * 32, "cd" * 32)


def test_running_segments_are_partial_results(frames, coil):
    results = VisionResults(1.0)  # frames are a quarter of a metre apart
    made = [one for seq, event in frames(9) for one in results.of(seq, event)]
    segments = [one for one in made if one.is_partial]
    counts = [json.loads(one.content) for one in segments]
    assert [(one["segment"], one["first_seq"], one["last_seq"]) for one in counts] == [(0, 1, 3), (1, 4, 7)]
    assert [one["whole"] for one in counts] == [False, True]  # the first may have begun before the service
    assert counts[1]["counts"] == {"frames": 4, "ng": 2, "no_verdict": 1, "ok": 1, "defects.pit": 2, "defects.crack": 2}
    assert {(one.part_id, one.state, one.verdict) for one in segments} == {("A4711", PROCESSING, "NG")}
    last, whole = results.of(1000, coil)
    assert (last.is_partial, json.loads(last.content)["last_seq"]) == (True, 9)
    assert (whole.is_partial, whole.result_id, whole.verdict, whole.state) == (False, coil.id, "NG", COMPLETED)
    ids = [one.result_id for one in [*made, last, whole]]
    assert len(set(ids)) == len(ids)


def test_segment_with_an_unseen_frame_is_not_ok(frame):
    results = VisionResults(10)
    for number, verdict in enumerate(["OK", "NO_VERDICT", "OK"], 1):
        results.of(number, frame(number, verdict))
    segment, _ = results.of(4, frame(4, position_m=50.0))
    assert segment.verdict == "NO_VERDICT"


def test_another_coil_and_frames_without_a_position(frame):
    results = VisionResults(1.0)
    made = [
        one for n in range(1, 25) for one in results.of(n, frame(n, position_m=None, coil_id="A" if n < 15 else "B"))
    ]
    spans = [
        (json.loads(one.content)["first_seq"], json.loads(one.content)["last_seq"]) for one in made if one.is_partial
    ]
    assert spans == [(1, 9), (10, 14), (15, 19)]


def test_event_that_comes_again_has_no_result(frame, coil):
    results = VisionResults(10)
    assert len(results.of(1, frame(1))) == 1
    assert results.of(1, frame(1)) == []
    alarm = AlarmEvent(
        id="ef" * 16, time="2026-03-01T12:10:00Z", source="folder://in", name="brightness", message="dark"
    )
    assert results.of(2, alarm) == []


def test_unknown_coil_and_damaged_time(frame):
    (result,) = VisionResults(10).of(1, frame(1, coil_id=None, time="yesterday"))
    assert (result.part_id, result.job_id, result.created.year) == (None, "-", 1970)

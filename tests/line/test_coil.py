"""A coil's verdict: of its frames, or of the rules of its file, and never OK where frames are unknown."""

import errno
import tempfile

import pytest

from tests.line.conftest import frame_event
from utils.errors import InputError
from utils.line.coil import coil_event, read_line_plan
from utils.line.event import LineDefect

PLAN = """
mm_per_pixel: {along: 1.0, across: 1.0}
along: y
verdicts: [prime, scrap]
rules:
  - name: scratches
    verdict: scrap
    measure: count
    at_least: 3
    classes: [scratch]
"""


def frames(bad=0, unknown=0, total=10, positions=True):
    made = []
    for number in range(total):
        verdict = "NG" if number < bad else "NO_VERDICT" if number < bad + unknown else "OK"
        more = {"position_m": 0.032 * number if positions else None, "size_px": (32, 48), "coil_id": "C"}
        if verdict == "NG":  # at other places, else it is dirt on the lens
            more["defects"] = (LineDefect("scratch", 20 + number, (1 + 7 * number % 30, 3 * number, 5, 4), 0.9),)
        made.append(frame_event(number, verdict, **more))
    return made


def event(those, plan=None):
    return coil_event(those, "C", 5.0, "s", plan)


@pytest.mark.parametrize(
    ("those", "verdict"),
    [(frames(), "OK"), (frames(1), "NG"), (frames(0, 1), "NO_VERDICT"), (frames(1, 1), "NG"), ([], "NO_VERDICT")],
)
def test_without_a_file_the_frames_decide(those, verdict):
    found = event(those)
    assert (found.verdict, found.grade) == (verdict, None)
    assert found.counts["frames"] == len(those)


def test_file_grades_as_the_map_does(tmp_path):
    path = tmp_path / "coil.yaml"
    path.write_text(PLAN)
    plan = read_line_plan(path, ("scratch", "pit"), "a.pth")
    graded = {bad: event(frames(bad), plan) for bad in (0, 1, 5)}
    assert [(one.verdict, one.grade) for one in graded.values()] == [("OK", "prime"), ("OK", "prime"), ("NG", "scrap")]
    assert "scratches" in " ".join(graded[5].reasons)
    assert event(frames(0, 1), plan).verdict == "NO_VERDICT"
    assert event(frames(0, 10), plan).verdict == "NO_VERDICT"
    assert event(frames(5, positions=False), plan).grade == "scrap"


def test_coil_that_cannot_be_mapped_has_no_verdict_and_lets_the_next_begin(tmp_path, monkeypatch):
    path = tmp_path / "coil.yaml"
    path.write_text(PLAN)
    plan = read_line_plan(path, ("scratch", "pit"), "a.pth")

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device", "/tmp/steel")

    monkeypatch.setattr(tempfile, "TemporaryDirectory", full)
    found = event(frames(1), plan)
    assert (found.verdict, found.grade, found.counts["ng"]) == ("NO_VERDICT", None, 1)
    assert found.reasons == ("the coil could not be mapped; the log of the service says why",)


def test_same_coil_has_the_same_id_and_another_run_of_it_another():
    assert event(frames()).id == event(frames(2)).id
    assert event(frames()).id != coil_event(frames(), "C", 6.0, "s", None).id


def test_file_that_needs_the_images_is_refused(tmp_path):
    path = tmp_path / "coil.yaml"
    path.write_text(PLAN + "edges: found\n")
    with pytest.raises(InputError, match="Map_coil"):
        read_line_plan(path, ("scratch", "pit"), "a.pth")

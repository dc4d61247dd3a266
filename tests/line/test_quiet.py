"""Lines now and then."""

from utils.line.quiet import Quiet


def test_one_line_at_once_and_the_next_when_the_time_is_over(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("utils.line.quiet.time.monotonic", lambda: now[0])
    quiet = Quiet(10.0)
    found = []
    for now[0] in (5.0, 5.1, 14.9, 15.0, 15.1):
        found.append(quiet.over())
    assert found == [True, False, False, True, False]

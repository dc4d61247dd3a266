"""Counts of frames take no more memory after a million of them."""

from utils.line import meter
from utils.line.meter import Meter


def test_cameras_of_any_name_take_no_memory_without_end(monkeypatch):
    monkeypatch.setattr(meter, "CAMERAS", 10)
    counted = Meter()
    for number in range(100):
        assert counted.saw(str(number), (32, 48)) is None
        assert counted.saw("top", (32, 48)) is None  # used all the time: it is not forgotten
    assert counted.saw("top", (64, 48)) == (32, 48)
    assert len(counted._sizes) == 10

"""Positions: an encoder's counter, a table, time and speed, in this order."""

import pytest

from utils.errors import InputError
from utils.line.address import Address
from utils.line.sources.positions import Positions


def positions(query="", folder=None):
    return Positions(Address.parse(f"gige://{query}", "-source"), folder)


def test_counter_is_scaled():
    assert positions("?mm_per_count=0.5").of("a", 4000) == 2.0
    assert positions().of("a", 4000) is None


def test_time_and_speed_begin_anew_with_a_coil():
    found = positions("?speed=2.5")
    assert [found.of("a", now=now) for now in (10.0, 12.0)] == [0.0, 5.0]
    found.restart(20.0)
    assert [found.of("a", now=now) for now in (19.9, 20.0, 22.0)] == [0.0, 0.0, 5.0]


def test_table_is_read_again_when_it_grows(tmp_path):
    table = tmp_path / "positions.csv"
    found = positions("", tmp_path)
    assert found.of("a.jpg") is None
    table.write_text("ImageId,camera,start_m\na.jpg,1,0.25\nb.jpg,1,far\nc.jpg,1,nan\n")
    assert [found.of(name) for name in ("a.jpg", "b.jpg", "c.jpg")] == [0.25, None, None]
    table.write_text("ImageId,start_m\na.jpg,0.25\nd.jpg,0.75\n")
    assert found.of("d.jpg") == 0.75


def test_speed_that_makes_no_sense_is_refused():
    with pytest.raises(InputError, match="speed=-1"):
        positions("?speed=-1")

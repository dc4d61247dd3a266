"""Sinks by their schemes."""

import pytest

from utils.errors import InputError
from utils.line.sinks.registry import SCHEMES, sink_of
from utils.line.sinks.sink import SinkOptions


def test_scheme_chooses_and_unknown_ones_are_refused(tmp_path):
    assert sink_of(f"csv://{tmp_path}", SinkOptions()).name == f"csv://{tmp_path.resolve()}"
    with pytest.raises(InputError, match="no sink fax://; there are mqtt://"):
        sink_of("fax://x", SinkOptions())
    with pytest.raises(InputError, match="expected SCHEME"):
        sink_of("csv", SinkOptions())


def test_every_kind_of_sink_has_a_scheme():
    assert set(SCHEMES.values()) == {"mqtt", "opcua", "modbus", "s7", "webhook", "day_files", "pictures"}

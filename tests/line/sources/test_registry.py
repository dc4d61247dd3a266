"""Sources by their schemes."""

import pytest

from utils.errors import InputError
from utils.line.sources.registry import source_of
from utils.line.sources.source import SourceOptions


def test_push_and_unknown_schemes():
    assert source_of("push://?camera=a", SourceOptions()).name == "push://"
    with pytest.raises(InputError, match="no source ftp://; there are folder://"):
        source_of("ftp://x", SourceOptions())


def test_missing_library_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "watchfiles", None)
    with pytest.raises(InputError, match="watchfiles is not installed; run"):
        source_of(f"folder://{tmp_path}", SourceOptions())

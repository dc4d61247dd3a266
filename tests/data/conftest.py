"""What tests of tables of labels share."""

import pytest

from utils.data import large_table


@pytest.fixture(params=[large_table.LARGE, 0], ids=["in memory", "in the file"])
def codes(request, monkeypatch):
    """Keep codes in memory, or leave them in their table as those of large ones: nobody may see a difference."""
    monkeypatch.setattr(large_table, "LARGE", request.param)


@pytest.fixture
def table(tmp_path):
    """Return a function that writes a table and names its file."""

    def write(text, name="train.csv"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write

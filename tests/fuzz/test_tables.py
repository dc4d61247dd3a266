"""Damaged tables of labels are read, or refused in one line that names the file."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.damage import damaged
from utils.data.annotation_table import read_annotations
from utils.errors import InputError

pytestmark = pytest.mark.slow
CASES = settings(
    max_examples=300, deadline=None, database=None, print_blob=True, suppress_health_check=list(HealthCheck)
)
ROWS = [("0002cc93b.jpg", 1, "29102 12 29346 24"), ("0007a71bf.jpg", 3, "18661 28 18863 82"), ("ü ß.png", 2, "1 1")]
TABLES = {
    "a row for each class": "ImageId,ClassId,EncodedPixels\n" + "\n".join(f"{i},{c},{r}" for i, c, r in ROWS),
    "one column for both": "ImageId_ClassId,EncodedPixels\n"
    + "\n".join(f"{i}_{c},{r}" for i, c, r in ROWS)
    + "\nb.jpg_1,",
    "quoted": 'ImageId,ClassId,EncodedPixels,more\r\n"a, b.jpg","2","5 3","x\ny"\r\n',
}
CELLS = st.one_of(
    st.sampled_from(
        ["", "nan", "-1", "0 0", "1 0", "3 1 2 1", "1 2 2 2", "1e5 2", "9" * 30 + " 1", "a.jpg", "1", "0", '"']
    ),
    st.text(max_size=12),
    st.integers(-(2**70), 2**70).map(str),
)


def refusal(path: Path, problems: list | None) -> str:
    """Return why a table is refused; nothing when it is read."""
    try:
        read_annotations(path, None, problems)
    except InputError as error:
        return str(error)
    return ""


def read(path: Path) -> None:
    for problems in (None, []):
        refused = refusal(path, problems)
        assert not refused or str(path) in refused
        assert not any("\n" in str(line) for line in (refused, *(problems or ())))


@pytest.mark.parametrize("name", TABLES)
def test_a_damaged_table_is_read_or_refused(tmp_path, name):
    path = tmp_path / "train.csv"

    @CASES
    @given(st.integers(0, 2**32 - 1))
    def run(seed):
        path.write_bytes(damaged(TABLES[name].encode(), seed))
        read(path)

    run()


@pytest.mark.parametrize("head", ["ImageId,ClassId,EncodedPixels", "ImageId_ClassId,EncodedPixels"])
def test_a_table_of_any_cells_is_read_or_refused(tmp_path, head):
    path = tmp_path / "train.csv"

    @CASES
    @given(st.lists(st.lists(CELLS, max_size=4), max_size=6))
    def run(rows):
        text = "\n".join([head, *(",".join(row) for row in rows)])
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
        read(path)

    run()

"""A large table is read as any other, but for its codes, which stay in it; ``test_annotations`` reads every table in both ways."""

from pathlib import Path

import pytest

from utils.data.codes_in_file import CodesInFile
from utils.data.large_table import _read_in_place, fillers, read_labels
from utils.data.tables import is_filler, read_table

HEADER = "ImageId,ClassId,EncodedPixels"


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    return tmp_path / "train.csv"


@pytest.mark.parametrize(
    "text",
    [
        f"{HEADER}\na.png,1,1 2 5 1\nb.png,2,7 7\n",
        f"\ufeff{HEADER}\r\na.png,1,1 2 5 1\r\n\r\n,,\r\nb.png,2, 7 7 \r\n",
        f"{HEADER}\n a.png ,1,-1\nb.png,,nan\nc.png,rust,\nd.png,1,7 7",
        "EncodedPixels,line,ImageId_ClassId\n1 2,left,a.png_1\n\n  9 1,right,bé.png_2\n",
    ],
)
def test_it_holds_what_the_csv_module_reads(csv: Path, text: str) -> None:
    csv.write_bytes(text.encode())
    found, wanted = _read_in_place(csv), read_table(csv)
    assert found is not None
    assert found.index.tolist() == wanted.index.tolist()
    assert set(wanted) - set(found) <= {"line"}
    for name in found:
        stripped = name == "EncodedPixels"
        assert [cell.strip() if stripped else cell for cell in wanted[name]] == list(found[name])


@pytest.mark.parametrize(
    "rows",
    ['"a.png",1,1 2\n', "a.png,1\n", "a.png,1,1 2,more\n", "a.png,1,1 2\r\ra.png,2,3 1\n", "a.png,1,\u0661 2\n", "\n"],
    ids=["quoted", "short", "long", "old line ends", "other digits", "empty"],
)
def test_what_is_not_plain_is_left_to_the_csv_module(csv: Path, rows: str) -> None:
    csv.write_bytes(f"{HEADER}\n{rows}".encode())
    assert _read_in_place(csv) is None


def test_only_large_tables_keep_their_codes_in_the_file(csv: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    csv.write_text(f"{HEADER}\na.png,1,1 2\n")
    assert not isinstance(read_labels(csv)["EncodedPixels"].array, CodesInFile)
    monkeypatch.setattr("utils.data.large_table.LARGE", 10)
    assert isinstance(read_labels(csv)["EncodedPixels"].array, CodesInFile)


def test_fillers_are_seen_in_both_forms(csv: Path) -> None:
    words = ["", "-1", "nan", "0 0", "1 1", "5 0", "x", "1" * 30]
    csv.write_text(f"{HEADER}\n" + "".join(f"a.png,1,{word}\n" for word in words))
    table = _read_in_place(csv)
    assert table is not None
    wanted = [is_filler(word) for word in words]
    assert fillers(words).tolist() == fillers(table["EncodedPixels"].array).tolist() == wanted


def test_codes_written_in_a_rare_way_are_validated_one_by_one(csv: Path) -> None:
    csv.write_text(f"{HEADER}\na.png,1,1  2\nb.png,1,123456789 1\nc.png,1,5 0\nd.png,1,3 1\n")
    table = _read_in_place(csv)
    assert table is not None
    assert table["EncodedPixels"].array.ends.tolist() == [2, 123456789, 0, 3]

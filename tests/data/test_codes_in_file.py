"""Codes that stay in their table are those of the table, as long as it is the same."""

import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from utils.data.codes_in_file import CodesInFile, last_pixels
from utils.data.large_table import _read_in_place
from utils.errors import InputError

CODES = ["1 3 10 2", "5 5", "", "7 1 9 1"]


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    path = tmp_path / "train.csv"
    path.write_text("ImageId,ClassId,EncodedPixels\n" + "".join(f"{k}.png,1,{code}\n" for k, code in enumerate(CODES)))
    return path


def column_of(csv: Path) -> pd.Series:
    table = _read_in_place(csv)
    assert table is not None
    assert isinstance(table["EncodedPixels"].array, CodesInFile)
    return table["EncodedPixels"]


def test_codes_are_read_when_asked_for(csv: Path) -> None:
    column = column_of(csv)
    assert list(column) == CODES
    assert column.iloc[3] == "7 1 9 1"
    assert column.array.nbytes < 40 * len(CODES)


def test_pandas_selects_sorts_and_joins(csv: Path) -> None:
    column = column_of(csv).reset_index(drop=True)
    assert list(column[np.array([True, False, False, True])]) == [CODES[0], CODES[3]]
    assert list(column.iloc[[3, 0]]) == [CODES[3], CODES[0]]
    joined = pd.concat([column.iloc[:1], column.iloc[3:]])
    assert isinstance(joined.array, CodesInFile)
    assert list(joined) == [CODES[0], CODES[3]]
    frame = pd.DataFrame({"key": [2, 1, 0, 3], "code": column}).sort_values("key")
    assert list(frame["code"]) == [CODES[2], CODES[1], CODES[0], CODES[3]]


def test_last_pixels_are_those_of_the_text(csv: Path) -> None:
    column = column_of(csv)
    there = column[column.array.size_of > 0]
    assert list(last_pixels(there)) == list(last_pixels(there.astype(object))) == [11, 9, 9]


def test_another_process_opens_the_table_for_itself(csv: Path) -> None:
    again = pickle.loads(pickle.dumps(column_of(csv).array))
    assert list(again) == CODES


def test_a_replaced_table_changes_nothing(csv: Path) -> None:
    column = column_of(csv)
    assert column.iloc[0] == CODES[0]
    other = csv.with_name("other.csv")
    other.write_text(csv.read_text().replace("1 3 10 2", "1 4 10 2"))
    other.replace(csv)
    assert list(column) == CODES


def test_a_table_that_is_written_over_is_told(csv: Path) -> None:
    column = column_of(csv)
    assert column.iloc[0] == CODES[0]
    with open(csv, "r+") as file:
        file.write(csv.read_text().replace("1 3 10 2", "1 4 10 2"))
    with pytest.raises(InputError, match="was changed while"):
        list(column)


def test_a_table_changed_before_it_is_opened_is_told(csv: Path) -> None:
    column = pickle.loads(pickle.dumps(column_of(csv).array))
    csv.write_text(csv.read_text() + "x.png,1,1 1\n")
    with pytest.raises(InputError, match="was changed while"):
        column[0]
    csv.unlink()
    with pytest.raises(InputError, match="cannot be read any more"):
        column[0]

"""Tables of CSV: what readers get is what was given, and a spreadsheet computes nothing of it."""

import csv
import io

import pandas as pd
import pytest

from utils.data.tables import TableWriter, as_text, write_frame

NAMES = ["a.png", "a b,c.png", 'a"b.png', "a\rb.png", "a\nb.png", "a\r\nb.png", "ü.png", "'a.png", " a.png"]


def read(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline="")))


@pytest.mark.parametrize("formulas", [True, False])
@pytest.mark.parametrize("name", NAMES)
def test_names_are_read_back_as_they_are(name, formulas, tmp_path):
    file = io.StringIO()
    TableWriter(file, formulas).writerows([("image", "area"), (name, 12), ("b.png", 3)])
    assert read(file.getvalue()) == [["image", "area"], [name, "12"], ["b.png", "3"]]
    write_frame(pd.DataFrame({"image": [name, "b.png"], "area": [12, 3]}), tmp_path / "t.csv", formulas)
    assert read((tmp_path / "t.csv").read_bytes().decode()) == [["image", "area"], [name, "12"], ["b.png", "3"]]


def test_plain_tables_have_plain_lines(tmp_path):
    file = io.StringIO()
    TableWriter(file).writerows([("image", "area"), ("a.png", 1), ("b.png", None)])
    assert file.getvalue() == "image,area\na.png,1\nb.png,\n"
    frame = pd.DataFrame({"image": ["a.png", "b.png"], "row": pd.array([1, None], "Int64"), "dice": [0.25, None]})
    write_frame(frame, tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_text() == "image,row,dice\na.png,1,0.25\nb.png,,\n"


@pytest.mark.parametrize("name", ["=1+1", "=cmd|' /C calc'!A0", "+a.png", "-a.png", "@SUM(1)", "\t=1", "\r=1"])
def test_what_a_spreadsheet_would_compute_has_an_apostrophe(name, tmp_path):
    file = io.StringIO()
    TableWriter(file).writerow((name, 1))
    assert read(file.getvalue()) == [[f"'{name}", "1"]]
    write_frame(pd.DataFrame({name: [name]}), tmp_path / "t.csv")
    assert read((tmp_path / "t.csv").read_bytes().decode())[1] == [f"'{name}"]
    file = io.StringIO()
    TableWriter(file, formulas=True).writerow((name, 1))
    assert read(file.getvalue()) == [[name, "1"]]


@pytest.mark.parametrize("cell", ["-0.5", "+3", "-1e-05", "-inf", "0.25", "", -0.5, 3, None, "a=b", "a-b"])
def test_numbers_and_other_words_stay(cell):
    assert as_text(cell) == cell

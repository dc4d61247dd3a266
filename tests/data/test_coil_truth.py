"""The truth of a coil survives its file, and what is no truth is refused in one line."""

import dataclasses
import json

import pandas as pd
import pytest

from utils.data.coil_truth import TRUE_DEFECT_COLUMNS, Truth, read_truth, write_truth
from utils.data.synthetic.coil import EventSettings, draw_events
from utils.errors import InputError


@pytest.fixture
def file(tmp_path):
    _, truth = draw_events(EventSettings(length=60_000.0), 1)
    specks = pd.DataFrame([("2", 5, 6, 7, 8, 30)], columns=list(truth.artefacts.columns))
    write_truth(dataclasses.replace(truth, artefacts=specks, px_along=0.5), tmp_path / "truth.json")
    return tmp_path / "truth.json"


def test_truth_survives_its_file(file):
    _, truth = draw_events(EventSettings(length=60_000.0), 1)
    again = read_truth(file)
    assert (again.unit, again.length, again.width, again.px_along, again.drawn) == ("mm", 60_000.0, 1250.0, 0.5, True)
    pd.testing.assert_frame_equal(again.defects, truth.defects.round(4), check_dtype=False)
    pd.testing.assert_frame_equal(again.repeats, truth.repeats.round(4), check_dtype=False)
    assert again.artefacts.to_numpy().tolist() == [["2", 5, 6, 7, 8, 30]]


def test_empty_truth_survives_its_file(tmp_path):
    write_truth(Truth("px", 100.0, 10.0), tmp_path / "truth.json")
    again = read_truth(tmp_path / "truth.json")
    assert list(again.defects.columns) == list(TRUE_DEFECT_COLUMNS)
    assert len(again.defects) == len(again.repeats) == len(again.artefacts) == 0


@pytest.mark.parametrize(("suffix", "unit"), [("", "px"), ("_mm", "mm")])
def test_table_of_defects_is_a_truth(tmp_path, suffix, unit):
    header = ",".join(["class_name", *(f"{side}{suffix}" for side in ("along0", "along1", "across0", "across1"))])
    (tmp_path / "seen.csv").write_text(f"{header}\n7,30,40,1,2\npit,10,20,3,5\n")
    truth = read_truth(tmp_path / "seen.csv")
    assert (truth.unit, truth.length, truth.width, truth.drawn) == (unit, 40.0, 5.0, False)
    assert truth.defects[["class_name", "along0", "area"]].to_numpy().tolist() == [["pit", 10, 20], ["7", 30, 10]]


def spoil(content, **changes):
    return json.dumps({**content, **changes})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda c: "", "not a JSON file"),
        (lambda c: "[1]", "not the truth of a coil of format 1"),
        (lambda c: spoil(c, format=9), "not the truth of a coil of format 1"),
        (lambda c: spoil(c, unit="ft"), "unit 'ft'; expected mm or px"),
        (lambda c: spoil(c, length=-1), "length -1; expected a number above 0"),
        (lambda c: spoil(c, width=True), "width True; expected a number above 0"),
        (lambda c: spoil(c, px_along=None), "px_along None; expected a number above 0"),
        (lambda c: spoil(c, defects=[["defect"], [1, 2]]), "defects is not a list of rows of equal length"),
        (lambda c: spoil(c, repeats=[["repeat"]]), "repeats has no column across"),
        (lambda c: spoil(c, defects=[c["defects"][0], ["x"] * 10]), "defect 1 has along0 x; expected a number"),
        (lambda c: spoil(c, defects=[c["defects"][0], [1, "a", 5, 4, 0, 1, 1, 0, "", 1]]), "along1 before along0"),
    ],
)
def test_what_is_no_truth_is_one_line(file, make, message):
    file.write_text(make(json.loads(file.read_text())))
    with pytest.raises(InputError, match=message) as error:
        read_truth(file)
    assert str(error.value).startswith(f"{file}: ")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not a CSV file"),
        ("class_name,along0\na,1\n", "no column along1"),
        ("class_name,along0,along1,across0,across1\na,1,,3,4\n", "defect 1 has along1 nan"),
    ],
)
def test_what_is_no_table_is_one_line(tmp_path, text, message):
    (tmp_path / "seen.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        read_truth(tmp_path / "seen.csv")


def test_missing_file_says_what_to_give(tmp_path):
    with pytest.raises(InputError, match=r"none.json: no such file; give -truth the truth.json"):
        read_truth(tmp_path / "none.json")


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        ("repeats", "period", "x"),
        ("repeats", "onset", None),
        ("repeats", "others", "x;y"),
        ("artefacts", "x", "x"),
        ("defects", "views", None),
    ],
)
def test_cell_that_is_no_number_is_one_line(tmp_path, table, column, value):
    from utils.data.coil_truth import TRUE_ARTEFACT_COLUMNS, TRUE_REPEAT_COLUMNS

    columns = {"repeats": TRUE_REPEAT_COLUMNS, "artefacts": TRUE_ARTEFACT_COLUMNS, "defects": TRUE_DEFECT_COLUMNS}[
        table
    ]
    row = ["" if name == "others" else 1 for name in columns]
    row[columns.index(column)] = value
    content = {"format": 1, "unit": "mm", "length": 9, "width": 9, "px_along": 1, "px_across": 1}
    (tmp_path / "truth.json").write_text(json.dumps({**content, table: [list(columns), row]}))
    with pytest.raises(InputError, match=f"{table} 1 has {column}"):
        read_truth(tmp_path / "truth.json")

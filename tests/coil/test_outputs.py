"""The files of a coil: read back as another program would."""

import dataclasses
import importlib.util
import json
import math

import pandas as pd
import pytest

from tests.coil.drawn import coil, table
from tests.coil.test_grading import PLAN
from utils.coil.outputs import FILES, MOST_NAMED, NO_PARQUET, write_coil
from utils.coil.plan import CoilPlan, Rule
from utils.coil.tables import ARTEFACT_COLUMNS, DEFECT_COLUMNS, GROUP_COLUMNS, REPEAT_COLUMNS

WARNING_COLUMNS = [
    "class_name",
    "what",
    "count",
    "begin_m",
    "end_m",
    "from_tail_m",
    "left_mm",
    "right_mm",
    "zones",
    "side",
    "number",
]


def test_all_files_are_written_and_hold_what_the_coil_has(tmp_path):
    made = coil("crack@312.3456789:5 a80; hole@700:600; ~1:mark@100-400:600", PLAN)
    notes = write_coil(tmp_path / "out", made)
    out = tmp_path / "out"
    there = {path.name for path in out.iterdir()}
    assert there == set(FILES) if not notes else there == set(FILES) - {"defects.parquet"}
    defects = pd.read_csv(out / "defects.csv")
    assert tuple(defects.columns) == DEFECT_COLUMNS
    assert defects["along0"].tolist() == [312345.68, 700000]
    assert (
        (out / "defects.csv").read_text().splitlines()[2].startswith("2,hole,700000.0,700010.0,600.0,610.0,10.0,0.9,1,")
    )
    assert tuple(pd.read_csv(out / "repeats.csv").columns) == REPEAT_COLUMNS
    assert pd.read_csv(out / "repeats.csv")["roll"].tolist() == ["F6 top"]
    assert tuple(pd.read_csv(out / "artefacts.csv").columns) == ARTEFACT_COLUMNS
    assert tuple(pd.read_csv(out / "groups.csv").columns) == GROUP_COLUMNS


def test_grade_names_the_rules_that_fired_with_their_evidence(tmp_path):
    made = coil("10*scale@300+2:600; hole@700:600; gap@100-110", PLAN)
    write_coil(tmp_path, dataclasses.replace(made, notes=("a note",)))
    grade = json.loads((tmp_path / "grade.json").read_text())
    assert (grade["verdict"], grade["unit"], grade["length"], grade["defects"]) == ("hold", "mm", 1e6, 11)
    assert [(one["rule"], one["value"], one["at_least"]) for one in grade["fired"]] == [
        ("holes", 1, 1),
        ("dense scale", 10, 10),
    ]
    assert grade["fired"][0]["defects"] == [11]
    assert (grade["fired"][0]["begin"], grade["fired"][0]["end"]) == (700_000, 700_010)
    assert grade["fired"][1]["window_m"] == 20
    assert len(grade["not_fired"]) == len(PLAN.rules) - 2
    assert grade["not_seen"] == [[100_000, 110_000]]
    assert grade["notes"] == ["a note"]


def test_grade_names_no_more_defects_than_a_reader_can_use(tmp_path):
    plan = CoilPlan(rules=(Rule("many", "hold", at_least=5),))
    write_coil(tmp_path, coil("1500*dent@1+1:5", plan, 2000.0))
    (fired,) = json.loads((tmp_path / "grade.json").read_text())["fired"]
    assert (fired["count"], len(fired["defects"])) == (1500, MOST_NAMED)


def test_no_verdict_is_null(tmp_path):
    write_coil(tmp_path, coil("", CoilPlan(), 100.0))
    grade = json.loads((tmp_path / "grade.json").read_text())
    assert (grade["verdict"], grade["why"]) == (None, "coil.yaml has no rules")


def test_next_line_is_told_of_the_classes_that_the_plan_names(tmp_path):
    plan = dataclasses.replace(PLAN, warn_classes=("crack", "hole"))
    groups = table(
        GROUP_COLUMNS,
        [
            {"group": 1, "kind": "long scratch", "class_name": "crack", "along0": 2e5, "along1": 3e5, "across0": 0}
            | {"across1": 15, "defects": 3, "to_tail": False},
            {"group": 2, "kind": "patch", "class_name": "scale", "along0": 4e5, "along1": 5e5, "across0": 0}
            | {"across1": 900, "defects": 9, "to_tail": False},
        ],
    )
    words = "hole@700:600; 3*crack@200+45:5 g1; crack@100:1190; dent@5:5; crack@50:5 art; 2*scale@400+9:5 g2"
    write_coil(tmp_path, coil(words, plan, groups=groups))
    found = pd.read_csv(tmp_path / "warnings.csv")
    assert list(found.columns) == WARNING_COLUMNS
    assert found.values.tolist() == [
        ["crack", "defect", 1, 100.0, 100.01, 899.99, 1190.0, 1200.0, "edge body", "top", 3],
        ["crack", "long scratch", 3, 200.0, 300.0, 700.0, 0.0, 15.0, "edge body", "top", 1],
        ["hole", "defect", 1, 700.0, 700.01, 299.99, 600.0, 610.0, "centre body", "top", 9],
    ]


def test_without_warnings_there_is_a_header(tmp_path):
    write_coil(tmp_path, coil("hole@5:5", PLAN))
    assert (tmp_path / "warnings.csv").read_text() == ",".join(WARNING_COLUMNS) + "\n"


def test_in_pixels_no_file_speaks_of_millimetres(tmp_path):
    rules = (Rule("r", "hold", "area", 5),)
    write_coil(tmp_path, coil("dent@5:5; ~1:dent@5-90:5", CoilPlan(rules=rules, warn_classes=("dent",)), 1000.0))
    for path in tmp_path.iterdir():
        text = path.read_bytes().decode("latin-1").lower()
        for word in ("mm", "millimet", "metre", "_m,", '"m"'):
            if path.suffix != ".parquet":
                assert word not in text, f"{word} in {path.name}"
    assert "begin_px" in (tmp_path / "warnings.csv").read_text()
    assert json.loads((tmp_path / "grade.json").read_text())["unit"] == "px"


@pytest.mark.skipif(importlib.util.find_spec("pyarrow") is None, reason="no pyarrow")
def test_parquet_has_the_same_rows_and_the_unit(tmp_path):
    import pyarrow.parquet

    write_coil(tmp_path, coil("3*dent@5+1:5; hole@9:5 art", PLAN))
    whole = pyarrow.parquet.read_table(tmp_path / "defects.parquet")
    assert whole.column_names == list(DEFECT_COLUMNS)
    assert whole.schema.metadata[b"unit"] == b"mm"
    assert whole.to_pandas()["class_name"].tolist() == ["dent", "dent", "dent", "hole"]
    assert whole.schema.field("defect").type == "int64"


def test_without_pyarrow_one_line_says_so_and_no_old_file_stays(tmp_path, monkeypatch):
    write_coil(tmp_path, coil("dent@5:5"))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert write_coil(tmp_path, coil("hole@5:5")) == [NO_PARQUET]
    assert "\n" not in NO_PARQUET
    assert not (tmp_path / "defects.parquet").exists()
    assert "hole" in (tmp_path / "defects.csv").read_text()


def test_names_that_begin_like_formulas_are_no_formulas(tmp_path):
    made = coil("dent@5:5")
    made.defects["class_name"] = ["=1+1"]
    write_coil(tmp_path, made)
    assert pd.read_csv(tmp_path / "defects.csv")["class_name"].tolist() == ["'=1+1"]


def test_all_or_nothing(tmp_path, monkeypatch):
    write_coil(tmp_path, coil("dent@5:5"))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def fail(*words: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("utils.coil.outputs.write_text", fail)
    with pytest.raises(OSError, match="No space"):
        write_coil(tmp_path, coil("hole@5:5"))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_numbers_that_are_none_are_empty_cells(tmp_path):
    made = coil("dent@5:5")
    made.defects["probability"] = [math.nan]
    made.defects["earlier"] = [None]
    write_coil(tmp_path, made)
    row = pd.read_csv(tmp_path / "defects.csv").iloc[0]
    assert row[["probability", "earlier"]].isna().all()

import numpy as np
import pandas as pd
import pytest

from utils.data.annotation_table import read_annotations, write_annotations
from utils.data.tables import AnnotationError
from utils.errors import InputError

SEPARATE = "ImageId,ClassId,EncodedPixels\n"
JOINED = "ImageId_ClassId,EncodedPixels\n"


pytestmark = pytest.mark.usefixtures("codes")


def as_tuples(annotations):
    return list(annotations.rows[["image", "class_id", "rle"]].itertuples(index=False, name=None))


def test_one_row_per_image_and_class(table):
    annotations = read_annotations(table(SEPARATE + "b.jpg,3,5 1\na.jpg,2,1 1 3 2\nb.jpg,1,9 9\n"))
    assert as_tuples(annotations) == [("a.jpg", 2, "1 1 3 2"), ("b.jpg", 1, "9 9"), ("b.jpg", 3, "5 1")]
    assert annotations.listed == ("b.jpg", "a.jpg")
    assert annotations.class_names == ("1", "2", "3")
    assert annotations.rows["row"].tolist() == [3, 4, 2]
    assert annotations.rows["class_id"].dtype == np.int64


def test_rows_for_every_image_and_class(table):
    text = JOINED + "a_b.jpg_1,\na_b.jpg_2,5 1\na_b.jpg_3,\na_b.jpg_4,\nclean.jpg_1,\n"
    annotations = read_annotations(table(text))
    assert as_tuples(annotations) == [("a_b.jpg", 2, "5 1")]
    assert annotations.listed == ("a_b.jpg", "clean.jpg")
    assert annotations.num_classes == 4


@pytest.mark.parametrize(
    "text",
    [
        "EncodedPixels,Extra,ClassId,ImageId\n1 2,x,1,a.jpg\n",
        "\ufeff" + SEPARATE + "a.jpg,1,1 2\n",
        SEPARATE.replace("\n", "\r\n") + "a.jpg,1,1 2\r\n",
        " ImageId , ClassId,EncodedPixels\n a.jpg , 1 , 1 2 \n",
        SEPARATE + "\na.jpg,1,1 2\n\n\n",
        SEPARATE + "a.jpg,1.0,1 2\nclean.jpg,,\n",
        SEPARATE + '"a.jpg","1","1 2"\n',
        SEPARATE + "a.jpg,1,1 2",
        SEPARATE + "a.jpg,1,1 2,,\n",
    ],
    ids=["columns", "bom", "windows", "spaces", "blank rows", "floats", "quotes", "no last newline", "empty cells"],
)
def test_what_other_programs_write_is_read(table, text):
    assert as_tuples(read_annotations(table(text))) == [("a.jpg", 1, "1 2")]


def test_blank_rows_do_not_shift_row_numbers(table):
    with pytest.raises(AnnotationError, match=r"row 4: a.jpg class 1: pair 1: start 0"):
        read_annotations(table(SEPARATE + "\n\na.jpg,1,0 2\n"))


@pytest.mark.parametrize(
    ("text", "row", "reason"),
    [
        ("", None, "empty file"),
        ("\n\n", None, "only blank rows"),
        (SEPARATE, None, "no row has a class"),
        ("ImageId_ClassId,EncodedPixels\n", None, "no row has a class"),
        ("ImageId,EncodedPixels\na,1 2\n", None, "missing column ClassId"),
        ("ImageId_ClassId,Pixels\na_1,1 2\n", None, "missing column EncodedPixels"),
        (
            "ImageId,ClassId,EncodedPixels,ClassId\na,1,1 2,1\n",
            None,
            "column ClassId occurs twice; remove or rename one",
        ),
        ("a,b\n1,2\n", None, "missing column ImageId, ClassId, EncodedPixels"),
        ("ImageId;ClassId;EncodedPixels\na;1;1 2\n", None, "separate the columns by commas"),
        ("ImageId,ClassId,EncodedPixels\na,1,Schrägriss".encode("latin-1"), None, "not UTF-8 text"),
        ((SEPARATE + "a,1,1 2\n").encode("utf-16"), None, "not UTF-8 text"),
        (SEPARATE + "a,1,1 2\nb,0,1 2\n", 3, "class 0; classes are counted from 1"),
        (SEPARATE + "a,-1,1 2\n", 2, "class -1; classes are counted from 1"),
        (SEPARATE + "a,300,1 2\n", 2, "class 300; at most 255"),
        (SEPARATE + "a,1.5,1 2\n", 2, "class '1.5' is not a whole number"),
        (SEPARATE + "a,pit,1 2\n", 2, "class 'pit' is not a whole number"),
        (SEPARATE + "a,,1 2\n", 2, "class '' is not a whole number"),
        (JOINED + "a.jpg,1 2\n", 2, "'a.jpg' in ImageId_ClassId has no class"),
        (JOINED + "a.jpg_0,\n", 2, "class 0"),
        (JOINED + "a.jpg_x,1 2\n", 2, "class 'x' is not a whole number"),
        (SEPARATE + ",1,1 2\n", 2, "no image name"),
        (SEPARATE + "a,1,1 2\nb,1,1 2\na,1,5 2\n", 4, "duplicate of row 2: a class 1"),
        (JOINED + "a_1,\na_1,1 2\n", 3, "duplicate of row 2: a class 1"),
        (SEPARATE + "a,1,1 2 3\n", 2, "a class 1: 3 numbers"),
        (SEPARATE + "a,1,0 2\n", 2, "pair 1: start 0, must be 1 or more"),
        (SEPARATE + "a,1,1 0\n", 2, "pair 1: length 0, must be 1 or more"),
        (SEPARATE + "a,1,1 5 3 1\n", 2, "pair 2: start 3 overlaps"),
        (SEPARATE + "a,1,9 1 3 1\n", 2, "pair 2: start 3 is unsorted"),
        (SEPARATE + "a,1,1 two\n", 2, "pair 1: 'two' is not a whole number"),
        (SEPARATE + "a,1\n", 2, "2 fields, but the header has 3"),
        (SEPARATE + "a,1,1 2,3,4\n", 2, "5 fields, but the header has 3"),
        (SEPARATE + 'a,1,"1 2\n', 2, "not a CSV table"),
    ],
)
def test_malformed_table_is_one_line_with_file_row_reason_and_remedy(table, text, row, reason):
    with pytest.raises(AnnotationError) as caught:
        read_annotations(table(text))
    message = str(caught.value)
    assert "train.csv" in message
    assert reason in message
    assert caught.value.row == row
    assert row is None or f"row {row}" in message
    assert "; " in message
    assert "\n" not in message


def test_a_very_long_code_is_read(table):
    text = " ".join(f"{start} 1" for start in range(1, 60_000, 2))
    assert read_annotations(table(SEPARATE + f"a,1,{text}\n")).runs("a") == {1: text}


def test_no_table_is_a_named_error(tmp_path):
    with pytest.raises(AnnotationError, match="no such file; put the table there"):
        read_annotations(tmp_path / "train.csv")
    with pytest.raises(AnnotationError, match="is a folder"):
        read_annotations(tmp_path)


def test_all_malformed_rows_can_be_collected(table):
    problems = []
    csv = table(SEPARATE + "a,1,1 2\nb,0,1 2\nc,1,3\na,1,9 9\nd,x,\ne,2,5 5\n")
    annotations = read_annotations(csv, problems=problems)
    assert [problem.row for problem in problems] == [3, 4, 5, 6]
    assert as_tuples(annotations) == [("a", 1, "1 2"), ("e", 2, "5 5")]


def test_more_classes_than_names_is_an_error(table):
    with pytest.raises(AnnotationError, match="row 2: class 3, but only 2 class names are given"):
        read_annotations(table(SEPARATE + "a,3,1 2\n"), ("pit", "crack"))


def test_written_table_reads_back(table, tmp_path):
    annotations = read_annotations(table(JOINED + "a_1,1 2\nb_2,3 4\nc_1,\n"))
    write_annotations(annotations, tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text() == SEPARATE + "a,1,1 2\nb,2,3 4\n"
    write_annotations(pd.DataFrame({"image": ["z"], "class_id": [1], "rle": ["1 1"]}), tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text() == SEPARATE + "z,1,1 1\n"


@pytest.mark.parametrize("filler", ["-1", "-1.0", "nan", "NaN", " 0 0 ", "None", "NULL", "0", ""])
@pytest.mark.parametrize("layout", ["class", "filler class", "joined"])
def test_fillers_of_competition_tables_mean_no_defect(table, filler, layout):
    rows = {
        "class": f"{SEPARATE}a.jpg,1,1 3\nb.jpg,2,{filler}\n",
        "filler class": f"{SEPARATE}a.jpg,1,1 3\nb.jpg,{filler},{filler}\n",
        "joined": f"{JOINED}a.jpg_1,1 3\nb.jpg_2,{filler}\n",
    }
    annotations = read_annotations(table(rows[layout]))
    assert annotations.rows[["image", "class_id", "rle"]].to_numpy().tolist() == [["a.jpg", 1, "1 3"]]
    assert annotations.listed == ("a.jpg", "b.jpg")
    assert annotations.fillers == bool(filler)


@pytest.mark.parametrize("row", ["b.jpg,-1,1 3", "b.jpg,nan,1 3", "b.jpg,0,1 3", "b.jpg,1,-1 3", "b.jpg,1,0 0 5 2"])
def test_a_filler_beside_real_pixels_is_an_error(table, row):
    with pytest.raises(AnnotationError, match=r"row 2"):
        read_annotations(table(f"{SEPARATE}{row}\n"))


@pytest.mark.parametrize(
    "rows",
    [
        f"{SEPARATE}a.jpg,pit,1 3\na.jpg,hot_crack,9 3\n",
        f"{JOINED}a.jpg_pit,1 3\na.jpg_hot_crack,9 3\n",
        f"{JOINED}a.jpg_1,1 3\na.jpg_hot_crack,9 3\n",
    ],
)
def test_classes_may_stand_by_their_names(table, rows):
    annotations = read_annotations(table(rows), ("pit", "hot_crack"))
    assert annotations.rows["class_id"].tolist() == [1, 2]
    assert annotations.rows["image"].tolist() == ["a.jpg", "a.jpg"]


def test_a_class_that_is_called_by_a_number_is_that_number(table):
    assert read_annotations(table(f"{SEPARATE}a.jpg,2,1 3\n"), ("2", "1")).rows["class_id"].tolist() == [2]


def test_a_column_with_a_line_break_in_its_name_is_refused_in_one_line(tmp_path):
    path = tmp_path / "train.csv"
    path.write_text('ImageId,"Class\nId",EncodedPixels\na.jpg,1,1 1\n')
    with pytest.raises(InputError, match=r"missing column ClassId \(found ImageId,Class Id,EncodedPixels\)") as refused:
        read_annotations(path)
    assert "\n" not in str(refused.value)

"""A submission has the columns and the order of the folder's sample."""

import pytest

from utils.data.dataset_folder import known_classes
from utils.data.submission import Layout, read_layout
from utils.errors import InputError

CODES = {("a.jpg", 1): "1 2", ("a.jpg", 2): "", ("b.jpg", 1): "", ("b.jpg", 2): "3 4"}


@pytest.mark.parametrize(
    ("sample", "expected"),
    [
        # Kaggle's of 2019: four rows an image.
        (
            "ImageId_ClassId,EncodedPixels\nb.jpg_1,1 1\nb.jpg_2,1 1\na.jpg_1,1 1\na.jpg_2,1 1\n",
            ["ImageId_ClassId,EncodedPixels", "b.jpg_1,", "b.jpg_2,3 4", "a.jpg_1,1 2", "a.jpg_2,"],
        ),
        # Today's: three columns, an image a row.
        (
            "ImageId,EncodedPixels,ClassId\nb.jpg,1 409600,0\na.jpg,1 409600,0\n",
            ["ImageId,EncodedPixels,ClassId", "b.jpg,,1", "b.jpg,3 4,2", "a.jpg,1 2,1", "a.jpg,,2"],
        ),
        (
            "ImageId,ClassId,EncodedPixels\na.jpg,2,\nb.jpg,2,\nb.jpg,1,\na.jpg,1,\n",
            ["ImageId,ClassId,EncodedPixels", "a.jpg,2,", "b.jpg,2,3 4", "b.jpg,1,", "a.jpg,1,1 2"],
        ),
        # An image that was not predicted, and one that the sample does not name.
        (
            "ImageId,ClassId,EncodedPixels,Usage\nz.jpg,1,,Public\nb.jpg,1,,Public\n",
            ["ImageId,ClassId,EncodedPixels,Usage", "b.jpg,1,,", "b.jpg,2,3 4,", "a.jpg,1,1 2,", "a.jpg,2,,"],
        ),
    ],
)
def test_columns_and_order(tmp_path, sample, expected):
    (tmp_path / "sample_submission.csv").write_text(sample)
    layout = read_layout(tmp_path)
    assert layout is not None
    assert [",".join(layout.columns), *map(",".join, layout.ordered(CODES))] == expected


def test_rows_of_classes_without_codes_are_empty(tmp_path):
    rows = "".join(f"{image}_{k},\n" for image in ("b.jpg", "a.jpg", "absent.jpg") for k in (1, 2, 3, 4))
    (tmp_path / "sample_submission.csv").write_text(f"ImageId_ClassId,EncodedPixels\n{rows}")
    layout = read_layout(tmp_path)
    assert layout is not None
    codes = {("a.jpg", 3): "1 1", ("a.jpg", 1): "", ("b.jpg", 3): "", ("b.jpg", 1): "2 2"}
    assert [",".join(row) for row in layout.ordered(codes)] == [
        *("b.jpg_1,2 2", "b.jpg_2,", "b.jpg_3,", "b.jpg_4,"),
        *("a.jpg_1,", "a.jpg_2,", "a.jpg_3,1 1", "a.jpg_4,"),
    ]


def test_without_a_sample(tmp_path):
    assert read_layout(tmp_path) is None
    assert Layout().row("a.jpg", 2, "1 1") == ["a.jpg_2", "1 1"]


@pytest.mark.parametrize("sample", ["ImageId,EncodedPixels\na.jpg,\n", "ImageId,ClassId\na.jpg,1\n", "id,label\n1,2\n"])
def test_a_sample_without_place_for_the_answer_is_refused(tmp_path, sample):
    (tmp_path / "sample_submission.csv").write_text(sample)
    with pytest.raises(InputError, match=r"sample_submission\.csv.*missing column"):
        read_layout(tmp_path)


@pytest.mark.parametrize(
    ("files", "names", "source"),
    [
        ({}, None, None),
        (
            {"classes.txt": "pits\ncracks\n", "train.csv": "ImageId,ClassId,EncodedPixels\na.png,1,1 1\n"},
            2,
            "classes.txt",
        ),
        ({"train.csv": "ImageId,ClassId,EncodedPixels\na.png,3,1 1\n"}, 3, "train.csv"),
        (
            {
                "train.csv": "ImageId,ClassId,EncodedPixels\na.png,3,1 1\n",
                "sample_submission.csv": "ImageId_ClassId,EncodedPixels\na.png_1,\na.png_4,\n",
            },
            4,
            "sample_submission.csv",
        ),
        ({"sample_submission.csv": "ImageId,EncodedPixels,ClassId\na.png,1 1,0\n"}, None, None),
        ({"train.csv": "damaged"}, None, None),
    ],
)
def test_which_classes_a_folder_has(tmp_path, files, names, source):
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    found = known_classes(tmp_path)
    assert (found and (len(found[0]), found[1].name)) == (names and (names, source))

"""Rows read at once are those that are read one by one, and anything malformed is left to the latter."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from utils.data import annotation_table
from utils.data.annotation_table import read_annotations
from utils.data.label_rows import well_formed

WHOLE = {
    "plain": "ImageId,ClassId,EncodedPixels\nb.jpg,2,1 2 9 1\na.jpg,1,5 3\na.jpg,3,\nc.jpg,,\nb.jpg,1,4 4\n",
    "joined": "ImageId_ClassId,EncodedPixels\nb.jpg_2,7 2\nb.jpg_1,nan\na.jpg_1,3 1 8 2\na.jpg_2,\n",
    "fillers": "ImageId,ClassId,EncodedPixels\na.jpg,1,-1\nb.jpg,-1,-1\nc.jpg,1, 4 2 \n",
}
MALFORMED = {
    "a name is missing": "ImageId,ClassId,EncodedPixels\n,1,1 2\n",
    "twice": "ImageId,ClassId,EncodedPixels\na.jpg,1,1 2\na.jpg,1,5 2\n",
    "no class": "ImageId,ClassId,EncodedPixels\na.jpg,,1 2\n",
    "class that is no number": "ImageId,ClassId,EncodedPixels\na.jpg,x,1 2\n",
    "joined without a class": "ImageId_ClassId,EncodedPixels\na.jpg,1 2\n",
    "code": "ImageId,ClassId,EncodedPixels\na.jpg,1,1 2 2 5\n",
}


@pytest.mark.parametrize("text", WHOLE.values(), ids=WHOLE)
def test_the_same_as_one_by_one(text, tmp_path, monkeypatch):
    csv = tmp_path / "train.csv"
    csv.write_text(text)
    at_once = read_annotations(csv)
    monkeypatch.setattr(annotation_table, "well_formed", lambda *_: None)
    one_by_one = read_annotations(csv)
    pd.testing.assert_frame_equal(at_once.rows, one_by_one.rows)
    assert (at_once.class_names, at_once.fillers) == (one_by_one.class_names, one_by_one.fillers)
    assert at_once.listed == one_by_one.listed


@pytest.mark.parametrize("text", MALFORMED.values(), ids=MALFORMED)
def test_malformed_tables_are_left_to_the_other(text):
    header, *lines = text.splitlines()
    joined = header.startswith("ImageId_ClassId")
    rows = [line.split(",") for line in lines]
    names, words, codes = zip(
        *[(fields[0].rpartition("_")[0] or fields[0], "" if joined else fields[1], fields[-1]) for fields in rows],
        strict=True,
    )
    assert well_formed(Path("x"), np.arange(len(rows)), list(names), list(words), list(codes), None, joined) is None

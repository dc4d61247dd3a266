"""Columns of names, whatever bytes they have."""

import numpy as np
import pandas as pd

from utils.coil.tables import among, count_texts, texts


def test_names_are_text_also_where_there_is_none_or_no_utf8():
    column = pd.Series(["a", None, float("nan"), 7, "\udcff", pd.NA], dtype=object)
    assert texts(column).tolist() == ["a", "", "", "7", "\udcff", ""]
    assert texts(pd.Series(["x"], dtype="category")).tolist() == ["x"]
    assert texts(pd.Series([], dtype=object)).dtype == object


def test_names_are_counted_most_first():
    names = np.array(["b", "a", "b", "c"], object)
    assert list(count_texts(names).items()) == [("b", 2), ("a", 1), ("c", 1)]
    assert among(names, ["a", "b"]).tolist() == [True, True, True, False]
    assert among(names[:0], ["a"]).dtype == np.bool_

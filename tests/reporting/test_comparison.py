"""The page of a comparison says which differences are more than chance, and what was left out."""

import re

from utils.reporting.comparison import comparison_sections
from utils.reporting.page import render
from utils.scoring.paired import Comparison, Difference, Row

ROWS = (
    Row("mean_dice", "together", (0.9, 0.904), (Difference(0.004, -0.001, 0.009),)),
    Row("defect_dice", "pits", (None, None), (None,)),
)


def page(resamples: int = 2000, left_out=()) -> str:
    sections = comparison_sections(
        Comparison(40, 31, resamples, 1, ROWS), ("runs/a", "runs/b"), ["A note."], left_out, {"images": "all: 40"}
    )
    return re.sub(r"\s+", " ", render("Comparison", "lead", sections))


def test_scores_differences_and_notes_are_told():
    text = page()
    for words in ("runs/a", "runs/b", "defect Dice of pits", "0.9040", "-0.0010", "cannot be told", "A note.", "2,000"):
        assert words in text
    assert "Images left out" not in text
    assert "There are no intervals" in page(0)


def test_images_that_were_left_out_are_named():
    text = page(left_out=[("003.png", "the file is empty")])
    assert "Images left out" in text
    assert "003.png" in text
    assert "the file is empty" in text

"""Text for terminals."""

import pytest

from utils.text import columns, plural, visible


@pytest.mark.parametrize(
    ("rows", "right", "lines"),
    [
        ([["class", "images"], ["pit", "12"]], True, ["class  images", "pit        12"]),
        (
            [["name", "task", "here"], ["long name", "binary", "no"]],
            False,
            ["name       task    here", "long name  binary  no"],
        ),
        ([["a", "b", ""], ["", "1", ""]], True, ["a  b", "   1"]),
        ([["alone"]], True, ["alone"]),
    ],
)
def test_columns_are_as_wide_as_their_widest_cell(rows, right, lines):
    assert columns(rows, right).splitlines() == lines


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ((0, "image"), "0 images"),
        ((1, "image"), "1 image"),
        ((2000, "defect"), "2000 defects"),
        ((2000, "group", ","), "2,000 groups"),
    ],
)
def test_number_of_things(words, text):
    assert plural(*words) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Ü 100 µm/px ≥ 3", "Ü 100 µm/px ≥ 3"),
        ("a\x1b[2Jb", r"a\x1b[2Jb"),
        ("a\rb\nc\td", r"a\rb\nc\td"),
        ("\x9b31m", r"\x9b31m"),
        ("exe\u202egpj.", r"exe\u202egpj."),
        ("a\u2028b", r"a\u2028b"),
    ],
)
def test_what_a_terminal_would_obey_is_shown_as_its_code(text, shown):
    assert visible(text) == shown
    assert columns([["name"], [text]]).splitlines()[1] == shown

"""Values of coil.yaml: numbers within their range, lengths in the unit of the plan, and a line for what is neither."""

from pathlib import Path

import pytest

from utils.coil.plan_values import Values, shown
from utils.errors import InputError


def values(unit):
    made = Values(Path("coil.yaml"))
    made.unit = unit
    return made


@pytest.mark.parametrize(
    ("value", "unit", "length"),
    [
        (3, "mm", 3.0),
        ("3 m", "mm", 3000.0),
        ("1.5cm", "mm", 15.0),
        ("1e3", "px", 1000.0),
        ("7 px", "px", 7.0),
        (None, "px", None),
    ],
)
def test_lengths_are_in_the_unit_of_the_plan(value, unit, length):
    assert values(unit).length(value, "width") == length


@pytest.mark.parametrize(
    ("value", "unit", "said"),
    [
        ("3 px", "mm", "width: 3 px: in px, but a scale is given: write mm"),
        ("3 mm", "px", "width: 3 mm: in mm, but there is no mm_per_pixel"),
        ("three", "mm", "width: three: expected a number, 0 or more"),
        (-1, "mm", "width: -1: expected a number, 0 or more"),
        (True, "mm", "width: True: expected a number"),
        (float("nan"), "mm", "width: nan: expected a number"),
        (10**400, "mm", "width: a number of more than 300 digits"),
    ],
)
def test_what_is_no_length_is_a_line(value, unit, said):
    with pytest.raises(InputError) as error:
        values(unit).length(value, "width")
    assert str(error.value).startswith(f"coil.yaml: {said}")


def test_values_are_shown_short_and_in_a_line():
    assert shown("a\n b") == "a b"
    assert len(shown(list(range(1000)))) <= 43

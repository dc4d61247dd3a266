"""Lengths in words."""

import pytest

from utils.coil.units import Units


@pytest.mark.parametrize(
    ("unit", "place", "stretch", "size", "square"),
    [
        ("mm", "1,234.57 m", "0.00 to 1,234.57 m", "12.3 mm", "1,234,568 mm²"),
        ("px", "1,234,568 px", "0 to 1,234,568 px", "12.3 px", "1,234,568 px"),
    ],
)
def test_lengths_are_written_in_the_unit_of_the_plan(unit, place, stretch, size, square):
    units = Units.of(unit)
    found = units.place(1234567.8), units.stretch(0, 1234567.8), units.size(12.34), units.square(1234567.8)
    assert found == (place, stretch, size, square)


@pytest.mark.parametrize(("value", "text"), [(0, "0 mm"), (0.44, "0.4 mm"), (25.0, "25 mm"), (123.4, "123 mm")])
def test_small_sizes_keep_a_digit(value, text):
    assert Units.of("mm").size(value) == text

"""What the data calls a network's classes."""

import pytest

from utils.errors import InputError
from utils.models.class_names import map_by_order, renamed


@pytest.mark.parametrize(
    ("class_map", "expected"),
    [
        (None, ("1", "2")),
        (("1=pits",), ("pits", "2")),
        (("1=2", "2=1"), ("2", "1")),
        ((" 2 = cracks ",), ("1", "cracks")),
    ],
)
def test_names(class_map, expected):
    assert renamed(("1", "2"), class_map) == expected


@pytest.mark.parametrize(
    ("class_map", "message"),
    [
        (("1",), "-class_map 1: expected WEIGHTS=DATA"),
        (("=pits",), "expected WEIGHTS=DATA"),
        (("3=pits",), "the weights have no class 3; they have 1, 2"),
        (("1=a", "1=b"), "1 is mapped already"),
        (("1=a", "2=a"), "two classes of the weights would be a"),
        (("1=2",), "two classes of the weights would be 2"),
    ],
)
def test_maps_that_cannot_be(class_map, message):
    with pytest.raises(InputError, match=message):
        renamed(("1", "2"), class_map)


def test_a_map_to_offer():
    assert map_by_order(("1", "2", "3"), ("pits", "2")) == "-class_map 1=pits,2=2"

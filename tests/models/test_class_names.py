"""What the data calls a network's classes."""

import pytest

from utils.errors import InputError
from utils.models.class_names import MapError, map_by_order, match, renamed


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
        (("pits=1",), "the weights have no class pits; write WEIGHTS=DATA, as 1=pits; they have 1, 2"),
        (("3=pits",), "the weights have no class 3; they have 1, 2"),
        (("1=a", "1=b"), "1 is mapped already"),
        (("1=a", "2=a"), "two classes of the weights would be a"),
        (("1=2",), "two classes of the weights would be 2"),
    ],
)
def test_maps_that_cannot_be(class_map, message):
    with pytest.raises(InputError, match=message):
        renamed(("1", "2"), class_map)


@pytest.mark.parametrize(
    ("names", "data", "expected"),
    [
        (("1", "2"), ("pits", "cracks"), ("1=pits", "2=cracks")),
        (("1", "2", "3"), ("pits", "2"), ("1=?", "2=2", "3=?")),
        (("pit", "crack"), ("x", "pit", "crack"), ("pit=pit", "crack=crack")),
        (("pit", "crack"), ("x", "pit"), ("pit=pit", "crack=x")),
        (("pit", "crack"), ("x", "y", "pit"), ("pit=pit", "crack=?")),
    ],
)
def test_a_map_to_offer(names, data, expected):
    assert map_by_order(names, data) == expected


@pytest.mark.parametrize(
    ("names", "data", "class_map", "ids"),
    [
        (("pit", "crack"), ("x", "pit", "crack"), ("pit=pit", "crack=crack"), (2, 3)),
        (("pit", "crack"), ("1", "2", "3", "4"), ("pit=3", "crack=1"), (3, 1)),
        (("pit", "crack", "x"), ("1", "2"), ("pit=3", "crack=1", "x=2"), (3, 1, 2)),  # class 3 left no trace
        (("1", "2", "3"), ("1", "2"), None, (1, 2, 3)),
    ],
)
def test_classes_that_match(names, data, class_map, ids):
    assert match(names, data, class_map, "here") == ids


@pytest.mark.parametrize(
    ("names", "data", "class_map", "message"),
    [
        (("pit", "crack"), ("x", "pit", "crack"), None, "or leave out x: -class_map pit=pit,crack=crack"),
        (("a", "b"), ("x", "y"), None, "for example, if they are in the same order: -class_map a=x,b=y"),
        (("a", "b"), ("y", "a"), None, "for example, if they are in the same order: -class_map a=a,b=y"),
        (("a", "b"), ("x", "y", "z"), None, "a class of the data for each question mark: -class_map a=?,b=?"),
        (("a", "b"), ("x", "y", "z"), ("a=z",), "a class of the data for each question mark: -class_map a=z,b=?"),
        (("a", "b"), ("a",), None, "use weights of these classes, correct classes.txt"),
    ],
)
def test_a_refusal_offers_no_guess(names, data, class_map, message):
    with pytest.raises(InputError) as error:
        match(names, data, class_map, "here")
    assert str(error.value).endswith(message)


@pytest.mark.parametrize(
    ("data", "class_map", "message"),
    [
        (("1", "2"), ("pit=9", "crack=2"), "-class_map pit=9: the data has no class 9; it has 1, 2"),
        (("1", "2", "3", "4"), ("pit=1", "crack=9"), "-class_map crack=9: the data has no class 9; it has 1, 2, 3, 4"),
        (("1", "2"), ("pit=?", "crack=2"), "the data has no class ?; it has 1, 2"),
        (("holes", "dents"), ("pit=1", "crack=2"), "the data has no class 1; it has holes, dents"),
    ],
)
def test_a_map_to_classes_that_the_data_does_not_have(data, class_map, message):
    with pytest.raises(MapError) as error:
        match(("pit", "crack"), data, class_map, "here")
    assert message in str(error.value)

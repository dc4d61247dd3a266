"""Whether a network and some data speak of the same classes: by their names, or as ``-class_map`` says."""

import re
from collections.abc import Sequence

from utils.errors import InputError
from utils.settings import nearest


def renamed(names: Sequence[str], class_map: tuple[str, ...] | None) -> tuple[str, ...]:
    """Return what the data calls a network's classes.

    Args:
        names: of the network's classes.
        class_map: words ``WEIGHTS=DATA`` as the flag has them; a class without one keeps its name. None: no map.

    Raises:
        InputError: a word of another form, a class that the network does not have, or two classes that become one.
    """
    found: dict[str, str] = {}
    for word in class_map or ():
        its, mark, data = (part.strip() for part in word.partition("="))
        if not (its and mark and data):
            raise InputError(f"-class_map {word}: expected WEIGHTS=DATA, as in 1=pits,2=cracks")
        if its not in names:
            offer = nearest(its, list(names))
            raise InputError(f"-class_map {word}: the weights have no class {its}{offer}; they have {', '.join(names)}")
        if its in found:
            raise InputError(f"-class_map {word}: {its} is mapped already; name each class once")
        found[its] = data
    called = tuple(found.get(name, name) for name in names)
    twice = next((name for name in called if called.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"-class_map: two classes of the weights would be {twice}; map each to another class")
    return called


def called(names: Sequence[str], class_map: tuple[str, ...] | None) -> tuple[str, ...]:
    """Return what the data calls some of a network's classes, by those words of the map that are about them."""
    return renamed(names, tuple(word for word in class_map or () if word.partition("=")[0].strip() in names))


def match(
    names: Sequence[str],
    data: tuple[str, ...],
    class_map: tuple[str, ...] | None,
    source: object,
    partly: bool = False,
) -> tuple[int, ...]:
    """Find a network's classes among those of some data: by their names, or as the map says.

    Data without names calls its classes 1, 2, 3 by their numbers, and may have less of them than the network: a class
    without a defect leaves no trace in a table.

    Args:
        names: of the network's classes.
        data: names of the data's classes, in the order of their numbers.
        class_map: see ``renamed``.
        source: what names the data's classes, for messages.
        partly: whether the data may have classes that the network does not know.

    Returns:
        For each of the network's classes its number in the data, from 1.

    Raises:
        InputError: a class has no counterpart.
    """
    its = called(names, class_map)
    unnamed = data == tuple(str(k) for k in range(1, len(data) + 1))
    numbers = [
        data.index(name) + 1 if name in data else int(name) if unnamed and re.fullmatch(r"[1-9]\d{0,3}", name) else 0
        for name in its
    ]
    strange = [] if partly or class_map else [name for name in data if name not in its]
    if 0 in numbers or strange:
        raise InputError(
            f"{source}: classes are {', '.join(data)}, but the weights were trained on {', '.join(names)}; use weights of"
            f" these classes, correct classes.txt, or say which is which: {map_by_order(names, data)}"
        )
    return tuple(numbers)


def map_by_order(names: Sequence[str], data: Sequence[str]) -> str:
    """Return the flag that maps a network's classes to the data's in their order, to be offered to a user."""
    pairs = [f"{its}={other}" for its, other in zip(names, data, strict=False)]
    return f"-class_map {','.join(pairs)}"

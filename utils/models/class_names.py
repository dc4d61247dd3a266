"""Whether a network and some data speak of the same classes: by their names, or as ``-class_map`` says."""

import re
from collections.abc import Sequence

from utils.errors import InputError
from utils.settings import nearest

_NUMBER = re.compile(r"[1-9]\d{0,3}")


class MapError(InputError):
    """A ``-class_map`` that names a class that the data does not have."""


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
            offer = f"; write WEIGHTS=DATA, as {data}={its}" if data in names else nearest(its, list(names))
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
        MapError: the map names a class that the data does not have.
        InputError: a class has no counterpart.
    """
    unnamed = data == tuple(str(k) for k in range(1, len(data) + 1))
    check_map(names, data, class_map, source)
    its = called(names, class_map)
    numbers = [
        data.index(name) + 1 if name in data else int(name) if unnamed and _NUMBER.fullmatch(name) else 0
        for name in its
    ]
    strange = [] if partly or class_map else [name for name in data if name not in its]
    if 0 in numbers or strange:
        raise InputError(
            f"{source}: classes are {', '.join(data)}, but the weights were trained on {', '.join(names)}; use weights of"
            f" these classes, correct classes.txt{_offer(names, data, class_map, unnamed)}"
        )
    return tuple(numbers)


def check_map(names: Sequence[str], data: Sequence[str], class_map: tuple[str, ...] | None, source: object) -> None:
    """Check that the data has the classes that a map names for those of a network.

    Data without names may have none of its last classes: as many numbers as the network has classes are taken.

    Args:
        names: of the network's classes; words of the map about others are left alone.
        data: names of the data's classes.
        class_map: see ``renamed``.
        source: what names the data's classes, for the message.

    Raises:
        MapError: the data has no such class.
    """
    unnamed = tuple(data) == tuple(str(k) for k in range(1, len(data) + 1))
    known = {*data, *(str(k) for k in range(1, len(names) + 1) if unnamed)}
    for word in class_map or ():
        its, _, name = (part.strip() for part in word.partition("="))
        if its in names and name not in known:
            more = "; if it has more, name them all in classes.txt" if unnamed else nearest(name, list(data))
            raise MapError(
                f"-class_map {word}: the data has no class {name}; it has {', '.join(data)} ({source}){more}"
            )


def map_by_order(names: Sequence[str], data: Sequence[str]) -> tuple[str, ...]:
    """Return a map of a network's classes to the data's, to be offered to a user: equal names stay as they are.

    As many others on both sides are paired by their order; else each is a question, ``pit=?``, since a guess would be
    taken for an answer.
    """
    left, right = [name for name in names if name not in data], [name for name in data if name not in names]
    others = dict(zip(left, right if len(left) == len(right) else "?" * len(left), strict=True))
    return tuple(f"{name}={others.get(name, name)}" for name in names)


def _offer(names: Sequence[str], data: Sequence[str], class_map: tuple[str, ...] | None, unnamed: bool) -> str:
    """Return the end of a refusal: the map that a user may give, where there is one."""
    its = called(names, class_map)
    found = [f"{name}={word.partition('=')[2]}" for name, word in zip(names, map_by_order(its, data), strict=True)]
    given = f"-class_map {','.join(found)}"
    left, right = [name for name in its if name not in data], [name for name in data if name not in its]
    if not left:
        return f", or leave out {', '.join(right)}: {given}"
    if len(left) == len(right):
        return f", or say which is which, for example, if they are in the same order: {given}"
    if len(left) < len(right) or unnamed:
        return f", or say which is which, with a class of the data for each question mark: {given}"
    return ""

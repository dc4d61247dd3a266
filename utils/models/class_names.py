"""Whether a network and some data speak of the same classes: by their names, or as ``-class_map`` says."""

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


def map_by_order(names: Sequence[str], data: Sequence[str]) -> str:
    """Return the flag that maps a network's classes to the data's in their order, to be offered to a user."""
    pairs = [f"{its}={other}" for its, other in zip(names, data, strict=False) if its != other]
    return f"-class_map {','.join(pairs)}"

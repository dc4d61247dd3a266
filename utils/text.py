"""Text for terminals: columns, numbers of things, and letters that a terminal would obey."""

import re
from collections.abc import Sequence

TOGETHER = "together"  # the row of all classes in tables of scores, so that no class may be called so


def columns(rows: Sequence[Sequence[str]], right: bool = True) -> str:
    """Align cells in columns that are as wide as their widest cell, two spaces apart.

    Args:
        rows: cells, all rows of the same length; the first row may be the head.
        right: align all columns but the first to the right, as numbers are; else all to the left.

    Returns:
        A line for each row, without spaces at its end.
    """
    rows = [[visible(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for first, *rest in rows:
        cells = [
            cell.rjust(width) if right else cell.ljust(width) for cell, width in zip(rest, widths[1:], strict=True)
        ]
        lines.append("  ".join([first.ljust(widths[0]), *cells]).rstrip())
    return "\n".join(lines)


def plural(count: int, noun: str, form: str = "") -> str:
    """Return "1 image" or "2 images"; ``form`` is the number's format, as ``,`` for 2,000."""
    return f"{count:{form}} {noun}{'' if count == 1 else 's'}"


# Control characters, and those that turn the direction of what follows.
_OBEYED = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def visible(text: str) -> str:
    """Return text of others with every letter that a terminal would obey written as its code, ``\\x1b``.

    A file name, or a list of weights from the web, may else clear the screen, or show what was never said.
    """
    return _OBEYED.sub(lambda match: match[0].encode("unicode_escape").decode(), text)

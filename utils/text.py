"""Text for terminals: columns, and numbers of things."""

from collections.abc import Sequence


def columns(rows: Sequence[Sequence[str]], right: bool = True) -> str:
    """Align cells in columns that are as wide as their widest cell, two spaces apart.

    Args:
        rows: cells, all rows of the same length; the first row may be the head.
        right: align all columns but the first to the right, as numbers are; else all to the left.

    Returns:
        A line for each row, without spaces at its end.
    """
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

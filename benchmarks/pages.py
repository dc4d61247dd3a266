"""Pages that a benchmark writes its result into, between two marks."""

from pathlib import Path

from utils.errors import InputError
from utils.files import write_text


def write_between(page: Path, begin: str, end: str, text: str) -> None:
    """Replace what a page has between two marks, lines of their own.

    Raises:
        InputError: the page lacks a mark.
    """
    before, _, rest = page.read_text(encoding="utf-8").partition(begin)
    _, found, after = rest.partition(end)
    if not found:
        raise InputError(f"{page}: lacks {begin} or {end}, between which the result goes")
    write_text(page, f"{before}{begin}\n{text.rstrip()}\n{end}{after}")

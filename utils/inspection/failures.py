"""Errors as one line of the log: what strangers send may fail in any library, and a traceback is ten thousand letters."""

import traceback
from pathlib import Path

LONGEST_MESSAGE = 200  # letters
MOST_PLACES = 6  # the innermost ones


def one_line(error: BaseException) -> str:
    """Return an error's type, message and the places that it came through, the innermost first."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    frames = traceback.StackSummary.extract(traceback.walk_tb(error.__traceback__), lookup_lines=False)
    places = [f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames[-MOST_PLACES:]]
    at = f" ({' < '.join(reversed(places))})" if places else ""
    return f"{type(error).__name__}: {plain(str(error))}{at}"


def plain(text: str) -> str:
    """Return text that somebody sent as a piece of a line: without line breaks and what terminals obey, and not too long."""
    shown = "".join(letter if letter.isprintable() else " " for letter in text[: 4 * LONGEST_MESSAGE])
    return " ".join(shown.split())[:LONGEST_MESSAGE]

"""Read a JSON file of labels that others wrote."""

import json
from pathlib import Path
from typing import Any

from utils.errors import InputError

LARGEST = 2**31  # bytes; a program that keeps images within writes some MB each


def read_json(file: Path, expected: str) -> Any:
    """Read a JSON file.

    Args:
        file: its path.
        expected: what it should be, for messages.

    Raises:
        InputError: no such file, too large, not JSON, or nested thousands deep.
    """
    try:
        if file.stat().st_size > LARGEST:
            raise InputError(f"{file}: has more than {LARGEST / 1e9:.0f} GB; expected {expected}, in several files")
        return json.loads(file.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise InputError(f"{file}: no such file; expected {expected}") from None
    except IsADirectoryError:
        raise InputError(f"{file}: is a folder; expected {expected}") from None
    except RecursionError:
        raise InputError(f"{file}: lists within lists, thousands deep; expected {expected}") from None
    except ValueError as error:  # of JSON and of UTF-8
        raise InputError(f"{file}: not a JSON file ({error}); expected {expected}") from None


def text_in(content: Any, key: str, where: str) -> str:
    """Return a text of an object; raises ``InputError`` where there is none."""
    value = content.get(key) if isinstance(content, dict) else None
    if not isinstance(value, str) or not value.strip():
        raise InputError(f"{where}: has no {key}; correct or remove it")
    return value


def list_in(content: Any, key: str, where: str) -> list[Any]:
    """Return a list of an object; raises ``InputError`` where there is none."""
    value = content.get(key) if isinstance(content, dict) else None
    if not isinstance(value, list):
        raise InputError(f"{where}: has no list {key!r}; correct the file or name another")
    return value


def side_in(content: Any, key: str) -> int | None:
    """Return a number of pixels of an object, None where it has none."""
    value = content.get(key) if isinstance(content, dict) else None
    return value if isinstance(value, int) and not isinstance(value, bool) else None

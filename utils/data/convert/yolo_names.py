"""Find the class names of YOLO labels in the ``data.yaml`` that lies beside or above them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from utils.errors import InputError

FILES = ("data.yaml", "data.yml", "dataset.yaml", "dataset.yml")
FOLDERS_ABOVE = 2  # ROOT/labels/train has its data.yaml in ROOT
LARGEST = 1_000_000  # bytes; thousands of names take a tenth of it


@dataclass(frozen=True)
class YoloNames:
    """Class names and the file that has them; name of class number k (from 0) is ``names[k]``."""

    file: Path
    names: tuple[str, ...]


def find_names(folder: Path) -> YoloNames | None:
    """Find the nearest ``data.yaml`` that has ``names``, a list or a map from number to name.

    Args:
        folder: of the label files.

    Raises:
        InputError: the file cannot be read, or its names are none.
    """
    places = [folder.resolve(), *folder.resolve().parents][: FOLDERS_ABOVE + 1]
    for file in (place / name for place in places for name in FILES):
        if file.is_file() and (names := _names_in(file)) is not None:
            return YoloNames(file, names)
    return None


def _names_in(file: Path) -> tuple[str, ...] | None:
    wrong = f"{file}: not a YAML file with the names of the classes; correct it or give -class_names"
    try:
        if file.stat().st_size > LARGEST:
            raise InputError(wrong)
        # Whoever names classes no and yes means these words.
        content = yaml.load(file.read_text(encoding="utf-8-sig"), yaml.BaseLoader)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError):
        raise InputError(wrong) from None
    if not isinstance(content, dict) or "names" not in content:
        return None
    names = content["names"]
    if isinstance(names, dict):
        names = _in_order(names)
    if not isinstance(names, list) or not names:
        raise InputError(f"{file}: names is neither a list nor a map 0: NAME, 1: NAME; correct it or give -class_names")
    words = tuple(str(name).strip() for name in names if isinstance(name, (str, int, float)))
    if len(words) < len(names) or any(len(word.splitlines()) != 1 for word in words) or len(set(words)) < len(words):
        raise InputError(f"{file}: names are not different lines of text; correct it or give -class_names")
    return words


def _in_order(names: dict[Any, Any]) -> list[Any] | None:
    """Return the names of a map from the numbers 0, 1, 2, ...; None when the numbers are others."""
    numbers = {str(key): name for key, name in names.items()}
    if set(numbers) != {str(k) for k in range(len(numbers))}:
        return None
    return [numbers[str(k)] for k in range(len(numbers))]

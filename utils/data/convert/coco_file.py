"""Read the JSON of COCO labels into lists whose ids are comparable, whatever the program that wrote it made of them."""

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from utils.data.convert.labels import some
from utils.errors import InputError

NEEDED = {"images": ("id", "file_name"), "annotations": ("image_id", "category_id"), "categories": ("id", "name")}
IDS = ("id", "image_id", "category_id")


@dataclass(frozen=True)
class CocoFile:
    """A COCO file.

    Attributes:
        file: its path.
        images, annotations, categories: its entries; where they have ``id``, ``image_id`` or ``category_id``, those are
            text as ``id_text`` makes it.
    """

    file: Path
    images: list[dict[str, Any]]
    annotations: list[dict[str, Any]]
    categories: list[dict[str, Any]]


def read_coco_file(file: Path) -> CocoFile:
    """Read a COCO file and see to it that the keys that are needed exist.

    Raises:
        InputError: no such file, not JSON, a list or a key is missing, or an id is neither a number nor a text.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise InputError(f"{file}: no such file; -annotations expects a COCO JSON file") from None
    except IsADirectoryError:
        raise InputError(f"{file}: is a folder; -annotations expects a COCO JSON file") from None
    except RecursionError:
        raise InputError(f"{file}: lists within lists, thousands deep; -annotations expects COCO labels") from None
    except ValueError as error:  # of JSON and of UTF-8
        raise InputError(f"{file}: not a JSON file ({error}); -annotations expects COCO labels") from None
    parts: dict[str, list[dict[str, Any]]] = {}
    for part, keys in NEEDED.items():
        entries = content.get(part) if isinstance(content, dict) else None
        if not isinstance(entries, list):
            raise InputError(f"{file}: no list {part!r}; expected COCO labels with {', '.join(NEEDED)}")
        for index, entry in enumerate(entries):
            missing = [key for key in keys if not isinstance(entry, dict) or key not in entry]
            if missing:
                raise InputError(f"{file}: {part}[{index}] has no {missing[0]!r}; expected COCO labels")
        # An annotation's own id is for messages only, so any kind will do.
        ids = [key for key in IDS if key in keys]
        parts[part] = [
            {**entry, **{key: id_text(entry[key], f"{file}: {part}[{index}]", key) for key in ids}}
            for index, entry in enumerate(entries)
        ]
    for index, image in enumerate(parts["images"]):
        if not isinstance(image["file_name"], str) or _has_control(image["file_name"]):
            raise InputError(f"{file}: images[{index}] has file_name {shown(image['file_name'])}; expected a name")
    return CocoFile(file, **parts)


def id_text(value: Any, where: str, key: str) -> str:
    """Return an id as text: 1, 1.0 and "1" become the same, since programs mix them within a file.

    Raises:
        InputError: the id is a list, an object, a truth value, nothing or a fraction.
    """
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, (int, str)) or not str(value).strip():
        raise InputError(f"{where} has {key} {shown(value)}; expected a number or a text")
    return str(value).strip()


def number_classes(
    content: CocoFile, wanted: tuple[str, ...] | None
) -> tuple[dict[str, int | None], tuple[str, ...], list[str]]:
    """Number the categories.

    A category that no outline has and that is the ``supercategory`` of others is their heading, as Roboflow writes one
    before all classes, and becomes no class unless it is asked for by name.

    Args:
        content: the file.
        wanted: names of the classes in order; none: all categories in the order of their ids.

    Returns:
        Id -> class number from 1, or None for what is not wanted; names of the classes; notes for the user.

    Raises:
        InputError: two categories share an id or a name, a name is no line of text, or a wanted name is missing.
    """
    file, notes = content.file, []
    used = Counter(entry["category_id"] for entry in content.annotations)
    under: dict[str, set[str]] = {}
    for entry in content.categories:
        under.setdefault(str(entry.get("supercategory")).strip(), set()).add(entry["id"])
    headings = [
        entry
        for entry in content.categories
        if not used[entry["id"]] and under.get(_name_of(entry), set()) - {entry["id"]}
    ]
    if wanted is not None:
        others = {_name_of(entry) for entry in content.categories if entry not in headings}
        headings = [entry for entry in headings if _name_of(entry) not in wanted or _name_of(entry) in others]
    if headings and len(headings) < len(content.categories):
        heading = some(_name_of(entry) for entry in headings)
        notes.append(f"left out category {heading}: no outline has it, and it is the supercategory of others")
    categories = [entry for entry in content.categories if entry not in headings] or content.categories
    # classes.txt has a line for each, and whoever reads it drops surrounding white space and blank lines.
    name_of = {entry["id"]: _name_of(entry) for entry in categories}
    unnamed = [key for key, name in name_of.items() if len(name.splitlines()) != 1 or _has_control(name)]
    if unnamed:
        raise InputError(f"{file}: the name of category {shown(unnamed[0])} is not one line; name it")
    if len(set(name_of.values())) < len(categories):
        raise InputError(f"{file}: two categories share an id or a name; make them differ")
    numeric = [key.lstrip("-").isdecimal() for key in name_of]
    if any(numeric) and not all(numeric):
        raise InputError(f"{file}: category ids are not all numbers; correct the file")
    in_order = sorted(name_of, key=int) if all(numeric) else sorted(name_of)
    names = wanted or tuple(name_of[key] for key in in_order)
    unknown = [name for name in names if name not in name_of.values()]
    if unknown:
        raise InputError(f"-class_names {some(unknown)}: not in {file}, which has {some(name_of.values(), 10)}")
    numbers = {key: names.index(name) + 1 if name in names else None for key, name in name_of.items()}
    return numbers, tuple(names), notes


def side_of(value: Any) -> float | None:
    """Return a height or width as a number, also where it is written as text; None where there is none."""
    try:
        return None if value is None or isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        return None


def _name_of(category: dict[str, Any]) -> str:
    return str(category["name"]).strip()


def _has_control(text: str) -> bool:
    """Check for control characters: no table and no terminal takes them as they are."""
    return any(ord(letter) < 32 or ord(letter) == 127 for letter in text)


def shown(value: Any) -> str:
    """Return what a file has somewhere for a message: short, on one line."""
    if isinstance(value, str) and not _has_control(value):
        text = value
    else:
        text = json.dumps(value) if isinstance(value, (list, dict)) else repr(value)
    return text if len(text) < 200 else f"{text[:200]}..."

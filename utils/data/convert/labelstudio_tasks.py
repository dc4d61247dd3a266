"""Read the tasks of a Label Studio export: which image each is about, and what was drawn on it last."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import Any
from urllib.parse import parse_qs, urlsplit

from utils.data.convert.json_file import read_json
from utils.data.convert.located import locate
from utils.data.listing import is_image_name
from utils.errors import InputError

EXPECTED = "an export of Label Studio, JSON or JSON-MIN"
UPLOADED = re.compile(r"[0-9a-f]{8}-(?=.)")  # Label Studio puts it before the name of a file that is uploaded
KNOWN = {"id", "annotator", "annotation_id", "created_at", "updated_at", "lead_time", "agreement"}


@dataclass(frozen=True)
class Task:
    """A task.

    Attributes:
        number: its id, as text; "" where it has none.
        image: the address of its image.
        annotation: id of the annotation that was taken, as text.
        results: what was drawn, in the form of JSON exports; None: nobody has finished it.
        several: it has more than one annotation that was not cancelled.
    """

    number: str
    image: str
    annotation: str
    results: list[dict[str, Any]] | None
    several: bool = False


def read_tasks(file: Path) -> list[Task]:
    """Read the tasks of an export.

    Raises:
        InputError: the file cannot be read, or is no export of Label Studio.
    """
    content = read_json(file, EXPECTED)
    entries = content if isinstance(content, list) else [content]
    if not entries or not all(isinstance(entry, dict) for entry in entries):
        raise InputError(f"{file}: holds no tasks; expected {EXPECTED}")
    full = [entry for entry in entries if isinstance(entry.get("data"), dict)]
    if not full:
        return list(_of_min(file, entries))
    if len(full) < len(entries):
        raise InputError(f"{file}: a task has no 'data'; expected {EXPECTED}")
    return [_of_full(f"{file}: task {index}", entry) for index, entry in enumerate(entries)]


def _of_full(where: str, entry: dict[str, Any]) -> Task:
    annotations = entry.get("annotations", entry.get("completions"))
    annotations = annotations if isinstance(annotations, list) else []
    finished = [
        one for one in annotations if isinstance(one, dict) and not one.get("was_cancelled") and not one.get("skipped")
    ]
    number, image = _id(entry.get("id")), _image_of(where, entry["data"])
    if not finished:
        return Task(number, image, "", None)
    chosen = max(finished, key=lambda one: (bool(one.get("ground_truth")), _time(one)))
    results = chosen.get("result")
    results = [one for one in results if isinstance(one, dict)] if isinstance(results, list) else []
    return Task(number, image, _id(chosen.get("id")), results, len(finished) > 1)


def _of_min(file: Path, entries: list[dict[str, Any]]) -> Iterator[Task]:
    """Read JSON-MIN: an object for each annotation, what was drawn by the name of its control."""
    newest: dict[str, dict[str, Any]] = {}
    seen: dict[str, int] = {}
    for index, entry in enumerate(entries):
        key = _id(entry.get("id")) or f"-{index}"
        seen[key] = seen.get(key, 0) + 1
        if key not in newest or _time(entry) >= _time(newest[key]):
            newest[key] = entry
    for key, entry in newest.items():
        image = _image_of(f"{file}: task {key}", entry)
        finished = entry.get("annotation_id") is not None
        results = [
            {"value": value, "from_name": name, **_size_of(value)}
            for name, values in entry.items()
            if name not in KNOWN and isinstance(values, list)
            for value in values
            if isinstance(value, dict)
        ]
        number = _id(entry.get("id"))
        yield Task(number, image, _id(entry.get("annotation_id")), results if finished else None, seen[key] > 1)


def _size_of(value: dict[str, Any]) -> dict[str, Any]:
    return {name: value[name] for name in ("original_width", "original_height", "image_rotation") if name in value}


def _id(value: Any) -> str:
    return str(value) if isinstance(value, (int, str)) and not isinstance(value, bool) else ""


def _time(annotation: dict[str, Any]) -> str:
    return str(annotation.get("updated_at") or annotation.get("created_at") or "")


def _image_of(where: str, data: dict[str, Any]) -> str:
    """Find the address of the image among the data of a task."""
    found = {name: value for name, value in data.items() if isinstance(value, str) and _names_image(value)}
    if not found:
        raise InputError(f"{where}: its data name no image; export tasks about images")
    if len(found) > 1 and "image" not in found:
        raise InputError(f"{where}: its data name several images ({', '.join(found)}); export tasks about one")
    return found.get("image") or next(iter(found.values()))


def _names_image(address: str) -> bool:
    return is_image_name(PureWindowsPath(_path_of(address)).name)


def _path_of(address: str) -> str:
    """Return the path of an address: that of a local file is in its query."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return address
    if parts.path.endswith("/local-files/") and (named := parse_qs(parts.query).get("d")):
        return named[0]
    return parts.path if parts.scheme in ("http", "https", "s3", "gs", "azure-blob") else address


def find_image(images: Path, task: Task, file: Path) -> Path:
    """Find the image of a task in the folder of images, also without the letters that an upload puts before its name.

    Raises:
        InputError: it is not there.
    """
    path = _path_of(task.image)
    try:
        return locate(images, path, file)
    except InputError:
        before, slash, name = path.rpartition("/")
        plain = UPLOADED.sub("", name, count=1)
        if plain == name:
            raise
        return locate(images, f"{before}{slash}{plain}", file)

"""The values of a config's fields as words, and back: what flags, YAML files and stored settings have in common."""

import contextlib
import dataclasses
import difflib
import inspect
import math
import types
import typing
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar, Union

from config import Url
from utils.errors import InputError

Config = TypeVar("Config")

_GIVEN = "_given"  # attribute of a config, none of its fields: which of them somebody chose

# Fields whose flag has another name, because the name is a Python keyword or that of such a field.
FLAG_OF_FIELD = {"source": "from", "line_source": "source"}
FIELD_OF_FLAG = {flag: name for name, flag in FLAG_OF_FIELD.items()}

# Of an image, in pixels: OpenCV counts in 16 bits when it distorts.
LARGEST_SIDE = 2**15 - 1

# What a switch may be set to.
ANSWERS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}

# The word that stands for None, where that is not "none".
WORD_FOR_NONE = {"num_of_workers": "auto", "image_size": "native", "crop": "native"}


def grouped_fields(config_class: type) -> dict[str, list[dataclasses.Field[Any]]]:
    """Return the fields of a config by the heading that ``-h`` shows them under, in the order of ``-h``.

    A command's own fields come first, under "", then those of its bases in their order. A field stays under the heading
    of the base that has it first, also where the command gives it another default.
    """
    fields = {field.name: field for field in dataclasses.fields(config_class)}
    owners = {name: kind for kind in config_class.__mro__ for name in inspect.get_annotations(kind) if name in fields}
    groups: dict[str, list[dataclasses.Field[Any]]] = {}
    for kind in config_class.__mro__:
        own = [fields[name] for name in inspect.get_annotations(kind) if owners.get(name) is kind]
        if own:
            groups.setdefault(vars(kind).get("heading", ""), []).extend(own)
    return groups


def fields_of(config_class: type) -> dict[str, dataclasses.Field[Any]]:
    """Return the fields of a config by name, in the order of ``-h``."""
    return {field.name: field for group in grouped_fields(config_class).values() for field in group}


def to_plain(config: Any) -> dict[str, Any]:
    """Return a config as a dict of words and numbers, as it is written to YAML files and weights files."""
    return {
        name: _plain(name, getattr(config, name))
        for name in fields_of(type(config))
        if getattr(config, name) is not None or name in WORD_FOR_NONE
    }


def from_plain(config_class: type[Config], plain: dict[str, Any]) -> Config:
    """Rebuild a config that ``to_plain`` made; a key or value that the class does not take raises ``InputError``."""
    fields = fields_of(config_class)
    kinds = typing.get_type_hints(config_class)
    for key in plain:
        check_known(key, fields, "the stored settings")
    return config_class(**{name: convert(fields[name], kinds[name], word) for name, word in plain.items()})


def note_given(config: Config, names: Iterable[str]) -> Config:
    """Remember in a config which of its fields somebody chose; neither equality nor what is stored knows of it."""
    object.__setattr__(config, _GIVEN, frozenset(names))
    return config


def given_fields(config: Any) -> frozenset[str]:
    """Name the fields that somebody chose: those noted, of a config without a note those that are not the default."""
    changed = (f.name for f in dataclasses.fields(config) if getattr(config, f.name) != f.default)
    noted: frozenset[str] | None = getattr(config, _GIVEN, None)
    return frozenset(changed) if noted is None else noted


def nearest(word: str, known: Sequence[str]) -> str:
    """Return ", did you mean X?" for the known words that begin with ``word``, else for the one that looks most like it.

    Nothing when none does; a single letter begins too many.
    """
    word = word.replace("--", "-", 1)
    begins = [one for one in known if one.startswith(word)] if len(word.lstrip("-")) > 1 else []
    if 0 < len(begins) <= 4:
        return f", did you mean {' or '.join(begins)}?"
    match = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f", did you mean {match[0]}?" if match else ""


def flag_of(name: str) -> str:
    """Return the flag of a field."""
    return f"-{FLAG_OF_FIELD.get(name, name)}"


def check_known(key: str, fields: dict[str, Any], place: str) -> None:
    if key not in fields:
        raise InputError(f"{place}: no setting {key}{nearest(key, [flag_of(name)[1:] for name in fields])}")


def without_none(kind: Any) -> tuple[Any, bool]:
    """Split ``X | None`` into X and True; ``X | tuple[X, ...]``, one value or several, stays a union."""
    if is_union(kind):
        inner = tuple(part for part in typing.get_args(kind) if part is not type(None))
        return inner[0] if len(inner) == 1 else Union[inner], len(inner) < len(typing.get_args(kind))  # noqa: UP007
    return kind, False


def is_union(kind: Any) -> bool:
    """Check whether a kind is a union of others: one value or several."""
    return typing.get_origin(kind) in (Union, types.UnionType) and not is_place(kind)


def is_place(kind: Any) -> bool:
    """Check whether a kind is a path or a URL."""
    return set(typing.get_args(kind)) == {Path, Url}


def _plain(name: str, value: Any) -> Any:
    if value is None or isinstance(value, (tuple, Path, Url)):
        return to_word(name, value)
    return value


def to_word(name: str, value: Any) -> str:
    if value is None:
        return WORD_FOR_NONE.get(name, "none")
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def convert(field: dataclasses.Field[Any], kind: Any, value: Any) -> Any:
    """Turn one word (or YAML value) into the field's kind and check its range, or say what was expected."""
    inner, optional = without_none(kind)
    many = typing.get_origin(inner) is tuple or is_union(inner)
    word = ",".join(map(str, value)) if many and isinstance(value, (list, tuple)) else str(value).strip()
    nothing = WORD_FOR_NONE.get(field.name, "none")
    if optional and (value is None or word.lower() in ("none", nothing)):
        return None
    try:
        if value is None or not word:
            raise ValueError("expected a value")
        if isinstance(value, dict) or (isinstance(value, list) and not many):
            raise ValueError("expected one value")
        if field.metadata.get("packed") and "://" in word:
            return Url(word.rstrip("/"))
        result = _parse_word(inner, word)
        _check_range(field, result)
        return result
    except ValueError as error:
        alternative = f" or {nothing}" if optional and str(error).startswith("expected") else ""
        raise InputError(f"{flag_of(field.name)} {word}: {error}{alternative}") from None


def _check_range(field: dataclasses.Field[Any], value: Any) -> None:
    if isinstance(value, tuple) and field.metadata["low"] is not None:
        for one in value:
            _check_range(field, one)
        return
    low, high = field.metadata["low"], field.metadata["high"]
    if (low is not None and value < low) or (high is not None and value > high):
        raise ValueError(f"expected {f'{low} to {high}' if high is not None else f'{low} or more'}")


def _parse_word(kind: Any, word: str) -> Any:
    """Turn a word into ``kind``, which is not optional; a ``ValueError`` says what was expected."""
    if is_union(kind):
        scalar = typing.get_args(kind)[0]
        parts = [part.strip() for part in word.split(",")]
        return _parse_word(scalar, word) if len(parts) == 1 else tuple(_parse_word(scalar, part) for part in parts)
    if typing.get_origin(kind) is Literal:
        choices = [str(choice) for choice in typing.get_args(kind)]
        if word not in choices:
            raise ValueError(f"choose from {', '.join(choices)}{nearest(word, choices)}")
        return word
    if typing.get_origin(kind) is tuple:
        parts = [part.strip() for part in word.split(",")]
        if typing.get_args(kind) == (int, Ellipsis):
            if not all(part.isdecimal() and int(part) > 0 for part in parts):
                raise ValueError("expected positive whole numbers")
            return tuple(map(int, parts))
        if typing.get_args(kind)[0] is float:
            wanted = len(parts) if typing.get_args(kind)[1] is Ellipsis else len(typing.get_args(kind))
            with contextlib.suppress(ValueError):
                numbers = tuple(map(float, parts))
                if all(map(math.isfinite, numbers)) and len(numbers) == wanted:
                    return numbers
            raise ValueError(
                "expected numbers between the commas" if wanted == len(parts) else f"expected {wanted} numbers"
            )
        if typing.get_args(kind)[0] is not int:
            if "" in parts:
                raise ValueError("expected names between the commas")
            return tuple(parts)
        if len(parts) != 2 or not all(part.isdecimal() and int(part) > 0 for part in parts):
            raise ValueError("expected two positive whole numbers H,W")
        if max(map(int, parts)) > LARGEST_SIDE:
            raise ValueError(f"a side has at most {LARGEST_SIDE} pixels")
        return tuple(int(part) for part in parts)
    if kind is bool:
        if word.lower() not in ANSWERS:
            raise ValueError("expected true or false")
        return ANSWERS[word.lower()]
    if is_place(kind) and "://" in word:
        return Url(word.rstrip("/"))
    if kind is Path or is_place(kind):
        try:
            return Path(word).expanduser()
        except RuntimeError:
            raise ValueError("expected a path; there is no such user") from None
    if kind in (int, float):
        with contextlib.suppress(ValueError):
            number = kind(word)
            if kind is int or math.isfinite(number):
                return number
        raise ValueError("expected a whole number" if kind is int else "expected a number")
    return kind(word)

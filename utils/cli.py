"""Flags made from config.py's fields, and the one way an entry point ends."""

import argparse
import dataclasses
import difflib
import os
import signal
import sys
import types
import typing
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, NoReturn, TypeVar, Union

from config import RECIPES
from utils.errors import InputError

Config = TypeVar("Config")

DONE, BAD_INPUT, SOME_SKIPPED, INTERRUPTED = 0, 2, 3, 130

# Fields whose flag has another name, because the name is a Python keyword.
FLAG_OF_FIELD = {"source": "from"}
FIELD_OF_FLAG = {flag: name for name, flag in FLAG_OF_FIELD.items()}

# The word that stands for None, where that is not "none".
WORD_FOR_NONE = {"num_of_workers": "auto", "image_size": "native", "crop": "native"}


def parse(config_class: type[Config], argv: Sequence[str], prog: str, description: str) -> Config:
    """Make a config from flags, an optional YAML file, an optional recipe and the defaults.

    Args:
        config_class: a dataclass of ``config.py``.
        argv: the words after the command's name.
        prog: the command as the user typed it, for the help text.
        description: what the command does, first paragraph of the help text.

    Returns:
        An instance of ``config_class``.

    Raises:
        InputError: a flag or a key of the file is unknown, missing, or has a value of the wrong kind.
    """
    fields = {field.name: field for field in dataclasses.fields(config_class)}  # type: ignore[arg-type]
    kinds = typing.get_type_hints(config_class)
    parser = _Parser(prog=prog, description=description, prefix_chars="-", allow_abbrev=False, formatter_class=_Help)
    parser.add_argument("-config", metavar="FILE", help="YAML file of flag: value lines; flags override it")
    for name, field in fields.items():
        required = field.default is dataclasses.MISSING
        shown = "required" if required else f"default {_to_word(name, field.default)}"
        parser.add_argument(
            f"-{FLAG_OF_FIELD.get(name, name)}",
            dest=name,
            metavar=_metavar(kinds[name]),
            nargs="?" if kinds[name] is bool else None,
            const="true" if kinds[name] is bool else None,
            help=f"{field.metadata['help']} ({shown})".replace("%", "%%"),
        )
    given = {name: word for name, word in vars(parser.parse_args(list(argv))).items() if word is not None}
    words: dict[str, Any] = {}
    config_file = given.pop("config", None)
    if config_file is not None:
        words.update(_read_yaml(Path(config_file), fields))
    words.update(given)
    values = {name: _in_range(fields[name], _convert(name, kinds[name], word)) for name, word in words.items()}
    if "recipe" in fields:
        recipe = values.get("recipe", fields["recipe"].default)
        if recipe not in RECIPES:
            raise InputError(f"-recipe {recipe}: no such recipe; choose from {', '.join(RECIPES)}")
        values = {**RECIPES[recipe], **values}
    missing = [name for name, f in fields.items() if f.default is dataclasses.MISSING and name not in values]
    if missing:
        flags = " ".join(f"-{FLAG_OF_FIELD.get(name, name)}" for name in missing)
        raise InputError(f"{prog}: missing {flags}; -h explains every flag")
    return config_class(**values)


def to_plain(config: Any) -> dict[str, Any]:
    """Give a config as a dict of words and numbers, as it is written to YAML files and weights files."""
    return {
        field.name: _plain(field.name, getattr(config, field.name))
        for field in dataclasses.fields(config)
        if getattr(config, field.name) is not None or field.name in WORD_FOR_NONE
    }


def from_plain(config_class: type[Config], plain: dict[str, Any]) -> Config:
    """Rebuild a config that ``to_plain`` made; keys that the class does not have raise ``InputError``."""
    fields = {field.name: field for field in dataclasses.fields(config_class)}  # type: ignore[arg-type]
    kinds = typing.get_type_hints(config_class)
    for key in plain:
        _known(key, fields, "the stored settings")
    return config_class(**{name: _convert(name, kinds[name], word) for name, word in plain.items()})


def run(main: Callable[[Sequence[str]], int]) -> NoReturn:
    """Run an entry point's ``main`` and end the process with its exit code.

    ``InputError`` and errors of the file system become one line on standard error and exit code 2; Ctrl-C and SIGTERM
    end with 130; a reader that closes the pipe early ends it quietly.
    """
    signal.signal(signal.SIGTERM, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
    try:
        code = main(sys.argv[1:])
        sys.stdout.flush()
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        code = BAD_INPUT
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = BAD_INPUT
    except OSError as error:
        name = f"{error.filename}: " if error.filename else ""
        print(f"error: {name}{error.strerror or error}", file=sys.stderr)
        code = BAD_INPUT
    except KeyboardInterrupt as error:
        print(f"interrupted{f': {error}' if str(error) else ''}", file=sys.stderr)
        code = INTERRUPTED
    sys.exit(code)


class _Help(argparse.HelpFormatter):
    """Wide help, since each flag carries a reason."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=32, width=120)


class _Parser(argparse.ArgumentParser):
    """A parser that names the nearest flag instead of printing the usage."""

    def error(self, message: str) -> NoReturn:
        flags = [option for action in self._actions for option in action.option_strings]
        unknown = [word for word in message.split() if word.startswith("-")]
        if "unrecognized arguments" in message and unknown:
            raise InputError(f"{self.prog}: no flag {unknown[0]}{_nearest(unknown[0], flags)}; -h lists all")
        raise InputError(f"{self.prog}: {message}; -h explains every flag")


def _nearest(word: str, known: Sequence[str]) -> str:
    match = difflib.get_close_matches(word.replace("--", "-", 1), known, n=1, cutoff=0.5)
    return f", did you mean {match[0]}?" if match else ""


def _known(key: str, fields: dict[str, Any], place: str) -> None:
    if key not in fields:
        raise InputError(f"{place}: no setting {key}{_nearest(key, list(fields))}")


def _read_yaml(path: Path, fields: dict[str, Any]) -> dict[str, Any]:
    import yaml

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"-config {path}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"-config {path}: not a YAML file: {' '.join(str(error).split())}") from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise InputError(f"-config {path}: expected lines of the form flag: value")
    content = {FIELD_OF_FLAG.get(str(key), str(key)): value for key, value in content.items()}
    for key in content:
        _known(key, fields, f"-config {path}")
    return {key: value for key, value in content.items() if value is not None}


def _options(kind: Any) -> tuple[Any, bool]:
    """Split ``X | None`` into X and True."""
    if typing.get_origin(kind) in (Union, types.UnionType):
        inner = [part for part in typing.get_args(kind) if part is not type(None)]
        return inner[0], True
    return kind, False


def _metavar(kind: Any) -> str:
    kind, _ = _options(kind)
    if typing.get_origin(kind) is Literal:
        return "|".join(map(str, typing.get_args(kind)))
    if typing.get_origin(kind) is tuple:
        return "H,W" if typing.get_args(kind)[0] is int else "A,B,..."
    return {Path: "PATH", int: "N", float: "X", bool: "true|false"}.get(kind, "NAME")


def _plain(name: str, value: Any) -> Any:
    if value is None or isinstance(value, (tuple, Path)):
        return _to_word(name, value)
    return value


def _to_word(name: str, value: Any) -> str:
    if value is None:
        return WORD_FOR_NONE.get(name, "none")
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def _in_range(field: dataclasses.Field[Any], value: Any) -> Any:
    """Pass ``value`` on, unless the field's range forbids it."""
    low, high = field.metadata["low"], field.metadata["high"]
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        below = low is not None and not value >= low  # written so that nan is refused too
        if below or (high is not None and not value <= high):
            span = f"{low} to {high}" if high is not None else f"{low} or more"
            raise InputError(f"-{FLAG_OF_FIELD.get(field.name, field.name)} {value}: expected {span}")
    return value


def _convert(name: str, kind: Any, value: Any) -> Any:
    """Turn one word (or YAML value) into the field's kind, or say what was expected."""
    inner, optional = _options(kind)
    word = ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value).strip()
    if optional and word.lower() in ("none", WORD_FOR_NONE.get(name, "none")):
        return None
    origin = typing.get_origin(inner)
    try:
        if origin is Literal:
            if word not in typing.get_args(inner):
                choices = [str(choice) for choice in typing.get_args(inner)]
                raise ValueError(f"choose from {', '.join(choices)}{_nearest(word, choices)}")
            return word
        if origin is tuple:
            parts = [part.strip() for part in word.split(",") if part.strip()]
            if typing.get_args(inner)[0] is not int:
                return tuple(parts)
            numbers = tuple(int(part) for part in parts)
            if len(numbers) != 2 or min(numbers) < 1:
                raise ValueError("expected two positive whole numbers H,W")
            return numbers
        if inner is bool:
            return {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}[word.lower()]
        if inner is Path:
            return Path(word).expanduser()
        return inner(word)
    except (ValueError, KeyError) as error:
        expected = {int: "a whole number", float: "a number", bool: "true or false"}.get(inner)
        if origin is tuple:
            expected = "two positive whole numbers H,W" + (
                f" or {WORD_FOR_NONE[name]}" if name in WORD_FOR_NONE else ""
            )
        reason = f"expected {expected}" if expected else str(error)
        raise InputError(f"-{FLAG_OF_FIELD.get(name, name)} {word}: {reason}") from None

"""Flags made from config.py's fields, and the one way an entry point ends."""

import argparse
import contextlib
import dataclasses
import errno
import importlib.abc
import importlib.util
import io
import os
import signal
import sys
import typing
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, NoReturn

from config import PROJECT, RECIPES, VERSION
from utils.errors import InputError, lacks_memory
from utils.settings import (
    ANSWERS,
    FIELD_OF_FLAG,
    Config,
    check_known,
    convert,
    fields_of,
    flag_of,
    grouped_fields,
    is_place,
    is_union,
    nearest,
    note_given,
    to_word,
    without_none,
)
from utils.text import visible

# Of a build with CUDA, measured with torch 2.15: it starts with 3.38 GB, and crashes between 2.6 and 3.1.
ROOM_FOR_TORCH = 3_400_000_000

DONE, BAD_INPUT, SOME_SKIPPED, INTERRUPTED = 0, 2, 3, 130

# What -version prints.
PROJECT_AND_VERSION = f"{PROJECT} {VERSION}"


def parse(config_class: type[Config], argv: Sequence[str], prog: str, description: str) -> Config:
    """Make a config from flags, an optional YAML file, an optional recipe and the defaults.

    Args:
        config_class: a dataclass of ``config.py``.
        argv: the words after the command's name.
        prog: the command as the user typed it, for the help text.
        description: what the command does, first paragraph of the help text.

    Returns:
        An instance of ``config_class``, which remembers for ``given_fields`` what flags and file said.

    Raises:
        InputError: a flag or a key of the file is unknown, missing, or has a value of the wrong kind.
    """
    fields = fields_of(config_class)
    kinds = typing.get_type_hints(config_class)
    parser = _Parser(prog=prog, description=description, prefix_chars="-", allow_abbrev=False, formatter_class=_Help)
    parser.add_argument(
        "-version", action="version", version=PROJECT_AND_VERSION, help="show the program's version and exit"
    )
    parser.add_argument("-config", metavar="FILE", help="YAML file of flag: value lines; flags override it")
    for heading, group in grouped_fields(config_class).items():
        under = parser.add_argument_group(heading) if heading else parser
        for field in group:
            _add_flag(under, field, kinds[field.name])
    if any(field.metadata["positional"] for field in fields.values()):
        parsed = parser.parse_intermixed_args(_close_switches(argv, kinds))
    else:
        parsed = parser.parse_args(list(argv))
    given = {name: word for name, word in vars(parsed).items() if word not in (None, [])}
    words: dict[str, Any] = {}
    config_file = given.pop("config", None)
    if config_file is not None:
        words.update(_read_yaml(Path(config_file).expanduser(), fields))
    words.update(given)
    values = {name: convert(fields[name], kinds[name], word) for name, word in words.items()}
    if "recipe" in fields:
        recipe = values.get("recipe", fields["recipe"].default)
        if recipe not in RECIPES:
            raise InputError(f"-recipe {recipe}: no such recipe; choose from {', '.join(RECIPES)}")
        values = {**RECIPES[recipe], **values}
    missing = [name for name, f in fields.items() if f.default is dataclasses.MISSING and name not in values]
    if missing:
        words_missing = [_place(name) if fields[name].metadata["positional"] else flag_of(name) for name in missing]
        raise InputError(f"{prog}: missing {' '.join(words_missing)}; -h explains every flag")
    return note_given(config_class(**values), words)


def share_the_processor() -> None:
    """Let the threads of OpenMP sleep soon while they wait for each other, unless the environment says otherwise.

    By default they spin long. Beside other busy programs a thread then spins while the one that it waits for has no core,
    and training becomes several times slower. OpenMP reads the variables when torch is imported, so this comes before.
    GNU's, which torch has on Linux, may spin some microseconds first: alone, waking up costs more than that.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
        os.environ.setdefault("GOMP_SPINCOUNT", "10000")


def run(main: Callable[[Sequence[str]], int], at_once: bool = False) -> NoReturn:
    """Run an entry point's ``main`` and end the process with its exit code.

    ``InputError``, errors of the file system and a lack of memory become one line on standard error and exit code 2;
    Ctrl-C and SIGTERM end with 130; a reader that closes the pipe early ends it quietly. Letters that the terminal's
    encoding lacks are printed as their code.

    Args:
        main: takes the words of the command line, returns the exit code.
        at_once: where ``main`` returns, end without taking the libraries apart. To look through all of torch's objects takes seconds on a busy
            machine, and a library that still compiles a network may crash when its process ends below it.
    """
    share_the_processor()
    # Python keeps what it has compiled of a module, cut off where files may not be so long, and stumbles over it ever after.
    sys.dont_write_bytecode |= _limit("RLIMIT_FSIZE") is not None
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    if (limit := _limit("RLIMIT_AS")) is not None and limit < _room_for_torch():
        sys.meta_path.insert(0, _NoTorch(limit))
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    returned = False
    try:
        try:
            code = main(sys.argv[1:])
            returned = True
        except SystemExit as stop:  # argparse ends -h this way, before anybody has seen whether the text got out
            if isinstance(stop.code, str):
                raise
            code = stop.code or DONE
        sys.stdout.flush()
    except InputError as error:
        code = _complain(f"error: {error}", BAD_INPUT)
    except OSError as error:
        if isinstance(error, BrokenPipeError) and _reader_has_gone():
            code = BAD_INPUT
        else:
            name = f"{error.filename}: " if error.filename else ""
            remedy = f"; {_REMEDIES[error.errno]}" if error.errno in _REMEDIES else ""
            code = _complain(f"error: {name}{error.strerror or error}{remedy}", BAD_INPUT)
    except KeyboardInterrupt as error:
        code = _complain(f"interrupted{f': {error}' if str(error) else ''}", INTERRUPTED)
    except Exception as error:
        limited = _limit("RLIMIT_AS") is not None
        # Python itself loses errors where it has no memory for them.
        if not lacks_memory(error) and not (limited and isinstance(error, SystemError)):
            raise
        remedy = "take a smaller -batch_size or -image_size, predict in tiles (-tile 512,512), or close other programs"
        remedy += _memory_limit()
        code = _complain(f"error: not enough memory; {remedy}", BAD_INPUT)
        if limited:  # what libraries do at the end of a program would fail likewise, and say so at length
            os._exit(code)
    if at_once and returned:
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


_REMEDIES = {
    errno.ENOENT: "correct the path",
    errno.ENOTDIR: "part of the path is a file, name another path",
    errno.EEXIST: "a file of this name is in the way, name another path",
    errno.EISDIR: "name a file, not a folder",
    errno.ENAMETOOLONG: "name a shorter path",
    errno.EFBIG: "allow larger files (ulimit -f) or write to another disk",
    errno.ENOSPC: "free some space or write to another disk",
    errno.EDQUOT: "free some space or write to another disk",
    errno.EROFS: "write to another folder",
    errno.EACCES: "check the permissions",
    errno.EPERM: "check the permissions",
    errno.ENOMEM: "take a smaller -batch_size or -image_size, close other programs, or allow more memory (ulimit -v)",
    errno.EMFILE: "allow more open files (ulimit -n)",
}


class _NoTorch(importlib.abc.MetaPathFinder):
    """Refuses to import torch, which would end the program by a signal where there is no room for its libraries.

    Args:
        limit: of the shell for a program's memory, in bytes.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        """Raise ``InputError`` for torch; leave all other modules to those who find them."""
        if name == "torch":
            raise InputError(
                f"not enough memory: torch does not start within {self.limit / 1e9:.1f} GB; allow more (ulimit -v unlimited)"
            )


def _room_for_torch() -> int:
    """Return the bytes of memory that torch takes to be imported, for its libraries alone; 0 where nobody knows."""
    found = importlib.util.find_spec("torch")
    cuda = found is not None and found.origin and (Path(found.origin).parent / "lib" / "libtorch_cuda.so").is_file()
    return ROOM_FOR_TORCH if cuda else 0


def _memory_limit() -> str:
    """Return what else to do where the shell limits the memory of its programs."""
    limit = _limit("RLIMIT_AS")
    return "" if limit is None else f", or allow more than {limit / 1e9:.1f} GB (ulimit -v)"


def _limit(name: str) -> int | None:
    """Return a limit that the shell sets for its programs, in bytes; None where there is none."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    limit = resource.getrlimit(getattr(resource, name))[0]
    return None if limit == resource.RLIM_INFINITY else limit


def _complain(message: str, code: int) -> int:
    with contextlib.suppress(OSError):  # standard error may be a closed pipe too
        print(visible(" ".join(message.splitlines())), file=sys.stderr, flush=True)
    return code


def _reader_has_gone() -> bool:
    """Check whether standard output is a closed pipe, and if so let what is still to come vanish."""
    try:
        os.write(sys.stdout.fileno(), b"\n")
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return True
    return False


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
            raise InputError(f"{self.prog}: no flag {unknown[0]}{nearest(unknown[0], flags)}; -h lists all")
        raise InputError(f"{self.prog}: {message}; -h explains every flag")

    def _get_option_tuples(self, option_string: str) -> list[Any]:
        # allow_abbrev=False spares flags of one dash: -lr would silently become -lr_encoder until -lr_decoder exists.
        return []


def _add_flag(under: argparse._ActionsContainer, field: dataclasses.Field[Any], kind: Any) -> None:
    """Add the flag of a field, or its place among the words without a flag, under a heading of the help text."""
    name, explained = field.name, field.metadata["help"]
    if field.metadata["positional"]:
        many = "*" if _many(kind) else "?"
        under.add_argument(name, metavar=_place(name), nargs=many, help=explained.replace("%", "%%"))
        return
    shown = "required" if field.default is dataclasses.MISSING else f"default {to_word(name, field.default)}"
    under.add_argument(
        flag_of(name),
        dest=name,
        metavar=_metavar(kind),
        nargs="?" if kind is bool else None,
        const="true" if kind is bool else None,
        help=f"{explained} ({shown})".replace("%", "%%"),
    )


def _read_yaml(path: Path, fields: dict[str, Any]) -> dict[str, Any]:
    import yaml

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"-config {path}: {error.strerror}") from None
    except RecursionError:
        raise InputError(
            f"-config {path}: lists within lists, hundreds deep; expected lines of the form flag: value"
        ) from None
    except (yaml.YAMLError, ValueError) as error:  # ValueError: not UTF-8, or a date that is none
        raise InputError(f"-config {path}: not a YAML file: {' '.join(str(error).split())}") from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise InputError(f"-config {path}: expected lines of the form flag: value")
    content = {FIELD_OF_FLAG.get(str(key), str(key)): value for key, value in content.items()}
    for key in content:
        check_known(key, fields, f"-config {path}")
    return content


def _close_switches(argv: Sequence[str], kinds: dict[str, Any]) -> list[str]:
    """Write -switch as -switch=true before a word that is no answer to it, since that word has a place of its own."""
    switches = {flag_of(name) for name, kind in kinds.items() if kind is bool}
    following = [*argv[1:], ""][: len(argv)]
    return [
        f"{word}=true" if word in switches and next_word.lower() not in ANSWERS else word
        for word, next_word in zip(argv, following, strict=True)
    ]


def _many(kind: Any) -> bool:
    return typing.get_origin(without_none(kind)[0]) is tuple


def _place(name: str) -> str:
    return name.removesuffix("s").upper()


def _metavar(kind: Any) -> str:
    kind, _ = without_none(kind)
    if is_place(kind):
        return "PATH or URL"
    if is_union(kind):
        one = _metavar(typing.get_args(kind)[0])
        return f"{one} or {one},{one},..."
    if typing.get_origin(kind) is Literal:
        return "|".join(map(str, typing.get_args(kind)))
    if typing.get_origin(kind) is tuple:
        return {(int, int): "H,W", (int, Ellipsis): "N,N,..."}.get(typing.get_args(kind), "A,B,...")
    return {Path: "PATH", int: "N", float: "X", bool: "true|false"}.get(kind, "NAME")

"""Which colour means which class: a flag, a file of lines, or labelmap.txt of CVAT."""

import re
from pathlib import Path

from config import ConvertConfig
from utils.errors import InputError

LABELMAP = "labelmap.txt"
BACKGROUND = "background"
LARGEST = 1_000_000  # bytes of a file of colours
BLACK = (0, 0, 0)
FOLDERS_ABOVE = 2  # of the masks, where labelmap.txt may lie

Rgb = tuple[int, int, int]


def colour_table(config: ConvertConfig) -> tuple[dict[Rgb, str | None], str]:
    """Return colour -> name of its class, None for background, in the order given; and where that stands.

    Raises:
        InputError: no table, or one that cannot be read, or two classes of one colour.
    """
    given = config.colours
    if given is not None and len(given) == 1 and "=" not in given[0]:
        return _read_file(Path(given[0])), given[0]
    if given is not None:
        where = "-colours"
        pairs = []
        for word in given:
            name, sign, colour = word.rpartition("=")
            if not sign:
                raise InputError(f"-colours {word}: expected NAME=#RRGGBB, or a file")
            pairs.append((name.strip(), _rgb(where, colour)))
        return _table(where, pairs), where
    assert config.masks is not None
    places = [config.masks.absolute(), *config.masks.absolute().parents][: FOLDERS_ABOVE + 1]
    for place in places:
        if (place / LABELMAP).is_file():
            return _read_file(place / LABELMAP), str(place / LABELMAP)
    raise InputError(
        f"-masks {config.masks}: no {LABELMAP} beside them says which colour means which class; give -colours"
        " pit=#ff0000,crack=#00ff00"
    )


def _read_file(file: Path) -> dict[Rgb, str | None]:
    """Read lines of a name and a colour: ``pit:255,0,0::`` of CVAT, ``pit,255,0,0``, ``pit #ff0000``, ``pit=#ff0000``."""
    try:
        if file.stat().st_size > LARGEST:
            raise InputError(f"{file}: larger than a table of colours; expected lines NAME #RRGGBB")
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError:
        raise InputError(f"{file}: no such file; -colours expects NAME=#RRGGBB,... or a file of such lines") from None
    except (UnicodeDecodeError, IsADirectoryError):
        raise InputError(f"{file}: not a text file; expected lines NAME #RRGGBB") from None
    pairs = []
    for number, line in enumerate(lines, 1):
        text = line.strip()
        where = f"{file}, line {number}"
        if not text or (text.startswith("#") and not re.fullmatch(r"#[0-9a-fA-F]{6}.*", text)):
            continue
        if text.count(":") == 3:
            name, colour, *_ = text.split(":")
            if not colour.strip():
                raise InputError(f"{where}: {name} has no colour; add it")
        else:
            match = re.fullmatch(r"(.+?)[\s,;=:]+(#[0-9a-fA-F]{6}|\d+[\s,;]+\d+[\s,;]+\d+)", text)
            if match is None:
                raise InputError(f"{where}: expected NAME #RRGGBB or NAME,R,G,B")
            name, colour = match[1], match[2]
        pairs.append((name.strip(), _rgb(where, colour)))
    return _table(str(file), pairs)


def _rgb(where: str, text: str) -> Rgb:
    text = text.strip()
    if re.fullmatch(r"#?[0-9a-fA-F]{6}", text):
        values = list(bytes.fromhex(text.removeprefix("#")))
    else:
        words = re.split(r"[\s,;]+", text)
        values = [int(word) for word in words if word.isdecimal() and len(word) < 4]
        if len(words) != 3 or len(values) != 3 or max(values) > 255:
            raise InputError(f"{where}: {text!r} is no colour; expected #RRGGBB or R,G,B of 0..255")
    return values[0], values[1], values[2]


def _table(where: str, pairs: list[tuple[str, Rgb]]) -> dict[Rgb, str | None]:
    table: dict[Rgb, str | None] = {}
    for name, colour in pairs:
        meaning = None if name.casefold() == BACKGROUND else name
        if not name or name in table.values():
            raise InputError(f"{where}: a class has no name, or two have one; correct it")
        if colour in table:
            raise InputError(f"{where}: #{bytes(colour).hex()} means two classes; correct it")
        table[colour] = meaning
    if None not in table.values() and BLACK not in table:
        table[BLACK] = None
    if all(name is None for name in table.values()):
        raise InputError(f"{where}: names no class beside the background; add the classes")
    return table

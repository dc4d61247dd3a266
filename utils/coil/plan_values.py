"""Check the values of ``coil.yaml`` one by one: whatever is wrong is a line that names the file, the key and what was expected."""

import math
import re
import reprlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from utils.coil.plan import Unit
from utils.errors import InputError
from utils.settings import nearest

_UNITS_IN_MM = {"mm": 1.0, "cm": 10.0, "m": 1000.0}
LONGEST = 1e8  # units; 100 km of strip


class Values:
    """Checks the values of a file; knows where it is, for messages.

    Attributes:
        path: of the file.
        unit: of lengths, once it is known.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.unit: Unit = "px"

    def fail(self, place: str, reason: str) -> InputError:
        """Return the error of a place in the file."""
        return InputError(f"{self.path}: {place}: {reason}")

    def section(self, value: Any, place: str, keys: Sequence[str]) -> dict[str, Any]:
        """Check that a part of the file has known keys only; those without a value are as if they were not there."""
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise self.fail(place, f"{shown(value)}: expected lines of the form key: value ({', '.join(keys)})")
        for key in value:
            if key not in keys:
                where = f"{place}: " if place else ""
                more = nearest(str(key), list(keys))
                hint = more if more else f"; expected {', '.join(keys)}"
                raise InputError(f"{self.path}: {where}no key {shown(key)}{hint}")
        return {key: one for key, one in value.items() if one is not None}

    def entries(self, value: Any, place: str) -> list[tuple[str, Any]]:
        if not isinstance(value, list):
            raise self.fail(place, f"{shown(value)}: expected a list, each entry beginning with '- name:'")
        return [(f"{place}, entry {number}", entry) for number, entry in enumerate(value, 1)]

    def needed(self, section: Mapping[str, Any], key: str, place: str) -> Any:
        if key not in section:
            raise self.fail(place, f"no {key}; add it")
        return section[key]

    def name(self, section: Mapping[str, Any], place: str) -> str:
        name = self.text(self.needed(section, "name", place), f"{place}, name")
        if not name:
            raise self.fail(place, "an empty name; give one")
        return name

    def text(self, value: Any, place: str) -> str:
        if value is None:
            return ""
        if isinstance(value, (dict, list, bool)):
            raise self.fail(place, f"{shown(value)}: expected text; put it in quotes")
        return " ".join(str(value).split())

    def switch(self, value: Any, place: str) -> bool:
        if not isinstance(value, bool):
            raise self.fail(place, f"{shown(value)}: expected true or false")
        return value

    def choice(self, value: Any, place: str, choices: Sequence[str]) -> Any:
        # YAML 1.1 reads a bare y as text, but n, on, off as switches.
        if not isinstance(value, str) or value not in choices:
            more = nearest(value, list(choices)) if isinstance(value, str) else ""
            raise self.fail(place, f"{shown(value)}: choose from {', '.join(choices)}{more}")
        return value

    def names(self, value: Any, place: str, choices: Sequence[str] | None = None) -> tuple[str, ...]:
        many = value if isinstance(value, list) else [value]
        words = [self.text(one, place) if choices is None else self.choice(one, place, choices) for one in many]
        if "" in words:
            raise self.fail(place, "an empty name; remove it")
        self.distinct(words, place)
        return tuple(words)

    def distinct(self, names: Sequence[str], place: str) -> None:
        twice = [name for number, name in enumerate(names) if name in names[:number]]
        if twice:
            raise self.fail(place, f"{twice[0]} occurs twice; give each a name of its own")

    def number(
        self,
        value: Any,
        place: str,
        *,
        low: float = 0.0,
        above: float | None = None,
        high: float = LONGEST,
        whole: bool = False,
    ) -> float | None:
        """Return a number within its range: from ``low``, or ``above`` where that is given, to ``high``."""
        if value is None:
            return None
        least = f"more than {above:g}" if above is not None else f"{low:g} or more"
        expected = f"expected a {'whole ' if whole else ''}number, {least}, at most {high:g}"
        if isinstance(value, str):  # YAML 1.1 reads 1e3 as text
            value = _to_number(value)
        if isinstance(value, int) and abs(value) > 1e300:  # too large for a float
            raise self.fail(place, f"a number of more than 300 digits: {expected}")
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            raise self.fail(place, f"{shown(value)}: {expected}")
        small = value <= above if above is not None else value < low
        if small or value > high or (whole and value != int(value)):
            raise self.fail(place, f"{value:g}: {expected}")
        return float(value)

    def length(self, value: Any, place: str, *, low: float = 0.0, above: float | None = None) -> float | None:
        """Return a length in the unit of the plan: a number, or one with its unit, as ``5 m``."""
        match = re.fullmatch(r"\s*(\S+?)\s*(mm|cm|m|px)\s*", value) if isinstance(value, str) else None
        number: Any = value
        if match is not None:
            unit = match[2]
            if (unit == "px") != (self.unit == "px"):
                other = (
                    "a scale is given: write mm"
                    if self.unit == "mm"
                    else "there is no mm_per_pixel: write px, or give it"
                )
                raise self.fail(place, f"{value}: in {unit}, but {other}")
            number = _to_number(match[1])
            if isinstance(number, float):
                number *= _UNITS_IN_MM.get(unit, 1.0)
        return self.number(number, place, low=low, above=above)


def _to_number(text: str) -> Any:
    try:
        return float(text)
    except ValueError:
        return text


def shown(value: Any) -> str:
    # Aliases make a list of a few lines billions of words long.
    word = reprlib.repr(value) if isinstance(value, list | dict | set | tuple) else str(value)[:200]
    text = " ".join(word.split())
    return text if len(text) <= 40 else f"{text[:40]}..."

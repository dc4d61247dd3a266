"""What is NG: rules of a YAML file about the defects of a frame. Without such a file any defect is."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from utils.errors import InputError
from utils.line.event import LineDefect
from utils.settings import nearest

FLAG = "-rules"
_KEYS = ("name", "classes", "min_area_px", "min_probability", "count", "total_area_px", "consecutive")


@dataclass(frozen=True)
class Rule:
    """A frame is NG when it has enough of certain defects, and so have the frames before it.

    Attributes:
        name: told as the reason.
        classes: that count; (): all.
        min_area_px: smallest defect that counts.
        min_probability: least probability of one that counts, 0..1.
        count: as many of them make the rule true.
        total_area_px: and their areas together.
        consecutive: frames in a row, of the same camera, on which it is true; the last of them is NG.
    """

    name: str
    classes: tuple[str, ...] = ()
    min_area_px: float = 0
    min_probability: float = 0.0
    count: int = 1
    total_area_px: float = 0
    consecutive: int = 1

    def holds(self, defects: Sequence[LineDefect]) -> bool:
        """Check whether one frame alone has what the rule asks for."""
        counting = [
            one
            for one in defects
            if (not self.classes or one.class_name in self.classes)
            and one.area_px >= self.min_area_px
            and one.probability >= self.min_probability
        ]
        return len(counting) >= self.count and sum(one.area_px for one in counting) >= self.total_area_px


ANY_DEFECT = Rule("any defect")


@dataclass
class Rules:
    """Rules, and how often in a row each was true; for frames in their order."""

    rules: tuple[Rule, ...] = (ANY_DEFECT,)
    _streaks: dict[tuple[str, int], int] = field(default_factory=dict)

    def judge(self, camera: str | None, defects: Sequence[LineDefect]) -> str | None:
        """Return the names of the rules that make a frame NG, joined by commas; None: it is OK.

        Args:
            camera: of the frame.
            defects: of the frame.
        """
        fired = []
        for number, rule in enumerate(self.rules):
            place = (camera or "", number)
            before = self._streaks.pop(place, 0)
            streak = before + 1 if rule.holds(defects) else 0
            if streak >= rule.consecutive:
                fired.append(rule.name)
            if streak and rule.consecutive > 1:  # of every name that somebody gives a camera memory would be taken
                self._streaks[place] = streak
        return ", ".join(fired) or None

    def interrupt(self, camera: str | None) -> None:
        """Begin to count in a row anew: of one frame nothing is known, so nobody can say that the row went on."""
        for number in range(len(self.rules)):
            self._streaks.pop((camera or "", number), None)


def read_rules(path: Path | None, classes: Sequence[str]) -> Rules:
    """Read a file of rules.

    Args:
        path: YAML, ``rules:`` and a list; None: any defect is NG.
        classes: that the weights know.

    Raises:
        InputError: no such file, an unknown key or class, a value of the wrong kind.
    """
    if path is None:
        return Rules()
    import yaml

    try:
        content = yaml.safe_load(path.read_text("utf-8"))
    except OSError as error:
        raise InputError(f"{FLAG} {path}: {error.strerror}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InputError(f"{FLAG} {path}: not a YAML file: {' '.join(str(error).split())[:200]}") from None
    listed = content.get("rules") if isinstance(content, dict) else None
    if not isinstance(content, dict) or set(content) - {"rules"} or not isinstance(listed, list) or not listed:
        raise InputError(f"{FLAG} {path}: expected 'rules:' and a list of rules; docs/line.md shows one")
    found = tuple(_rule(f"{FLAG} {path}, rule {number}", one, classes) for number, one in enumerate(listed, 1))
    names = [rule.name for rule in found]
    if twice := {name for name in names if names.count(name) > 1}:
        raise InputError(f"{FLAG} {path}: two rules have the name {sorted(twice)[0]!r}; give each its own")
    return Rules(found)


def _rule(place: str, given: Any, classes: Sequence[str]) -> Rule:
    if not isinstance(given, dict):
        raise InputError(f"{place}: expected lines of the form key: value")
    for key in given:
        if key not in _KEYS:
            raise InputError(f"{place}: no key {key}{nearest(str(key), _KEYS)}")
    name = given.get("name")
    if not isinstance(name, str) or not name.strip() or len(name) > 80:
        raise InputError(f"{place}: needs a name, which events give as the reason")
    place = f"{place} ({name})"
    wanted = given.get("classes", [])
    wanted = [wanted] if isinstance(wanted, str | int) else wanted
    if not isinstance(wanted, list):
        raise InputError(f"{place}: classes: expected a list of names")
    for one in map(str, wanted):
        if one not in classes:
            raise InputError(f"{place}: no class {one!r} in the weights{nearest(one, list(classes))}")
    return Rule(
        name=" ".join(name.split()),
        classes=tuple(map(str, wanted)),
        min_area_px=_number(place, given, "min_area_px", 0, 0, 1e12),
        min_probability=_number(place, given, "min_probability", 0, 0, 1),
        count=int(_number(place, given, "count", 1, 1, 1e6, whole=True)),
        total_area_px=_number(place, given, "total_area_px", 0, 0, 1e12),
        consecutive=int(_number(place, given, "consecutive", 1, 1, 1e6, whole=True)),
    )


def _number(
    place: str, given: dict[Any, Any], key: str, default: float, low: float, high: float, whole: bool = False
) -> float:
    value = given.get(key, default)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not low <= value <= high or (whole and int(value) != value):
        raise InputError(
            f"{place}: {key} {value}: expected a {'whole ' if whole else ''}number from {low:g} to {high:g}"
        )
    return float(value)

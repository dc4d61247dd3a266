"""Read ``coil.yaml``: whatever is wrong with it is one line that names the key and what was expected."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

import yaml

from utils.coil.plan import (
    VERDICTS,
    Axis,
    Camera,
    CoilPlan,
    Measure,
    RepeatSettings,
    Roll,
    Rule,
    Zones,
)
from utils.coil.plan_values import LONGEST, Values, shown
from utils.coil.zones import ZONES
from utils.errors import InputError
from utils.settings import nearest

SIDES = ("top", "bottom")

# Gap between two parts of one defect where coil.yaml says nothing: pixels that a network misses at a border.
_JOIN_PX = 2.0
_PER_METRE = ("count_per_m", "area_per_m")

_KEYS = [
    "coil",
    "line",
    "steel",
    "side",
    "mm_per_pixel",
    "along",
    "reversed_along",
    "reversed_across",
    "seams",
    "left",
    "cameras",
    "width",
    "edges",
    "zones",
    "join",
    "m_per_count",
    "rolls",
    "repeats",
    "verdicts",
    "warn_classes",
    "rules",
]
_CAMERA_KEYS = ("left", "mm_per_pixel", "along", "reversed_along", "reversed_across", "seams")


def read_plan(path: Path | None) -> CoilPlan:
    """Read ``coil.yaml``.

    Args:
        path: of the file; none: nothing is known, everything is in pixels.

    Returns:
        What it says. ``unit`` is ``"mm"`` when it gives a scale. A gap ``join`` that it does not give is two pixels.

    Raises:
        InputError: no such file, not YAML, an unknown key, or a value of the wrong kind or out of range; one line.
    """
    if path is None:
        return CoilPlan(join=_JOIN_PX)
    return _Reader(path).plan(_load(path))


def check_classes(plan: CoilPlan, known: Sequence[str], file: Path | None, source: str) -> None:
    """Raise ``InputError`` when a rule or ``warn_classes`` names classes that cannot come; the line names all of them.

    Args:
        plan: with the rules.
        known: names of the classes.
        file: of the plan, for the message.
        source: what has these classes, for the message.
    """
    named = [(f"rule {rule.name}", name) for rule in plan.rules for name in rule.classes]
    places: dict[str, list[str]] = {}
    for place, name in [*named, *(("warn_classes", name) for name in plan.warn_classes)]:
        if name not in known:
            places.setdefault(name, []).append(place)
    if places:
        wrong = [
            f"{', '.join(where)}: {source} has no class {name}{nearest(name, list(known))}"
            for name, where in places.items()
        ]
        raise InputError(f"{file}: {'; '.join(wrong)}; its classes are {', '.join(known)}")


class _OnlyOnce(yaml.SafeLoader):
    """A loader that refuses a key that occurs twice, since YAML would silently take the last one."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Build a mapping, see ``yaml.SafeLoader``."""
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    line = key.start_mark.line + 1
                    raise InputError(f"line {line}: {key.value} occurs twice; keep one of them")
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def _load(path: Path) -> dict[str, Any]:
    try:
        content = yaml.load(path.read_text(encoding="utf-8-sig"), Loader=_OnlyOnce)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except OSError as error:
        raise InputError(
            f"{path}: {error.strerror}; name the file that describes the coil, or leave -coil out"
        ) from None
    except RecursionError:
        raise InputError(f"{path}: lists within lists, hundreds deep; expected lines of the form key: value") from None
    except (yaml.YAMLError, ValueError, LookupError, TypeError, AttributeError) as error:
        # ValueError: not UTF-8, or a date that is none; the others: a tag that does not fit, as !!float "" and !!map [a]
        raise InputError(f"{path}: not a YAML file: {' '.join(str(error).split())}; correct this place") from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected lines of the form key: value, as in the example of docs/coil.md")
    return content


class _Reader(Values):
    """Turns the content of a file into a plan."""

    def plan(self, content: dict[str, Any]) -> CoilPlan:
        top = self.section(content, "", _KEYS)
        cameras = self.cameras(top)
        known = [camera.mm_per_px_along is not None for camera in cameras.values()]
        if any(known):
            self.unit = "mm"
            # Without a scale of its own "" is no camera: what is not named then is refused where it turns up.
            unscaled = [name for name, camera in cameras.items() if camera.mm_per_px_along is None]
            if named := [name for name in unscaled if name]:
                raise self.fail(f"cameras, {named[0]}", "no mm_per_pixel, but other cameras have one; give it here too")
            cameras = {name: camera for name, camera in cameras.items() if name not in unscaled}
        cameras = self.places(top, cameras)
        verdicts = self.names(top.get("verdicts", list(VERDICTS)), "verdicts")
        if len(verdicts) < 2:
            raise self.fail("verdicts", "expected at least two words, least grave first")
        plan = CoilPlan(
            coil=self.text(top.get("coil"), "coil"),
            line=self.text(top.get("line"), "line"),
            steel=self.text(top.get("steel"), "steel"),
            side=self.choice(top.get("side", "top"), "side", SIDES),
            unit=self.unit,
            width=self.length(top.get("width"), "width", above=0),
            edges=self.edges(top.get("edges")),
            cameras=cameras,
            zones=self.zones(top.get("zones")),
            join=self.join(top.get("join"), cameras.values()),
            rolls=self.rolls(top.get("rolls")),
            repeats=self.repeats(top.get("repeats")),
            verdicts=verdicts,
            rules=self.rules(top.get("rules"), verdicts),
            warn_classes=self.names(top.get("warn_classes", []), "warn_classes"),
            m_per_count=self.number(top.get("m_per_count"), "m_per_count", high=1000),
        )
        if plan.m_per_count == 0:
            raise self.fail("m_per_count", "expected a number other than 0: metres of strip per encoder count")
        self.consistent(plan)
        return plan

    def consistent(self, plan: CoilPlan) -> None:
        width = plan.width
        if isinstance(plan.edges, tuple):
            between = plan.edges[1] - plan.edges[0]
            if width is not None and abs(between - width) > 0.02 * width:
                raise self.fail("edges", f"{between:g} {plan.unit} apart, but width is {width:g}; correct one of them")
            width = between
        if width is not None and 2 * plan.zones.edge >= width:
            raise self.fail(
                "zones, edge", f"{plan.zones.edge:g}: leaves no centre of a strip {width:g} {plan.unit} wide; give less"
            )

    # Parts of the file.

    def cameras(self, top: Mapping[str, Any]) -> dict[str, Camera]:
        common = {key: top[key] for key in _CAMERA_KEYS if key in top}
        cameras = {"": self.camera(common, "")}
        named = top.get("cameras")
        if named is None:
            return cameras
        if not isinstance(named, dict) or not named:
            raise self.fail("cameras", "expected a line for each camera: its name, and what is different for it")
        for key, own in named.items():
            name = self.text(key, "cameras")
            if not name or name in cameras:
                raise self.fail(
                    "cameras", f"name {name!r} occurs twice or is empty; give each camera a name of its own"
                )
            section = self.section(own, f"cameras, {name}", _CAMERA_KEYS)
            cameras[name] = self.camera({**common, **section}, name)
        return cameras

    def camera(self, section: Mapping[str, Any], name: str) -> Camera:
        place = f"cameras, {name}, " if name else ""
        along, across = self.scale(section.get("mm_per_pixel"), f"{place}mm_per_pixel")
        return Camera(
            name=name,
            mm_per_px_along=along,
            mm_per_px_across=across,
            along=self.choice(section.get("along", "y"), f"{place}along", get_args(Axis)),
            reversed_along=self.switch(section.get("reversed_along", False), f"{place}reversed_along"),
            reversed_across=self.switch(section.get("reversed_across", False), f"{place}reversed_across"),
            seams=self.seams(section.get("seams"), f"{place}seams"),
        )

    def seams(self, value: Any, place: str) -> tuple[float, ...]:
        """Return the pixels across an image where one sensor ends and the next begins."""
        if value is None:
            return ()
        if not isinstance(value, list):
            raise self.fail(place, f"{shown(value)}: expected a list of pixels across the image, as [4096, 8192]")
        found = [self.number(one, place, above=0, high=1e6) or 0.0 for one in value]
        if any(later <= earlier for earlier, later in pairwise(found)):
            raise self.fail(place, f"{shown(value)}: expected each pixel beyond the one before; sort them")
        return tuple(found)

    def places(self, top: Mapping[str, Any], cameras: dict[str, Camera]) -> dict[str, Camera]:
        """Add where each camera's images begin across: lengths can be read once the unit is known."""
        own = top.get("cameras") or {}
        lefts = {self.text(name, "cameras"): (section or {}).get("left") for name, section in own.items()}
        lefts[""] = top.get("left")
        placed = {}
        for name, camera in cameras.items():
            place = f"cameras, {name}, left" if name else "left"
            left = self.length(lefts.get(name), place, low=-LONGEST)
            placed[name] = Camera(**{**vars(camera), "left": left})
        return placed

    def scale(self, value: Any, place: str) -> tuple[float | None, float | None]:
        if value is None:
            return None, None
        if isinstance(value, dict):
            section = self.section(value, place, ("along", "across"))
            if len(section) < 2:
                raise self.fail(place, "expected both along and across, or one number for both")
            pair = [self.number(section[key], f"{place}, {key}", above=0, high=1000) for key in ("along", "across")]
            return pair[0], pair[1]
        number = self.number(value, place, above=0, high=1000)
        return number, number

    def edges(self, value: Any) -> Any:
        if value is None or value == "found":
            return value
        if not isinstance(value, list) or len(value) != 2:
            raise self.fail("edges", "expected [LEFT, RIGHT] across the strip, or found")
        left, right = (self.length(one, "edges", low=-LONGEST) for one in value)
        if left is None or right is None or left >= right:
            raise self.fail("edges", f"{shown(value)}: expected the left edge first, and the right one beyond it")
        return left, right

    def zones(self, value: Any) -> Zones:
        section = self.section(value, "zones", ("edge", "head", "tail"))
        return Zones(**{key: self.length(section.get(key), f"zones, {key}") or 0.0 for key in ("edge", "head", "tail")})

    def join(self, value: Any, cameras: Iterable[Camera]) -> float:
        given = self.length(value, "join")
        if given is not None:
            return given
        sizes = [size for one in cameras for size in (one.mm_per_px_along, one.mm_per_px_across) if size is not None]
        return _JOIN_PX * max(sizes, default=1.0)

    def rolls(self, value: Any) -> tuple[Roll, ...]:
        if value is None:
            return ()
        if self.unit == "px":
            raise self.fail("rolls", "diameters are in millimetres, and there is no mm_per_pixel; give it, or no rolls")
        rolls = []
        for place, entry in self.entries(value, "rolls"):
            section = self.section(entry, place, ("name", "smallest", "largest", "elongation"))
            name = self.name(section, place)
            place = f"rolls, {name}"
            smallest, largest = (
                self.length(self.needed(section, key, place), f"{place}, {key}", above=0) or 0.0
                for key in ("smallest", "largest")
            )
            if smallest > largest:
                raise self.fail(place, f"smallest {smallest:g} is above largest {largest:g}; exchange them")
            elongation = self.number(section.get("elongation", 1.0), f"{place}, elongation", above=0, high=1000)
            rolls.append(Roll(name, smallest, largest, 1.0 if elongation is None else elongation))
        self.distinct([roll.name for roll in rolls], "rolls")
        return tuple(rolls)

    def repeats(self, value: Any) -> RepeatSettings:
        default = RepeatSettings()
        keys = ("lane", "window", "shortest", "longest", "false_alarms")
        section = self.section(value, "repeats", keys)
        lengths = {key: self.length(section.get(key), f"repeats, {key}", above=0) for key in keys[:4]}
        shortest, longest = lengths["shortest"], lengths["longest"]
        if shortest is not None and longest is not None and shortest >= longest:
            raise self.fail("repeats", f"shortest {shortest:g} is not below longest {longest:g}; exchange them")
        alarms = self.number(section.get("false_alarms"), "repeats, false_alarms", above=0, high=10)
        return RepeatSettings(
            lane=default.lane if lengths["lane"] is None else lengths["lane"],
            window=default.window if lengths["window"] is None else lengths["window"],
            shortest=shortest,
            longest=longest,
            false_alarms=default.false_alarms if alarms is None else alarms,
        )

    def rules(self, value: Any, verdicts: Sequence[str]) -> tuple[Rule, ...]:
        if value is None:
            return ()
        rules = []
        keys = ("name", "verdict", "measure", "at_least", "classes", "zones", "sides", "smallest_area", "window_m")
        for place, entry in self.entries(value, "rules"):
            section = self.section(entry, place, keys)
            name = self.name(section, place)
            place = f"rules, {name}"
            measure: Measure = self.choice(section.get("measure", "count"), f"{place}, measure", get_args(Measure))
            window = self.number(section.get("window_m"), f"{place}, window_m", above=0, high=1e6)
            if self.unit == "px" and (measure in _PER_METRE or window is not None):
                what = "window_m" if window is not None else f"measure {measure}"
                raise self.fail(
                    place, f"{what} needs metres, and there is no mm_per_pixel; give it, or another measure"
                )
            at_least = self.number(section.get("at_least", 1.0), f"{place}, at_least", above=0, high=1e12)
            area = self.number(section.get("smallest_area", 0.0), f"{place}, smallest_area", high=1e12)
            rules.append(
                Rule(
                    name=name,
                    verdict=self.choice(self.needed(section, "verdict", place), f"{place}, verdict", verdicts),
                    measure=measure,
                    at_least=1.0 if at_least is None else at_least,
                    classes=self.names(section.get("classes", []), f"{place}, classes"),
                    zones=self.names(section.get("zones", []), f"{place}, zones", ZONES),
                    sides=self.names(section.get("sides", []), f"{place}, sides", SIDES),
                    smallest_area=area or 0.0,
                    window_m=window,
                )
            )
        self.distinct([rule.name for rule in rules], "rules")
        return tuple(rules)

"""What ``coil.yaml`` says: the coil, the cameras and their scale, the strip, the rolls and the rules, as values.

Lengths are in millimetres where the scale is known (``CoilPlan.unit`` is ``"mm"``), else in pixels (``"px"``): then no
millimetre and no metre is printed anywhere, and what needs them is refused.
"""

from dataclasses import dataclass, field
from typing import Literal

Unit = Literal["mm", "px"]
Axis = Literal["x", "y"]
Measure = Literal[
    "count",
    "count_per_m",
    "area",
    "area_per_m",
    "largest_area",
    "length",
    "longest",
    "repeats",
    "not_seen",
    "camera_gaps",
]

# Verdicts of a coil without words of its own, least grave first.
VERDICTS = ("accept", "downgrade", "hold")


@dataclass(frozen=True)
class Camera:
    """How one camera sees the strip.

    Attributes:
        name: as in ``positions.csv`` and ``defects``.
        mm_per_px_along: millimetres of the strip that a pixel covers along it; none: unknown.
        mm_per_px_across: the same across it.
        left: where the image begins across the strip, in the unit of the plan, when ``positions.csv`` does not say; none:
            not given, which is 0 for the only camera.
        along: image axis that runs along the strip.
        reversed_along: the strip's head is at the end of that axis instead of its beginning.
        reversed_across: the strip's left edge is at the end of the other axis (as underneath the strip).
        seams: pixels of the image, across the strip, where one sensor ends and the next begins: parts on both sides are
            joined as those of two images are.
    """

    name: str = ""
    mm_per_px_along: float | None = None
    mm_per_px_across: float | None = None
    left: float | None = None
    along: Axis = "y"
    reversed_along: bool = False
    reversed_across: bool = False
    seams: tuple[float, ...] = ()


@dataclass(frozen=True)
class Roll:
    """A roll that may print a mark into the strip at every turn.

    Attributes:
        name: what the plant calls it.
        smallest, largest: diameter in millimetres, as ground.
        elongation: length of the strip at the camera divided by its length at the roll; 1.25 after 25 % more length.
    """

    name: str
    smallest: float
    largest: float
    elongation: float = 1.0


@dataclass(frozen=True)
class Zones:
    """Parts of the strip that rules and tables name, in the unit of the plan; 0: there is no such zone."""

    edge: float = 0.0
    head: float = 0.0
    tail: float = 0.0


@dataclass(frozen=True)
class Rule:
    """One rule of grading: what is measured of which defects, and the verdict from a limit on.

    Attributes:
        name: what the page and ``grade.json`` call it.
        verdict: one of the plan's verdicts.
        measure: what is compared with the limits.
        at_least: the rule fires from this value on.
        classes: names of classes; empty: all.
        zones: ``edge``, ``centre``, ``head``, ``body``, ``tail``; empty: everywhere.
        sides: ``top``, ``bottom``; empty: both.
        smallest_area: defects smaller than this do not count, in square units of the plan.
        window_m: the measure is the largest one of any stretch this long; none: of the whole coil.
    """

    name: str
    verdict: str
    measure: Measure = "count"
    at_least: float = 1.0
    classes: tuple[str, ...] = ()
    zones: tuple[str, ...] = ()
    sides: tuple[str, ...] = ()
    smallest_area: float = 0.0
    window_m: float | None = None


@dataclass(frozen=True)
class RepeatSettings:
    """How series of defects at a fixed step are looked for, in the unit of the plan.

    Attributes:
        lane: width of the strip's part in which the marks of one series lie; what slip and weave may move them grows
            with it.
        window: farthest two marks of a series may lie apart.
        shortest, longest: steps that are tried; none: from the rolls, else from what the window can prove.
        false_alarms: expected number of series found on a coil without any.
    """

    lane: float = 60.0
    window: float = 60_000.0
    shortest: float | None = None
    longest: float | None = None
    false_alarms: float = 0.005


@dataclass(frozen=True)
class CoilPlan:
    """All of ``coil.yaml``.

    Attributes:
        coil, line, steel: names for the page; empty: not given.
        side: of the strip that the cameras see.
        unit: of every length here and in the tables.
        width: of the strip in the unit; none: unknown.
        edges: where the strip's left and right edges lie across; ``"found"``: look for them in the images; none: the
            images show nothing but the strip.
        cameras: by name; ``""`` is every camera that is not named.
        zones: edge, head and tail.
        join: largest gap between two parts of one defect, in the unit.
        rolls: that may leave repeating marks.
        repeats: how these are looked for.
        verdicts: words for the coil, least grave first.
        rules: of grading; empty: no verdict is given.
        m_per_count: metres of the strip from one encoder count to the next, for ``positions.csv`` with counts.
        warn_classes: classes that the next line must be told of: edge cracks, holes.
    """

    coil: str = ""
    line: str = ""
    steel: str = ""
    side: Literal["top", "bottom"] = "top"
    unit: Unit = "px"
    width: float | None = None
    edges: tuple[float, float] | Literal["found"] | None = None
    cameras: dict[str, Camera] = field(default_factory=lambda: {"": Camera()})
    zones: Zones = field(default_factory=Zones)
    join: float = 0.0
    rolls: tuple[Roll, ...] = ()
    repeats: RepeatSettings = field(default_factory=RepeatSettings)
    verdicts: tuple[str, ...] = VERDICTS
    rules: tuple[Rule, ...] = ()
    m_per_count: float | None = None
    warn_classes: tuple[str, ...] = ()

    def camera(self, name: str) -> Camera | None:
        """Return how a camera sees the strip: by its name, else as every camera that is not named; none: not described."""
        return self.cameras.get(name, self.cameras.get(""))

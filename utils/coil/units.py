"""Lengths and areas in words, in metres and millimetres where the scale is known, else in pixels only."""

from dataclasses import dataclass

from utils.coil.plan import Unit


@dataclass(frozen=True)
class Units:
    """How the numbers of a plan are written.

    Attributes:
        along: of places along the strip.
        per_along: units of the plan in one of those.
        across: of places across the strip, and of sizes.
        area: of areas.
        digits: of places along, behind the point.
        suffix: of columns that hold places along, and of those across.
    """

    along: str
    per_along: float
    across: str
    area: str
    digits: int
    suffix: tuple[str, str]

    @classmethod
    def of(cls, unit: Unit) -> "Units":
        """Return those of a plan's unit."""
        if unit == "mm":
            return cls("m", 1000.0, "mm", "mm²", 2, ("_m", "_mm"))
        return cls("px", 1.0, "px", "px", 0, ("_px", "_px"))

    def place(self, along: float) -> str:
        """Write a place along the strip: 312.40 m."""
        return f"{self.number(along)} {self.along}"

    def number(self, along: float) -> str:
        """Write a place along the strip without its unit."""
        return f"{along / self.per_along:,.{self.digits}f}"

    def stretch(self, begin: float, end: float) -> str:
        """Write a stretch of the strip: 312.40 to 322.40 m."""
        return f"{self.number(begin)} to {self.place(end)}"

    def size(self, length: float) -> str:
        """Write a length or a place across the strip: 25 mm, 0.4 mm."""
        return f"{_short(length)} {self.across}"

    def square(self, area: float) -> str:
        """Write an area."""
        return f"{_short(area)} {self.area}"


def _short(value: float) -> str:
    """Write a number with a digit behind the point where it is small and not whole."""
    return f"{value:,.0f}" if abs(value) >= 100 or value == round(value) else f"{value:,.1f}"

"""Names of classes in plots: short, different, letter by letter, and legends that leave the curves their room."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes

LONGEST = 18  # letters of a name
INSIDE = 8  # entries of a legend that find room between the curves
LETTER, ROW, BESIDE = 0.11, 0.27, 0.75  # inches: width of a letter, height of an entry, its line and the gaps


def short(name: str, length: int = LONGEST) -> str:
    """Cut a name that would push a plot out of shape."""
    return name if len(name) <= length else f"{name[: length - 1]}…"


def literal(text: str) -> str:
    """Keep matplotlib from reading ``$`` as the beginning of a formula."""
    return text.replace("$", r"\$")


def labels_of(names: Sequence[str]) -> list[str]:
    """Return names for a plot: short, letter by letter, and no two the same.

    Names that begin alike are cut in the middle, and what even so is the same gets its place in brackets.
    """
    beginnings = Counter(map(short, names))
    alike = [len(name) > LONGEST and beginnings[short(name)] > 1 for name in names]
    cut = [f"{name[:8]}…{name[-9:]}" if middle else short(name) for name, middle in zip(names, alike, strict=True)]
    seen = Counter(cut)
    return [literal(f"{name} ({place})" if seen[name] > 1 else name) for place, name in enumerate(cut, start=1)]


def add_legend(ax: Axes, handles: Sequence[Any], labels: Sequence[str]) -> None:
    """Add a legend: where it covers least, or in columns below the axes when it has many entries.

    Args:
        ax: of a figure that it has for itself; the figure grows by a legend below the axes.
        handles: the lines or bars. Named one by one: matplotlib leaves out labels that begin with ``_``.
        labels: theirs, as ``labels_of`` gives them.
    """
    if len(labels) <= INSIDE:
        ax.legend(handles, labels, loc="best", handlelength=2.6)
        return
    figure = ax.get_figure(root=True)
    assert figure is not None
    width, height = figure.get_size_inches()
    columns = max(1, int(width / (BESIDE + LETTER * max(map(len, labels)))))
    figure.set_size_inches(width, height + ROW * -(-len(labels) // columns))
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, handlelength=2.6)

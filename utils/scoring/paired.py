"""Several networks on the same images: how far their scores are apart, and whether that is more than chance."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from utils.scoring.bootstrap import LEVEL, ends, resampled
from utils.scoring.counts import Counts
from utils.scoring.scores import pair_dice
from utils.text import TOGETHER

MEAN_DICE, DEFECT_DICE = "mean_dice", "defect_dice"
WORDS = {MEAN_DICE: "mean Dice", DEFECT_DICE: "defect Dice"}
# Groups of images from which on an interval is given: of fewer its ends are those of single groups.
LEAST_GROUPS = 10


@dataclass(frozen=True)
class Difference:
    """How much better one network is than another.

    Attributes:
        value: its score minus the other's.
        low: lower end of the interval of this difference; None where there are too few groups, or no resamples.
        high: upper end likewise.
    """

    value: float
    low: float | None = None
    high: float | None = None

    @property
    def told(self) -> bool | None:
        """Whether the interval leaves no doubt which one is better; None without an interval."""
        return None if self.low is None or self.high is None else not self.low <= 0 <= self.high

    @property
    def verdict(self) -> str:
        """ "better", "worse" or "cannot be told"; "" without an interval."""
        return (
            "" if self.told is None else "cannot be told" if not self.told else "better" if self.value > 0 else "worse"
        )

    def words(self, name: str) -> str:
        """Return the difference as half a sentence about the network of this name."""
        how = "better" if self.value >= 0 else "worse"
        said = f"{name} is {how} by {abs(self.value):.4f}"
        if self.low is None or self.high is None:
            return said
        return f"{said}, {LEVEL:.0%} {self.low:+.4f} to {self.high:+.4f}{'' if self.told else ': cannot be told'}"


@dataclass(frozen=True)
class Row:
    """One score of all networks.

    Attributes:
        score: a name of ``WORDS``.
        name: of the class, or ``together``.
        values: of each network; None where nothing is labelled.
        differences: of each network but the first, to the first; None likewise.
    """

    score: str
    name: str
    values: tuple[float | None, ...]
    differences: tuple[Difference | None, ...]

    @property
    def words(self) -> str:
        """What is scored, in words."""
        return WORDS[self.score] if self.name == TOGETHER else f"{WORDS[self.score]} of {self.name}"


@dataclass(frozen=True)
class Comparison:
    """The scores of several networks on the same images.

    Attributes:
        images: their number.
        groups: number of groups that were drawn whole.
        resamples: number of times that as many groups as there are were drawn with replacement; 0: there is no interval.
        seed: of ``numpy.random.default_rng``.
        rows: mean Dice together, defect-only Dice together, then both of each class.
    """

    images: int
    groups: int
    resamples: int
    seed: int
    rows: tuple[Row, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers that are not in ``rows``, as JSON can hold them."""
        return {"images": self.images, "groups": self.groups, "resamples": self.resamples, "seed": self.seed}


def compare(
    counts: Sequence[Counts], class_names: Sequence[str], groups: Sequence[int] | np.ndarray, resamples: int, seed: int
) -> Comparison:
    """Compare networks by paired bootstrap: all of them are scored on each resample, and their differences collected.

    Groups of images are drawn, not images: copies of one picture are not independent, and would make the interval too
    narrow (Field and Welsh, Bootstrapping clustered data, 2007). Percentile method, as in ``bootstrap``.

    Args:
        counts: of each network, of the same N >= 1 images in the same order, with the C classes in the same order.
        class_names: C names.
        groups: (N,) group of each image.
        resamples: 0 for no intervals.
        seed: fixes the drawing.

    Raises:
        ValueError: the networks have seen other images.
    """
    if any(one.images != counts[0].images for one in counts):
        raise ValueError("expected the same images of every network, in the same order")
    known = ((counts[0].tp + counts[0].fn) > 0).numpy().astype(np.float64)
    images, classes = known.shape
    # Every score is a ratio of sums over images, so that sums over groups are all that is drawn.
    dice = [pair_dice(one).numpy() for one in counts]
    columns = np.concatenate([*dice, *(one * known for one in dice), known, np.ones((images, 1))], axis=1)
    number_of, group_of = np.unique(np.asarray(groups), return_inverse=True)
    sums = np.zeros((len(number_of), columns.shape[1]))
    np.add.at(sums, group_of, columns)
    drawn = resampled(sums, resamples, seed) if resamples and len(sums) >= LEAST_GROUPS else None
    rows = []
    for name, chosen in [(TOGETHER, range(classes)), *((name, [k]) for k, name in enumerate(class_names))]:
        for score in WORDS:
            whole = _scores(sums.sum(0)[None], score, len(dice), classes, chosen)
            scattered = None if drawn is None else _scores(drawn, score, len(dice), classes, chosen)
            rows.append(_row(score, name, whole[0], scattered))
    return Comparison(images, len(sums), 0 if drawn is None else resamples, seed, tuple(rows))


def _scores(sums: np.ndarray, score: str, runs: int, classes: int, chosen: Sequence[int]) -> np.ndarray:
    """Compute a score of every network from (R, columns) sums: (R, runs), nan where nothing is labelled."""
    part = 0 if score == MEAN_DICE else runs * classes
    over = np.stack([sums[:, [part + run * classes + k for k in chosen]].sum(1) for run in range(runs)], axis=1)
    if score == MEAN_DICE:
        under = sums[:, -1] * len(chosen)
    else:
        under = sums[:, [2 * runs * classes + k for k in chosen]].sum(1)
    with np.errstate(invalid="ignore"):
        return over / under[:, None]


def _row(score: str, name: str, values: np.ndarray, scattered: np.ndarray | None) -> Row:
    if np.isnan(values).any():
        return Row(score, name, (None,) * len(values), (None,) * (len(values) - 1))
    differences = []
    for run in range(1, len(values)):
        found = Difference(float(values[run] - values[0]))
        if scattered is not None:
            apart = scattered[:, run] - scattered[:, 0]
            found = Difference(found.value, *ends(apart[~np.isnan(apart)]))
        differences.append(found)
    return Row(score, name, tuple(map(float, values)), tuple(differences))

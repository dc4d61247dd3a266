"""Marks that a roll prints into the strip at every turn, as they arrive under the cameras."""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

# A new mark is a few turns old before anybody sees it, and it wears off: a series shorter than this is none.
LEAST_TURNS = 40


@dataclass(frozen=True)
class DrawnRoll:
    """A roll of the drawn line.

    Attributes:
        name: what the plant calls it.
        diameter: millimetres, as it is ground today.
        smallest, largest: millimetres, between which it is ground.
        elongation: length of the strip at the camera divided by its length at the roll.
    """

    name: str
    diameter: float
    smallest: float
    largest: float
    elongation: float = 1.0

    @property
    def period(self) -> float:
        """Length of the strip at the camera that one turn makes, in millimetres."""
        return math.pi * self.diameter * self.elongation


@dataclass(frozen=True)
class Wander:
    """How the strip strays from what a roll of fixed size would print.

    Attributes:
        slip: standard deviation of the slip in one turn, millimetres; it adds up.
        drift: relative change of the elongation from head to tail.
        weave: the strip's largest way to either side, millimetres.
        jitter: standard deviation of a mark's box, millimetres along and across.
    """

    slip: float = 3.0
    drift: float = 0.003
    weave: float = 12.0
    jitter: float = 2.0


def turns_of(
    rng: np.random.Generator, roll: DrawnRoll, onset: float, end: float, length: float, wander: Wander
) -> np.ndarray:
    """Return where the turns of a roll begin on the strip.

    Args:
        rng: source of chance.
        roll: whose turns.
        onset, end: where the first and the last turn may lie, millimetres.
        length: of the coil.
        wander: slip and drift; a negative drift makes the steps shorter towards the tail.

    Returns:
        (turns,) float64, millimetres, increasing.
    """
    count = math.ceil(1.02 * (end - onset) / roll.period) + 20
    slips = rng.normal(0.0, wander.slip, count)
    places = np.empty(count)
    place = onset + float(rng.uniform(0.0, roll.period))
    for turn in range(count):
        places[turn] = place
        place += roll.period * (1.0 + wander.drift * (place / length - 0.5)) + slips[turn]
    return places[places < end]


def weave_of(rng: np.random.Generator, length: float, wander: Wander) -> tuple[np.ndarray, np.ndarray]:
    """Return the way of the strip to the side: places along it and the shifts there, both (N,) in millimetres."""
    along = np.linspace(0.0, length, max(3, math.ceil(length / 2000.0)))
    waves = np.zeros(len(along))
    for wave, weight in (
        (rng.uniform(60e3, 250e3), 1.0),
        (rng.uniform(20e3, 60e3), 0.5),
        (rng.uniform(8e3, 20e3), 0.2),
    ):
        waves += weight * np.sin(2.0 * math.pi * (along / wave + rng.random()))
    return along, wander.weave * waves / max(1e-9, float(np.abs(waves).max()))


@dataclass(frozen=True)
class Stamp:
    """One place on a roll that prints.

    Attributes:
        angle: turn of the roll at which it prints, 0..1.
        across: millimetres from the strip's left edge.
        size: of the mark along and across, millimetres.
        class_name: that it is mostly taken for.
    """

    angle: float
    across: float
    size: tuple[float, float]
    class_name: str


def print_marks(
    rng: np.random.Generator,
    roll: DrawnRoll,
    stamps: list[Stamp],
    places: np.ndarray,
    shifts: np.ndarray,
    missed: float,
    wander: Wander,
    class_names: tuple[str, ...],
    confused: float,
) -> list[pd.DataFrame]:
    """Print the marks of one roll.

    Args:
        rng: source of chance.
        roll: that prints.
        stamps: its places that print.
        places: (turns,) where its turns begin, millimetres.
        shifts: (turns,) the strip's way to the side there.
        missed: probability that a mark is not seen.
        wander: its jitter.
        class_names: that a mark may be taken for.
        confused: probability that a mark is taken for another class.

    Returns:
        For each stamp a frame with ``class_name, along, across, size_along, size_across`` of the marks that are seen.
    """
    printed = []
    for stamp in stamps:
        seen = rng.random(len(places)) >= missed
        count = int(seen.sum())
        names = np.where(rng.random(count) < confused, rng.choice(class_names, count), stamp.class_name)
        grown = np.exp(rng.normal(0.0, 0.15, (2, count)))
        printed.append(
            pd.DataFrame(
                {
                    "class_name": names,
                    "along": (places + stamp.angle * roll.period)[seen] + rng.normal(0.0, wander.jitter, count),
                    "across": stamp.across + shifts[seen] + rng.normal(0.0, wander.jitter, count),
                    "size_along": stamp.size[0] * grown[0],
                    "size_across": stamp.size[1] * grown[1],
                }
            )
        )
    return printed

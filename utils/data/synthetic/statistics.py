"""How often the classes occur, and how large their defects are: figures of the competition's public label table.

The figures come from the competition's public label table: 12,568 training images of 256x1600 pixels, one row per image
and class. Areas and lengths are pixels at that size; ``scale`` (height / 256) carries them to other sizes.
"""

import math

import numpy as np

CLASS_NAMES = ("pits", "cracks", "scratches", "patches")

REFERENCE_SIZE = (256, 1600)

# Images of the table that show exactly this set of classes.
CLASS_SETS: dict[tuple[int, ...], int] = {
    (): 5902,
    (1,): 769,
    (1, 2): 35,
    (2,): 195,
    (1, 2, 3): 2,
    (2, 3): 14,
    (1, 3): 91,
    (3,): 4759,
    (3, 4): 284,
    (4,): 516,
    (2, 4): 1,
}

# Mean and standard deviation of the natural logarithm of a class's area in an image (897, 247, 5150 and 801 images).
LOG_AREA = {1: (8.06, 0.83), 2: (7.95, 0.63), 3: (9.42, 1.22), 4: (10.08, 0.92)}

# 1st and 99th percentile of that area; drawn areas are cut here.
AREA_RANGE = {1: (465.0, 15667.0), 2: (575.0, 10538.0), 3: (720.0, 193331.0), 4: (1991.0, 129924.0)}

# Share of the rows with at most 1, 2, 3, ... connected components.
COMPONENTS_CDF = {
    1: (0.45, 0.59, 0.67, 0.73, 0.77, 0.82, 0.87, 0.92, 0.935, 0.95, 0.965, 0.98, 0.99, 1.0),
    2: (0.74, 0.96, 1.0),
    3: (0.32, 0.58, 0.73, 0.82, 0.89, 0.93, 0.95, 0.97, 0.98, 1.0),
    4: (0.39, 0.68, 0.82, 0.90, 0.94, 0.96, 0.975, 0.99, 1.0),
}

# Rank correlation of a row's area and its number of components.
AREA_COMPONENTS_CORRELATION = {1: 0.66, 2: 0.33, 3: 0.37, 4: 0.31}

# Smallest connected component that an annotator still outlined (5th percentile or above).
SMALLEST_COMPONENT = {1: 300.0, 2: 500.0, 3: 400.0, 4: 600.0}

# Share of the components of class 1 (pits) and 2 (cracks) by their centre, in eighths of the width from left to right.
CENTRE_HISTOGRAM = {
    1: (0.106, 0.245, 0.211, 0.110, 0.066, 0.070, 0.117, 0.075),
    2: (0.076, 0.016, 0.372, 0.019, 0.252, 0.006, 0.013, 0.246),
}

# The rare classes are raised to a floor; above this one class 3 would itself fall below the floor.
LARGEST_FLOOR = 0.2

GOLDEN_RATIO = (math.sqrt(5.0) - 1.0) / 2.0


def class_set_shares(floor: float) -> dict[tuple[int, ...], float]:
    """Share of strips for every set of classes.

    A class below the floor gains strips that show it alone; they are taken from the clean strips and from those with
    class 3 alone, in proportion. With floor 0 the shares are the real ones.

    Args:
        floor: least share of strips that hold each class, 0..``LARGEST_FLOOR``.

    Returns:
        Set of class ids -> share; the shares sum to 1.
    """
    total = sum(CLASS_SETS.values())
    shares = {classes: count / total for classes, count in CLASS_SETS.items()}
    missing = {}
    for class_id in range(1, len(CLASS_NAMES) + 1):
        missing[class_id] = max(0.0, floor - sum(share for classes, share in shares.items() if class_id in classes))
    kept = 1.0 - sum(missing.values()) / (shares[()] + shares[(3,)])
    shares[()] *= kept
    shares[(3,)] *= kept
    for class_id, gain in missing.items():
        shares[(class_id,)] += gain
    return shares


def draw_class_set(start: float, index: int, floor: float) -> tuple[int, ...]:
    """Classes of one strip.

    Strip ``index`` takes the point frac(start + index x golden ratio) of the cumulative shares. Such points are spread
    evenly over any run of strips, so a set of 24 already holds every class at the default floor, and yet no strip
    depends on how many there are.

    Args:
        start: offset of the sequence, 0..1.
        index: number of the strip, 0 or more.
        floor: least share of strips that hold each class.

    Returns:
        Sorted class ids; empty for a clean strip.
    """
    point = (start + index * GOLDEN_RATIO) % 1.0
    cumulated = 0.0
    shares = class_set_shares(floor)
    for classes, share in shares.items():
        cumulated += share
        if point < cumulated:
            return classes
    return ()


def draw_areas(rng: np.random.Generator, class_id: int, scale: float) -> list[float]:
    """Areas of the connected components of one class in one strip, largest first.

    Args:
        rng: source of chance.
        class_id: 1..4.
        scale: strip height / 256.

    Returns:
        One area in pixels per component.
    """
    mean, deviation = LOG_AREA[class_id]
    correlation = AREA_COMPONENTS_CORRELATION[class_id]
    deviate = rng.standard_normal()
    area = float(np.clip(math.exp(mean + deviation * deviate), *AREA_RANGE[class_id]))
    other = correlation * deviate + math.sqrt(1.0 - correlation**2) * rng.standard_normal()
    rank = 0.5 * (1.0 + math.erf(other / math.sqrt(2.0)))
    count = 1 + sum(rank > share for share in COMPONENTS_CDF[class_id][:-1])
    # A small area cannot be shared by many components that are each worth an outline.
    count = max(1, min(count, int(area / SMALLEST_COMPONENT[class_id])))
    parts = rng.dirichlet(np.full(count, 1.6))
    floor = 0.8 * SMALLEST_COMPONENT[class_id] / area
    parts = np.maximum(parts, floor)
    areas = area * parts / parts.sum()
    return sorted((float(part) * scale**2 for part in areas), reverse=True)

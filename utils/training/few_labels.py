"""What few labelled images lead one to expect, as ``benchmarks/few_labels.py -publish true`` has measured it."""

import csv
from pathlib import Path

MEASURED = Path(__file__).with_suffix(".csv")
# Below so many images more labels are worth more than anything else; where nothing is measured, this is what is few.
FEW = 400
PAGE = "docs/training.md#know-how-many-images-to-label"


def about_few(images: int, from_weights: bool, measured: Path = MEASURED) -> list[str]:
    """Return a line for the user about where a training on few labelled images stands; none where they are not few.

    Args:
        images: labelled images to train on.
        from_weights: whether it starts from trained weights.
        measured: columns start, labelled, low, mean, high, dataset; it need not exist.
    """
    start = "weights" if from_weights else "random"
    rows = [row for row in _read(measured) if row["start"] == start]
    if images >= max([int(row["labelled"]) for row in rows], default=FEW):
        return []
    said = f"{images} labelled images are few"
    # The nearest by ratio: twice as many and half as many are equally far.
    ranked = sorted(rows, key=lambda row: max(int(row["labelled"]) / images, images / int(row["labelled"])))
    if not ranked:
        return [f"{said}; {PAGE} says what more of them bring"]
    nearest = ranked[0]
    # As many steps do not suffice for many labels, which then seem to be worth less than few.
    better = [row for row in rows if float(row["mean"]) > float(nearest["mean"])]
    more = min((row for row in better if int(row["labelled"]) >= 2 * images), key=_labelled, default=None)
    said += (
        f": on {nearest['dataset']}, {nearest['labelled']} led to a defect-only Dice of {float(nearest['mean']):.2f}"
    )
    said += f" ({float(nearest['low']):.2f} to {float(nearest['high']):.2f})"
    if more is not None:
        said += f", {more['labelled']} to {float(more['mean']):.2f}"
    return [f"{said}, after a short training; see {PAGE}"]


def _labelled(row: dict[str, str]) -> int:
    return int(row["labelled"])


def _read(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        return []
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))

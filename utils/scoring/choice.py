"""Choose which images to label next: those that a network is unsure about, spread over all that it sees."""

import csv
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np

MEASURED = Path(__file__).with_suffix(".csv")  # written by benchmarks/active_learning.py -publish true
BAR = 0.005  # mean Dice by which a choice has to beat a random draw of the same size
FARTHEST = 2.0  # medians of the distance to what is labelled that count at most: outliers are rarely worth a label


@dataclass(frozen=True)
class Choice:
    """What was chosen.

    Attributes:
        places: of the images, what is worth most first.
        worth: (N,) float64 of every image, uncertainty times distance to what is labelled.
        distance: (N,) float64, distance to the nearest labelled image in medians; 1 where nothing is labelled.
        kind: (N,) int64, number of the group of images that look alike, of which one is chosen.
    """

    places: np.ndarray
    worth: np.ndarray
    distance: np.ndarray
    kind: np.ndarray


def choose(uncertainty: np.ndarray, features: np.ndarray, known: np.ndarray, number: int, seed: int) -> Choice:
    """Choose images that are uncertain, unlike what is labelled, and unlike each other.

    All images are parted into as many clusters as images are wanted, by k-means weighted by their worth (Zhdanov 2019,
    "Diverse mini-batch active learning"); of each cluster the image of most worth is taken.

    Args:
        uncertainty: (N,) 0 and up.
        features: (N, D) of length 1.
        known: (M, D), of the images that are labelled; M may be 0.
        number: of images wanted; all when there are fewer.
        seed: fixes the clusters.
    """
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    count = len(uncertainty)
    distance = np.ones(count)
    if len(known):
        nearest = np.array([np.sqrt(np.maximum(0, 2 - 2 * (known @ one).max())) for one in features])
        middle = float(np.median(nearest))
        distance = np.minimum(nearest / middle, FARTHEST) if middle > 0 else distance
    worth = np.asarray(uncertainty, np.float64) * distance
    if number >= count:
        return Choice(np.argsort(-worth, kind="stable"), worth, distance, np.arange(count))
    # Weights of 0 would leave clusters without an image.
    weights = worth + 1e-6 * max(float(worth.max()), 1e-12)
    with warnings.catch_warnings():
        # Where there are fewer kinds of images than are wanted, the rest is taken by worth, below.
        warnings.simplefilter("ignore", ConvergenceWarning)
        kind = KMeans(number, n_init=1, random_state=seed).fit_predict(features, sample_weight=weights)
    best = [int(np.flatnonzero(kind == one)[worth[kind == one].argmax()]) for one in np.unique(kind)]
    # Fewer clusters than asked where images have equal features: the rest by worth.
    rest = [int(place) for place in np.argsort(-worth, kind="stable") if place not in set(best)]
    best += rest[: number - len(best)]
    return Choice(np.array(sorted(best, key=lambda place: (-worth[place], place))), worth, distance, kind)


def about_choice(measured: Path = MEASURED) -> tuple[bool, str]:
    """Say what such a choice is worth beside a random draw of the same size.

    Args:
        measured: columns gain, low, high, dataset, seeds; it need not exist.

    Returns:
        Whether the choice is to be preferred, and a line for the user.
    """
    if not measured.is_file():
        return False, "whether this choice is worth more than a random draw is not measured yet: label the random list"
    with open(measured, newline="", encoding="utf-8") as file:
        row = next(csv.DictReader(file))
    gain, low, high = (float(row[name]) for name in ("gain", "low", "high"))
    said = f"on {row['dataset']}, networks that learnt such a choice scored {abs(gain):.3f} mean Dice"
    said += (
        f" {'more' if gain >= 0 else 'less'} than with a random draw ({low:+.3f} to {high:+.3f}, {row['seeds']} draws)"
    )
    if gain >= BAR and low > 0:
        return True, f"{said}: label the chosen list"
    return False, f"{said}: label the random list"

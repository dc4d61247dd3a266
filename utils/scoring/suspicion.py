"""How much an honest answer of a network speaks against a label, and which mistake would explain it.

A label and the probabilities of a network that has not learnt it agree by their soft Dice. Each mistake that people make is a
hypothesis with a mended label: a class drawn as another one, a mask that lies some pixels off, a defect that nobody drew, one
that is none. A hypothesis is worth what its mended label agrees more, as a share of what the label lacks to full agreement; so
a network that is vague about everything speaks against nothing.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import fft, ndimage

CLASS, PLACE, MISSING, NOTHING, OUTLINE = KINDS = ("class", "place", "missing", "nothing", "outline")
WHOLE, TWICE = "whole", "twice"  # what is odd about a label by itself
NEARLY_ALL = 0.98  # share of an image, or of two masks, that is all of it
REACH = 16  # pixels that a mask may lie off
LEAST = 3  # pixels off that are told: less is how people draw
VAGUE = 0.1  # probability below which a pixel counts as free of defects: over a whole image little becomes much
SMOOTH = 1e-3  # share of the image's pixels that a Dice is smoothed by: answers of a few pixels say nothing
# What a mended label has to agree more by, to be worth anything, and what it may be worth at most, by kind. Outlines that differ
# are the commonest disagreement and the least grave one, so they come last.
MOST = {CLASS: 1.0, PLACE: 1.0, MISSING: 1.0, NOTHING: 0.7, OUTLINE: 0.3}


@dataclass(frozen=True)
class Doubt:
    """What speaks against the label of an image.

    Attributes:
        kind: of the mistake that explains it best, of ``KINDS``.
        score: 0..1; 0: nothing speaks against it.
        agreement: soft Dice of the label and the answer, 0..1.
        mended: the same of the label without the mistake.
        classes: positions of the class that is labelled and, of ``CLASS``, of the one that it should be; of ``MISSING`` and
            ``NOTHING`` the class that most of it is about; () else.
        shift: of ``PLACE``: pixels that the mask has to move down and right; (0, 0) else.
    """

    kind: str
    score: float
    agreement: float
    mended: float
    classes: tuple[int, ...] = ()
    shift: tuple[int, int] = (0, 0)


def doubt(label: np.ndarray, answer: np.ndarray, counted: np.ndarray | None = None, reach: int = REACH) -> Doubt:
    """Weigh a label against an answer.

    Args:
        label: (C, H, W) bool.
        answer: (C, H, W) float32 probabilities of a network that has not learnt the label.
        counted: (H, W) bool, pixels whose label is known; None: all.
        reach: pixels that a mask may lie off.

    Returns:
        The mistake that explains the disagreement best.
    """
    drawn, seen = np.asarray(label, np.float32), np.where(answer < VAGUE, 0, answer).astype(np.float32)
    if counted is not None:
        drawn, seen = drawn * counted, seen * counted
    now = _agreement(drawn, seen)
    found = [
        Doubt(kind, MOST[kind] * _worth(now, mended), now, mended, classes, shift)
        for kind, mended, classes, shift in _hypotheses(drawn, seen, reach)
    ]
    return max(found, key=lambda one: one.score)


def oddity(label: np.ndarray, counted: np.ndarray | None = None) -> tuple[str, tuple[int, ...]] | None:
    """Look for what is odd about a label by itself: a mask that covers nearly all of the image, or two that are one.

    Args:
        label: (C, H, W) bool.
        counted: (H, W) bool, pixels whose label is known; None: all.

    Returns:
        ``WHOLE`` or ``TWICE`` and the positions of the classes; None where nothing is odd.
    """
    drawn = label if counted is None else label & counted
    areas = drawn.sum((1, 2))
    most = drawn[0].size if counted is None else int(counted.sum())
    for one in np.flatnonzero(areas):
        if areas[one] > NEARLY_ALL * most:
            return WHOLE, (int(one),)
        for other in np.flatnonzero(areas[: int(one)]):
            if 2 * (drawn[one] & drawn[other]).sum() > NEARLY_ALL * (areas[one] + areas[other]):
                return TWICE, (int(other), int(one))
    return None


def cleanlab_score(label: np.ndarray, answer: np.ndarray) -> float:
    """Return how doubtful cleanlab finds the label of an image, 0..1: 1 less its softmin over the pixels.

    A pixel has one class: of several that are labelled the first, and the answers of all with that of none are scaled to 1.

    Args:
        label: (C, H, W) bool.
        answer: (C, H, W) float32 probabilities.

    Raises:
        ImportError: cleanlab is not installed, see ``requirements-labels.txt``.
    """
    from cleanlab.segmentation.rank import get_label_quality_scores

    index = np.where(label.any(0), label.argmax(0) + 1, 0)
    joined = np.concatenate([1 - answer.max(0, keepdims=True), answer]).astype(np.float64)
    joined /= joined.sum(0, keepdims=True)
    scores, _ = get_label_quality_scores(index[None], joined[None], verbose=False)
    return float(1 - scores[0])


def _worth(now: float, mended: float) -> float:
    """Return what a hypothesis is worth: the share that it mends of what is lacking, times how well it then agrees."""
    gain = mended - now
    return 0.0 if gain <= 0 else gain / (1 - now) * mended


def _hypotheses(drawn: np.ndarray, seen: np.ndarray, reach: int) -> Iterator[tuple[str, float, tuple[int, ...], tuple]]:
    """Give kind, agreement of the mended label, classes and shift of every hypothesis."""
    sure = seen > 0.5
    areas, sure_areas = drawn.sum((1, 2)), sure.sum((1, 2))
    yield OUTLINE, _agreement(sure.astype(np.float32), seen), (), (0, 0)
    for one in np.flatnonzero(areas):
        for other in np.flatnonzero(sure_areas):
            # Where the other is drawn there too, the mistake is another one.
            if one != other and 2 * (drawn[one] * drawn[other]).sum() < areas[one]:
                changed = drawn.copy()
                changed[other] = np.maximum(drawn[other], drawn[one])
                changed[one] = 0
                yield CLASS, _agreement(changed, seen), (int(one), int(other)), (0, 0)
    if not areas.any():
        if sure_areas.any():
            yield MISSING, _agreement(sure.astype(np.float32), seen), (int(sure_areas.argmax()),), (0, 0)
        return
    lost = _untouched(sure, drawn > 0)
    if lost.any():
        together = np.maximum(drawn, lost)
        yield MISSING, _agreement(together, seen), (int(lost.sum((1, 2)).argmax()),), (0, 0)
    denied = _untouched(drawn > 0, seen > 0.2)
    if denied.any():
        kept = drawn * ~denied
        yield NOTHING, _agreement(kept, seen), (int(denied.sum((1, 2)).argmax()),), (0, 0)
    mended, shift = _best_shift(drawn, seen, reach)
    if max(map(abs, shift)) >= LEAST:
        yield PLACE, mended, (), shift


def _agreement(drawn: np.ndarray, seen: np.ndarray) -> float:
    """Compute the soft Dice of all classes together, smoothed."""
    smooth = SMOOTH * drawn[0].size
    return float((2 * np.minimum(drawn, seen).sum() + smooth) / (drawn.sum() + seen.sum() + smooth))


def _untouched(parts: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the connected parts, (C, H, W) bool, that nothing of the others of any class touches."""
    near = others.any(0)
    kept = np.zeros_like(parts)
    for plane, part in zip(kept, parts, strict=True):
        numbers, count = ndimage.label(part, np.ones((3, 3)))
        touched = np.zeros(count + 1, np.bool_)
        touched[np.unique(numbers[near])] = True
        touched[0] = True
        plane[...] = ~touched[numbers]
    return kept


def _best_shift(drawn: np.ndarray, seen: np.ndarray, reach: int) -> tuple[float, tuple[int, int]]:
    """Find the shift of the label at which it agrees best: the agreement, and pixels down and right."""
    height, width = drawn.shape[1:]
    reach = min(reach, (min(height, width) - 1) // 2)
    if reach < 1:
        return 0.0, (0, 0)
    size = [fft.next_fast_len(length + reach, real=True) for length in (height, width)]
    of_label = fft.rfft2(drawn, size)
    # What both have in common at every shift, and what of the label stays inside of the image.
    both = fft.irfft2((fft.rfft2(seen, size) * np.conj(of_label)).sum(0), size)
    inside = fft.irfft2(fft.rfft2(np.ones((height, width), np.float32), size) * np.conj(of_label.sum(0)), size)
    places = np.arange(-reach, reach + 1)
    window = np.ix_(places % size[0], places % size[1])
    smooth = SMOOTH * drawn[0].size
    dice = (2 * both[window] + smooth) / (inside[window] + float(seen.sum()) + smooth)
    row, column = np.unravel_index(int(dice.argmax()), dice.shape)
    return float(dice[row, column]), (int(places[row]), int(places[column]))

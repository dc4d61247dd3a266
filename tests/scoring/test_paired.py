"""Paired differences against plain resampling, one group after the other."""

import numpy as np
import pytest
import torch

from utils.scoring.bootstrap import bootstrap
from utils.scoring.counts import Counts
from utils.scoring.paired import Difference, compare
from utils.scoring.scores import pair_dice, scores

NAMES = ("a", "b")


def networks(images: int = 30, seed: int = 0, number: int = 3) -> list[Counts]:
    """Make counts of networks on the same labelled images: the later a network, the more it misses."""
    rng = np.random.default_rng(seed)
    labelled = rng.integers(1, 50, (images, 2)) * (rng.random((images, 2)) < 0.6)
    found = []
    for k in range(number):
        tp = (labelled * rng.random((images, 2)) ** (1 + k)).astype(np.int64)
        fp = rng.integers(0, 9, (images, 2))
        counts = Counts()
        parts = (torch.from_numpy(part) for part in (tp, fp, labelled - tp, np.full((images, 2), 1000)))
        counts.add([f"{n:04d}.png" for n in range(images)], *parts)
        found.append(counts)
    return found


def test_values_are_the_scores_and_intervals_those_of_plain_resampling_of_groups():
    counts, groups = networks(), np.arange(30) // 2 * 7
    found = compare(counts, NAMES, groups, 60, 5)
    assert (found.images, found.groups, found.resamples) == (30, 15, 60)
    rows = {(row.score, row.name): row for row in found.rows}
    assert list(rows)[:2] == [("mean_dice", "together"), ("defect_dice", "together")]
    alone = [scores(one, NAMES) for one in counts]
    for score in ("mean_dice", "defect_dice"):
        assert rows[score, "together"].values == pytest.approx([getattr(one, score) for one in alone], abs=1e-12)
        assert rows[score, "b"].values == pytest.approx([getattr(one.classes["b"], score) for one in alone], abs=1e-12)

    dice = [pair_dice(one).numpy() for one in counts]
    known = ((counts[0].tp + counts[0].fn) > 0).numpy()
    rng, mean, defect = np.random.default_rng(5), [], []
    for drawn in rng.integers(0, 15, (60, 15)):
        images = np.concatenate([np.flatnonzero(groups == group * 7) for group in drawn])
        mean.append(dice[2][images].mean() - dice[0][images].mean())
        defect.append((dice[2] - dice[0])[images, 1][known[images, 1]].mean())
    for key, plain in ((("mean_dice", "together"), mean), (("defect_dice", "b"), defect)):
        difference = rows[key].differences[1]
        assert (difference.low, difference.high) == pytest.approx(np.quantile(plain, [0.025, 0.975]), abs=1e-12)


def test_pairs_tell_more_than_two_intervals_and_copies_less_than_they_seem_to():
    one, two = networks(60, number=2)
    apart = compare([one, two], NAMES, range(60), 500, 1).rows[0].differences[0]
    intervals = [bootstrap(counts, NAMES, 500, 1).mean_dice["together"] for counts in (one, two)]
    assert apart.high - apart.low < sum(high - low for low, high in intervals)
    fourfold = []
    for counts in (one, two):
        more = Counts()
        for turn in range(4):
            more.add([f"{turn}{name}" for name in counts.images], counts.tp, counts.fp, counts.fn, counts.tn)
        fourfold.append(more)
    blind = compare(fourfold, NAMES, range(240), 500, 1).rows[0].differences[0]
    grouped = compare(fourfold, NAMES, list(range(60)) * 4, 500, 1).rows[0].differences[0]
    assert blind.high - blind.low == pytest.approx((apart.high - apart.low) / 2, rel=0.15), "too good by half"
    assert (grouped.low, grouped.high) == pytest.approx((apart.low, apart.high), abs=1e-12)


@pytest.mark.parametrize(("groups", "resamples"), [(range(30), 0), ([k % 9 for k in range(30)], 100)])
def test_without_resamples_or_with_few_groups_there_is_no_interval(groups, resamples):
    found = compare(networks(), NAMES, groups, resamples, 0)
    assert found.resamples == 0
    assert all(one.low is one.high is one.told is None for row in found.rows for one in row.differences)
    assert found.rows[0].differences[1].words("x").startswith("x is worse by 0.")


def test_a_class_without_labels_has_no_defect_score():
    counts = networks()
    nothing = torch.zeros(30, 1, dtype=torch.int64)
    parts = (torch.cat([one, nothing], 1) for one in (counts[0].tp, counts[0].fp, counts[0].fn, counts[0].tn))
    more = Counts()
    more.add(counts[0].images, *parts)
    rows = {(row.score, row.name): row for row in compare([more, more], ("a", "b", "c"), range(30), 20, 0).rows}
    assert rows["defect_dice", "c"].values == (None, None)
    assert rows["defect_dice", "c"].differences == (None,)
    assert rows["mean_dice", "c"].values == (1.0, 1.0)


@pytest.mark.parametrize(
    ("difference", "words", "verdict"),
    [
        (Difference(0.004, -0.001, 0.009), "B is better by 0.0040, 95% -0.0010 to +0.0090: cannot be told", "cannot be told"),
        (Difference(-0.02, -0.03, -0.01), "B is worse by 0.0200, 95% -0.0300 to -0.0100", "worse"),
        (Difference(0.02, 0.01, 0.03), "B is better by 0.0200, 95% +0.0100 to +0.0300", "better"),
        (Difference(0.0, 0.0, 0.0), "B is better by 0.0000, 95% +0.0000 to +0.0000: cannot be told", "cannot be told"),
        (Difference(0.02), "B is better by 0.0200", ""),
    ],
)  # fmt: skip
def test_a_difference_in_words(difference, words, verdict):
    assert (difference.words("B"), difference.verdict) == (words, verdict)


def test_other_images_are_no_pairs():
    one, two = networks(30)[0], networks(29)[0]
    with pytest.raises(ValueError, match="the same images of every network"):
        compare([one, two], NAMES, range(30), 10, 0)

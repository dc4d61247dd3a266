"""Links are all pairs that may follow each other, in an order that computes every defect once."""

import numpy as np

from utils.coil.plan import CoilPlan
from utils.coil.repeats.links import link, ranges
from utils.coil.repeats.scales import scales_of


def test_ranges_lists_every_integer():
    which, number = ranges(np.array([3, 5, 9]), np.array([5, 5, 10]))
    assert which.tolist() == [0, 0, 2]
    assert number.tolist() == [3, 4, 9]


def test_links_are_the_pairs_within_reach_by_level():
    rng = np.random.default_rng(0)
    scales = scales_of(CoilPlan(unit="mm"))
    along, across = np.sort(rng.random(150)) * 200_000, rng.random(150) * 300
    links = link(along, across, np.zeros(150), scales)
    distance, offset = along[None] - along[:, None], np.abs(across[None] - across[:, None])
    wanted = (distance >= 0.98 * scales.shortest) & (distance <= scales.reach) & (offset <= scales.across)
    assert sorted(zip(links.first, links.second, strict=True)) == [tuple(one) for one in np.argwhere(wanted)]
    done: set[int] = set(range(150)) - set(links.second.tolist())
    for begin, end in zip(links.levels[:-1], links.levels[1:], strict=True):
        assert set(links.first[begin:end].tolist()) <= done
        done |= set(links.second[begin:end].tolist())
    assert done == set(range(150))

"""Pairs of near boxes are those that a comparison of all with all finds."""

import numpy as np
import pytest

from utils.coil import neighbours
from utils.coil.neighbours import near_pairs


def all_pairs(low, high, keys, reach):
    return {
        (i, j)
        for i in range(len(low))
        for j in range(i + 1, len(low))
        if keys[i] == keys[j]
        and all(max(low[i][k], low[j][k]) - min(high[i][k], high[j][k]) <= reach[k] for k in (0, 1))
    }


@pytest.mark.parametrize("at_once", [1, 7, 2_000_000])
@pytest.mark.parametrize("longest", [(1, 1), (40, 1), (1, 40), (30, 30)])
@pytest.mark.parametrize("reach", [(0, 0), (3, 1)])
def test_pairs_are_those_of_comparing_all(monkeypatch, at_once, longest, reach):
    monkeypatch.setattr(neighbours, "PAIRS_AT_ONCE", at_once)
    random = np.random.default_rng([at_once, *longest, *reach])
    low = random.integers(-30, 30, (80, 2)).astype(float)
    high = low + random.integers(0, np.array(longest) + 1, (80, 2))
    keys = random.integers(0, 3, 80)
    parts = [np.sort(np.column_stack(pair), axis=1) for pair in near_pairs(low, high, keys, np.array(reach, float))]
    found = [tuple(pair) for part in parts for pair in part.tolist()]
    assert len(found) == len(set(found))
    assert set(found) == all_pairs(low, high, keys, reach)


@pytest.mark.parametrize("number", [0, 1])
def test_fewer_than_two_boxes_make_no_pair(number):
    assert list(near_pairs(np.zeros((number, 2)), np.ones((number, 2)), np.zeros(number, int), np.zeros(2))) == []


@pytest.mark.parametrize("axis", [0, 1])
def test_boxes_in_a_row_are_compared_with_their_followers_only(monkeypatch, axis):
    compared = []
    monkeypatch.setattr(neighbours, "gaps", lambda low, high, i, j: compared.append(len(i)) or np.zeros(len(i)))
    low = np.zeros((20_000, 2))
    low[:, axis] = np.arange(20_000)
    list(near_pairs(low, low + 1.5, np.zeros(20_000, int), np.zeros(2)))
    assert sum(compared) < 2 * 2 * 20_000

"""Chains of marks are followed over missed turns, slip and drift, with the period that fits them best."""

import math

import numpy as np
import pytest

from utils.coil.plan import CoilPlan
from utils.coil.repeats.links import link
from utils.coil.repeats.scales import scales_of
from utils.coil.repeats.tracks import follow, start_costs

SCALES = scales_of(CoilPlan(unit="mm"))


def tracks_of(along, across, density=1e-6):
    log_density = np.full(len(along), math.log(density))
    links = link(along, across, log_density, SCALES)
    return follow(links, log_density, start_costs(log_density, 6e8), SCALES)


@pytest.mark.parametrize("period", [310.0, 2500.0, 7000.0])
def test_best_chain_has_every_mark_at_its_turn(period):
    rng = np.random.default_rng(0)
    turns = np.flatnonzero(rng.random(60) < 0.5)
    along = (np.arange(60) * period * 1.002 + np.cumsum(rng.normal(size=60) * 3))[turns]
    tracks = tracks_of(along, 500 + rng.normal(size=len(turns)) * 3)
    assert tracks.score[:, 0].argmax() == len(turns) - 1
    marks, found = tracks.chain(len(turns) - 1, 0)
    assert marks.tolist() == list(range(len(turns)))
    assert found.tolist() == (turns - turns[0]).tolist()
    assert tracks.period[-1, 0] == pytest.approx(period * 1.002, rel=0.01)


def test_even_clutter_stays_below_the_bound():
    rng = np.random.default_rng(1)
    along, across = np.sort(rng.random(600)) * 300_000, rng.random(600) * 1500
    tracks = tracks_of(along, across, 600 / 4.5e8)
    assert tracks.score.max() < -math.log(0.005)


def test_hypotheses_of_a_defect_are_sorted_and_go_back_in_time():
    rng = np.random.default_rng(2)
    along, across = np.sort(rng.random(200)) * 100_000, rng.random(200) * 200
    tracks = tracks_of(along, across)
    assert (np.diff(np.nan_to_num(tracks.score, neginf=-1e9), axis=1) <= 0).all()
    defect, track = np.nonzero(tracks.score > -np.inf)
    assert (tracks.before[defect, track] < defect).all()
    assert (tracks.turns[defect, track] >= 1).all()

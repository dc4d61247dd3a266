"""Follow every series that may pass through each defect: many hypotheses of the period, each with a filter of its own.

A hypothesis is a chain of defects with a whole number of turns between each and the next. Its score is the log of
likelihood x prior of this chain over the likelihood of the background alone, so that, were the background right, the
expected number of chains of a coil with a score above s is below exp(-s) (Markov's inequality for likelihood ratios).
A mark that is missed costs log(1 - q), one that is seen brings log(q g / b): its density g given the marks before
against the background b. The period is followed by a Kalman filter for each hypothesis, which takes up drift; slip adds
up with the turns since the last mark seen, because each distance is measured from that mark. Of the hypotheses that end
at a defect the best of different periods are kept (survivors). After Reid, An algorithm for tracking multiple targets,
IEEE Transactions on Automatic Control 24 (1979); Raheli et al., Per-survivor processing, IEEE Transactions on
Communications 43 (1995).
"""

import math
from dataclasses import dataclass

import numpy as np

from utils.coil.repeats.links import Indices, Links
from utils.coil.repeats.scales import Floats, Scales

SEEN = 0.4  # share of marks that are seen, while chains are followed
_KEPT = 24  # hypotheses at each defect
_FIRST_TURNS = 8  # turns between the first two marks, at most
_FINENESS = 0.003  # hypotheses whose periods are nearer than this (relative) count as one
DRIFT = 1e-4  # standard deviation of the period's relative change in one turn
LENGTH_PRIOR = math.log(100.0)  # a series lasts 100 turns or so: log of the odds against its end at any turn
_GATE = 30.0  # squared distance in standard deviations from which on two defects are not linked


@dataclass(frozen=True)
class Tracks:
    """Hypotheses that end at each defect, best first.

    Attributes:
        score: (N, K) log of likelihood ratio x prior; -inf: none.
        period, variance: (N, K) of the step after the last mark.
        before, before_track: (N, K) defect and hypothesis that this one goes on from; track -1: it starts there.
        turns: (N, K) turns since that defect.
    """

    score: Floats
    period: Floats
    variance: Floats
    before: Indices
    before_track: Indices
    turns: Indices

    def chain(self, defect: int, track: int) -> tuple[Indices, Indices]:
        """Return the defects of a hypothesis, in order, and the turn of each, from 0."""
        defects, turns = [defect], [0]
        while track >= 0:
            turns.append(turns[-1] - int(self.turns[defect, track]))
            defect, track = int(self.before[defect, track]), int(self.before_track[defect, track])
            defects.append(defect)
        found = np.array(turns[::-1])
        return np.array(defects[::-1]), found - found[0]


def start_costs(log_density: Floats, area: float) -> Floats:
    """Return the log prior that a series starts at each defect: anywhere on the strip, to end after 100 turns or so."""
    return -math.log(area) - log_density - LENGTH_PRIOR


def follow(links: Links, log_density: Floats, start: Floats, scales: Scales) -> Tracks:
    """Return the best hypotheses that end at each defect.

    Args:
        links: pairs of defects.
        log_density: (N,) background at each defect.
        start: (N,) log prior of a series that starts there.
        scales: lengths of the search.
    """
    number = len(log_density)
    score = np.full((number, _KEPT), -np.inf)
    period = np.zeros((number, _KEPT))
    variance = np.zeros((number, _KEPT))
    before = np.full((number, _KEPT), -1, np.int64)
    before_track = np.full((number, _KEPT), -1, np.int64)
    turns = np.zeros((number, _KEPT), np.int64)
    log_seen, log_missed = math.log(SEEN), math.log1p(-SEEN)
    log_range = math.log(math.log(scales.longest / scales.shortest))
    steps = np.arange(1.0, _FIRST_TURNS + 1)
    for begin, end in zip(links.levels[:-1], links.levels[1:], strict=True):
        first, second, distance = links.first[begin:end], links.second[begin:end], links.distance[begin:end]
        gain = links.log_across[begin:end] - log_density[second] + log_seen

        # Chains that go on.
        link, track = np.nonzero(score[first] > -np.inf)
        old = period[first[link], track]
        far = np.rint(distance[link] / old)
        residual = distance[link] - far * old
        near = (far >= 1) & (far <= scales.most_turns) & (np.abs(residual) < scales.lane)
        link, track, old, far, residual = link[near], track[near], old[near], far[near], residual[near]
        doubt = variance[first[link], track]
        spread = scales.spread(far, doubt)
        near = residual**2 < _GATE * spread
        link, track, old, far = link[near], track[near], old[near], far[near]
        residual, doubt, spread = residual[near], doubt[near], spread[near]
        weight = far * doubt / spread
        going_score = score[first[link], track] + gain[link] + (far - 1) * log_missed
        going_score += scales.log_along(residual, spread)
        going_period = old + weight * residual
        going_variance = doubt * (1 - far * weight) + far * (DRIFT * old) ** 2

        # Chains that start: any period within the range is as likely by its logarithm.
        starting = distance[:, None] / steps
        link0, step = np.nonzero((starting >= scales.shortest) & (starting <= scales.longest))
        far0 = steps[step]
        first_gain = gain - np.log(distance) - log_range + start[first]
        starting_score = first_gain[link0] + (far0 - 1) * log_missed
        starting_variance = (2 * scales.place + far0 * scales.slip) / far0**2

        all_links = np.concatenate([link, link0])
        all_score = np.concatenate([going_score, starting_score])
        all_period = np.concatenate([going_period, starting[link0, step]])
        all_turns = np.concatenate([far, far0])
        owner = second[all_links]
        bucket = np.floor(np.log(all_period) / _FINENESS)
        bucket = (owner * 16384 + (bucket - bucket.min())).astype(np.int64) if len(bucket) else owner
        order = np.lexsort((-all_score, bucket))
        bucket = bucket[order]
        order = order[np.flatnonzero(np.diff(bucket, prepend=-1))]
        order = order[np.lexsort((-all_score[order], owner[order]))]
        owner = owner[order]
        rank = np.arange(len(order)) - np.searchsorted(owner, owner)
        order, owner, rank = order[rank < _KEPT], owner[rank < _KEPT], rank[rank < _KEPT]

        score[owner, rank] = all_score[order]
        period[owner, rank] = all_period[order]
        variance[owner, rank] = np.concatenate([going_variance, starting_variance])[order]
        before[owner, rank] = first[all_links[order]]
        before_track[owner, rank] = np.concatenate([track, np.full(len(link0), -1)])[order]
        turns[owner, rank] = all_turns[order]
    return Tracks(score, period, variance, before, before_track, turns)

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

import functools
import math
from dataclasses import dataclass

import numpy as np

from utils.coil.repeats.links import Indices, Links
from utils.coil.repeats.scales import Floats, Scales

SEEN = 0.4  # share of marks that are seen, while chains are followed
_KEPT = 24  # hypotheses at each defect
_FIRST_TURNS = 8  # turns between the first two marks, at most
_BUCKETS = 1 << 20  # more than there are such periods
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
        parents, width = self._parents, self.score.shape[1]
        node = defect * width + track
        nodes = []
        while node >= 0:
            nodes.append(node)
            node = parents[node]
        chain = np.array(nodes[::-1])
        defects = np.concatenate([self.before.ravel()[chain[:1]], chain // width])
        return defects, np.concatenate([[0], np.cumsum(self.turns.ravel()[chain])])

    @functools.cached_property
    def _parents(self) -> list[int]:
        """Number, defect x K + track, of the hypothesis that each one goes on from; -1: from the first defect alone."""
        parents = np.where(self.before_track < 0, -1, self.before * self.score.shape[1] + self.before_track)
        numbers: list[int] = parents.ravel().tolist()
        return numbers


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
    period = np.full((number, _KEPT), np.nan)
    variance = np.full((number, _KEPT), np.nan)
    before = np.full((number, _KEPT), -1, np.int64)
    before_track = np.full((number, _KEPT), -1, np.int64)
    turns = np.zeros((number, _KEPT), np.int64)
    log_seen, log_missed = math.log(SEEN), math.log1p(-SEEN)
    gains = links.log_across - log_density[links.second] + log_seen
    starts = _starting(links, gains + start[links.first], scales, log_missed)
    bounds = np.searchsorted(starts.link, links.levels)
    most = scales.lane**2
    for begin, end, from_start, to_start in zip(
        links.levels[:-1], links.levels[1:], bounds[:-1], bounds[1:], strict=True
    ):
        first = links.first[begin:end]
        # Chains that go on. Where there is no hypothesis the period is nan, and nothing is near.
        olds, distance = period[first], links.distance[begin:end, None]
        fars = np.rint(distance / olds)
        residuals = distance - fars * olds
        link, track = ((residuals * residuals < most) & (fars >= 1) & (fars <= scales.most_turns)).nonzero()
        far, residual, source = fars[link, track], residuals[link, track], first[link]
        doubt = variance[source, track]
        spread = scales.spread(far, doubt)
        near = (residual * residual < _GATE * spread).nonzero()[0]
        link, track, far, residual = link[near], track[near], far[near], residual[near]
        doubt, spread, source = doubt[near], spread[near], source[near]
        old = olds[link, track]
        weight = far * doubt / spread
        link = link + begin
        going = score[source, track] + gains[link] + (far - 1) * log_missed + scales.log_along(residual, spread)
        drift = DRIFT * old

        own = slice(from_start, to_start)
        all_links = np.concatenate([link, starts.link[own]])
        all_score = np.concatenate([going, starts.score[own]])
        all_period = np.concatenate([old + weight * residual, starts.period[own]])
        order, owner, rank = _best(links.second[all_links], all_period, all_score)
        score[owner, rank] = all_score[order]
        period[owner, rank] = all_period[order]
        doubts = doubt * (1 - far * weight) + far * drift * drift
        variance[owner, rank] = np.concatenate([doubts, starts.variance[own]])[order]
        before[owner, rank] = links.first[all_links[order]]
        before_track[owner, rank] = np.concatenate([track, starts.none[own]])[order]
        turns[owner, rank] = np.concatenate([far, starts.turns[own]])[order]
    return Tracks(score, period, variance, before, before_track, turns)


@dataclass(frozen=True)
class _Starts:
    """Chains of two defects, (S,) each, in the order of their links."""

    link: Indices
    score: Floats
    period: Floats
    variance: Floats
    turns: Floats
    none: Indices


def _starting(links: Links, gain: Floats, scales: Scales, log_missed: float) -> _Starts:
    """List the chains that start with a link, the best of each second defect: any period is as likely by its logarithm."""
    steps = np.arange(1.0, _FIRST_TURNS + 1)
    periods = links.distance[:, None] / steps
    link, step = ((periods >= scales.shortest) & (periods <= scales.longest)).nonzero()
    far = steps[step]
    gain = gain - np.log(links.distance) - math.log(math.log(scales.longest / scales.shortest))
    score = gain[link] + (far - 1) * log_missed
    period = periods[link, step]
    kept = np.sort(_best(links.second[link], period, score)[0])
    far = far[kept]
    variance = (2 * scales.place + far * scales.slip) / far**2
    return _Starts(link[kept], score[kept], period[kept], variance, far, np.full(len(kept), -1))


def _best(owner: Indices, period: Floats, score: Floats) -> tuple[Indices, Indices, Indices]:
    """Return the best hypotheses of each defect, one of those with nearly one period: which, the defect, and the rank."""
    if not len(owner):
        return owner, owner, owner
    key = owner * _BUCKETS + (np.log(period) * (1 / _FINENESS)).astype(np.int64)
    order = np.argsort(key, kind="stable")
    begins = np.flatnonzero(np.append(True, np.diff(key[order]) != 0))
    sizes = np.diff(begins, append=len(order))
    # The best of each bucket, of equal ones the last: one sort and a pass, which is quicker than to sort by two keys.
    best = np.flatnonzero(score[order] == np.repeat(np.maximum.reduceat(score[order], begins), sizes))
    bucket = np.searchsorted(begins, best, side="right")
    order = order[best[np.append(bucket[1:] != bucket[:-1], True)]]
    order = order[np.lexsort((-score[order], owner[order]))]
    owner = owner[order]
    new = np.append(True, owner[1:] != owner[:-1]).nonzero()[0]
    rank = np.arange(len(order)) - np.repeat(new, np.diff(new, append=len(order)))
    kept = (rank < _KEPT).nonzero()[0]
    return order[kept], owner[kept], rank[kept]

"""Drawn events have the figures that the settings ask for, and a truth that agrees with them."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from utils.data.synthetic.coil.events import EventSettings, draw_events
from utils.data.synthetic.coil.series import DrawnRoll, Wander

EVEN = Wander(slip=0.0, drift=0.0, weave=0.0, jitter=0.0)
ROLL = DrawnRoll("F7", 300.0, 290.0, 310.0, 1.25)


def settings(**changes) -> EventSettings:
    return dataclasses.replace(EventSettings(length=300_000.0), **changes)


def test_same_seed_gives_the_same_coil_and_another_a_different_one():
    first, again, other = (draw_events(settings(), seed)[0] for seed in (1, 1, 2))
    pd.testing.assert_frame_equal(first, again)
    assert len(first) != len(other) or not first.equals(other)


@pytest.mark.parametrize("per_m", [0.5, 2.0])
def test_clutter_has_the_density_that_was_asked_for(per_m):
    counts = [len(draw_events(settings(per_m=per_m, series=0), seed)[0]) / 300.0 for seed in range(8)]
    assert np.mean(counts) == pytest.approx(per_m, rel=0.1)


def test_single_defects_crowd_at_the_edges_and_leave_clean_stretches():
    events, _ = draw_events(settings(per_m=4.0, series=0, clean_share=0.2), 3)
    single = events[events["kind"] == "single"]
    middle = (single["across0"] + single["across1"]).to_numpy() / 2.0
    assert 0.3 < np.mean((middle < 100.0) | (middle > 1150.0)) < 0.6  # evenly it would be 0.16
    assert np.diff(single["along0"].to_numpy()).max() > 18_000.0  # 60 m in one to three stretches
    assert set(events["kind"]) == {"single", "burst", "scratch", "edge"}


def test_boxes_lie_on_the_strip_in_order():
    events, truth = draw_events(settings(per_m=4.0, series=3), 4)
    assert events["along0"].is_monotonic_increasing
    assert events["defect"].tolist() == list(range(1, len(events) + 1))
    assert events[["along0", "across0"]].to_numpy().min() >= 0.0
    assert events["along1"].max() <= truth.length
    assert events["across1"].max() <= truth.width


def marks(missed: float, wander: Wander, arrangement: str = "one", seed: int = 5, **changes):
    """Middle of the marks of one roll along the strip, and their row of the truth."""
    wanted = settings(
        per_m=0.0, rolls=(ROLL,), missed=missed, wander=wander, arrangement=arrangement, partial=0.0, **changes
    )
    events, truth = draw_events(wanted, seed)
    return (events["along0"] + events["along1"]).to_numpy() / 2.0, truth.repeats


def test_even_marks_have_the_period_of_the_roll():
    along, repeats = marks(0.0, EVEN)
    row = repeats.iloc[0]
    assert ROLL.period == pytest.approx(np.pi * 300.0 * 1.25)
    assert row["period"] == pytest.approx(ROLL.period)
    # The first and the last box may be cut by an end of the strip.
    assert np.diff(along)[1:-1] == pytest.approx(ROLL.period)
    assert (row["roll"], row["hits"], row["turns"], row["diameter"]) == ("F7", len(along), len(along), 300.0)


@pytest.mark.parametrize("missed", [0.3, 0.7])
def test_marks_are_missed_as_often_as_asked(missed):
    along, repeats = marks(missed, EVEN)
    assert len(along) / repeats["turns"].iloc[0] == pytest.approx(1.0 - missed, abs=0.08)


def test_slip_adds_up_and_the_elongation_drifts():
    steps = np.concatenate([np.diff(marks(0.0, Wander(3.0, 0.0, 0.0, 0.0), seed=seed)[0])[1:-1] for seed in range(6)])
    assert steps.std() == pytest.approx(3.0, rel=0.15)
    along, _ = marks(0.0, Wander(0.0, 0.01, 0.0, 0.0))
    steps = np.diff(along)[1:-1]
    assert abs(steps[-1] / steps[0] - 1.0) == pytest.approx(0.01, rel=0.05)


def test_weave_moves_marks_to_the_side():
    wanted = settings(per_m=0.0, rolls=(ROLL,), wander=Wander(0.0, 0.0, 12.0, 0.0), arrangement="one", partial=0.0)
    events, truth = draw_events(wanted, 6)
    middle = (events["across0"] + events["across1"]) / 2.0
    assert 15.0 < np.ptp(middle) <= 24.0
    assert middle.mean() == pytest.approx(truth.repeats["across"].iloc[0], abs=4.0)


@pytest.mark.parametrize(
    ("arrangement", "series", "a_turn"), [("one", 1, 1), ("two", 1, 2), ("opposite", 1, 2), ("beside", 2, 2)]
)
def test_arrangements_of_marks(arrangement, series, a_turn):
    along, repeats = marks(0.0, EVEN, arrangement)
    assert len(repeats) == series
    assert len(along) == pytest.approx(a_turn * repeats["turns"].iloc[0], abs=2)
    assert repeats["period"].to_numpy() == pytest.approx(ROLL.period)
    others = repeats["others"].tolist()
    assert others == ([f"{ROLL.period / 2:.4f}"] if arrangement == "opposite" else [""] * series)


def test_series_may_begin_and_end_within_the_coil():
    rows = pd.concat(draw_events(settings(partial=1.0, per_m=0.0), seed)[1].repeats for seed in range(20))
    assert (rows["onset"] > 10_000.0).sum() > 8
    assert (rows["end"] < 290_000.0).sum() > 4
    assert (rows["turns"] >= 15).all()


def test_several_rolls_are_different_ones():
    rolls = tuple(DrawnRoll(f"R{n}", 200.0 + 50 * n, 190.0 + 50 * n, 210.0 + 50 * n) for n in range(5))
    _, truth = draw_events(settings(series=3, rolls=rolls, arrangement="one"), 7)
    assert truth.repeats["roll"].nunique() == 3

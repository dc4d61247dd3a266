"""Scores against the truth: each way to be wrong counts once, as what it is."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from utils.coil.plan import CoilPlan, Roll
from utils.coil.tables import ARTEFACT_COLUMNS, REPEAT_COLUMNS
from utils.coil.truth import overlapping, score, score_joins
from utils.data.coil_truth import TRUE_ARTEFACT_COLUMNS, TRUE_REPEAT_COLUMNS, Truth
from utils.errors import InputError

NO_REPEATS = pd.DataFrame(columns=list(REPEAT_COLUMNS))
A, B = (100, 140, 50, 60), (160, 200, 50, 60)  # 20 apart


def table(*boxes, names=None, **columns) -> pd.DataFrame:
    frame = pd.DataFrame(list(boxes), columns=["along0", "along1", "across0", "across1"], dtype=float)
    frame["class_name"] = names or "pit"
    for name, value in {"views": 1, "artefact": 0, **columns}.items():
        frame[name] = value
    return frame


def truth(defects=None, **changes) -> Truth:
    return Truth("mm", 1000.0, 100.0, defects=table() if defects is None else defects, **changes)


@pytest.mark.parametrize(
    ("real", "shown", "expected"),
    [
        ([A, B], [A, B], {"joined": 2}),
        ([A, B], [A], {"joined": 1, "missed": 1}),
        ([A], [A, B], {"joined": 1, "false": 1}),
        ([A], [(100, 120, 50, 60), (120, 140, 50, 60)], {"split": 1}),
        ([A], [(100, 137, 50, 60), (138, 140, 50, 60)], {"split": 1}),
        ([A], [(100 + 4 * n, 104 + 4 * n, 50, 60) for n in range(10)], {"split": 1}),
        ([A, B], [(100, 200, 50, 60)], {"wrong_joins": 1}),
        ([A, (142, 146, 50, 60)], [(100, 146, 50, 60)], {"near_joins": 2}),
        ([(100, 900, 50, 53), (400, 410, 40, 53)], [(100, 900, 40, 53)], {"near_joins": 2}),
        ([], [], {}),
        ([], [A], {"false": 1}),
        ([A], [], {"missed": 1}),
    ],
)
def test_each_way_to_be_wrong(real, shown, expected):
    scores = score_joins(table(*shown), truth(table(*real)), gap=2.0)
    zero = dict.fromkeys(("joined", "split", "wrong_joins", "near_joins", "missed", "false"), 0)
    assert {name: getattr(scores, name) for name in zero} == {**zero, **expected}
    assert scores.defects == len(real)


def test_pit_within_the_box_of_a_slanted_scratch_is_its_own():
    real = table((0, 800, 10, 90), (400, 410, 50, 60), names=["scratch", "pit"])
    assert score_joins(real, truth(real), 2.0).joined == 2
    assert score_joins(real[:1], truth(real), 2.0).missed == 1


def test_defects_of_static_marks_do_not_count():
    shown = pd.concat([table(A), table(B, artefact=1)])
    assert score_joins(shown, truth(table(A)), 2.0).false == 0


def test_what_no_image_shows_is_not_missed():
    assert score_joins(table(), truth(table(A, views=0)), 2.0).defects == 0


def test_cut_defects_are_counted_apart():
    real = table(A, B)
    real["views"] = [1, 3]
    scores = score_joins(table(A), truth(real), 2.0)
    assert (scores.cut, scores.cut_joined) == (1, 0)


def test_other_class_is_joined_but_told():
    scores = score_joins(table(A, names=["crack"]), truth(table(A)), 2.0)
    assert (scores.joined, scores.class_right) == (1, 0)
    assert "1 of another class" in scores.text()


def test_position_errors_are_pixels_of_the_worse_end():
    shown = table((101, 139.5, 50, 60.4))
    scores = score_joins(shown, truth(table(A), px_along=0.5, px_across=0.2), 2.0)
    assert (*scores.along, *scores.across) == pytest.approx((2.0, 2.0))
    assert "2.00 px along (largest 2.00), 2.00 px across (largest 2.00); 0 of 1 within one pixel" in scores.text()


def test_thin_defect_a_pixel_beside_is_still_the_same():
    scores = score_joins(table((0, 50, 11, 12)), truth(table((0, 50, 10, 11))), 2.0)
    assert (scores.joined, scores.across) == (1, (1.0,))


def test_units_must_agree():
    with pytest.raises(InputError, match=r"the truth is in mm, but coil\.yaml has no mm_per_pixel"):
        score(table(), NO_REPEATS, truth(), CoilPlan())


def true_repeat(**changes):
    row = dict.fromkeys(TRUE_REPEAT_COLUMNS, 0.0)
    row |= {"across": 500.0, "period": 1000.0, "others": "", "onset": 0.0, "end": 60_000.0, "roll": "R1", **changes}
    return row


def found_repeat(**changes):
    row = dict.fromkeys(REPEAT_COLUMNS, 0.0)
    return row | {"across": 505.0, "period": 1001.0, "onset": 1000.0, "end": 60_000.0, "roll": "R1", **changes}


def repeats_of(real: list[dict], found: list[dict]):
    what = truth(repeats=pd.DataFrame([true_repeat(**one) for one in real], columns=list(TRUE_REPEAT_COLUMNS)))
    shown = pd.DataFrame([found_repeat(**one) for one in found], columns=list(REPEAT_COLUMNS))
    plan = CoilPlan(unit="mm", rolls=(Roll("R1", 300, 320), Roll("R2", 306, 326)))
    return score(table(), shown, what, plan).repeats


@pytest.mark.parametrize(
    ("real", "found", "expected"),
    [
        ([{}], [{}], (1, 1, 1, 0, 0, 0)),
        ([{}], [], (0, 0, 0, 0, 0, 0)),
        ([], [{}], (0, 0, 0, 0, 0, 1)),
        ([{}], [{"period": 500.0}], (1, 0, 1, 0, 0, 0)),
        ([{}], [{"period": 1011.0}], (1, 0, 1, 0, 0, 0)),
        ([{"others": "500.0"}], [{"period": 500.0}], (1, 1, 1, 0, 0, 0)),
        ([{}], [{"roll": "R2"}], (1, 1, 0, 0, 0, 0)),
        ([{"roll": "X"}], [{"roll": "R2"}], (1, 1, 0, 0, 0, 0)),
        ([{}], [{"across": 600.0}], (0, 0, 0, 0, 0, 1)),
        ([{"end": 30_000.0}], [{"onset": 31_000.0}], (0, 0, 0, 0, 0, 1)),
        ([{}], [{}, {}], (1, 1, 1, 1, 0, 0)),
        ([{}], [{"period": 333.0}, {}], (1, 1, 1, 0, 1, 0)),
        ([{}, {"period": 1500.0}], [{}, {"period": 1500.0}], (2, 2, 2, 0, 0, 0)),
        ([{}, {"period": 1500.0}], [{}, {}], (1, 1, 1, 1, 0, 0)),
    ],
)
def test_series(real, found, expected):
    one = repeats_of(real, found)
    counts = (one.found, one.period_right, one.roll_right, one.doubles, one.other_periods, one.false_alarms)
    assert counts == expected


def test_parts_of_a_series_cover_it_together():
    parts = [{"onset": 0.0, "end": 15e3}, {"onset": 12e3, "end": 30e3}, {"onset": 48e3, "end": 60e3}]
    one = repeats_of([{}], parts)
    assert (one.doubles, one.covered, one.onset_turns, one.end_turns) == (2, (0.7,), (0.0,), (0.0,))
    text = "over 70% of their length (onset 0.0 and end 0.0 turns off in the middle), 2 further parts of them"
    assert text in one.text()


def test_ends_of_a_series_are_counted_in_turns():
    assert repeats_of([{}], [{"end": 57_000.0}]).end_turns == (3.0,)


def test_static_marks():
    real = pd.DataFrame([("1", 10, 10, 5, 5, 40), ("2", 10, 10, 5, 5, 40)], columns=list(TRUE_ARTEFACT_COLUMNS))
    sides = ["artefact", "camera", "x", "y", "width", "height"]
    shown = pd.DataFrame([(1, 1, 12, 12, 9, 9), (2, "3", 10, 10, 5, 5)], columns=sides)
    shown = shown.reindex(columns=list(ARTEFACT_COLUMNS))
    scores = score(table(), NO_REPEATS, truth(artefacts=real), CoilPlan(unit="mm"), shown)
    assert (scores.artefacts.artefacts, scores.artefacts.found, scores.artefacts.false) == (2, 1, 1)
    assert scores.text().splitlines()[-2:] == [
        "static marks: 1 of 2 found, 1 false",
        "the coil is drawn by the computer: these scores are simulation",
    ]


def test_table_of_a_person_scores_its_defects_alone():
    told = dataclasses.replace(truth(), drawn=False)
    shown = pd.DataFrame([(1, 1, 12, 12, 9, 9)], columns=["artefact", "camera", "x", "y", "width", "height"])
    found = pd.DataFrame([found_repeat()]).reindex(columns=list(REPEAT_COLUMNS))
    scores = score(table(), found, told, CoilPlan(unit="mm"), shown.reindex(columns=list(ARTEFACT_COLUMNS)))
    assert (scores.repeats, scores.artefacts) == (None, None)
    assert not any(word in scores.text() for word in ("simulation", "repeats", "static"))


def test_overlapping_finds_what_plain_comparison_finds():
    rng = np.random.default_rng(0)
    first, second = (
        np.sort(rng.uniform(0, 100, (count, 2, 2)), axis=2).reshape(count, 4) * [1, 1, 0.2, 0.2] for count in (40, 60)
    )
    got = set(zip(*(one.tolist() for one in overlapping(first, second)), strict=True))
    assert got == {
        (i, j)
        for i, a in enumerate(first)
        for j, b in enumerate(second)
        if a[0] < b[1] and b[0] < a[1] and a[2] < b[3] and b[2] < a[3]
    }
    assert len(got) > 100
    assert len(overlapping(first, second[:0])[0]) == len(overlapping(first[:0], second)[0]) == 0

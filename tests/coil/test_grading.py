"""Grades: a table of coils with the rules that fired, written by hand; stretches against a search of every place."""

import dataclasses
import time

import numpy as np
import pandas as pd
import pytest

from tests.coil.drawn import coil, read
from utils.coil.coil import gravest_first
from utils.coil.grading import check_rules, densest, grade
from utils.coil.plan import CoilPlan, Rule, Zones
from utils.errors import InputError

# A coil of 1,000 m and 1,200 mm; 25 mm are edge, 10 m head, 20 m tail.
RULES = (
    Rule("holes", "hold", classes=("hole",)),
    Rule("edge cracks", "hold", at_least=5, classes=("crack",), zones=("edge",)),
    Rule("cracks", "hold", classes=("crack",), zones=("centre",)),
    Rule("scale", "downgrade", "count_per_m", 0.2, ("scale",)),
    Rule("dense scale", "downgrade", "count", 10, ("scale",), window_m=20),
    Rule("scale patch", "hold", "area_per_m", 500, ("scale",), window_m=10),
    Rule("all area", "downgrade", "area", 100_000),
    Rule("largest", "hold", "largest_area", 40_000),
    Rule("long scratch", "downgrade", "longest", 2000, ("scratch",)),
    Rule("scratches", "hold", "length", 50_000, ("scratch",), ("body",)),
    Rule("roll marks", "hold", "repeats", 1, ("mark",)),
    Rule("two series", "downgrade", "repeats", 2),
    Rule("head", "downgrade", "count_per_m", 1, (), ("head",)),
    Rule("bottom dents", "downgrade", "count", 3, ("dent",), (), ("bottom",), 100),
    Rule("not seen", "downgrade", "not_seen", 50_000),
)
PLAN = CoilPlan(unit="mm", width=1200.0, zones=Zones(25.0, 10_000.0, 20_000.0), rules=RULES)

# coil | what is on it, as in drawn.py: metres along : millimetres across | verdict | rules that fired = measured
GOLDEN = """
clean                        |                                                        | accept    |
a hole                       | hole@500:600                                           | hold      | holes=1
a hole that is dirt          | hole@500:600 art                                       | accept    |
class without a rule         | rust@500:600                                           | accept    |
4 cracks at the left edge    | 4*crack@100+50:5                                       | accept    |
5 cracks at the left edge    | 5*crack@100+50:5                                       | hold      | edge cracks=5
5 cracks at the right edge   | 5*crack@100+50:1180                                    | hold      | edge cracks=5
the fifth is dirt            | 4*crack@100+50:5; crack@400:5 art                      | accept    |
crack across the zone border | crack@100:20                                           | hold      | cracks=1
crack ends at the border     | crack@100:15                                           | accept    |
crack begins at the border   | crack@100:25                                           | hold      | cracks=1
crack in the centre          | crack@100:600                                          | hold      | cracks=1
199 scales                   | 199*scale@1+5:600                                      | accept    |
200 scales                   | 200*scale@0.5+4.9:600                                  | downgrade | scale=0.2
199 scales, 10 m not seen    | 199*scale@1+5:600; gap@402-412                         | downgrade | scale=0.20101
9 scales in 20 m             | 9*scale@300+2:600                                      | accept    |
10 scales in 20 m            | 10*scale@300+2:600                                     | downgrade | dense scale=10
10 scales in 21 m            | 10*scale@300+2.3:600                                   | accept    |
tenth within by 5 mm         | 9*scale@300+2:600; scale@320.005:600                   | downgrade | dense scale=10
tenth beyond by 10 mm        | 9*scale@300+2:600; scale@320.02:600                    | accept    |
10 scales in the last 20 m   | 10*scale@981+2:600                                     | downgrade | dense scale=10
scale of 4,999 mm2           | scale@300:600 a4999                                    | accept    |
scale of 5,000 mm2           | scale@300:600 a5000                                    | hold      | scale patch=500
20 m long, half of it counts | scale@300:600 a10000 l20000                            | hold      | scale patch=500
20 m long, and smaller       | scale@300:600 a9000 l20000                             | accept    |
two scales 9 m apart         | 2*scale@300+9:600 a2500                                | hold      | scale patch=500
two scales 10 m apart        | 2*scale@300+10:600 a2500                               | accept    |
dents of 100,000 mm2         | 10*dent@50+90:600 a10000                               | downgrade | all area=100000
dents of 99,990 mm2          | 10*dent@50+90:600 a9999                                | accept    |
a dent of 40,000 mm2         | dent@500:600 a40000                                    | hold      | largest=40000
a dent of 39,999 mm2         | dent@500:600 a39999                                    | accept    |
a scratch of 2 m             | scratch@500:600 l2000                                  | downgrade | long scratch=2000
a scratch of 1.999 m         | scratch@500:600 l1999                                  | accept    |
a scratch across the strip   | scratch@500:0 w1200                                    | accept    |
50 m of scratches            | 50*scratch@100+10:600 l1000                            | hold      | scratches=50000
one metre of it in the tail  | 49*scratch@100+10:600 l1000; scratch@990:600 l1000     | accept    |
one metre across the head    | 49*scratch@100+10:600 l1000; scratch@9.5:600 l1000     | hold      | scratches=50000
a series of marks            | ~1:mark@100-400:600                                    | hold      | roll marks=1
a series of dents            | ~1:dent@100-400:600                                    | accept    |
two series                   | ~1:dent@100-400:600; ~2:scale@500-600:300              | downgrade | two series=2
two series, one of marks     | ~1:dent@100-400:600; ~2:mark@500-600:300               | hold      | roll marks=1, two series=2
10 dents in the head         | 10*dent@0.5+0.9:600                                    | downgrade | head=1
9 dents in the head          | 9*dent@0.5+0.9:600                                     | accept    |
the tenth begins behind it   | 10*dent@1+1:600                                        | accept    |
half of the head not seen    | 5*dent@5.5+0.9:600; gap@0-5                            | downgrade | head=1
3 dents on the bottom        | 3*dent@100+10:600 a100 bottom                          | downgrade | bottom dents=3
3 small ones on the bottom   | 3*dent@100+10:600 a99 bottom                           | accept    |
3 dents on top               | 3*dent@100+10:600 a100                                 | accept    |
2 on the bottom, 1 on top    | 2*dent@100+10:600 a100 bottom; dent@300:600 a100       | accept    |
50 m not seen                | gap@100-150                                            | downgrade | not seen=50000
49 m not seen                | gap@100-149                                            | accept    |
two gaps over each other     | gap@100-140; gap@120-150                               | downgrade | not seen=50000
a camera is out for 200 m    | gap:2@100-300                                          | accept    |
nothing seen                 | gap@0-1000                                             |           |
a hole and a long scratch    | scratch@500:600 l2500; hole@100:600                    | hold      | holes=1, long scratch=2500
"""
COILS = [[cell.strip() for cell in line.split("|")] for line in GOLDEN.strip().splitlines()]


def test_there_are_fifty_coils():
    assert len({name for name, *_ in COILS}) >= 50
    fired = {word.split("=")[0].strip() for *_, words in COILS for word in words.split(",") if word}
    assert fired == {rule.name for rule in RULES}


@pytest.mark.parametrize(("words", "verdict", "fired"), [row[1:] for row in COILS], ids=[row[0] for row in COILS])
def test_golden_coil(words, verdict, fired):
    defects, repeats, gaps = read(words)
    found = grade(defects, repeats, PLAN, 1_000_000.0, gaps=gaps)
    assert found.verdict == verdict
    assert ", ".join(f"{one.rule.name}={one.value:.6g}" for one in found.fired) == fired


def test_own_words_decide_in_their_order():
    rules = (Rule("few", "B", at_least=2), Rule("many", "D", at_least=4), Rule("some", "C", at_least=3))
    plan = CoilPlan(verdicts=("A", "B", "C", "D"), rules=rules)
    for count, verdict, fired in (
        (1, "A", []),
        (2, "B", ["few"]),
        (3, "C", ["some", "few"]),
        (4, "D", ["many", "some", "few"]),
    ):
        found = grade(*read(f"{count}*dent@100+50:5", 1.0)[:2], plan, 1000.0)
        assert (found.verdict, [one.rule.name for one in found.fired]) == (verdict, fired)


@pytest.mark.parametrize(
    ("words", "measure", "value", "text"),
    [
        ("gap:2@100-300", "not_seen", 0, "strip that no image shows: 0 mm; limit 5"),
        (
            "gap:2@100-300",
            "camera_gaps",
            2e5,
            "strip that not every camera shows: 200,000 mm; limit 5; 100.00 to 300.00 m",
        ),
        ("gap:2@100-300; gap:1@250-400; gap@390-410", "camera_gaps", 3.1e5, None),
        ("gap@0-10", "camera_gaps", 1e4, None),
    ],
)
def test_length_that_one_camera_does_not_show(words, measure, value, text):
    plan = CoilPlan(unit="mm", rules=(Rule("gaps", "hold", measure, 5),))
    outcome = coil(words, plan).grade.outcomes[0]
    assert (outcome.value, outcome.fired) == (value, value > 0)
    assert text in (None, outcome.text)


def test_rule_that_finds_no_defect_names_the_whole_coil():
    outcome = coil("", CoilPlan(unit="mm", rules=(Rule("any", "hold"),))).grade.outcomes[0]
    assert (outcome.begin, outcome.end) == (0.0, 1_000_000.0)


def test_without_rules_no_verdict_is_given():
    found = grade(*read("hole@5:5")[:2], CoilPlan(), 1000.0)
    assert (found.verdict, found.rank, found.why) == ("", -1, "coil.yaml has no rules")


def test_evidence_names_the_stretch_and_the_defects():
    found = coil("3*scale@100+5:600; 10*scale@300+2:600; crack@700:5; crack@800:600", PLAN).grade
    by_name = {one.rule.name: one for one in found.outcomes}
    dense = by_name["dense scale"]
    assert dense.defects.tolist() == [4, 5, 6, 7, 8, 9, 10, 11, 12, 13]
    assert 298_000 < dense.begin <= 300_010
    assert dense.end == pytest.approx(dense.begin + 20_000)
    assert by_name["cracks"].defects.tolist() == [15]
    assert by_name["cracks"].text == "defects: 1; limit 1; crack 1; 800.00 to 800.01 m; of crack in centre"
    assert dense.text.startswith("defects: 10; limit 10; scale 10; 299")
    assert dense.text.endswith("; of scale in any 20 m")


def test_series_are_named_with_their_defects():
    found = coil("9*mark@100+2:600 r2; ~2:mark@100-116:605; ~3:dent@500-600:300", PLAN).grade.fired[0]
    assert (found.rule.name, found.repeats, found.defects.tolist()) == ("roll marks", (2,), list(range(1, 10)))
    assert found.text == "series of repeating marks: 1; limit 1; series 2; 100.00 to 116.00 m; of mark"


def test_in_pixels_nothing_is_said_in_metres():
    rules = (
        Rule("many", "hold", at_least=2),
        Rule("large", "hold", "largest_area", 10),
        Rule("x", "hold", "longest", 9),
    )
    found = coil("3*dent@100+50:5", CoilPlan(rules=rules), 2000.0).grade
    assert [one.text for one in found.outcomes] == [
        "defects: 3; limit 2; dent 3; 100 to 210 px",
        "largest defect: 10 px; limit 10; dent 3; 100 to 210 px",
        "longest defect: 10 px; limit 9; dent 3; 100 to 210 px",
    ]


@pytest.mark.parametrize(
    ("rule", "unit", "said"),
    [
        (Rule("r", "hold", "count_per_m"), "px", "count_per_m needs metres; give mm_per_px, or"),
        (Rule("r", "hold", "area_per_m"), "px", "area_per_m needs metres"),
        (Rule("r", "hold", window_m=5), "px", "window_m needs metres"),
        (Rule("r", "stop"), "mm", "verdict 'stop' is none of accept, downgrade, hold"),
        (Rule("r", "hold", "counts"), "mm", "no measure 'counts', did you mean count"),
        (Rule("r", "hold", at_least=0), "mm", "at_least 0; expected a number above 0"),
        (Rule("r", "hold", at_least=float("nan")), "mm", "at_least nan"),
        (Rule("r", "hold", window_m=-1), "mm", "window_m -1"),
        (Rule("r", "hold", zones=("edges",)), "mm", "no zone 'edges', did you mean edge?"),
        (Rule("r", "hold", zones=("tail",)), "mm", "the zone tail has no width"),
    ],
)
def test_rule_that_nothing_can_be_measured_for_is_refused_in_one_line(rule, unit, said):
    with pytest.raises(InputError) as caught:
        check_rules(CoilPlan(unit=unit, rules=(rule,)))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_edge_zone_without_known_edges_is_refused():
    plan = CoilPlan(zones=Zones(edge=20), rules=(Rule("r", "hold", zones=("edge",)),))
    with pytest.raises(InputError, match="where are the strip's edges"):
        grade(*read("dent@5:5", 1.0)[:2], plan, 1000.0)
    assert coil("dent@5:5", plan, 1000.0).grade.verdict == "hold"  # the border of the images


def test_zones_of_both_directions_have_to_be_touched():
    plan = dataclasses.replace(PLAN, rules=(Rule("r", "hold", zones=("edge", "head", "tail")),))
    for words, count in (("dent@5:5", 1), ("dent@500:5", 0), ("dent@5:600", 0), ("dent@999.9:1190", 1)):
        found = grade(*read(words)[:2], plan, 1_000_000.0)
        assert sum(one.fired for one in found.outcomes) == count, words


@pytest.mark.parametrize("spread", [False, True])
@pytest.mark.parametrize("seed", range(20))
def test_densest_stretch_is_the_best_of_all_places(seed, spread):
    random = np.random.default_rng(seed)
    begin = random.integers(0, 200, 30) / 2.0
    end = begin + random.choice([0.5, 1, 20], 30)
    amount = random.integers(1, 9, 30).astype(float)
    window = float(random.choice([3, 10, 60]))
    value, low = densest(begin, end, amount, window, 100.0, spread)

    def at(start: float) -> float:
        last = np.minimum(end, 100)
        if not spread:
            return float(amount[(begin < start + window) & (last > start)].sum())
        share = (np.minimum(last, start + window) - np.maximum(begin, start)).clip(0) / (last - begin)
        return float((amount * share).sum())

    places = np.arange(0, 100 - window + 0.01, 0.125)
    assert value == pytest.approx(max(map(at, places)))
    assert 0 <= low <= 100 - window
    assert at(low) == pytest.approx(value)


def test_nothing_is_dense_where_nothing_is():
    assert densest(np.zeros(0), np.zeros(0), np.zeros(0), 5.0, 100.0, False) == (0.0, 0.0)


def test_gravest_come_first():
    made = coil("scratch@500:600 l2500 a30; hole@100:600 a5; dent@3:600 a900; dent@4:600 a9999 art", PLAN)
    names = made.defects["class_name"].iloc[gravest_first(made.defects, made.grade)]
    assert list(names) == ["hole", "scratch", "dent", "dent"]
    assert made.defects["artefact"].iloc[made.order[-1]] == 1


@pytest.mark.slow
def test_forty_thousand_defects_are_graded_in_seconds():
    random = np.random.default_rng(1)
    defects, repeats, _ = read("dent@1:5")
    many = pd.concat([defects] * 40_000, ignore_index=True)
    many["along0"] = np.sort(random.uniform(0, 1e6, len(many)))
    many["along1"] = many["along0"] + random.exponential(50, len(many))
    many["class_name"] = random.choice(["scale", "crack", "scratch"], len(many))
    many["defect"] = np.arange(1, len(many) + 1)
    begin = time.process_time()
    assert grade(many, repeats, PLAN, 1e6).verdict == "hold"
    assert time.process_time() - begin < 3.0  # 0.2 s alone; some ten times that beside other programs


TEN = np.arange(291.0, 310.0, 2.0)  # ten in 20 m
APART = np.concatenate(
    [np.arange(301.0, 305.0, 2.0), np.arange(316.0, 331.0, 2.0)]
)  # ten, and 10 m between the first two
CLOSE = np.arange(300.5, 310.0, 1.0)


@pytest.mark.parametrize(
    ("places", "gaps", "measure", "zones", "value", "begin", "end"),
    [
        (TEN, [], "count_per_m", (), 0.5, 291, 311),
        (TEN, [(200, 290)], "count_per_m", (), 0.5, 290, 310),
        (APART, [], "count_per_m", (), 0.4, 313, 333),
        (APART, [(305, 315)], "count_per_m", (), 0.5, 301, 331),  # 20 m that were seen hold them, 30 m from end to end
        (APART, [(305, 315)], "area_per_m", (), 50.0, 301, 331),
        (CLOSE, [(0, 300), (310, 1000)], "count_per_m", (), 1.0, 300, 310),  # less than the window was seen
        (TEN, [], "count_per_m", ("head",), 0.0, 0, 1000),
    ],
)
def test_metres_not_seen_do_not_thin_the_densest_stretch(places, gaps, measure, zones, value, begin, end):
    rule = Rule("dense", "hold", measure, 0.1, zones=zones, window_m=20)
    plan = CoilPlan(unit="mm", width=1200.0, zones=Zones(head=10_000.0), rules=(rule,))
    defects, repeats, _ = read("; ".join(f"scale@{place}:600 a100" for place in places))
    table = pd.DataFrame([("", 1000 * a, 1000 * b) for a, b in gaps], columns=["camera", "begin", "end"])
    outcome = grade(defects, repeats, plan, 1_000_000.0, gaps=table).outcomes[0]
    assert outcome.value == pytest.approx(value)
    assert len(outcome.defects) == round(20 * value if measure == "count_per_m" and value < 1 else 10 * bool(value))
    assert (outcome.begin, outcome.end) == pytest.approx((1000 * begin, 1000 * end), abs=2000)


@pytest.mark.parametrize(
    ("window", "zones", "value", "begin", "end"),
    [
        (None, (), 9000, 100_000, 905_000),
        (20, (), 5000, None, None),
        (2, (), 2000, 100_000, 102_000),
        (20, ("head",), 0, None, None),
        (None, ("tail",), 0, 0, 1_000_000),
    ],
)
def test_not_seen_is_measured_in_the_worst_window(window, zones, value, begin, end):
    rule = Rule("gap", "hold", "not_seen", 1000, zones=zones, window_m=window)
    plan = dataclasses.replace(PLAN, rules=(rule,))
    gaps = pd.DataFrame({"camera": "", "begin": [100_000.0, 900_000.0], "end": [104_000.0, 905_000.0]})
    defects, repeats, _ = read("")
    outcome = grade(defects, repeats, plan, 1_000_000, gaps=gaps).outcomes[0]
    assert outcome.value == pytest.approx(value)
    if begin is not None:
        assert (outcome.begin, outcome.end) == (begin, end)
    elif value:
        assert outcome.begin < 905_000
        assert outcome.end > 900_000

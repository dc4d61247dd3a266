"""coil.yaml becomes a plan; whatever is wrong with it is one line that names the key."""

import re
from pathlib import Path

import pytest

from utils.coil.grading import check_rules
from utils.coil.plan import Camera, CoilPlan, Roll, Rule, Zones
from utils.coil.plan_file import check_classes, read_plan
from utils.errors import InputError

WHOLE = """
coil: 4711
line: hot strip mill 2
steel: DC04
side: bottom
mm_per_pixel: {along: 0.5, across: 0.4}
along: x
width: 1.2 m
edges: [20, 1220]
cameras:
  1: {left: 0}
  2: {left: 60 cm, reversed_along: true, mm_per_pixel: 0.25}
zones: {edge: 50, head: 5 m, tail: 10 m}
join: 8
m_per_count: 1e-4
rolls:
  - {name: F7 top, smallest: 690, largest: 760}
  - {name: F6 top, smallest: 690, largest: 760, elongation: 1.25}
repeats: {lane: 40, longest: 5000}
verdicts: [ok, scrap]
warn_classes: hole
rules:
  - {name: holes, verdict: scrap, classes: [hole], zones: [edge], sides: [bottom], at_least: 2}
  - {name: dense, verdict: scrap, measure: count_per_m, at_least: 0.5, window_m: 10}
"""


def read(tmp_path, text):
    file = tmp_path / "coil.yaml"
    file.write_text(text, encoding="utf-8")
    return read_plan(file)


def test_every_key_becomes_a_value_in_millimetres(tmp_path):
    plan = read(tmp_path, WHOLE)
    assert (plan.coil, plan.line, plan.steel, plan.side) == ("4711", "hot strip mill 2", "DC04", "bottom")
    assert (plan.unit, plan.width, plan.edges, plan.join, plan.m_per_count) == ("mm", 1200, (20, 1220), 8, 1e-4)
    assert plan.cameras["1"] == Camera("1", 0.5, 0.4, 0.0, "x")
    assert plan.cameras["2"] == Camera("2", 0.25, 0.25, 600.0, "x", reversed_along=True)
    assert plan.zones == Zones(50, 5000, 10000)
    assert plan.rolls == (Roll("F7 top", 690, 760), Roll("F6 top", 690, 760, 1.25))
    assert (plan.repeats.lane, plan.repeats.window, plan.repeats.longest) == (40, 60_000, 5000)
    assert (plan.verdicts, plan.warn_classes) == (("ok", "scrap"), ("hole",))
    assert plan.rules[0] == Rule("holes", "scrap", "count", 2, ("hole",), ("edge",), ("bottom",))
    assert (plan.rules[1].measure, plan.rules[1].window_m) == ("count_per_m", 10)


def test_without_a_scale_everything_is_in_pixels(tmp_path):
    assert read_plan(None) == CoilPlan(join=2.0)
    assert read(tmp_path, "# nothing\n") == CoilPlan(join=2.0)
    assert read(tmp_path, "zones: {edge: 30 px}").zones.edge == 30


def test_example_of_the_documents_is_read(tmp_path):
    page = (Path(__file__).parents[2] / "docs/coil.md").read_text("utf-8")
    (example,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    plan = read(tmp_path, example)
    check_rules(plan)
    assert (plan.unit, plan.edges, plan.zones.head) == ("mm", "found", 10_000)
    assert [len(plan.rolls), len(plan.rules), len(plan.cameras)] == [2, 7, 3]
    (more,) = re.findall(r"`(repeats: \{.*?\})`", page)
    assert read(tmp_path, more).repeats.longest == 7500


@pytest.mark.parametrize(
    ("text", "join"), [("mm_per_pixel: {along: 0.5, across: 0.8}", 1.6), ("join: 0", 0.0), ("join: 7", 7.0)]
)
def test_gap_is_two_pixels_unless_it_is_given(tmp_path, text, join):
    assert read(tmp_path, text).join == join


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("zons: {edge: 3}", "no key zons, did you mean zones?"),
        ("zones: {egde: 3}", "zones: no key egde, did you mean edge?"),
        ("cameras: {1: {lft: 3}}", "cameras, 1: no key lft, did you mean left?"),
        ("mm_per_pixel: 1\nrolls: [{name: a, smallest: 1, larges: 2}]", "no key larges, did you mean largest?"),
        ("width: wide", "width: wide: expected a number"),
        ("width: -3", "width: -3: expected a number, more than 0"),
        ("width: .nan", "width: nan: expected a number"),
        ("width: true", "width: True: expected a number"),
        ("width: 5 m", "width: 5 m: in m, but there is no mm_per_pixel"),
        ("mm_per_pixel: 1\nwidth: 5 px", "width: 5 px: in px, but a scale is given"),
        ("mm_per_pixel: 0", "mm_per_pixel: 0: expected a number, more than 0"),
        ("mm_per_pixel: {along: 1}", "expected both along and across"),
        ("cameras: {1: {mm_per_pixel: 1}, 2: {}}", "cameras, 2: no mm_per_pixel"),
        ("cameras: {1: {left: 0}, 1: {left: 5}}", "line 1: 1 occurs twice"),
        ("side: botom", "side: botom: choose from top, bottom, did you mean bottom?"),
        ("along: z", "along: z: choose from x, y"),
        ("reversed_along: maybe", "reversed_along: maybe: expected true or false"),
        ("edges: [5, 3]", "expected the left edge first"),
        ("edges: find", "expected [LEFT, RIGHT]"),
        ("width: 100\nedges: [0, 90]", "edges: 90 px apart, but width is 100"),
        ("width: 100\nzones: {edge: 50}", "leaves no centre"),
        ("rolls: [{name: a, smallest: 1, largest: 2}]", "rolls: diameters are in millimetres"),
        ("mm_per_pixel: 1\nrolls: [{name: a, smallest: 3, largest: 2}]", "rolls, a: smallest 3 is above largest 2"),
        ("mm_per_pixel: 1\nrolls: [{name: a, largest: 2}]", "rolls, a: no smallest"),
        (
            "mm_per_pixel: 1\nrolls: [{name: a, smallest: 1, largest: 2}, {name: a, smallest: 1, largest: 2}]",
            "rolls: a occurs twice",
        ),
        ("rolls: {a: 3}\nmm_per_pixel: 1", "expected a list"),
        ("repeats: {shortest: 9, longest: 3}", "shortest 9 is not below longest 3"),
        ("verdicts: [accept]", "verdicts: expected at least two words"),
        ("verdicts: [a, a]", "verdicts: a occurs twice"),
        ("rules: [{name: r, verdict: holt}]", "rules, r, verdict: holt: choose from accept, downgrade, hold"),
        ("rules: [{name: r}]", "rules, r: no verdict"),
        ("rules: [{verdict: hold}]", "rules, entry 1: no name"),
        ("rules: [{name: r, verdict: hold}, {name: r, verdict: hold}]", "rules: r occurs twice"),
        ("rules: [{name: r, verdict: hold, measure: cont}]", "did you mean count"),
        ("rules: [{name: r, verdict: hold, measure: count_per_m}]", "measure count_per_m needs metres"),
        ("rules: [{name: r, verdict: hold, window_m: 3}]", "window_m needs metres"),
        ("rules: [{name: r, verdict: hold, zones: [middle]}]", "choose from edge, centre, head, body, tail"),
        ("rules: [{name: r, verdict: hold, at_least: 0}]", "at_least: 0: expected a number, more than 0"),
        ("- a\n- b", "expected lines of the form key: value"),
        ("a: [", "not a YAML file"),
    ],
)
def test_what_is_wrong_is_one_line_with_the_key(tmp_path, text, said):
    with pytest.raises(InputError) as error:
        read(tmp_path, text)
    message = str(error.value)
    assert said in message
    assert message.startswith(str(tmp_path / "coil.yaml"))
    assert "\n" not in message


def test_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"coil.yaml: No such file"):
        read_plan(tmp_path / "coil.yaml")


def test_rule_about_a_class_that_cannot_come_names_the_nearest(tmp_path):
    plan = read(tmp_path, "rules: [{name: r, verdict: hold, classes: [scratch]}]")
    check_classes(plan, ["scratch"], None, "a.pth")
    with pytest.raises(InputError, match=r"rule r: a.pth has no class scratch, did you mean scratches\?"):
        check_classes(plan, ["patches", "scratches"], None, "a.pth")


def test_all_classes_that_cannot_come_are_named(tmp_path):
    text = "warn_classes: [hole, pits]\nrules: [{name: r, verdict: hold, classes: [scratch, pits]},"
    plan = read(tmp_path, f"{text} {{name: s, verdict: hold, classes: [hole]}}]")
    said = (
        r"rule r: a.pth has no class scratch, did you mean scratches\?; rule s, warn_classes: a.pth has no class hole"
    )
    with pytest.raises(InputError, match=rf"{said}.*; its classes are pits, scratches$"):
        check_classes(plan, ["pits", "scratches"], None, "a.pth")


def test_seams_are_of_one_camera_or_of_all(tmp_path):
    plan = read(tmp_path, "seams: [400, 800.5]\ncameras:\n  1: {left: 0}\n  2: {left: 9, seams: []}\n")
    assert [camera.seams for camera in plan.cameras.values()] == [(400, 800.5), (400, 800.5), ()]


@pytest.mark.parametrize(
    ("value", "message"),
    [("400", "seams: 400: expected a list"), ("[800, 400]", "sort them"), ("[a]", "seams: a"), ("[-3]", "more than 0")],
)
def test_seams_that_are_none(tmp_path, value, message):
    with pytest.raises(InputError, match=message):
        read(tmp_path, f"seams: {value}\n")


BOMB = (
    "width: [&a [x, x], " + ", ".join(f"&{chr(98 + k)} [{', '.join([f'*{chr(97 + k)}'] * 9)}]" for k in range(9)) + "]"
)


@pytest.mark.parametrize(
    "text",
    [
        "width: 1" + "0" * 400,
        "width: !!map [a, b]",
        "zones: !!set [a]",
        'width: !!float ""',
        'width: !!int ""',
        "coil: !!timestamp x",
        "coil: !!bool x",
        BOMB,
    ],
)
def test_yaml_that_no_reader_can_use_is_one_short_line(tmp_path, text):
    with pytest.raises(InputError) as error:
        read(tmp_path, text)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 400

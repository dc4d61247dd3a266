"""Rules: which defects make a frame NG, in a row or at once; files that make no sense are refused in one line."""

import pytest

from utils.errors import InputError
from utils.line.event import LineDefect
from utils.line.rules import Rule, Rules, read_rules

CLASSES = ("scratch", "pit")


def defect(name="scratch", area=100, probability=0.9):
    return LineDefect(name, area, (0, 0, 10, 10), probability)


@pytest.mark.parametrize(
    ("rule", "defects", "ng"),
    [
        (Rule("r"), [], False),
        (Rule("r"), [defect()], True),
        (Rule("r", classes=("pit",)), [defect()], False),
        (Rule("r", classes=("pit",)), [defect(), defect("pit")], True),
        (Rule("r", min_area_px=101), [defect()], False),
        (Rule("r", min_area_px=100), [defect()], True),
        (Rule("r", min_probability=0.91), [defect()], False),
        (Rule("r", count=2), [defect(), defect("pit")], True),
        (Rule("r", count=3), [defect(), defect("pit")], False),
        (Rule("r", total_area_px=150), [defect(area=100), defect(area=50)], True),
        (Rule("r", total_area_px=151), [defect(area=100), defect(area=50)], False),
    ],
)
def test_one_frame(rule, defects, ng):
    assert (Rules((rule,)).judge(None, defects) == "r") is ng


def test_frames_in_a_row_are_those_of_one_camera_and_end_at_a_frame_without_verdict():
    rules = Rules((Rule("long", consecutive=3),))
    assert [rules.judge("a", [defect()]) for _ in range(4)] == [None, None, "long", "long"]
    assert rules.judge("b", [defect()]) is None
    assert rules.judge("a", []) is None
    assert [rules.judge("a", [defect()]) for _ in range(2)] == [None, None]
    rules.interrupt("a")
    assert rules.judge("a", [defect()]) is None


def test_file_is_read_and_all_rules_that_fire_are_named(tmp_path):
    path = tmp_path / "rules.yaml"
    path.write_text("rules:\n- name: any pit\n  classes: [pit]\n- {name: large, min_area_px: 50, count: 1}\n")
    rules = read_rules(path, CLASSES)
    assert rules.judge(None, [defect("pit", 60)]) == "any pit, large"
    assert rules.judge(None, [defect("scratch", 49)]) is None
    assert read_rules(None, CLASSES).judge(None, [defect(area=1)]) == "any defect"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "expected 'rules:'"),
        ("rules: []", "expected 'rules:'"),
        ("rules: [{name: a}]\nmore: 1", "expected 'rules:'"),
        ("rules: [3]", "key: value"),
        ("rules: [{name: a, clases: [pit]}]", "no key clases"),
        ("rules: [{classes: [pit]}]", "needs a name"),
        ("rules: [{name: a, classes: [pits]}]", "no class 'pits'"),
        ("rules: [{name: a, count: 0}]", "count 0"),
        ("rules: [{name: a, count: 1.5}]", "whole number"),
        ("rules: [{name: a, min_probability: yes}]", "min_probability"),
        ("rules: [{name: a, min_area_px: .nan}]", "min_area_px"),
        ("rules: [{name: a}, {name: a}]", "two rules"),
        ("rules: [", "not a YAML file"),
    ],
)
def test_file_that_makes_no_sense_is_one_line(tmp_path, text, words):
    path = tmp_path / "rules.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=words) as error:
        read_rules(path, CLASSES)
    assert "\n" not in str(error.value)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match="No such file"):
        read_rules(tmp_path / "none.yaml", CLASSES)


def test_cameras_that_were_seen_once_take_no_memory():
    rules = Rules((Rule("once"), Rule("long", consecutive=3)))
    for number in range(100):
        rules.judge(str(number), [])
    assert rules._streaks == {}
    rules.judge("a", [defect()])
    assert rules._streaks == {("a", 1): 1}
    rules.judge("a", [])
    assert rules._streaks == {}

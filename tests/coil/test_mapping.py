"""All steps in a row: what is left out is said, what repeats is found, and the earlier stage is recognised."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from utils.coil.edges import Profile
from utils.coil.mapping import light_of, map_coil_of, read_earlier
from utils.coil.outputs import SUMMARY, write_coil
from utils.coil.plan import Camera, CoilPlan, Rule
from utils.coil.positions import read_frames
from utils.errors import InputError

SIZE = (500, 300)
FRAMES = 40
PLAN = CoilPlan(rules=(Rule("many", "hold", at_least=10),))


def frames(plan=PLAN):
    return read_frames(None, plan, {f"{number}.png": SIZE for number in range(1, FRAMES + 1)})


def defects(*, clutter=40, period=None, dirt=False, seed=0):
    random = np.random.default_rng(seed)
    along, across = random.uniform(0, FRAMES * 500 - 20, clutter), random.uniform(5, 280, clutter)
    if period:
        marks = np.arange(60.0, FRAMES * 500 - 20, period)
        along, across = np.append(along, marks), np.append(across, np.full(len(marks), 120.0))
    if dirt:
        marks = np.arange(FRAMES) * 500 + 250.0
        along, across = np.append(along, marks), np.append(across, np.full(len(marks), 40.0))
    number = (along // 500).astype(int)
    table = pd.DataFrame({"image": [f"{k + 1}.png" for k in number], "class_name": "pit", "x": across})
    return table.assign(y=np.minimum(along - number * 500, 490), width=6, height=8, area_px=40, probability=0.9)


def test_camera_without_an_image_is_said_and_graded():
    plan = CoilPlan(
        cameras={"1": Camera("1", left=0.0), "2": Camera("2", left=300.0)},
        rules=(Rule("gaps", "hold", "camera_gaps"), Rule("none", "hold", "not_seen")),
    )
    images = {f"{n}.png": "1" for n in range(1, 11)} | {f"{n}.jpg": "2" for n in range(1, 11) if n not in (5, 6)}
    coil = map_coil_of(defects(clutter=0), read_frames(None, plan, dict.fromkeys(images, SIZE), images), plan, {})
    assert [outcome.rule.name for outcome in coil.grade.fired] == ["gaps"]
    assert coil.grade.fired[0].value == 1000
    assert coil.gap_boxes(5) == [[2000, 3000, 300, 600]]
    assert coil.notes == (
        "camera 2: no image of 1,000 px of strip that another camera shows, the first at 2,000 to 3,000 px; rules of the"
        " measure camera_gaps count it, not_seen does not",
    )


def test_marks_of_a_roll_repeat_and_dirt_is_left_out():
    coil = map_coil_of(defects(period=437.0, dirt=True), frames(), PLAN, {}, notes=["said before"])
    assert coil.length == FRAMES * 500
    assert coil.repeats["period"].tolist() == pytest.approx([437], rel=0.01)
    assert len(coil.artefacts) == 1
    assert coil.notes[0] == "said before"
    assert any("column 43, row 254: lens or light, in 40 images, left out" in note for note in coil.notes)
    assert coil.real.sum() == len(coil.defects) - (coil.defects["artefact"] > 0).sum() == 40 + 46
    assert (coil.defects["repeat"] > 0).sum() >= 40
    assert coil.grade.verdict == "hold"


def test_static_marks_stay_where_they_are_wanted():
    coil = map_coil_of(defects(dirt=True), frames(), PLAN, {}, keep_static=True)
    assert coil.real.sum() == len(coil.defects)
    assert any("lens or light, in 40 images" in note and "left out" not in note for note in coil.notes)


def test_coil_without_defects_has_a_map(tmp_path):
    coil = map_coil_of(defects(clutter=0), frames(), PLAN, {})
    assert (len(coil.defects), coil.grade.verdict) == (0, "accept")
    write_coil(tmp_path, coil)


def test_defects_beside_given_edges_and_of_unplaced_images_are_left_out_and_said():
    table = defects()
    table.loc[:2, "x"] = 10
    table.loc[3, "image"] = "99.png"
    plan = dataclasses.replace(PLAN, edges=(20.0, 300.0))
    coil = map_coil_of(table.assign(x=table["x"].clip(lower=10)), frames(plan), plan, {})
    assert coil.plan.width == 280
    assert "1 defect of images without a place left out" in coil.notes
    beside = int((table["x"].drop(3) + 3 < 20).sum())
    assert f"{beside} defects beside the strip left out" in coil.notes
    assert len(coil.defects) == len(table) - 1 - beside


def profiles(dark=()):
    levels = np.full(300, 5.0, np.float32)
    levels[30:270] = 100
    black = np.zeros(300, np.float32)
    return {f"{k}.png": Profile(black if k in dark else levels) for k in range(1, FRAMES + 1)}


def test_edges_are_found_and_dark_images_at_the_ends_are_no_strip():
    plan = dataclasses.replace(PLAN, edges="found")
    table = defects()
    coil = map_coil_of(table, frames(plan), plan, profiles(dark=(1, 2, 40)))
    assert coil.plan.edges == pytest.approx((30, 270), abs=2)
    assert coil.length == 37 * 500
    assert coil.frames["image"].iloc[0] == "3.png"
    assert len(coil.gaps) == 0
    assert "3 images without strip: 1.png, 2.png, 40.png" in coil.notes
    inside = ~table["image"].isin(["1.png", "2.png", "40.png"]) & table["x"].between(27, 267, inclusive="left")
    assert abs(len(coil.defects) - inside.sum()) <= 2
    assert set(coil.light["axis"]) == {"along", "across"}


@pytest.mark.parametrize(
    ("light", "said"), [({}, "needs the images"), (profiles(dark=range(1, FRAMES + 1)), "no image shows any strip")]
)
def test_edges_that_cannot_be_found_are_refused(light, said):
    plan = dataclasses.replace(PLAN, edges="found")
    with pytest.raises(InputError, match=said):
        map_coil_of(defects(), frames(plan), plan, light)


def test_width_that_the_images_contradict_is_said():
    plan = dataclasses.replace(PLAN, edges="found", width=300)
    notes = map_coil_of(defects(), frames(plan), plan, profiles()).notes
    assert any("px wide in the images, and 300 in coil.yaml" in note for note in notes)


def test_light_across_is_mirrored_with_the_camera():
    levels = np.arange(300, dtype=np.float32)
    plan = CoilPlan(unit="mm", cameras={"": Camera("", 0.5, 0.5, left=10, reversed_across=True)})
    light = light_of({"1.png": Profile(levels)}, read_frames(None, plan, {"1.png": SIZE}), plan)
    across = light[light["axis"] == "across"]
    assert across["at"].iloc[[0, -1]].tolist() == pytest.approx([10.75, 159.25])
    assert across["grey"].iloc[0] > across["grey"].iloc[-1]


def test_earlier_map_is_recognised_turned(tmp_path):
    table = defects(clutter=60, seed=3)
    before = map_coil_of(table, frames(), PLAN, {})
    write_coil(tmp_path / "earlier", before)
    (tmp_path / "earlier" / SUMMARY).write_text("{}")
    length, turned = FRAMES * 500, before.defects
    along = length - turned["along1"].to_numpy()
    number = (along // 500).astype(int)
    now = pd.DataFrame({"image": [f"{k + 1}.png" for k in number], "class_name": "pit", "x": turned["across0"]})
    now = now.assign(y=along - number * 500, width=6, height=8, area_px=40, probability=0.9)
    coil = map_coil_of(now, frames(), PLAN, {}, earlier=read_earlier(tmp_path / "earlier", PLAN))
    assert (coil.defects["earlier"] > 0).mean() > 0.9


def test_earlier_map_that_is_none_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"no defects.csv"):
        read_earlier(tmp_path, PLAN)
    (tmp_path / "defects.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match="not the table of a map"):
        read_earlier(tmp_path, PLAN)
    write_coil(tmp_path, map_coil_of(defects(), frames(), PLAN, {}))
    with pytest.raises(InputError, match=r"summary.json is missing, so the map is not whole; map that stage again"):
        read_earlier(tmp_path, PLAN)
    (tmp_path / SUMMARY).write_text("{}")
    with pytest.raises(InputError, match="is in px, and this map in mm"):
        read_earlier(tmp_path, dataclasses.replace(PLAN, unit="mm"))

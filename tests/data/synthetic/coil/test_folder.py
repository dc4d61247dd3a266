"""A drawn coil is a folder whose tables, images and truth agree."""

import dataclasses
import re

import cv2
import numpy as np
import pandas as pd
import pytest
import yaml

from config import SynthesiseConfig
from utils.data.coil_truth import read_truth
from utils.data.dataset_folder import open_dataset
from utils.data.synthetic import synthesise
from utils.data.synthetic.coil.folder import draw_coil
from utils.errors import InputError

SMALL = SynthesiseConfig(
    dir=None,
    coil=True,
    frames=6,
    image_size=(64, 160),
    frame_overlap=8,
    camera_overlap=16,
    dark=10,
    seed=2,
    contrast=2.0,
)
ROWS = ["image", "class_id", "name", "area_px", "x", "y", "width", "height", "mean_probability"]


def draw(folder, **changes):
    return draw_coil(dataclasses.replace(SMALL, dir=folder, **changes))


@pytest.fixture(scope="module")
def coil(tmp_path_factory):
    folder = tmp_path_factory.mktemp("coil")
    return folder, draw(folder, defects_per_m=60.0, frames=10)


def test_tables_agree_with_each_other_and_with_the_images(coil):
    folder, summary = coil
    names = sorted(path.name for path in (folder / "train_images").iterdir())
    positions, listed = pd.read_csv(folder / "positions.csv"), pd.read_csv(folder / "defects.csv")
    assert len(names) == 20
    assert sorted(positions["ImageId"]) == names
    assert list(positions.columns) == ["ImageId", "camera", "start_m", "left_mm"]
    assert list(listed.columns) == ROWS
    assert set(listed["image"]) <= set(names)
    dataset = open_dataset(folder)
    for name in dataset.images:
        area = sum(channel.sum() for channel in np.moveaxis(dataset.annotations.mask(name, 64, 160), 2, 0))
        assert area <= listed.loc[listed["image"] == name, "area_px"].sum()  # more only by dirt
    assert summary.listed == len(listed) > len(summary.truth.defects) > 20
    assert "20 frames of 2 cameras" in summary.text()


def placed_boxes(folder) -> pd.DataFrame:
    """Put the boxes of defects.csv on the strip by what the tables say, as anybody would."""
    plan = yaml.safe_load((folder / "coil.yaml").read_text())
    table = pd.read_csv(folder / "defects.csv").merge(
        pd.read_csv(folder / "positions.csv"), left_on="image", right_on="ImageId"
    )
    rows = []
    for row in table.to_dict("records"):
        shape = cv2.imread(str(folder / "train_images" / row["image"]), cv2.IMREAD_UNCHANGED).shape
        scale = plan["cameras"][row["camera"]].get("mm_per_pixel", plan["mm_per_pixel"])
        sides = {"x": (row["x"], row["width"], shape[1]), "y": (row["y"], row["height"], shape[0])}
        along, across = sides[plan["along"]], sides["y" if plan["along"] == "x" else "x"]
        first = {}
        for name, (begin, size, whole) in (("along", along), ("across", across)):
            first[name] = whole - begin - size if plan[f"reversed_{name}"] else begin
        begin = row["start_m"] * 1000.0 + first["along"] * scale["along"]
        left = row["left_mm"] + first["across"] * scale["across"]
        rows.append((row["name"], begin, begin + along[1] * scale["along"], left, left + across[1] * scale["across"]))
    return pd.DataFrame(rows, columns=["class_name", "along0", "along1", "across0", "across1"])


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"reversed_along": True, "reversed_across": True},
        {"along": "x", "image_size": (160, 64)},
        {"along": "x", "image_size": (160, 64), "reversed_along": True, "camera_scale": 1.2, "cameras": 3},
        {"split": "train", "mm_per_px": (0.37, 1.3)},
    ],
)
def test_placed_boxes_make_up_the_truth(tmp_path, changes):
    summary = draw(tmp_path, defects_per_m=60.0, repeats=1, dirt=0, **changes)
    parts, truth = placed_boxes(tmp_path), read_truth(tmp_path / "truth.json")
    assert len(truth.defects) == len(summary.truth.defects) > 10
    pad = np.array([truth.px_along, truth.px_across])
    for row in truth.defects.itertuples():
        inside = parts[
            (parts["class_name"] == row.class_name)
            & (parts["along0"] >= row.along0 - pad[0])
            & (parts["along1"] <= row.along1 + pad[0])
            & (parts["across0"] >= row.across0 - pad[1])
            & (parts["across1"] <= row.across1 + pad[1])
        ]
        assert len(inside) >= row.views > 0
        # Where no image ends in it, its parts reach all four sides within a pixel.
        assert inside["along1"].max() <= row.along1 + 0.51 * pad[0]
        assert inside["along0"].min() >= row.along0 - 0.51 * pad[0]
        assert inside["across0"].min() == pytest.approx(row.across0, abs=1.01 * pad[1])
        assert inside["across1"].max() == pytest.approx(row.across1, abs=1.01 * pad[1])


def test_repeats_have_the_period_of_a_listed_roll_and_a_decoy(tmp_path):
    draw(tmp_path, frames=40, repeats=2, missed=0.0)
    truth, plan = read_truth(tmp_path / "truth.json"), yaml.safe_load((tmp_path / "coil.yaml").read_text())
    rolls = {roll["name"]: roll for roll in plan["rolls"]}
    assert len(rolls) == 4
    for row in truth.repeats.itertuples():
        roll = rolls[row.roll]
        diameter = row.period / np.pi / roll["elongation"]
        assert 0.99 * roll["smallest"] < diameter < 1.01 * roll["largest"]
        marks = truth.defects[truth.defects["repeat"] == row.repeat]
        assert len(marks) <= row.turns
        assert len(marks) > 0.5 * row.turns


def test_dirt_is_dark_and_at_its_place_in_every_frame(coil):
    folder, _ = coil
    truth, listed = read_truth(folder / "truth.json"), pd.read_csv(folder / "defects.csv")
    assert truth.artefacts["camera"].tolist() == ["1", "2"]
    for speck in truth.artefacts.itertuples():
        of_camera = listed[listed["image"].str.startswith(f"c{speck.camera}_")]
        same = of_camera[["x", "y", "width", "height"]] == [speck.x, speck.y, speck.width, speck.height]
        assert same.all(axis=1).sum() >= 4  # of ten; a defect beside it hides it


def test_strip_is_dark_beside_its_edges_and_bright_between(coil):
    folder, _ = coil
    for name, dark in (("c1_00003.jpg", np.s_[:, :6]), ("c2_00003.jpg", np.s_[:, -6:])):
        image = cv2.imread(str(folder / "train_images" / name), cv2.IMREAD_UNCHANGED)
        assert image.ndim == 2
        assert image[dark].mean() < 12
        assert np.median(image) > 30


@pytest.mark.parametrize("kind", ["time", "count"])
def test_times_and_counts_mean_the_same_places(tmp_path, kind):
    draw(tmp_path / "start")
    draw(tmp_path / kind, positions=kind)
    wanted, table = (pd.read_csv(tmp_path / name / "positions.csv") for name in ("start", kind))
    if kind == "count":
        plan = yaml.safe_load((tmp_path / kind / "coil.yaml").read_text())
        found = table["count"] * plan["m_per_count"]
    else:
        speed = pd.read_csv(tmp_path / kind / "speed.csv")
        grid = np.linspace(0.0, speed["time"].iloc[-1], 400_001)
        rate = np.interp(grid, speed["time"], speed["speed"])
        run = np.concatenate([[0.0], np.cumsum((rate[1:] + rate[:-1]) / 2.0) * (grid[1] - grid[0])])
        found = np.interp(table["time"], grid, run)
        assert (speed["speed"] >= 0).all()
    assert np.abs(found - wanted["start_m"]).max() < 2e-4  # a fifth of a pixel


def test_spoilt_positions_lack_and_double_rows(tmp_path):
    draw(tmp_path, frames=20, spoil=0.1)
    table = pd.read_csv(tmp_path / "positions.csv")
    assert table["ImageId"].nunique() == 36
    assert len(table) == 40
    assert not table["start_m"].is_monotonic_increasing
    assert table.drop_duplicates()["ImageId"].is_unique


def test_without_a_scale_everything_is_in_pixels(tmp_path):
    summary = draw(tmp_path, mm_per_px=None)
    text = (tmp_path / "coil.yaml").read_text()
    assert read_truth(tmp_path / "truth.json").unit == "px"
    assert list(pd.read_csv(tmp_path / "positions.csv").columns) == ["ImageId", "camera", "start_px", "left_px"]
    assert "mm_per_pixel" not in text
    assert "rolls" not in text
    assert not re.search(r"\bm(m)?\b", summary.text())


def test_numbered_frames_need_no_table(tmp_path):
    draw(tmp_path, positions="none", cameras=1, frame_overlap=0)
    assert not (tmp_path / "positions.csv").exists()


def test_seam_of_two_sensors_cuts_the_labels(tmp_path):
    draw(tmp_path, seams=1, dirt=0, defects_per_m=100.0, cut=1.0)
    plan, listed = yaml.safe_load((tmp_path / "coil.yaml").read_text()), pd.read_csv(tmp_path / "defects.csv")
    assert plan["cameras"][1]["seams"] == [80]
    across = (listed["x"] < 80) & (listed["x"] + listed["width"] > 81)
    assert not across.any()
    assert (listed["x"] == 81).any()


def test_coil_and_strips_replace_each_other_but_nobody_elses_files(tmp_path):
    draw(tmp_path)
    synthesise(SynthesiseConfig(dir=tmp_path, num_of_images=1, image_size=(64, 64)))
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "classes.txt",
        "synthetic.txt",
        "train.csv",
        "train_images",
    ]
    draw(tmp_path)
    assert len(list((tmp_path / "train_images").iterdir())) == 12
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/coil.yaml").write_text("width: 3\n")
    with pytest.raises(InputError, match=r"coil\.yaml: is not of an earlier synthesise"):
        draw(tmp_path / "mine")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["coil.yaml"]


def test_same_seed_gives_the_same_files(tmp_path):
    for name in ("a", "b"):
        draw(tmp_path / name, frames=3)
    first, second = (
        {p.name: p.read_bytes() for p in (tmp_path / name).rglob("*") if p.is_file()} for name in ("a", "b")
    )
    assert first == second


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image_size": (32, 200)}, "-image_size 32,200: each side must be"),
        ({"frames": 100_000}, "-frames 100000: give 99999 at most"),
        ({"mm_per_px": (0.0, 1.0)}, "-mm_per_px 0,1: each must be"),
        ({"frame_overlap": 60}, "-frame_overlap 60: a frame has 64 pixels along"),
        ({"camera_overlap": 90}, "-camera_overlap 90: an image has 160 pixels across"),
        ({"along": "x", "camera_overlap": 40}, "-camera_overlap 40: an image has 64 pixels across"),
        ({"dark": 100}, "-dark 100: leaves less than half"),
        ({"positions": "none"}, "-positions none: only for one camera"),
        ({"mm_per_px": None, "positions": "time"}, "-positions time: needs a scale"),
        ({"mm_per_px": None, "camera_scale": 1.1}, "-camera_scale: without -mm_per_px"),
        ({"cameras": 8, "camera_scale": 1.2}, "-camera_scale 1.2: the last of 8 cameras"),
    ],
)
def test_impossible_coil_names_the_flag_and_writes_nothing(tmp_path, changes, message):
    with pytest.raises(InputError, match=re.escape(message)):
        draw(tmp_path / "new", **changes)
    assert not (tmp_path / "new").exists()

"""Parts of one defect become one row of the table, parts of two never do."""

import time

import numpy as np
import pandas as pd
import pytest

from utils.coil.joining import join, join_numbered
from utils.coil.plan import Camera, CoilPlan
from utils.coil.tables import DEFECT_COLUMNS

# Frames of 100 x 100 pixels, a unit each: name -> where it begins along and across.
ABUTTING = {"a": (0, 0), "b": (100, 0), "c": (200, 0), "d": (0, 100)}
OVERLAPPING = {"a": (0, 0), "b": (80, 0), "c": (160, 0), "d": (0, 80), "e": (80, 80)}


def frames_of(places, size=(100.0, 100.0), pixels=None):
    height, width = pixels or (int(size[0]), int(size[1]))
    rows = [
        (name, str(int(left > 0)), begin, begin + size[0], left, left + size[1], width, height)
        for name, (begin, left) in places.items()
    ]
    columns = ["image", "camera", "begin", "end", "left", "right", "width_px", "height_px"]
    return pd.DataFrame(rows, columns=columns)


def sightings_of(parts, frames, fill=1.0):
    """Make sightings of (image, class, along0, along1, across0, across1)."""
    table = pd.DataFrame(parts, columns=["image", "class_name", "along0", "along1", "across0", "across1"])
    own = frames.set_index("image").loc[table["image"]].reset_index()
    table["camera"] = own["camera"]
    table["x"], table["y"] = table["across0"] - own["left"], table["along0"] - own["begin"]
    table["width"], table["height"] = table["across1"] - table["across0"], table["along1"] - table["along0"]
    table["area"] = table["width"] * table["height"] * fill
    return table.assign(area_px=table["area"], probability=0.5)


def grouped(numbers, names):
    """Write which sightings came together, as "0+2 1"."""
    sets = {}
    for name, number in zip(names, numbers, strict=True):
        sets.setdefault(number, []).append(str(name))
    return " ".join(sorted("+".join(one) for one in sets.values()))


CASES = {
    # Borders of frames that abut
    "cut by the end of a frame": (ABUTTING, 0, [("a", 90, 100, 10, 20), ("b", 100, 110, 10, 20)], "0+1"),
    "cut by a seam of cameras": (ABUTTING, 0, [("a", 10, 20, 95, 100), ("d", 10, 20, 100, 110)], "0+1"),
    "cut, but beside each other": (ABUTTING, 0, [("a", 90, 100, 10, 20), ("b", 100, 110, 23, 30)], "0 1"),
    "cut, gap at most join": (ABUTTING, 5, [("a", 90, 97, 10, 20), ("b", 102, 110, 10, 20)], "0+1"),
    "cut, gap above join": (ABUTTING, 5, [("a", 90, 97, 10, 20), ("b", 102.1, 110, 10, 20)], "0 1"),
    "gap is measured aslant": (ABUTTING, 5, [("a", 90, 97, 10, 20), ("b", 101, 110, 24, 30)], "0 1"),
    "over three frames": (
        ABUTTING,
        0,
        [("a", 90, 100, 10, 12), ("b", 100, 200, 10, 12), ("c", 200, 210, 10, 12)],
        "0+1+2",
    ),
    "other class": (ABUTTING, 5, [("a", 90, 100, 10, 20), ("b", 100, 110, 10, 20, "other")], "0 1"),
    "same image, gap below join": (ABUTTING, 5, [("a", 50, 60, 10, 20), ("a", 62, 70, 10, 20)], "0 1"),
    "U: two legs reach the border": (
        ABUTTING,
        0,
        [("a", 50, 100, 10, 20), ("a", 50, 100, 40, 50), ("b", 100, 110, 10, 50)],
        "0+1+2",
    ),
    "U upside down": (
        ABUTTING,
        0,
        [("a", 90, 100, 10, 50), ("b", 100, 120, 10, 20), ("b", 100, 130, 40, 50)],
        "0+1+2",
    ),
    "two before the border, one leg only reaches it": (
        ABUTTING,
        5,
        [("a", 50, 100, 10, 20), ("a", 50, 97, 24, 30), ("b", 100, 110, 10, 30)],
        "0+2 1",
    ),
    "no chain through a part that both only come near": (
        ABUTTING,
        9,
        [("a", 90, 98, 10, 20), ("a", 90, 97, 24, 30), ("b", 102, 110, 10, 30)],
        "0+2 1",
    ),
    "no chain over two borders": (
        ABUTTING,
        4,
        [("a", 90, 98, 10, 20), ("b", 101, 199, 10, 20), ("c", 202, 220, 10, 20), ("b", 196, 199, 23, 30)],
        "0+1+2 3",
    ),
    # Views that overlap
    "seen twice by two frames": (OVERLAPPING, 0, [("a", 85, 95, 10, 20), ("b", 85.4, 95.4, 10, 20)], "0+1"),
    "seen twice by two cameras": (OVERLAPPING, 0, [("a", 5, 15, 85, 95), ("d", 5, 15, 84.6, 94.6)], "0+1"),
    "seen by four": (
        OVERLAPPING,
        0,
        [("a", 85, 95, 85, 95), ("b", 85, 95, 85, 95), ("d", 85, 95, 85, 95), ("e", 85, 95, 85, 95)],
        "0+1+2+3",
    ),
    "neighbours seen twice stay two": (
        OVERLAPPING,
        9,
        [("a", 85, 90, 10, 20), ("a", 93, 98, 10, 20), ("b", 85, 90, 10, 20), ("b", 93, 98, 10, 20)],
        "0+2 1+3",
    ),
    "neighbours seen twice, misplaced by a pixel": (
        OVERLAPPING,
        9,
        [("a", 85, 88, 10, 20), ("a", 91, 94, 10, 20), ("b", 86, 89, 10, 20), ("b", 92, 95, 10, 20)],
        "0+2 1+3",
    ),
    "cut in one frame, whole in the next": (
        OVERLAPPING,
        0,
        [("a", 85, 100, 10, 20), ("b", 85, 140, 10, 20)],
        "0+1",
    ),
    "cut in both": (OVERLAPPING, 0, [("a", 30, 100, 10, 20), ("b", 80, 140, 10, 20)], "0+1"),
    "U over an overlap": (
        OVERLAPPING,
        0,
        [("a", 50, 100, 10, 20), ("a", 50, 100, 40, 50), ("b", 80, 130, 10, 50)],
        "0+1+2",
    ),
    "box of an oblique scratch around a small defect": (
        OVERLAPPING,
        3,
        [("a", 40, 100, 10, 60), ("a", 90, 100, 12, 16), ("b", 80, 140, 10, 90), ("b", 90, 105, 12, 16)],
        "0+2 1+3",
    ),
    "two blobs in one image, one in the other": (
        OVERLAPPING,
        9,
        [("a", 82, 87, 10, 20), ("a", 91, 96, 10, 20), ("b", 82, 96.5, 10, 20)],
        "0 1+2",
    ),
    "outside the overlap": (OVERLAPPING, 0, [("a", 70, 78, 10, 20), ("b", 82, 90, 10, 20)], "0 1"),
}


@pytest.mark.parametrize(("reverse", "swapped"), [(False, False), (True, True)], ids=["", "turned"])
@pytest.mark.parametrize("name", CASES)
def test_parts_of_one_defect_come_together(name, reverse, swapped):
    places, gap, parts, expected = CASES[name]
    parts = [(part[0], part[5] if len(part) > 5 else "scratch", *part[1:5]) for part in parts]
    if swapped:
        places = {key: (left, begin) for key, (begin, left) in places.items()}
        parts = [(image, kind, *box[2:], *box[:2]) for image, kind, *box in parts]
    frames = frames_of(places)
    rows = list(range(len(parts)))[:: -1 if reverse else 1]
    defects, numbers = join_numbered(sightings_of([parts[k] for k in rows], frames), frames, CoilPlan(join=gap))
    where = np.argsort(rows)
    assert grouped(numbers[where], range(len(parts))) == expected
    assert len(defects) == len(expected.split())
    assert set(numbers) == set(defects["defect"])


def test_seams_inside_an_image_cut_like_borders():
    frames = frames_of({"a": (0, 0), "b": (100, 0)})
    boxes = [(10, 20, 30, 49), (10, 20, 51, 60), (40, 50, 10, 20), (40, 50, 22, 30), (70, 80, 40, 60)]
    sightings = sightings_of([("a", "scratch", *box) for box in boxes], frames)
    assert len(join(sightings, frames, CoilPlan(join=3))) == 5
    for seams, reversed_across in (((50,), False), ((30, 50, 90), False), ((10, 50), True)):
        plan = CoilPlan(join=3, cameras={"": Camera(seams=seams, reversed_across=reversed_across)})
        assert grouped(join_numbered(sightings, frames, plan)[1], range(5)) == "0+1 2 3 4"


def test_table_says_what_the_parts_are():
    frames = frames_of(ABUTTING)
    parts = [("b", "hole", 150, 160, 1, 2), ("a", "scratch", 70, 100, 10, 20), ("b", "scratch", 100, 110, 12, 22)]
    sightings = sightings_of(parts, frames)
    sightings["probability"] = [0.9, 0.4, 0.8]
    table = join(sightings, frames, CoilPlan(side="bottom"))
    assert tuple(table.columns) == DEFECT_COLUMNS
    row = table.iloc[0]
    assert (row["defect"], row["class_name"], row["sightings"], row["side"]) == (1, "scratch", 2, "bottom")
    assert tuple(row[["along0", "along1", "across0", "across1"]]) == (70, 110, 10, 22)
    assert row["area"] == 400
    assert row["probability"] == pytest.approx((300 * 0.4 + 100 * 0.8) / 400)
    assert tuple(row[["image", "camera", "x", "y", "width", "height"]]) == ("a", "0", 10, 70, 10, 30)
    assert list(table["class_name"]) == ["scratch", "hole"]
    assert (table[["artefact", "repeat", "group", "earlier"]] == 0).all(axis=None)


@pytest.mark.parametrize(
    ("parts", "area"),
    [
        ([("a", 85, 95, 10, 20), ("b", 85, 95, 10, 20)], 100),
        ([("a", 85, 95, 10, 20), ("b", 86, 96, 10, 20)], 100),  # a pixel of misplacement adds nothing
        ([("a", 30, 100, 10, 20), ("b", 80, 140, 10, 20)], 1100),
        ([("a", 30, 100, 10, 20), ("b", 80, 180, 10, 20), ("c", 160, 200, 10, 20)], 1700),
        ([(name, 85, 95, 85, 95) for name in "abde"], 100),
        ([("a", 70, 100, 70, 100), ("b", 80, 120, 70, 100), ("d", 70, 100, 80, 120), ("e", 80, 120, 80, 120)], 2500),
    ],
)
@pytest.mark.parametrize("fill", [1.0, 0.3])
def test_area_that_two_views_show_counts_once(parts, area, fill):
    frames = frames_of(OVERLAPPING)
    table = join(sightings_of([(p[0], "scratch", *p[1:]) for p in parts], frames, fill), frames, CoilPlan())
    assert list(table["area"]) == [pytest.approx(area * fill)]


def test_sightings_of_static_marks_are_joined_with_nothing():
    frames = frames_of(ABUTTING)
    parts = [("a", "scratch", 90, 100, 10, 20), ("b", "scratch", 100, 110, 10, 20), ("c", "scratch", 200, 201, 0, 1)]
    sightings = sightings_of(parts, frames).assign(artefact=[3, 0, 0])
    assert list(join(sightings, frames, CoilPlan())["artefact"]) == [3, 0, 0]


def test_no_sightings_make_an_empty_table():
    frames = frames_of(ABUTTING)
    table = join(sightings_of([], frames), frames, CoilPlan())
    assert tuple(table.columns) == DEFECT_COLUMNS
    assert table.empty


def drawn_strip(random, overlap, number, gap, turn):
    """Draw defects farther apart than twice the gap, and frames of two cameras; return truth, frames and sightings."""
    step = 100 - overlap
    places = {f"{c}{k}": (k * step + 30 * c, c * step) for k in range(12) for c in (0, 1)}
    frames = frames_of(places)
    truth: list[np.ndarray] = []
    for _ in range(number):
        length, width = (random.integers(60, 500), 3) if random.random() < 0.1 else random.integers(2, 40, 2)
        begin, left = random.uniform(30, 11 * step - length), random.uniform(0, 2 * step - width)
        box = np.array([begin, begin + length, left, left + width])
        away = [np.hypot(*np.maximum(np.maximum(box[::2], t[::2]) - np.minimum(box[1::2], t[1::2]), 0)) for t in truth]
        if all(one > max(2 * gap, 6) for one in away):
            truth.append(box)
    parts, owners = [], []
    for owner, box in enumerate(truth):
        for row in frames.itertuples():
            seen = [max(box[0], row.begin), min(box[1], row.end), max(box[2], row.left), min(box[3], row.right)]
            if seen[1] - seen[0] >= 1 and seen[3] - seen[2] >= 1:
                moved = np.array(seen) + np.repeat(random.uniform(-0.3, 0.3, 2), 2)  # places are not exact
                parts.append((row.image, "scratch", *moved))
                owners.append(owner)
    if turn:
        frames = frames.rename(columns={"begin": "left", "end": "right", "left": "begin", "right": "end"})
        parts = [(image, kind, *box[2:], *box[:2]) for image, kind, *box in parts]
    return frames, sightings_of(parts, frames), np.array(owners)


@pytest.mark.parametrize("turn", [False, True])
@pytest.mark.parametrize("gap", [0, 4, 15])
@pytest.mark.parametrize("overlap", [0, 10, 40])
def test_drawn_defects_are_each_one(overlap, gap, turn):
    cut = 0
    for seed in range(2):
        random = np.random.default_rng([seed, overlap, gap])
        frames, sightings, owners = drawn_strip(random, overlap, 40, gap, turn)
        numbers = join_numbered(sightings, frames, CoilPlan(join=gap))[1]
        assert grouped(numbers, range(len(owners))) == grouped(owners, range(len(owners)))
        cut += (np.bincount(owners) > 1).sum()
    assert cut >= 10


@pytest.mark.parametrize("overlap", [0, 20])
@pytest.mark.parametrize("seed", range(6))
def test_crowded_parts_come_together_only_as_the_rules_allow(overlap, seed):
    random = np.random.default_rng(seed)
    gap, step = 3.0, 100 - overlap
    frames = frames_of({f"{c}{k}": (k * step, c * step) for k in range(3) for c in (0, 1)})
    parts = []
    for row in frames.itertuples():
        low = random.integers(0, 95, (40, 2))
        high = np.minimum(low + random.integers(1, 25, (40, 2)), 100)
        parts += [
            (row.image, "ab"[k % 2], row.begin + y0, row.begin + y1, row.left + x0, row.left + x1)
            for k, ((y0, x0), (y1, x1)) in enumerate(zip(low, high, strict=True))
        ]
    table = sightings_of(parts, frames)
    numbers = join_numbered(table, frames, CoilPlan(join=gap))[1]
    boxes = table[["along0", "along1", "across0", "across1"]].to_numpy()
    images, classes = table["image"].to_numpy(), table["class_name"].to_numpy()
    rects = frames.set_index("image").loc[images, ["begin", "end", "left", "right"]].to_numpy()
    edges = (np.abs(boxes - rects) <= 1.5).any(axis=1)
    # Every pair, by the plain definition.
    away = np.maximum(boxes[:, None, ::2], boxes[None, :, ::2]) - np.minimum(boxes[:, None, 1::2], boxes[None, :, 1::2])
    away = np.maximum(away, 0)
    near = (classes[:, None] == classes[None]) & (images[:, None] != images[None])
    near &= (np.hypot(away[..., 0], away[..., 1]) <= gap) | (away.max(axis=2) <= 1.5)
    reached = near.copy()
    for k in range(len(table)):
        reached |= np.outer(reached[:, k], reached[k])
    together = (numbers[:, None] == numbers[None]) & ~np.eye(len(table), dtype=bool)
    assert not (together & ~reached).any()
    kept_apart = together & (images[:, None] == images[None])
    for i, _ in np.argwhere(kept_apart):  # two of one image: a border cuts some part of their defect
        assert edges[numbers == numbers[i]].any()
    if overlap == 0:  # whatever lies alone is left alone, and a pair that nobody else is near is joined
        lonely = near.sum(axis=1) == 1
        for i, j in np.argwhere(near & lonely[:, None] & lonely[None]):
            assert numbers[i] == numbers[j]
    assert together.any()


@pytest.mark.slow
def test_time_grows_with_the_number_of_sightings_only():
    random = np.random.default_rng(0)
    frames = frames_of({f"{c}-{k}": (k * 90.0, c * 90.0) for k in range(2000) for c in (0, 1)})
    own = frames.sample(20_000, replace=True, random_state=0).reset_index(drop=True)
    begin, left = own["begin"] + random.uniform(0, 90, len(own)), own["left"] + random.uniform(0, 90, len(own))
    table = pd.DataFrame({"image": own["image"], "class_name": "scratch", "along0": begin, "along1": begin + 8})
    table = sightings_of(table.assign(across0=left, across1=left + 8).to_numpy().tolist(), frames)
    before = time.process_time()
    defects = join(table, frames, CoilPlan(join=4))
    assert time.process_time() - before < 5  # all with all: minutes
    assert 10_000 < len(defects) < 20_000


@pytest.mark.parametrize("camera", [Camera(along="x"), Camera(seams=(50.0,))])
def test_tables_of_one_block_may_be_read_only(camera):
    frames = frames_of({"a": (0.0, 0.0)}).astype(dict.fromkeys(("width_px", "height_px"), float))
    frames = pd.concat([frames[["image", "camera"]], frames.drop(columns=["image", "camera"]).copy()], axis=1)
    sightings = sightings_of([("a", "pit", 1.0, 2.0, 3.0, 4.0)], frames).assign(camera="0")
    assert len(join(sightings, frames, CoilPlan(cameras={"": camera}))) == 1

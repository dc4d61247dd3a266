"""benchmarks/new_plant.py: what a person paints, what it costs, who gets which images, which commands are typed."""

import asyncio
import concurrent.futures
import csv
import itertools
import json
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from benchmarks import new_plant, plant_person, plant_visit
from benchmarks.plant_person import Work, iou, middle, parts, rings
from config import CollectConfig
from tests.web.page.conftest import serving
from utils.commands.collect import collect
from utils.data.dataset_folder import open_dataset
from utils.data.rle import encode
from utils.desk.review import fill
from utils.errors import InputError

SIZE = 128


@pytest.fixture
def data(tmp_path) -> Path:
    """Eight grey images of 128x128 pixels, of eight scenes, each with a defect at the left edge; and a split."""
    root = tmp_path / "data"
    (root / "train_images").mkdir(parents=True)
    rows, random = [], np.random.default_rng(1)
    for number in range(8):
        image, mask = random.integers(90, 120, (SIZE, SIZE), np.uint8), np.zeros((SIZE, SIZE), np.uint8)
        mask[20:60, 2:20] = 1
        image[mask > 0] = 240
        cv2.imwrite(str(root / "train_images" / f"{number}.png"), image)
        rows.append((f"{number}.png", 1 + number % 2, encode(mask)))
    with open(root / "train.csv", "w", newline="") as file:
        csv.writer(file).writerows([("ImageId", "ClassId", "EncodedPixels"), *rows])
    (root / "classes.txt").write_text("pit\ncrack\n")
    sides = ["valid" if number > 5 else "train" for number in range(8)]
    lines = [f"{number}.png,{side},{number}" for number, side in enumerate(sides)]
    (tmp_path / "split.csv").write_text("\n".join(["image,side,group", *lines, ""]))
    return root


def flags(data: Path, *more: str) -> list[str]:
    place = data.parent
    given = ["-dir", str(data), "-split", str(place / "split.csv"), "-runs", str(place / "runs")]
    return [*given, "-out", str(place / "out.csv"), "-clean_crops", "2", *more]


def config_of(data: Path, *more: str) -> new_plant.NewPlantConfig:
    return new_plant.parse(new_plant.NewPlantConfig, flags(data, *more), "new_plant.py", "")


def test_scenes_of_clean_steel_are_not_those_of_the_line(data):
    plant = new_plant.Plant(config_of(data))
    plant.lay_out()
    plant.lay_out()  # what is there stays
    names = {path.name for path in plant.pool.iterdir()}
    assert len([name for name in names if not name.startswith("clean-")]) == 3
    assert len([name for name in names if name.startswith("clean-")]) == 2
    assert len(list(plant.clean.iterdir())) == 3
    assert all(cv2.imread(str(path)).shape == (96, 96, 3) for path in plant.clean.iterdir())
    assert all(cv2.imread(str(path)).max() < 130 for path in plant.clean.iterdir()), "a defect among the clean crops"
    assert plant.truth("0.png").sum(axis=(0, 1)).tolist() == [40 * 18, 0]
    assert not plant.truth("clean-0001.png").any()
    with pytest.raises(InputError, match="too few scenes"):
        new_plant.Plant(config_of(data, "-clean_share", "0.99", "-runs", str(data.parent / "other"))).lay_out()


def drawn(kind: str) -> np.ndarray:
    mask = np.zeros((120, 160), np.uint8)
    if kind == "disc":
        cv2.circle(mask, (60, 60), 30, 1, -1)
    elif kind == "ring":
        cv2.circle(mask, (60, 60), 40, 1, -1)
        cv2.circle(mask, (60, 60), 15, 0, -1)
    elif kind == "box":
        mask[10:50, 20:120] = 1
    else:
        cv2.line(mask, (10, 20), (150, 90), 1, 5)
    return mask.astype(np.bool_)


@pytest.mark.parametrize("kind", ["disc", "ring", "box"])
def test_few_corners_make_the_same_shape(kind):
    mask = drawn(kind)
    outer, holes = rings(mask)
    assert (len(outer) <= 24, len(holes)) == (True, int(kind == "ring"))
    again = fill([outer, *holes], *mask.shape).astype(np.bool_)
    assert iou(mask, again) > 0.93
    assert middle(mask) is None


def test_a_long_thin_defect_is_one_stroke():
    mask = drawn("line")
    path, width = middle(mask)
    again = np.zeros(mask.shape, np.uint8)
    cv2.polylines(again, [np.round(path).astype(np.int32)[:, None]], False, 1, round(width))
    assert 4 < width < 7
    assert iou(mask, again > 0) > 0.7
    two = drawn("disc")
    two[100:110, 100:110] = two[0, 0] = True
    assert len(parts(two)) == 2, "a speck is nothing that a person draws"


def test_minutes_follow_from_actions(data):
    play = new_plant.Play(new_plant.Plant(config_of(data, "-look_s", "6", "-key_s", "1", "-click_s", "2")))
    work = Work(images=10, clicks=10, strokes=0, keys=10, defects=0)
    assert play.minutes(work) == pytest.approx((60 + 10 + 20) / 60)
    assert play.minutes(Work(strokes=25)) == pytest.approx(25 * 2.4 / 60)
    assert play.minutes(Work(defects=2, accepted=1, rejected=1)) == pytest.approx(4 * 1.35 / 60)


class Typist:
    """Stands in for the commands: notes them, and writes what the next ones read."""

    def __init__(self, data: Path) -> None:
        self.data, self.typed = data, []

    def __call__(self, words) -> None:
        self.typed.append(list(words))
        value = dict(itertools.pairwise(words))
        if words[0] == "Train.py":
            Path(value["-out"]).mkdir(parents=True)
            (Path(value["-out"]) / "x.pth").write_bytes(b"")
        elif "collect" in words:
            (Path(value["-dir"]).parent).mkdir(exist_ok=True)
            Path(value["-dir"]).symlink_to(self.data)
        elif words[0] == "Evaluate.py":
            ends = {"together": [0.5, 0.75]}
            said = {
                "images": 2,
                "mean_dice": 0.625,
                "defect_dice": 0.5,
                "interval": {"mean_dice": ends, "defect_dice": ends},
            }
            Path(value["-out"]).mkdir(parents=True)
            (Path(value["-out"]) / "metrics.json").write_text(json.dumps(said))


def test_all_stages_are_typed_once_and_the_table_says_what_they_brought(data, monkeypatch):
    visits = {
        **vars(Work(images=2, clicks=20, strokes=3, keys=8)),
        "wall_s": 60.0,
        "kills": 2,
        "lost": 1,
        "minutes": 1.5,
    }
    monkeypatch.setattr(new_plant.Play, "visit", lambda *args: dict(visits))
    monkeypatch.setattr(new_plant.Play, "auroc", lambda self, dataset, names: (0.9, 3, 4))
    typist = Typist(data)
    new_plant.main(flags(data, "-test", str(data)), typist)
    said = [" ".join(words[:2]) for words in typist.typed]
    assert said == [
        *(
            "Train.py -dir",
            "Prepare_data.py collect",
            "Train.py -dir",
            "Prepare_data.py select",
            "Prepare_data.py collect",
        ),
        *("Train.py -dir", "Evaluate.py -dir", "Evaluate.py -dir", "Evaluate.py -dir", "Evaluate.py -dir"),
    ]
    table = (data.parent / "out.md").read_text()
    assert "| day one: clean crops alone | 0 | 0 | 0, 0, 0 | 0.900 |  |  |" in table
    assert (
        "| and a second one, chosen | 8 | 3 | 6, 40, 16 |  | 0.625 (0.500 to 0.750) | 0.500 (0.500 to 0.750) |" in table
    )
    assert "Side test of data, 2 images" in table
    with open(data.parent / "out.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["stage"], row["valid_auroc"], row["test_mean_dice"]) for row in rows] == [
        ("day one", "0.9", ""),
        ("round 1", "", "0.625"),
        ("round 2", "", "0.625"),
    ]
    page = data.parent / "page.md"
    page.write_text(f"before\n{new_plant.BEGIN}\nold\n{new_plant.END}\nafter\n")
    monkeypatch.setattr(new_plant, "publish", lambda rows, publish=new_plant.publish: publish(rows, page))
    count = len(typist.typed)
    new_plant.main(flags(data, "-test", str(data), "-publish", "true"), typist)
    assert len(typist.typed) == count + 1, "select alone left nothing behind"
    assert page.read_text() == f"before\n{new_plant.BEGIN}\n{table}{new_plant.END}\nafter\n"
    page.write_text("no place")
    with pytest.raises(InputError, match="lacks"):
        new_plant.main(flags(data, "-test", str(data), "-publish", "true"), typist)


def test_the_page_has_a_place_for_the_table():
    page = new_plant.PAGE.read_text()
    assert page.count(new_plant.BEGIN) == page.count(new_plant.END) == 1


@pytest.mark.slow  # a browser and a server
def test_two_people_paint_what_is_true(tmp_path):
    pytest.importorskip("playwright.async_api", reason="no playwright: pip install playwright")
    truth, images = {}, tmp_path / "images"
    images.mkdir()
    for number in range(4):
        image, masks = np.full((120, 160), 120, np.uint8), np.zeros((120, 160, 3), np.bool_)
        image += np.uint8(number)
        if number:
            image[70:90, 100:130] = 240
            masks[70:90, 100:130, 0] = True  # is proposed
            masks[..., 2] = np.roll(drawn(["disc", "ring", "line"][number - 1]), -10, axis=1)
            masks[66:94, 96:134, 2] = False
            image[5:20, 140:155] = 250
            masks[5:20, 140:155, 2] = True  # is proposed as bright
        cv2.imwrite(str(images / f"{number}.png"), image)
        truth[f"{number}.png"] = masks
    names = ("bright", "dark", "pit")
    with serving(weights_dir=tmp_path, dir=images, save=tmp_path / "kept", class_names=("pit",)) as served:
        server = SimpleNamespace(url=served.url)
        visit = plant_visit.Visit(
            server, tmp_path / "kept", truth.__getitem__, names, "new", 4, False, 0.3, 1, tmp_path / "screens", "t"
        )
        with concurrent.futures.ThreadPoolExecutor(1) as pool:  # the tests' own browser has this thread's loop
            work, _ = pool.submit(visit.review).result()
    assert (sorted(visit.taken), work.images, work.accepted) == (sorted(truth), 4, 6)
    assert work.told == 4 + 6 + work.defects + 1, (
        "a mark each, an acceptance each, what was painted, and the hole of the ring"
    )
    collect(CollectConfig(review=tmp_path / "kept", dir=tmp_path / "made"))
    made = open_dataset(tmp_path / "made")
    assert made.annotations.class_names == names
    for name in truth:
        painted = made.annotations.mask(name, 120, 160).astype(np.bool_)
        assert np.array_equal(painted[..., 0], truth[name][..., 0])
        assert iou(painted[..., 2], truth[name][..., 2]) > 0.8 or not truth[name].any(), name


def test_waiting_for_what_never_comes_ends(monkeypatch):
    monkeypatch.setattr(plant_person, "WAIT", 2)

    class Page:
        async def evaluate(self, *words):
            return None

    person = plant_person.Person(Page(), "Ann", lambda name: np.zeros((1, 1, 1), np.bool_), ("pit",), 1.0, 1)
    with pytest.raises(AssertionError, match="never: return 0"):
        asyncio.run(person.until("return 0"))

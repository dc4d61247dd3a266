"""The figures of a dataset folder, against plain loops over its masks."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from config import ExploreConfig
from utils.data import rle
from utils.data.dataset_folder import open_dataset
from utils.data.exploration.examples import LONGEST, choose_clean, choose_examples, shrunk_example
from utils.data.exploration.folder import explore_folder
from utils.data.exploration.images import measure_light
from utils.data.exploration.labels import LabelTally, describe_areas, grid_of, measure_labels
from utils.errors import InputError

SIZE = (20, 60)


def random_masks(seed: int, classes: int = 3, size: tuple[int, int] = SIZE) -> np.ndarray:
    """(C, H, W) bool of a few blocks, which may touch and overlap."""
    random = np.random.default_rng(seed)
    masks = np.zeros((classes, *size), bool)
    for _ in range(random.integers(0, 6)):
        y, x = random.integers(0, size[0] - 1), random.integers(0, size[1] - 1)
        masks[random.integers(classes), y : y + random.integers(1, 9), x : x + random.integers(1, 15)] = True
    return masks


def codes_of(masks: np.ndarray) -> dict[int, str]:
    return {k: rle.encode(mask) for k, mask in enumerate(masks, 1) if mask.any()}


@pytest.fixture(scope="module")
def many():
    return [random_masks(seed) for seed in range(60)]


@pytest.fixture(scope="module")
def figures(many):
    tally = LabelTally(["a", "b", "c"], grid_of(SIZE))
    for number, masks in enumerate(many):
        tally.add(f"{number}.png", measure_labels(codes_of(masks), SIZE, grid_of(SIZE)))
    return tally.statistics(len(many) * SIZE[0] * SIZE[1])


def test_counts_are_those_of_the_masks(many, figures):
    shown = np.array([masks.any(axis=(1, 2)) for masks in many])
    assert figures.images == 60
    assert figures.clean == (~shown.any(axis=1)).sum() > 0
    assert figures.images_per_class().tolist() == shown.sum(axis=0).tolist()
    assert figures.images_per_number().tolist() == np.bincount(shown.sum(axis=1)).tolist()
    assert figures.pixels_per_class().tolist() == np.sum([masks.sum(axis=(1, 2)) for masks in many], axis=0).tolist()
    assert figures.background == sum((~masks.any(axis=0)).sum() for masks in many)
    both = [[int((shown[:, a] & shown[:, b]).sum()) for b in range(3)] for a in range(3)]
    assert figures.together().tolist() == both


def test_area_table_is_that_of_numpy(many, figures):
    table = figures.area_table()
    for k, name in enumerate("abc"):
        areas = np.array([masks[k].sum() for masks in many if masks[k].any()])
        low, q1, q2, q3, high = np.percentile(areas, [2, 25, 50, 75, 98])
        expected = [len(areas), areas.mean(), areas.std(ddof=1), areas.min(), low, q1, q2, q3, high, areas.max()]
        assert table.loc[name].tolist() == pytest.approx(expected)


def test_connected_defects_are_counted_with_eight_neighbours(many, figures):
    for k in range(3):
        areas = []
        for masks in many:
            count, labelled = cv2.connectedComponents(masks[k].astype(np.uint8), connectivity=8)
            areas += [int((labelled == part).sum()) for part in range(1, count)]
        found = figures.defects.loc[figures.defects["class_id"] == k + 1, "area"]
        assert sorted(found) == sorted(areas)
    diagonal = np.eye(4, dtype=bool)
    assert measure_labels({1: rle.encode(diagonal)}, (4, 4), (4, 4)).defects[1].tolist() == [4]


def test_maps_hold_the_mean_mask(many, figures):
    assert figures.maps.shape == (3, 20, 60)
    for k in range(3):
        mean = np.mean([masks[k] for masks in many if masks[k].any()], axis=0)
        assert figures.maps[k] == pytest.approx(mean, abs=1e-6)


def test_coarse_maps_keep_the_covered_share():
    masks = random_masks(7, size=(256, 1600))
    found = measure_labels(codes_of(masks), (256, 1600), grid_of((256, 1600)))
    assert grid_of((256, 1600)) == (16, 100)
    assert found.maps
    for k, part in found.maps.items():
        assert part.mean() == pytest.approx(masks[k - 1].mean(), rel=1e-4)


@pytest.mark.parametrize(
    ("size", "grid"), [((200, 200), (100, 100)), ((1600, 256), (100, 16)), ((10, 4000), (8, 100)), ((4, 90), (4, 90))]
)
def test_grid_follows_the_image(size, grid):
    assert grid_of(size) == grid


def test_a_class_without_images_has_a_row_of_gaps():
    table = describe_areas(pd.DataFrame({"class_id": [1], "area": [5]}), ["a", "b"])
    assert table["count"].tolist() == [1, 0]
    assert table.loc["a", "mean"] == 5
    assert np.isnan(table.loc["a", "std"])
    assert table.loc["b"].isna().sum() == 9


def test_light_is_told_apart_inside_and_outside():
    image = np.full((6, 8, 3), 100, np.uint8)
    first, second = np.zeros((2, 6, 8), bool)
    first[:2], second[1:3, :4] = True, True
    image[first], image[second & ~first] = 30, 200
    light = measure_light(image, codes_of(np.stack([first, second])), 2)
    assert not light.colour
    assert light.size == (6, 8)
    assert [(np.flatnonzero(h).tolist(), int(h.sum())) for h in light.histograms] == [
        ([100], 48 - 20),
        ([30], 16),
        ([30, 200], 8),
    ]
    assert light.total.sum() == 48
    image[0, 0, 0] = 31
    assert measure_light(image, {}, 2).colour


def test_folder_with_images(make_dataset):
    root = make_dataset(count=7)
    found = explore_folder(ExploreConfig(dir=root, num_of_workers=2), progress=False)
    pictures = [cv2.imread(str(path)) for path in sorted((root / "train_images").iterdir())]
    greys = [picture @ np.array([0.114, 0.587, 0.299]) for picture in pictures]
    table = found.images.table
    assert table["image"].tolist() == [f"{k:03d}.png" for k in range(7)]
    assert list(zip(table["height"], table["width"], strict=True)) == [grey.shape for grey in greys]
    assert table["mean"].tolist() == pytest.approx([grey.mean() for grey in greys], abs=0.2)
    assert table["std"].tolist() == pytest.approx([grey.std() for grey in greys], abs=0.2)
    assert found.images.sizes().values.tolist() == [[48, 80, 5], [33, 57, 1], [64, 40, 1]]
    assert found.images.light_table().loc["mean", "max"] == table["mean"].max()
    assert found.images.histograms.sum(axis=1).tolist() == [found.labels.background, *found.labels.pixels_per_class()]
    inside = found.images.grey_table()["mean"]
    assert inside[1] == 250
    assert inside[2] == 5
    assert found.labels.images_per_class().tolist() == [3, 2]
    assert found.labels.clean == 2
    assert found.clean_known
    assert sorted(found.groups) == table["image"].tolist()


def test_near_duplicates_are_listed_largest_group_first(make_dataset):
    root = make_dataset(count=3)
    random = np.random.default_rng(1)
    strip = cv2.GaussianBlur(random.integers(0, 256, (96, 128), dtype=np.uint8), (0, 0), 3)
    strip = cv2.normalize(strip, None, 0, 255, cv2.NORM_MINMAX)
    for name, picture in (("x.png", strip), ("y.png", strip[:, ::-1]), ("z.png", strip[::-1])):
        cv2.imwrite(str(root / "train_images" / name), picture)
    found = explore_folder(ExploreConfig(dir=root), progress=False)
    assert found.largest_groups(5) == [["x.png", "y.png", "z.png"]]
    without = explore_folder(ExploreConfig(dir=root, near_duplicates=False), progress=False)
    assert without.groups is None
    assert without.largest_groups(5) == []


@pytest.fixture
def labels_alone(make_dataset):
    root = make_dataset(count=5)
    for path in (root / "train_images").iterdir():  # equal sizes, since one -image_size stands for all
        path.unlink()
    (root / "train_images").rmdir()
    (root / "train.csv").write_text(
        "ImageId_ClassId,EncodedPixels\na.png_1,1 5 50 3\na.png_2,3 2\nb.png_2,\nc.png_2,9 1\n"
    )
    return root


def test_labels_alone_need_no_size(labels_alone):
    found = explore_folder(ExploreConfig(dir=labels_alone), progress=False)
    assert (found.images, found.dataset, found.groups, found.labels.maps, found.labels.defects) == (None,) * 5
    assert found.labels.background is None
    assert found.labels.union == 9
    assert (found.labels.images, found.labels.clean, found.clean_known) == (3, 1, True)
    assert found.labels.pixels_per_class().tolist() == [8, 3]


def test_labels_alone_with_a_size(labels_alone):
    found = explore_folder(ExploreConfig(dir=labels_alone, image_size=(10, 12)), progress=False)
    assert found.labels.pixels == 360
    assert found.labels.background == 351
    assert found.labels.defect_table()["count"].tolist() == [3, 2]
    assert found.labels.maps.shape == (2, 10, 12)


def test_labels_that_list_no_clean_image_do_not_know_them(labels_alone):
    (labels_alone / "train.csv").write_text("ImageId,ClassId,EncodedPixels\na.png,1,1 5\n")
    assert not explore_folder(ExploreConfig(dir=labels_alone), progress=False).clean_known


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"image_size": (4, 5)},
            r"row 2: a.png class 1: pair 2: run ends at 52, past the image's 20 pixels; .* -image_size$",
        ),
        ({"dir": Path("nowhere")}, r"nowhere: no such folder; -dir expects a folder with train.csv$"),
    ],
)
def test_bad_input_to_labels_alone(labels_alone, changes, message):
    with pytest.raises(InputError, match=message):
        explore_folder(ExploreConfig(**{"dir": labels_alone, **changes}), progress=False)


def test_a_size_beside_images_is_refused(make_dataset):
    with pytest.raises(InputError, match=r"-image_size: the images tell their sizes themselves"):
        explore_folder(ExploreConfig(dir=make_dataset(), image_size=(4, 5)), progress=False)


def test_all_damaged_images_are_counted(make_dataset):
    root = make_dataset()
    for name in ("001.png", "003.png"):
        path = root / "train_images" / name
        path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(
        InputError,
        match=r"001.png: truncated image; .* \(one of 2 problems; Prepare_data.py check -dir .* lists all\)$",
    ):
        explore_folder(ExploreConfig(dir=root), progress=False)


def test_a_code_past_the_image_names_its_row(make_dataset):
    root = make_dataset()
    with open(root / "train.csv", "a") as table:
        table.write("002.png,1,1 100000\n")
    with pytest.raises(InputError, match=r"train.csv, row \d: 002.png class 1: .* past the image's .* pixels; correct"):
        explore_folder(ExploreConfig(dir=root), progress=False)


def test_examples_go_from_small_to_large():
    areas = pd.DataFrame({"image": [f"{k:02d}" for k in range(20)], "class_id": 1, "area": range(20, 0, -1)})
    assert choose_examples(areas, 1, 4) == ["17", "12", "07", "02"]
    assert choose_examples(areas, 1, 50) == [f"{k:02d}" for k in range(19, -1, -1)]
    assert choose_examples(areas, 2, 4) == []
    assert choose_clean([f"{k:02d}" for k in range(24)], areas, 2) == ["21", "23"]


def test_example_is_shrunk_and_thin_defects_stay(tmp_path):
    (tmp_path / "train_images").mkdir()
    cv2.imwrite(str(tmp_path / "train_images" / "a.png"), np.full((200, 1600), 90, np.uint8))
    mask = np.zeros((200, 1600), bool)
    mask[50, 100:1500] = True
    (tmp_path / "train.csv").write_text(f"ImageId,ClassId,EncodedPixels\na.png,1,{rle.encode(mask)}\n")
    image, masks = shrunk_example(open_dataset(tmp_path), "a.png")
    assert image.shape == (100, LONGEST, 3)
    assert masks.shape == (1, 100, LONGEST)
    assert masks[0, 25, 50:750].all()
    assert masks.sum() == 700


def test_figures_as_plain_numbers_survive_json(make_dataset):
    found = explore_folder(ExploreConfig(dir=make_dataset(count=6)), progress=False)
    plain = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert plain["images"] == 6
    assert plain["classes"][0] == {
        "name": "pits",
        "images": 2,
        "pixels": 360,
        "area": plain["classes"][0]["area"],
        "defect_area": plain["classes"][0]["defect_area"],
    }
    assert plain["classes"][0]["area"]["mean"] == 180
    assert plain["images_per_number_of_classes"] == [2, 4]
    assert plain["together"] == [[2, 0], [0, 2]]
    shutil.rmtree(found.dataset.image_dir)
    alone = json.loads(
        json.dumps(explore_folder(ExploreConfig(dir=found.root), progress=False).to_dict(), allow_nan=False)
    )
    assert alone["clean"] is None
    assert alone["background_pixels"] is None
    assert alone["near_duplicates"] is None


@pytest.mark.parametrize(
    ("codes", "few", "deleted"),
    [
        # One defect of 100 px in 60 images, and one image with 50 specks of 1 px and a scratch of 1,000 px.
        ([{1: "1 100"}] * 60 + [{1: " ".join(f"{2 * k + 1} 1" for k in range(50)) + " 2000 1000"}], {}, [50, 0, 1]),
        ([{1: "1 100"}, {1: "1 50"}, {1: "1 75 2000 500"}], {"a": 3}, [1, 1, 1]),
        ([{}], {}, [0, 0, 0]),
    ],
)
def test_what_limits_by_percentiles_would_delete(codes, few, deleted):
    """Limits of a class's area in an image are above many a whole defect; the largest defects are the gravest."""
    tally = LabelTally(["a"], (8, 100))
    for number, one in enumerate(codes):
        tally.add(f"{number}.png", measure_labels(one, (1, 5000), (8, 100)))
    figures = tally.statistics(5000 * len(codes))
    assert figures.few() == few
    assert figures.deleted().to_numpy().tolist() == [deleted]


def test_each_image_has_a_row_and_the_share_says_over_which_images(make_dataset):
    found = explore_folder(ExploreConfig(dir=make_dataset(count=3), near_duplicates=False), progress=False)
    assert found.image_table().to_dict("list") == {
        "image": ["000.png", "001.png", "002.png"],
        "height": [48, 48, 33],
        "width": [80, 80, 57],
        "classes": [1, 1, 0],
        "pits": [180, 0, 0],
        "cracks": [0, 360, 0],
    }
    assert found.defective_share() == pytest.approx(540 / (2 * 48 * 80))


def test_rows_of_labels_alone(labels_alone):
    found = explore_folder(ExploreConfig(dir=labels_alone, image_size=(10, 12)), progress=False)
    assert found.image_table().to_dict("list") == {
        "image": ["a.png", "b.png", "c.png"],
        "classes": [2, 0, 1],
        "pits": [8, 0, 0],
        "cracks": [2, 0, 1],
    }
    assert found.defective_share() == pytest.approx(9 / 240)
    assert explore_folder(ExploreConfig(dir=labels_alone), progress=False).defective_share() is None

"""Synthetic strips: the folder's layout, reproducibility, and statistics near the real ones."""

import dataclasses
from pathlib import Path

import cv2
import numpy as np
import pytest

from config import SynthesiseConfig
from utils.data import rle
from utils.data.annotation_table import read_annotations
from utils.data.dataset_folder import open_dataset, open_test_images
from utils.data.images import read_image
from utils.data.listing import list_images
from utils.data.synthetic import CLASS_NAMES, folder, synthesise
from utils.data.synthetic.statistics import CLASS_SETS, class_set_shares, draw_areas, draw_class_set
from utils.data.synthetic.strip import make_strip
from utils.errors import InputError

SMALL = (128, 400)


def settings(folder: Path, **changes) -> SynthesiseConfig:
    base = SynthesiseConfig(dir=folder, num_of_images=6, image_size=(64, 200), seed=3)
    return dataclasses.replace(base, **changes)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def strips(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("strips")
    synthesise(settings(folder, num_of_images=60, image_size=SMALL))
    return folder


@pytest.fixture(scope="module")
def full_size():
    """30 strips of every class at the real size: class id -> masks."""
    masks = {}
    for class_id in range(1, 5):
        masks[class_id] = [
            make_strip(np.random.default_rng([1, class_id, i]), (256, 1600), (class_id,)).labels == class_id
            for i in range(30)
        ]
    return masks


def test_same_seed_gives_the_same_files(tmp_path):
    synthesise(settings(tmp_path / "a"))
    synthesise(settings(tmp_path / "b"))
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_every_strip_of_another_seed_differs(tmp_path):
    synthesise(settings(tmp_path / "a", seed=3))
    synthesise(settings(tmp_path / "b", seed=4))
    a, b = contents(tmp_path / "a"), contents(tmp_path / "b")
    assert all(a[name] != b[name] for name in a if name.endswith(".jpg"))


def test_first_strips_do_not_depend_on_how_many_follow(tmp_path):
    synthesise(settings(tmp_path / "few", num_of_images=3))
    synthesise(settings(tmp_path / "many", num_of_images=9))
    few, many = contents(tmp_path / "few"), contents(tmp_path / "many")
    images = [name for name in few if name.endswith(".jpg")]
    assert len(images) == 3
    assert all(few[name] == many[name] for name in images)


def test_folder_is_a_dataset_with_named_classes(strips):
    dataset = open_dataset(strips)
    assert len(dataset.images) == 60
    assert dataset.annotations.class_names == CLASS_NAMES
    assert (strips / "classes.txt").read_text("utf-8").split() == list(CLASS_NAMES)


def test_images_have_the_wanted_size_and_three_equal_channels(strips):
    for path in list_images(strips / "train_images")[:8]:
        image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        assert image.shape == (*SMALL, 3)
        assert (image == image[..., :1]).all()


def test_masks_fit_the_image_and_do_not_overlap(strips):
    dataset = open_dataset(strips)
    for name in dataset.images:
        mask = dataset.annotations.mask(name, *SMALL)  # raises when a run passes the end
        assert mask.sum(axis=2).max() <= 1
        for class_id, code in dataset.annotations.runs(name).items():
            assert rle.encode(mask[..., class_id - 1]) == code


def test_masks_lie_on_the_strip_not_in_the_dark(strips):
    dataset = open_dataset(strips)
    for name in dataset.images:
        image = read_image(dataset.path(name), 1)[..., 0]
        for channel in np.moveaxis(dataset.annotations.mask(name, *SMALL), 2, 0):
            if channel.any():
                assert np.median(image[channel > 0]) > 15


def test_small_set_has_clean_strips_and_every_class(tmp_path):
    summary = synthesise(settings(tmp_path, num_of_images=24))
    annotations = open_dataset(tmp_path).annotations
    assert set(annotations.rows["class_id"]) == {1, 2, 3, 4}
    assert summary.clean == 24 - annotations.rows["image"].nunique() > 0
    assert summary.per_class == {
        name: int((annotations.rows["class_id"] == class_id).sum()) for class_id, name in enumerate(CLASS_NAMES, 1)
    }
    assert "24 strips" in summary.text()


@pytest.mark.parametrize("start", np.linspace(0.0, 0.99, 12))
def test_any_24_strips_in_a_row_show_every_class(start):
    for first in (0, 17, 4000):
        shown = {class_id for i in range(first, first + 24) for class_id in draw_class_set(start, i, 0.1)}
        assert shown == {1, 2, 3, 4}


def test_without_a_floor_the_class_sets_are_the_real_ones():
    shares = class_set_shares(0.0)
    assert sum(shares.values()) == pytest.approx(1.0)
    for classes, count in CLASS_SETS.items():
        assert shares[classes] == pytest.approx(count / 12568)
    per_class = [sum(share for classes, share in shares.items() if k in classes) * 12568 for k in (1, 2, 3, 4)]
    assert per_class == pytest.approx([897, 247, 5150, 801])


@pytest.mark.parametrize("floor", [0.05, 0.1, 0.2])
def test_floor_raises_rare_classes_and_keeps_a_distribution(floor):
    shares = class_set_shares(floor)
    assert sum(shares.values()) == pytest.approx(1.0)
    assert min(shares.values()) > 0
    for class_id in range(1, 5):
        assert sum(share for classes, share in shares.items() if class_id in classes) >= floor - 1e-9


def test_drawn_class_sets_follow_the_shares():
    drawn = [draw_class_set(0.3, i, 0.0) for i in range(12568)]
    for classes, count in CLASS_SETS.items():
        assert abs(drawn.count(classes) - count) <= 3


# Quartiles of the area per image in the competition's public label table.
REAL_AREA_QUARTILES = {1: (1762, 3326, 5795), 2: (1948, 2944, 4338), 3: (5054, 11954, 29030), 4: (13114, 25357, 45221)}
REAL_MEAN_COMPONENTS = {1: 3.4, 2: 1.3, 3: 2.9, 4: 2.3}


@pytest.mark.parametrize("class_id", REAL_AREA_QUARTILES)
def test_drawn_areas_have_the_real_quartiles(class_id):
    rng = np.random.default_rng(0)
    areas = [draw_areas(rng, class_id, 1.0) for _ in range(2000)]
    quartiles = np.percentile([sum(parts) for parts in areas], [25, 50, 75])
    assert quartiles == pytest.approx(REAL_AREA_QUARTILES[class_id], rel=0.15)
    assert np.mean([len(parts) for parts in areas]) == pytest.approx(REAL_MEAN_COMPONENTS[class_id], rel=0.15)


@pytest.mark.slow
@pytest.mark.parametrize("class_id", REAL_AREA_QUARTILES)
def test_painted_labels_keep_near_the_real_figures(full_size, class_id):
    areas = [mask.sum() for mask in full_size[class_id]]
    assert min(areas) > 0
    median = REAL_AREA_QUARTILES[class_id][1]
    assert median / 2 < np.median(areas) < median * 2
    components = [cv2.connectedComponents(mask.astype(np.uint8))[0] - 1 for mask in full_size[class_id]]
    assert np.mean(components) == pytest.approx(REAL_MEAN_COMPONENTS[class_id], rel=0.5)


@pytest.mark.slow
def test_cracks_are_tall_and_thin_and_pits_small(full_size):
    def boxes(class_id):
        for mask in full_size[class_id]:
            yield from cv2.connectedComponentsWithStats(mask.astype(np.uint8))[2][1:]

    tall = [box[cv2.CC_STAT_HEIGHT] / box[cv2.CC_STAT_WIDTH] for box in boxes(2)]
    assert 5 < np.median(tall) < 14  # really 8.3
    assert 15 < np.median([box[cv2.CC_STAT_WIDTH] for box in boxes(1)]) < 40  # really 26
    assert 80 < np.median([box[cv2.CC_STAT_WIDTH] for box in boxes(4)]) < 190  # really 127


def test_some_strips_show_the_dark_beyond_their_edge_and_some_do_not():
    shares = [float((make_strip(np.random.default_rng([2, i]), (64, 400), ()).image < 15).mean()) for i in range(40)]
    assert 5 <= sum(share > 0.03 for share in shares) <= 30


@pytest.mark.parametrize("size", [(200, 200), (64, 64), (320, 100), (256, 512)])
@pytest.mark.parametrize("classes", [(), (1, 2, 3), (3, 4), (4,)])
def test_any_size_holds_the_wanted_classes(size, classes):
    for i in range(4):
        strip = make_strip(np.random.default_rng([5, i]), size, classes)
        assert strip.image.shape == strip.labels.shape == size
        assert strip.image.dtype == np.uint8
        present = set(np.unique(strip.labels).tolist()) - {0}
        assert present <= set(classes)
        if len(classes) == 1:
            assert present == set(classes)


def test_test_split_has_images_list_and_hidden_labels(tmp_path):
    synthesise(settings(tmp_path, num_of_images=24, split="test"))
    names = [path.name for path in open_test_images(tmp_path)]
    assert len(names) == 24
    assert (tmp_path / "test.csv").read_text("utf-8").split() == ["ImageId", *names]
    labels = read_annotations(tmp_path / "test_labels.csv", CLASS_NAMES)
    assert 0 < labels.rows["image"].nunique() < 24
    assert set(labels.listed) <= set(names)
    assert not (tmp_path / "train.csv").exists()


def test_both_splits_live_in_one_folder_and_differ(tmp_path):
    synthesise(settings(tmp_path))
    before = contents(tmp_path)
    synthesise(settings(tmp_path, split="test"))
    after = contents(tmp_path)
    assert before.items() <= after.items()
    assert after["train_images/train_00000.jpg"] != after["test_images/test_00000.jpg"]


def test_second_run_replaces_the_first(tmp_path):
    synthesise(settings(tmp_path, num_of_images=8))
    synthesise(settings(tmp_path, num_of_images=5, seed=9))
    assert len(open_dataset(tmp_path).images) == 5


@pytest.mark.parametrize("name", ["train_images/mine.jpg", "train_images/train_00000.jpg", "train.csv"])
def test_folder_of_somebody_else_is_left_alone(tmp_path, name):
    (tmp_path / "train_images").mkdir()
    (tmp_path / name).write_bytes(b"mine")
    with pytest.raises(InputError, match="not of an earlier synthesise"):
        synthesise(settings(tmp_path))
    assert contents(tmp_path) == {name: b"mine"}


@pytest.mark.parametrize("split", ["train", "test"])
def test_other_class_names_are_left_alone(tmp_path, split):
    (tmp_path / "classes.txt").write_bytes(b"inclusion\npatch\n")
    with pytest.raises(InputError, match=r"classes.txt: names other classes; give -dir"):
        synthesise(settings(tmp_path, split=split))
    assert contents(tmp_path) == {"classes.txt": b"inclusion\npatch\n"}


@pytest.mark.parametrize(
    ("changes", "flag"),
    [
        ({"num_of_images": 0}, "-num_of_images 0"),
        ({"num_of_images": -3}, "-num_of_images -3"),
        ({"num_of_images": 100_001}, "-num_of_images 100001"),
        ({"image_size": (0, 1600)}, "-image_size 0,1600"),
        ({"image_size": (256, 63)}, "-image_size 256,63"),
        ({"image_size": (9000, 1600)}, "-image_size 9000,1600"),
        ({"class_floor": 0.3}, "-class_floor 0.3"),
        ({"class_floor": -0.1}, "-class_floor -0.1"),
        ({"seed": -1}, "-seed -1"),
    ],
)
def test_impossible_request_names_the_flag_and_writes_nothing(tmp_path, changes, flag):
    with pytest.raises(InputError, match=f"^{flag}: "):
        synthesise(settings(tmp_path / "new", **changes))
    assert not (tmp_path / "new").exists()


def test_file_in_place_of_the_folder_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is a file"):
        synthesise(settings(tmp_path / "file"))


def test_interrupted_run_leaves_no_table(tmp_path, monkeypatch):

    synthesise(settings(tmp_path))

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(folder, "make_strip", stop)
    with pytest.raises(KeyboardInterrupt):
        synthesise(settings(tmp_path))
    assert not (tmp_path / "train.csv").exists()
    monkeypatch.undo()
    assert synthesise(settings(tmp_path)).images == 6

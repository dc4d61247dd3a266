"""Whether a run is told that the weights it goes on from were trained on images that it validates by."""

import dataclasses
from pathlib import Path

import pandas as pd
import pytest

from config import TrainConfig
from utils.data.dataset_folder import open_dataset
from utils.data.splits import write_split
from utils.errors import InputError
from utils.models.spec import ModelSpec
from utils.settings import to_plain
from utils.training.provenance import data_fingerprint
from utils.training.selection import about_subset, about_test, choose_folds, choose_split, seen_before


@pytest.fixture
def case(make_dataset, tmp_path):
    """The dataset, settings that go on from a run's weights, their origin, and a split."""
    dataset = open_dataset(make_dataset(count=6))
    config = TrainConfig(dir=dataset.root, init_encoder=tmp_path / "earlier" / "net.pth")
    origin = {"flag": "init_encoder", "data_fingerprint": data_fingerprint(dataset), "config": to_plain(config)}
    return dataset, config, origin, split(dataset.images, dataset.images[:2])


def split(images, valid, test=()) -> pd.DataFrame:
    sides = ["valid" if name in valid else "test" if name in test else "train" for name in images]
    return pd.DataFrame({"image": list(images), "side": sides, "group": range(len(images))})


def test_the_split_beside_the_weights_tells(case, tmp_path):
    dataset, config, origin, frame = case
    csv = tmp_path / "earlier" / "split.csv"
    csv.parent.mkdir()
    write_split(split(dataset.images, dataset.images[1:3]), csv)
    assert seen_before(config, dataset, origin, frame) == [
        f"-init_encoder {config.init_encoder}: was trained on 1 of the 2 validation images, so their scores flatter;"
        f" -split {csv} keeps them apart"
    ]
    write_split(frame, csv)
    assert seen_before(config, dataset, origin, frame) == []


@pytest.mark.parametrize(
    ("earlier", "expected"),
    [
        # valid and test images of the earlier run; lines about 0 and 1 (valid now) and 2 and 3 (test now)
        (((0, 1), (2, 3)), []),
        (((0, 1), (2, 4)), ["trained on or chosen by 1 of the 2 test images"]),
        (((0, 2), (1, 3)), ["trained on or chosen by 1 of the 2 test images"]),
        (((2, 3), (0, 1)), ["trained on or chosen by 2 of the 2 test images"]),
        (((1,), ()), ["trained on 1 of the 2 validation images", "trained on or chosen by 2 of the 2 test images"]),
    ],
)
def test_test_images_are_not_to_have_been_used_before(case, tmp_path, earlier, expected):
    dataset, config, origin, _ = case
    names = dataset.images
    csv = tmp_path / "earlier" / "split.csv"
    csv.parent.mkdir()
    write_split(split(names, *([names[k] for k in side] for side in earlier)), csv)
    lines = seen_before(config, dataset, origin, split(names, names[:2], names[2:4]))
    assert [line.split("was ")[1].split(", so")[0] for line in lines] == expected


def test_runs_from_before_there_were_test_images_chose_alike(case):
    dataset, config, origin, frame = case
    settings = {name: value for name, value in origin["config"].items() if name != "test_fraction"}
    assert seen_before(config, dataset, {**origin, "config": settings}, frame) == []
    assert len(seen_before(dataclasses.replace(config, test_fraction=0.2), dataset, origin, frame)) == 1


def test_without_it_runs_that_chose_alike_have_the_same_split(case):
    dataset, config, origin, frame = case
    assert seen_before(config, dataset, origin, frame) == []
    for change in ({"seed": 7}, {"subset": "all"}, {"task": "binary"}):
        (line,) = seen_before(dataclasses.replace(config, **change), dataset, origin, frame)
        assert "was trained on these images, perhaps on some that are for validation now" in line
    chosen = dataclasses.replace(config, seed=7, split=Path("runs/earlier/split.csv"))
    assert seen_before(chosen, dataset, origin, frame) == []


def test_other_images_and_weights_of_others_flatter_nobody(case):
    dataset, config, origin, frame = case
    config = dataclasses.replace(config, seed=7)
    for other in (None, {"file": "net.pth", "sha256": "0123"}, {**origin, "data_fingerprint": "0123"}):
        assert seen_before(config, dataset, other, frame) == []


@pytest.fixture
def twelve(make_dataset):
    """Images 0, 3, 6, 9 show class 1; 1, 4, 7, 10 class 2; the others nothing."""
    return open_dataset(make_dataset(count=12))


def chosen(dataset, **changes) -> tuple[list[str], list[str]]:
    """The images of a run, and what is said about them."""
    config = TrainConfig(dir=dataset.root, group_duplicates=False, num_of_workers=0, valid_fraction=0.4, **changes)
    spec = ModelSpec("unet", "test_resnet", config.task, dataset.annotations.class_names, target=config.target)
    frame = choose_split(config, spec, dataset, None)
    return sorted(int(Path(name).stem) for name in frame["image"]), about_subset(config, dataset, frame)


CLEAN = (
    "-subset balanced: 4 images without a defect of 12 left out, of validation too: false positives on clean images stay"
    " unseen; -subset all has them, and Evaluate.py -split all counts them"
)


def test_that_clean_images_are_left_out_is_said(twelve):
    assert chosen(twelve) == ([0, 1, 3, 4, 6, 7, 9, 10], [CLEAN])
    assert chosen(twelve, subset="all") == (list(range(12)), [])
    assert chosen(twelve, task="per-class", target="pits") == ([0, 3, 6, 9], [])


def choose(dataset, **changes) -> pd.DataFrame:
    config = TrainConfig(dir=dataset.root, group_duplicates=False, num_of_workers=0, subset="all", **changes)
    spec = ModelSpec(
        config.architecture, "test_resnet", config.task, dataset.annotations.class_names, target=config.target
    )
    return choose_split(config, spec, dataset, None)


def test_a_share_for_the_test_is_chosen_or_refused(twelve, make_dataset):
    assert choose(twelve, test_fraction=0.25, valid_fraction=0.34)["side"].value_counts().to_dict() == {
        "train": 6,
        "valid": 3,
        "test": 3,
    }
    with pytest.raises(InputError, match=r"-test_fraction 0.01: 2 images of .* leave none to test on.*; raise it"):
        choose(open_dataset(make_dataset(2, name="two")), test_fraction=0.01)


def test_a_split_of_three_sides_is_used_again(twelve, tmp_path):
    frame = split(twelve.images, twelve.images[:4], twelve.images[5:6])
    write_split(frame, tmp_path / "split.csv")
    again = choose(twelve, split=tmp_path / "split.csv")
    pd.testing.assert_frame_equal(again, frame, check_dtype=False)
    config = TrainConfig(dir=twelve.root, split=tmp_path / "split.csv")
    assert about_test(config, again) == []
    # The image for the test shows nothing, and the network for one class sees none such.
    pits = choose(twelve, split=tmp_path / "split.csv", task="per-class", target="pits")
    assert set(pits["side"]) == {"train", "valid"}
    assert about_test(config, pits) == [
        f"-split {config.split}: this network uses no image of its test side (1 image), so there is no test score"
    ]
    # Nothing is learnt from the test, so its images may be of one kind.
    assert (
        choose(twelve, split=tmp_path / "split.csv", task="classify-binary", architecture="classifier")["side"]
        .eq("test")
        .sum()
        == 1
    )


def test_the_balanced_table_of_the_folder_is_used_and_said(twelve):
    table = twelve.root / "train_balanced.csv"
    table.write_text("ImageId\n" + "".join(f"00{number}.png\n" for number in (0, 1, 3, 4)))
    said = f"balanced subset: the images of {table}; another -per_class, or no such table, chooses anew"
    assert chosen(twelve) == ([0, 1, 3, 4], [said, CLEAN])
    assert chosen(twelve, task="per-class", target="pits")[0] == [0, 3]
    assert chosen(twelve, subset="all") == (list(range(12)), [])
    assert len(chosen(twelve, per_class=3)[0]) == 6


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("ImageId,ClassId,EncodedPixels\n{own}", None),
        ("ImageId_ClassId,EncodedPixels\n{joined}002.png_1,\n", None),
        ("ImageId\n000.png\n001.png\n003.png\n004.png\n", None),  # a list of images
        (
            "ImageId,ClassId,EncodedPixels\n{own}002.png,2,1 1\n",
            "1 label of 5 not as in {train} (the first: 002.png, class cracks)",
        ),
        (
            "ImageId,ClassId,EncodedPixels\n000.png,1,1 1\n001.png,2,1 1\n003.png,1,1 1\n",
            "3 labels of 3 not as in {train} (the first: 000.png, class pits)",
        ),
        (
            "ImageId,ClassId,EncodedPixels\n{own}002.png,1,7 0\n",
            "1 label that cannot be read (row 6: 002.png class 1: ",
        ),
    ],
)
def test_labels_of_the_balanced_table_that_differ_are_said(twelve, rows, said):
    own = twelve.annotations.rows.iloc[:4][["image", "class_id", "rle"]].values.tolist()
    table = twelve.root / "train_balanced.csv"
    words = {
        "own": "".join(f"{image},{number},{code}\n" for image, number, code in own),
        "joined": "".join(f"{image}_{number},{code}\n" for image, number, code in own),
    }
    table.write_text(rows.format(**words))
    _, notes = chosen(twelve)
    warnings = [note for note in notes if note.startswith("warning: ")]
    assert len(warnings) == (said is not None)
    if said is not None:
        assert warnings[0].startswith(f"warning: {table}: {said.format(train=twelve.root / 'train.csv')}")
        assert warnings[0].endswith("; it says which images are taken, their labels are those of train.csv")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("gone.png,1,1 1\n", r"train_balanced\.csv.*gone\.png not in .*remove the row or the table"),
        ("002.png,,\n", r"train_balanced\.csv: lists no image that can be trained on"),
    ],
)
def test_a_balanced_table_that_does_not_fit_is_refused(twelve, rows, message):
    (twelve.root / "train_balanced.csv").write_text(f"ImageId,ClassId,EncodedPixels\n{rows}")
    with pytest.raises(InputError, match=message):
        chosen(twelve)


def test_folds_part_the_training_side_of_a_split_alone(make_dataset, tmp_path):
    dataset = open_dataset(make_dataset(count=12))
    csv = tmp_path / "split.csv"
    frame = split(dataset.images[:10], dataset.images[:2], dataset.images[2:3])
    frame["group"] = [number // 2 for number in frame["group"]]
    write_split(frame, csv)
    config = TrainConfig(dir=dataset.root, split=csv, folds=3)
    kept, folds = choose_folds(config, ModelSpec("unet", "resnet18", "multilabel", ("pits", "cracks")), dataset)
    assert kept["side"].value_counts().to_dict() == {"train": 7, "valid": 2, "test": 1}
    assert folds["image"].tolist() == list(dataset.images[3:10])
    assert sorted(set(folds["fold"])) == [1, 2, 3]
    assert (folds.groupby("group")["fold"].nunique() == 1).all()


def test_folds_part_all_images_but_those_to_test_on(make_dataset):
    dataset = open_dataset(make_dataset(count=20))
    config = TrainConfig(dir=dataset.root, subset="all", folds=2, test_fraction=0.2, group_duplicates=False)
    kept, folds = choose_folds(config, ModelSpec("unet", "resnet18", "multilabel", ("pits", "cracks")), dataset)
    test = set(kept.loc[kept["side"] == "test", "image"])
    assert 3 <= len(test) <= 5
    assert set(folds["image"]) == set(dataset.images) - test
    assert set(kept["side"]) == {"train", "test"}
    again = choose_split(
        dataclasses.replace(config, folds=None),
        ModelSpec("unet", "resnet18", "multilabel", ("pits", "cracks")),
        dataset,
        None,
    )
    assert set(again.loc[again["side"] == "test", "image"]) == test, "those of a run of one network"

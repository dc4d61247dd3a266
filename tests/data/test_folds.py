"""Folds: every image in one, near-duplicates together, every class in all."""

import pandas as pd
import pytest

from utils.data.annotations import Annotations, make_rows
from utils.data.folds import part_into_folds, read_folds, split_of, write_folds
from utils.data.tables import AnnotationError
from utils.errors import InputError


def labelled(classes: dict[str, tuple[int, ...]]) -> Annotations:
    records = [(name, class_id, "1 1", 0) for name, those in classes.items() for class_id in those]
    return Annotations(make_rows(records), tuple(classes), ("pits", "cracks"))


@pytest.mark.parametrize("number", [2, 3, 5])
def test_folds_hold_every_image_once_and_each_class_alike(number):
    # Groups of three copies; of eight pictures one is clean, one has cracks, the others pits.
    names = [f"{picture:02d}-{copy}.png" for picture in range(40) for copy in range(3)]
    group_of = {name: int(name[:2]) for name in names}
    shown = {name: {0: (), 1: (2,)}.get(group_of[name] % 8, (1,)) for name in names}
    folds = part_into_folds(labelled(shown), group_of, number, seed=1)
    assert list(folds.columns) == ["image", "fold", "group"]
    assert folds["image"].tolist() == sorted(names)
    assert set(folds["fold"]) == set(range(1, number + 1))
    assert (folds.groupby("group")["fold"].nunique() == 1).all(), "copies stay together"
    for kind in ((), (1,), (2,)):
        counts = folds[[shown[name] == kind for name in folds["image"]]]["fold"].value_counts()
        assert len(counts) == number
        assert counts.max() - counts.min() <= 3, "one picture more or less"
    again = part_into_folds(labelled(shown), group_of, number, seed=1)
    assert again.equals(folds)
    assert not part_into_folds(labelled(shown), group_of, number, seed=2).equals(folds)


@pytest.mark.parametrize(
    ("sizes", "number"),
    [((1, 1), 2), ((1, 1, 1), 3), ((50, 1, 1), 3), ((3, 3, 3, 3, 3), 5), ((9, 1), 2)],
    ids=str,
)
def test_no_fold_is_empty_however_few_groups_there_are(sizes, number):
    group_of = {f"{group}-{k}.png": group for group, size in enumerate(sizes) for k in range(size)}
    folds = part_into_folds(labelled(dict.fromkeys(group_of, (1,))), group_of, number, seed=3)
    assert set(folds["fold"]) == set(range(1, number + 1))
    assert len(folds) == sum(sizes)


def test_a_class_of_as_many_images_as_folds_is_in_each():
    group_of = {f"{k:02d}.png": k for k in range(40)}
    folds = part_into_folds(labelled({name: (2,) if k < 4 else (1,) for name, k in group_of.items()}), group_of, 4, 0)
    assert sorted(folds.loc[folds["group"] < 4, "fold"]) == [1, 2, 3, 4]


def test_fewer_groups_than_folds_are_refused():
    with pytest.raises(InputError, match=r"-folds 3: 4 images in 2 groups of near-duplicates are too few; take fewer"):
        part_into_folds(labelled({}), {"a": 0, "b": 0, "c": 1, "d": 1}, 3, 0)


def test_a_fold_validates_the_network_of_the_others():
    folds = pd.DataFrame({"image": ["a", "b", "c"], "fold": [1, 2, 1], "group": [0, 1, 2]})
    assert split_of(folds, 1)["side"].tolist() == ["valid", "train", "valid"]
    assert split_of(folds, 2)["side"].tolist() == ["train", "valid", "train"]


def test_folds_are_read_as_they_were_written(tmp_path):
    folds = pd.DataFrame({"image": ["=a.png", "b.png"], "fold": [2, 1], "group": [7, 0]})
    write_folds(folds, tmp_path / "folds.csv")
    assert read_folds(tmp_path / "folds.csv").to_dict("list") == folds.to_dict("list")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("image,fold\na,1\n", "group"),
        ("image,fold,group\na,x,0\n", "row 2: fold 'x' is not a whole number"),
        ("image,fold,group\na,1,-1\n", "row 2: group '-1' is not a whole number"),
        ("image,fold,group\na,1,0\na,2,0\n", "row 3: a is listed twice"),
        ("image,fold,group\nz,1,0\n", "row 2: z is not in the dataset"),
        ("image,fold,group\n", "lists no images"),
    ],
)
def test_a_malformed_table_is_named(tmp_path, text, words):
    (tmp_path / "folds.csv").write_text(text)
    with pytest.raises(AnnotationError) as error:
        read_folds(tmp_path / "folds.csv", ["a"])
    assert words in str(error.value)

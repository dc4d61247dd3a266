import numpy as np
import pandas as pd
import pytest

from config import BalanceConfig
from utils.data.annotation_table import read_annotations
from utils.data.annotations import Annotations, make_rows
from utils.data.splits import balance, groups_in, kept_apart, read_split, split, write_balanced, write_split
from utils.data.tables import AnnotationError
from utils.errors import InputError


def table(classes_of, num_classes=None):
    """Make annotations from image name -> classes."""
    records = [(name, k, "1 1", 0) for name, classes in classes_of.items() for k in classes]
    count = num_classes or max(k for _, k, _, _ in records)
    return Annotations(make_rows(records), tuple(classes_of), tuple(str(k) for k in range(1, count + 1)))


def counts(annotations, names):
    rows = annotations.rows[annotations.rows["image"].isin(names)]
    return [int((rows["class_id"] == k).sum()) for k in range(1, annotations.num_classes + 1)]


@pytest.fixture(scope="module")
def uneven():
    """Class frequencies like the competition's: 3 common, 1 and 4 rarer, 2 rare and often together with 3."""
    generator = np.random.default_rng(0)
    classes_of = {}
    for k in range(1200):
        shown = {int(generator.choice([1, 2, 3, 4], p=[0.13, 0.04, 0.7, 0.13]))}
        if generator.random() < 0.1:
            shown.add(3)
        classes_of[f"{k:04d}.jpg"] = shown
    return table(classes_of)


def test_every_class_gets_about_its_number(uneven):
    for seed in range(5):
        assert all(abs(count - 30) <= 1 for count in counts(uneven, balance(uneven, 30, seed)))


def test_images_of_one_class_are_preferred(uneven):
    assert len(balance(uneven, 30, 0)) >= 0.95 * 4 * 30


def test_a_rare_class_gives_all(uneven):
    there = counts(uneven, uneven.listed)
    taken = counts(uneven, balance(uneven, 100, 0))
    assert there[1] < 100
    assert taken[1] == there[1]
    assert all(abs(taken[k] - 100) <= 3 for k in (0, 2, 3))


def test_balance_depends_on_the_seed_alone(uneven):
    assert balance(uneven, 30, 1) == balance(uneven, 30, 1)
    assert balance(uneven, 30, 1) != balance(uneven, 30, 2)
    reversed_rows = Annotations(uneven.rows[::-1], uneven.listed, uneven.class_names)
    assert balance(reversed_rows, 30, 1) == balance(uneven, 30, 1)


def test_a_class_without_images_is_no_error():
    assert balance(table({"a": {1}}, num_classes=3), 5, 0) == ["a"]


def test_the_balanced_table_is_written_without_images(tmp_path):
    text = "".join(f"{k}.jpg,{1 + (k > 2)},1 {k + 1}\n" for k in range(10))
    (tmp_path / "train.csv").write_text("ImageId,ClassId,EncodedPixels\n" + text)
    said = write_balanced(BalanceConfig(dir=tmp_path, per_class=4)).text()
    written = read_annotations(tmp_path / "train_balanced.csv")
    assert counts(written, written.listed) == [3, 4]
    first, *classes = said.splitlines()
    assert first == f"7 images of 10 with a defect, 7 rows: {tmp_path / 'train_balanced.csv'}"
    assert classes == [
        "  class 1: 3 of the 3 images that show it",
        "  class 2: 4 of the 7 images that show it",
        "an image that shows several classes counts for each of them",
    ]
    write_balanced(BalanceConfig(dir=tmp_path, per_class=4, out=tmp_path / "other.csv"))
    assert (tmp_path / "other.csv").read_bytes() == (tmp_path / "train_balanced.csv").read_bytes()


def test_balance_of_no_folder_is_an_error(tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        write_balanced(BalanceConfig(dir=tmp_path / "nothing"))


def shares(annotations, frame, side="valid"):
    """Return the share on one side of each class, then of clean images, then of all."""
    valid = set(frame.loc[frame["side"] == side, "image"])
    rows = annotations.rows
    classes = [
        rows.loc[rows["class_id"] == k, "image"].isin(valid).mean() for k in range(1, annotations.num_classes + 1)
    ]
    clean = sorted(set(frame["image"]) - set(rows["image"]))
    return [*classes, np.mean([name in valid for name in clean]), len(valid) / len(frame)]


@pytest.fixture(scope="module")
def images(uneven):
    return [*uneven.listed, *(f"clean{k}.jpg" for k in range(600))]


@pytest.mark.parametrize("fraction", [0.1, 0.2, 0.35])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_every_class_and_clean_images_have_their_share_in_validation(uneven, images, fraction, seed):
    frame = split(uneven, images, fraction, seed)
    assert sorted(frame["image"]) == sorted(images)
    for share in shares(uneven, frame):
        assert share == pytest.approx(fraction, abs=0.02)


@pytest.mark.parametrize(
    ("valid", "test", "expected"),
    [(0.2, 0.1, (0.72, 0.18, 0.1)), (0.25, 0.2, (0.6, 0.2, 0.2)), (0.0, 0.5, (0.5, 0, 0.5))],
)
@pytest.mark.parametrize("seed", [0, 1])
def test_every_class_and_clean_images_have_their_share_of_three_sides(uneven, images, valid, test, expected, seed):
    frame = split(uneven, images, valid, seed, test_fraction=test)
    assert list(frame["image"]) == sorted(images)
    for side, fraction in zip(("train", "valid", "test"), expected, strict=True):
        for share in shares(uneven, frame, side):
            assert share == pytest.approx(fraction, abs=0.02)


def test_the_test_images_do_not_depend_on_the_share_of_validation(uneven, images):
    frames = [split(uneven, images, valid, 0, test_fraction=0.1) for valid in (0.1, 0.2, 0.4)]
    assert len({tuple(frame.loc[frame["side"] == "test", "image"]) for frame in frames}) == 1
    assert split(uneven, images, 0.2, 0, test_fraction=0.0).equals(split(uneven, images, 0.2, 0))


@pytest.mark.parametrize(
    ("rare", "sides"), [("x", ["train"]), ("xy", ["train", "valid"]), ("xyz", ["test", "train", "valid"])]
)
def test_validation_has_a_rare_class_before_the_test(rare, sides):
    annotations = table({**{f"{k}": {1} for k in range(60)}, **{name: {2} for name in rare}})
    frame = split(annotations, annotations.listed, 0.2, 0, test_fraction=0.1).set_index("image")
    assert sorted(frame.loc[list(rare), "side"]) == sides


@pytest.mark.parametrize("test", [0, 0.1])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_groups_stay_whole_and_shares_hold(uneven, images, seed, test):
    generator = np.random.default_rng(seed)
    # Neighbours in name form groups of 1 to 40 images, as crops of one strip do.
    sizes = generator.geometric(0.15, size=len(images)).clip(1, 40)
    of = np.repeat(np.arange(len(sizes)), sizes)[: len(images)]
    frame = split(uneven, images, 0.2, seed, dict(zip(sorted(images), of.tolist(), strict=True)), test)
    assert (frame.groupby("group")["side"].nunique() == 1).all()
    for share in shares(uneven, frame):
        assert share == pytest.approx(0.2 * (1 - test), abs=0.03)
    for share in shares(uneven, frame, "test"):
        assert share == pytest.approx(test, abs=0.03)


def test_split_depends_on_the_seed_alone(uneven, images):
    first = split(uneven, images, 0.2, 3)
    assert first.equals(split(uneven, images[::-1], 0.2, 3))
    assert not first.equals(split(uneven, images, 0.2, 4))


def test_a_class_of_two_images_has_one_on_each_side():
    annotations = table({**{f"{k}": {1} for k in range(30)}, "x": {2}, "y": {2}})
    frame = split(annotations, annotations.listed, 0.2, 0).set_index("image")
    assert sorted(frame.loc[["x", "y"], "side"]) == ["train", "valid"]


def test_no_validation_on_request_and_never_all(uneven):
    assert set(split(uneven, uneven.listed, 0.0, 0)["side"]) == {"train"}
    with pytest.raises(InputError, match=r"-valid_fraction 1.0"):
        split(uneven, uneven.listed, 1.0, 0)
    with pytest.raises(InputError, match=r"-test_fraction -0.1: expected 0 or more and less than 1"):
        split(uneven, uneven.listed, 0.2, 0, test_fraction=-0.1)


@pytest.mark.parametrize("test", [0, 0.1])
def test_a_written_split_reads_back(uneven, images, tmp_path, test):
    frame = split(uneven, images, 0.2, 0, test_fraction=test)
    write_split(frame, tmp_path / "split.csv")
    pd.testing.assert_frame_equal(read_split(tmp_path / "split.csv", images), frame, check_dtype=False)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty file"),
        ("image,side\na,train\n", "missing column group"),
        ("image,side,group\n", "lists no images"),
        ("image,side,group\na,holdout,0\n", "row 2: side 'holdout'; expected train, valid or test"),
        ("image,side,group\na,train,x\n", "row 2: group 'x'"),
        (f"image,side,group\na,train,{10**19}\n", "row 2: group .10000000000000000000. is not a whole number"),
        ("image,side,group\na,train,0\na,valid,0\n", "row 3: a is in row 2 already"),
        ("image,side,group\nz,train,0\n", "row 2: z is not in the dataset"),
    ],
)
def test_a_malformed_split_is_a_named_error(tmp_path, text, reason):
    (tmp_path / "split.csv").write_text(text)
    with pytest.raises(AnnotationError, match=reason):
        read_split(tmp_path / "split.csv", ["a", "b"])


def test_groups_are_known_where_the_split_knows_every_image(tmp_path):
    path = tmp_path / "split.csv"
    assert groups_in(path, ["a"]) == {}
    path.write_text("image,side,group\na,valid,4\nb,train,4\nc,valid,9\n")
    assert groups_in(path, ["c", "a"]) == {"c": 9, "a": 4}
    assert groups_in(path, ["c", "d"]) == {}


def plain_kept_apart(annotations, group_of, fraction, seed, least):
    """Iterative stratification as plain loops, which ``kept_apart`` does with a column for all images."""
    classes = {}
    for image, class_id in zip(annotations.rows["image"], annotations.rows["class_id"], strict=True):
        classes.setdefault(image, set()).add(class_id)
    counts, members = {}, {}
    for name, group in group_of.items():
        members.setdefault(group, []).append(name)
        row = counts.setdefault(group, np.zeros(annotations.num_classes + 1))
        row[list(classes.get(name, {0}))] += 1
    total = sum(counts.values())
    wanted = np.stack([total * (1 - fraction), total * fraction])
    needed = wanted.copy()
    order = np.random.default_rng(seed).permutation(sorted(members)).tolist()
    waiting, apart = sorted(order, key=lambda group: len(members[group]) == 1), set()
    while waiting:
        left = sum(counts[group] for group in waiting)
        label = int(np.where(left > 0, left, np.inf).argmin())
        for group in [one for one in waiting if counts[one][label]]:
            own = counts[group]
            share = needed[:, label] / np.maximum(wanted[:, label], 1e-9)
            first = total[label] >= least and own[label] == 1 and needed[1, label] == wanted[1, label] > 0
            side = int(share[1] > share[0] and (first or own[label] <= needed[1, label] + 0.5))
            needed[side] -= own
            if side:
                apart.add(group)
            waiting.remove(group)
    return apart


@pytest.mark.parametrize("seed", range(12))
def test_sides_are_those_of_plain_loops(seed):
    random = np.random.default_rng(seed)
    names = [f"{number:03d}.jpg" for number in range(60)]
    records = [(name, k, "1 1", 0) for name in names for k in (1, 2, 3) if random.random() < (0.02, 0.3, 0.6)[k - 1]]
    annotations = Annotations(make_rows(records), tuple(names), ("a", "b", "c"))
    group_of = {name: int(random.integers(0, 25)) if random.random() < 0.5 else 100 + k for k, name in enumerate(names)}
    for fraction, least in ((0.1, 3), (0.2, 1), (0.5, 1)):
        given = (annotations, group_of, fraction, seed, least)
        assert kept_apart(*given) == plain_kept_apart(*given)

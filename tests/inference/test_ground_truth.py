"""Labels in the terms of a network, and datasets that do not fit it."""

import numpy as np
import pytest

from utils.data.annotation_table import read_annotations
from utils.errors import InputError
from utils.inference.ground_truth import GroundTruth, labels_beside
from utils.models.spec import ModelSpec


def spec(task="multilabel", names=("a", "b")):
    return ModelSpec("unet", "resnet18", task, names)


@pytest.fixture
def table(tmp_path):
    """Class 1 on the first column, class 2 on the second, of a 2x3 image."""
    path = tmp_path / "train.csv"
    path.write_text("ImageId,ClassId,EncodedPixels\nx.png,1,1 2\nx.png,2,3 2\n")
    return path


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        ("multilabel", [[[1, 0, 0], [1, 0, 0]], [[0, 1, 0], [0, 1, 0]]]),
        ("multiclass", [[[1, 0, 0], [1, 0, 0]], [[0, 1, 0], [0, 1, 0]]]),
        ("binary", [[[1, 1, 0], [1, 1, 0]]]),
    ],
)
def test_masks_are_those_of_the_scored_classes(table, task, expected):
    labels = GroundTruth(read_annotations(table, ("a", "b")), spec(task))
    masks = labels.masks("x.png", 2, 3)
    assert masks.dtype == np.bool_
    np.testing.assert_array_equal(masks, np.array(expected, dtype=bool))
    assert not labels.masks("clean.png", 2, 3).any()


@pytest.mark.parametrize("task", ["classify-binary", "classify-multilabel"])
def test_a_classifier_has_no_masks(table, task):
    labels = GroundTruth(read_annotations(table, ("a", "b")), ModelSpec("classifier", "resnet18", task, ("a", "b")))
    assert labels.masks("x.png", 2, 3).shape == (0, 2, 3)
    assert labels.shown("x.png").all()


@pytest.mark.parametrize(
    ("have", "want", "fits"),
    [
        (("a", "b"), ("a", "b"), True),
        (("b", "a"), ("a", "b"), True),  # in another order
        (("a", "b"), ("a", "b", "c"), False),
        (None, ("1", "2"), True),  # a table without names
        (None, ("1", "2", "3"), True),  # ... in which the last class has no defect
        (None, ("a", "b"), False),  # names that the table does not know
        (None, ("a", "b", "c"), False),
        (None, ("1",), False),
        (None, ("a",), False),
        (("a", "b"), ("1", "2"), False),  # weights without names
        (("a", "b"), ("1", "2", "3"), False),
    ],
)
def test_other_classes_are_refused(table, have, want, fits):
    annotations = read_annotations(table, have)
    if fits:
        assert GroundTruth(annotations, spec(names=want)).masks("x.png", 2, 3).shape[0] == len(want)
        return
    with pytest.raises(InputError, match=r"train\.csv: classes are .* but the weights were trained on"):
        GroundTruth(annotations, spec(names=want))


def test_binary_networks_take_any_classes(table):
    assert GroundTruth(read_annotations(table, ("x", "y")), spec("binary", ("a", "b", "c"))).masks("x.png", 2, 3).any()


def test_a_label_that_does_not_fit_the_image_is_named(table):
    with pytest.raises(InputError, match=r"train\.csv.*x\.png class 1"):
        GroundTruth(read_annotations(table), spec(names=("1", "2"))).masks("x.png", 1, 1)


@pytest.mark.parametrize(("folder", "name"), [("train_images", "train.csv"), ("test_images", "test_labels.csv")])
def test_labels_are_found_beside_their_images(table, folder, name):
    root = table.parent
    assert labels_beside(root / "elsewhere" / folder, spec()) is None
    table.rename(root / name)
    found = labels_beside(root / folder, spec(names=("1", "2")))
    assert found is not None
    assert found.annotations.source == root / name


CROSSED = [[[0, 1, 0], [0, 1, 0]], [[1, 0, 0], [1, 0, 0]]]


@pytest.mark.parametrize(
    ("have", "want", "class_map", "ids"),
    [
        (("b", "a"), ("a", "b"), None, (2, 1)),
        (None, ("pits", "cracks"), ("pits=2", "cracks=1"), (2, 1)),
        (("pits", "cracks"), ("1", "2"), ("1=cracks", "2=pits"), (2, 1)),
    ],
)
def test_classes_are_known_by_their_names(table, have, want, class_map, ids):
    labels = GroundTruth(read_annotations(table, have), spec(names=want), class_map)
    assert labels.class_ids == ids
    np.testing.assert_array_equal(labels.masks("x.png", 2, 3), np.array(CROSSED, dtype=bool))
    assert labels.annotations.class_names == want
    assert labels.annotations.runs("x.png") == {1: "3 2", 2: "1 2"}


def test_a_network_of_one_class_needs_that_class_alone(table):
    one = ModelSpec("unet", "resnet18", "per-class", ("x", "b", "y"), target="b")
    labels = GroundTruth(read_annotations(table, ("a", "b")), one)
    assert labels.class_ids == (2,)
    np.testing.assert_array_equal(labels.masks("x.png", 2, 3), np.array([[[0, 1, 0], [0, 1, 0]]], dtype=bool))
    assert labels.shown("x.png").tolist() == [True]
    with pytest.raises(InputError, match=r"for each question mark: -class_map b=\?$"):
        GroundTruth(read_annotations(table, ("a", "c")), one)


def test_a_map_may_leave_out_a_class_of_the_data(table):
    labels = GroundTruth(read_annotations(table, ("a", "b")), spec(names=("bee",)), ("bee=b",))
    np.testing.assert_array_equal(labels.masks("x.png", 2, 3), np.array([[[0, 1, 0], [0, 1, 0]]], dtype=bool))


@pytest.mark.parametrize(
    ("network", "class_map", "images", "lines"),
    [
        (
            spec(names=("bee",)),
            ("bee=b",),
            ["x.png", "y.png"],
            ("class a of the data (1 image) is not known to the weights and is not scored",),
        ),
        (spec(names=("bee",)), ("bee=b",), ["y.png"], ()),
        (spec(), None, ["x.png"], ()),
        (spec("binary"), None, ["x.png"], ()),
        (ModelSpec("unet", "resnet18", "per-class", ("a", "b"), target="b"), None, ["x.png"], ()),
    ],
)
def test_classes_that_are_not_scored_are_said(table, network, class_map, images, lines):
    labels = GroundTruth(read_annotations(table, ("a", "b")), network, class_map)
    assert labels.left_out(images) == lines


def test_the_refusal_says_how_to_map(table):
    with pytest.raises(
        InputError, match=r"say which is which, for example, if they are in the same order: -class_map pits=1,cracks=2$"
    ):
        GroundTruth(read_annotations(table), spec(names=("pits", "cracks")))

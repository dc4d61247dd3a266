"""What a weights file says of its training images, and what of it is refused."""

import dataclasses

import numpy as np
import pytest
import torch

from tests.weights.test_weights_file import a_file
from utils.errors import InputError
from utils.weights.image_hashes import BYTES, HashSet, ImageHashes, from_content, joined, of_images
from utils.weights.weights_file import load


def rows(*numbers):
    return np.array([[number] * BYTES for number in numbers], dtype=np.uint8).reshape(-1, BYTES)


def test_hashes_are_joined_by_scale_each_once_and_in_an_order_that_tells_nothing():
    own = of_images(1.0, rows(3, 1), rows(2))
    parent = ImageHashes((HashSet(1.0, rows(1, 5), rows()), HashSet(0.5, rows(9), rows())), ("old.pth",))
    found = joined([own, parent, ImageHashes(unknown=("old.pth", "older.pth"))])
    assert [(one.scale, one.train[:, 0].tolist(), one.valid[:, 0].tolist()) for one in found.sets] == [
        (0.5, [9], []),
        (1.0, [1, 3, 5], [2]),
    ]
    assert found.unknown == ("old.pth", "older.pth")
    assert found.trained == 4


def test_a_weights_file_keeps_them_and_grows_by_their_size_only(tmp_path):
    a_file().save(tmp_path / "without.pth")
    many = np.arange(2000 * BYTES, dtype=np.int64).reshape(2000, BYTES)
    hashes = of_images(0.4, (many * 7919 >> 3).astype(np.uint8), rows(1))
    dataclasses.replace(a_file(), image_hashes=hashes).save(tmp_path / "with.pth")
    assert load(tmp_path / "without.pth").image_hashes is None
    found = load(tmp_path / "with.pth").image_hashes
    assert found.sets[0].scale == 0.4
    np.testing.assert_array_equal(found.sets[0].train, hashes.sets[0].train)
    np.testing.assert_array_equal(found.sets[0].valid, rows(1))
    grown = (tmp_path / "with.pth").stat().st_size - (tmp_path / "without.pth").stat().st_size
    assert grown < 2001 * BYTES + 2000


def test_those_of_another_version_are_as_none(tmp_path):
    assert from_content({"version": 99, "sets": "something new"}) is None


@pytest.mark.parametrize(
    "change",
    [
        {"sets": 3},
        {"unknown": [1]},
        {"sets": [{"scale": 0.0, "train": torch.zeros(1, BYTES, dtype=torch.uint8)}]},
        {"sets": [{"scale": 1.0, "train": torch.zeros(1, 7, dtype=torch.uint8), "valid": None}]},
        {"sets": [{"scale": 1.0, "train": torch.zeros(1, BYTES), "valid": torch.zeros(1, BYTES)}]},
        {"sets": [{"scale": 1.0, "train": torch.zeros(1, BYTES, dtype=torch.uint8).expand(9, -1), "valid": None}]},
    ],
)
def test_malformed_ones_are_refused(tmp_path, change):
    a_file().save(tmp_path / "a.pth")
    content = torch.load(tmp_path / "a.pth", weights_only=True)
    content["image_hashes"] = {"version": 1, "sets": [], "unknown": [], **change}
    torch.save(content, tmp_path / "a.pth")
    with pytest.raises(InputError, match="image_hashes"):
        load(tmp_path / "a.pth")


@pytest.mark.parametrize("count", [0, 1, 2, 300])
def test_joining_what_is_joined_changes_nothing(count):
    random = np.random.default_rng(count)
    many = random.integers(0, 3, (count, BYTES)).astype(np.uint8)
    many = np.concatenate([many, many[:2]])
    own = of_images(1.0, many, rows(2))
    np.testing.assert_array_equal(own.sets[0].train, np.unique(many, axis=0))
    np.testing.assert_array_equal(joined([own]).sets[0].train, own.sets[0].train)

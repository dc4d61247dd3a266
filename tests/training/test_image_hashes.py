import numpy as np
import pytest

from config import SynthesiseConfig
from utils.data.dataset_folder import open_dataset
from utils.data.duplicates import hashes, kept_hashes
from utils.data.synthetic import synthesise
from utils.errors import InputError
from utils.training.image_hashes import hash_images, read_hashes, write_hashes
from utils.weights import image_hashes
from utils.weights.image_hashes import BYTES, ImageHashes, of_images
from utils.weights.run_files import HASHES


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    root = tmp_path_factory.mktemp("hashes") / "strips"
    synthesise(SynthesiseConfig(dir=root, num_of_images=4, image_size=(64, 96)))
    return open_dataset(root)


def test_each_side_has_its_hashes_which_are_kept_until_an_image_changes(dataset, monkeypatch):
    names = dataset.images
    found = hash_images(dataset, names[:3], names[3:], 1, progress=False)
    (one,) = found.sets
    assert (one.scale, one.train.shape, one.valid.shape) == (1.0, (3, BYTES), (1, BYTES))
    monkeypatch.setattr(kept_hashes, "describe", None)  # not needed again
    again = hash_images(dataset, names[:3], names[3:], 1, progress=False)
    np.testing.assert_array_equal(again.sets[0].train, one.train)


def test_a_run_folder_keeps_them_with_those_of_the_weights_before(tmp_path):
    def rows(number):
        return np.full((1, BYTES), number, np.uint8)

    own, earlier = of_images(1 / 3, rows(1), rows(2)), of_images(1.0, rows(3), rows(4))
    write_hashes(tmp_path, own, [earlier, ImageHashes(unknown=("imported.pth",))])
    found = read_hashes(tmp_path)
    assert [(one.scale, one.train[0, 0], one.valid[0, 0]) for one in found.sets] == [(1 / 3, 1, 2), (1.0, 3, 4)]
    assert found.unknown == ("imported.pth",)


def test_runs_of_earlier_versions_have_none_and_damage_is_told(tmp_path):
    assert read_hashes(tmp_path) is None
    (tmp_path / HASHES).write_bytes(b"PK damaged")
    with pytest.raises(InputError, match="damaged"):
        read_hashes(tmp_path)


def test_both_rooms_speak_of_the_same_hashes():
    assert (hashes.BYTES, hashes.VERSION) == (image_hashes.BYTES, image_hashes.VERSION)

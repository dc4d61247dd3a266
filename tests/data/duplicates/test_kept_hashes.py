"""A packed dataset brings the hashes of its images along, so that a training need not read them all."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from config import PackConfig, SynthesiseConfig
from utils.data.bit_depth import BitDepth
from utils.data.dataset_folder import Dataset, open_dataset
from utils.data.duplicates import kept_hashes
from utils.data.duplicates.hashes import BYTES
from utils.data.duplicates.kept_hashes import hashes_name, hashes_of, read_kept
from utils.data.packing import pack
from utils.data.synthetic import synthesise


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("kept") / "strips"
    synthesise(SynthesiseConfig(dir=root, num_of_images=5, image_size=(64, 96)))
    return root


@pytest.fixture
def packed(folder: Path, tmp_path: Path) -> Dataset:
    pack(PackConfig(dir=folder, out=tmp_path / "packed"), progress=False)
    return open_dataset(tmp_path / "packed")


def test_they_are_those_of_the_images_which_are_not_read_again(
    folder: Path, packed: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = open_dataset(folder)
    names = files.images[::-1]
    wanted = hashes_of(files, names, 1, progress=False)
    monkeypatch.setattr(kept_hashes, "hash_each", None)
    found = hashes_of(packed, names, 1, progress=False)
    assert found[0] == wanted[0] == 1.0
    assert found[1].shape == (5, BYTES)
    np.testing.assert_array_equal(found[1], wanted[1])


def test_images_beside_the_pack_are_hashed(folder: Path, packed: Dataset) -> None:
    outside = str(next((folder / "train_images").iterdir()))
    found = hashes_of(packed, [packed.images[0], outside], 1, progress=False)[1]
    np.testing.assert_array_equal(found[1], hashes_of(packed, [Path(outside).name], 1, progress=False)[1][0])


def test_another_bit_depth_or_index_or_damage_means_anew(packed: Dataset) -> None:
    assert read_kept(packed) is not None
    assert read_kept(replace(packed, depth=BitDepth(12))) is None
    assert packed.pack is not None
    file = packed.root / hashes_name("train")
    whole = file.read_bytes()
    for content in (
        whole[: len(whole) // 2],
        whole.replace(packed.pack.index_sha256("train").encode("utf-32-le"), b"0" * 256),
    ):
        assert content != whole
        file.write_bytes(content)
        assert read_kept(packed) is None
        assert hashes_of(packed, packed.images, 1, progress=False)[1].any()
    file.unlink()
    assert read_kept(packed) is None

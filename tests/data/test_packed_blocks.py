"""Blocks are read once in an epoch, and which images come together does not depend on the number of processes."""

import dataclasses

import numpy as np
import pytest
from PIL import Image

from config import PackConfig
from utils.data import packed_blocks
from utils.data.dataset_folder import open_dataset
from utils.data.decoded import ImageFiles
from utils.data.packed import Pack
from utils.data.packed_blocks import BlockOrder, PackedFiles
from utils.data.packing import pack
from utils.training.loaders import EpochBatches


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    """60 pictures of noise, some 3 kB each, in one shard."""
    root = tmp_path_factory.mktemp("packed")
    (root / "data/train_images").mkdir(parents=True)
    random = np.random.default_rng(0)
    for number in range(60):
        image = random.integers(0, 255, (48, 64), np.uint8)
        Image.fromarray(image).save(root / f"data/train_images/{number:02d}.png")
    (root / "data/train.csv").write_text("ImageId,ClassId,EncodedPixels\n00.png,1,1 2\n")
    pack(PackConfig(dir=root / "data", out=root / "packed"), progress=False)
    return open_dataset(root / "packed")


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(packed_blocks, "BLOCK", 16_000)
    monkeypatch.setattr(packed_blocks, "GAP", 4_000)


@pytest.fixture
def reads(monkeypatch):
    """Bytes of each read of a shard."""
    found = []
    real = Pack.read

    def read(self, shard, start, size):
        found.append(size)
        return real(self, shard, start, size)

    monkeypatch.setattr(Pack, "read", read)
    return found


def epoch(blocks, batch_size, rank, processes, shuffle=True, number=1):
    batches = EpochBatches(len(blocks), batch_size, 7, shuffle, rank, processes, blocks=BlockOrder(blocks))
    batches.set_epoch(number)
    assert len(list(batches)) == len(batches)
    return [tuple(key.number for key in batch) for batch in batches]


@pytest.mark.parametrize("count", [5, 31, 64, 333])
@pytest.mark.parametrize("shuffle", [True, False])
def test_every_image_comes_once_whatever_the_number_of_processes(count, shuffle):
    blocks = np.sort(np.random.default_rng(count).integers(0, max(1, count // 9), count))
    blocks = np.unique(blocks, return_inverse=True)[1]
    alone = epoch(blocks, 4, 0, 1, shuffle)
    shown = [image for batch in alone for image in batch]
    assert len(set(shown)) == len(shown)
    assert len(shown) == (count // 4 * 4 if shuffle and count >= 4 else count)
    for processes in (2, 4):
        parts = [epoch(blocks, 4, rank, processes, shuffle) for rank in range(processes)]
        together = [batch for step in zip(*parts, strict=False) for batch in step]
        # Too few images for a full batch of each process are shared out all the same.
        assert together[: len(alone)] == alone[: len(together)]
        if shuffle:
            assert len({len(part) for part in parts}) == 1  # equal steps
        else:
            assert sorted(image for part in parts for batch in part for image in batch) == list(range(count))


def test_epochs_differ_and_repeat():
    blocks = np.arange(200) // 10
    first, again, second = (epoch(blocks, 4, 0, 1, number=number) for number in (1, 1, 2))
    assert first == again
    assert first != second


def test_a_batch_comes_from_few_blocks():
    blocks = np.arange(2000) // 50
    for batch in epoch(blocks, 8, 0, 1):
        assert len(set(blocks[list(batch)])) <= 2 * packed_blocks.WINDOW


@pytest.mark.usefixtures("small_blocks")
def test_images_are_those_of_the_files_and_blocks_are_read_once(packed, reads):
    names = list(packed.images)
    files = PackedFiles(packed, names, 1, None)
    assert 5 < files.blocks.max() + 1 < 30
    expected = {name: ImageFiles(packed, 1, None).read(name)[0] for name in names}
    reads.clear()
    for batch in epoch(files.blocks, 4, 0, 1):
        for number in batch:
            assert (files.read(names[number])[0] == expected[names[number]]).all()
    size = sum(packed.path(name).stat().st_size for name in names)
    # An image of a block that two streams share may be asked for when the block was given back.
    assert size <= sum(reads) <= 1.3 * (size + 512 * len(names))
    assert not files._held


@pytest.mark.usefixtures("small_blocks")
def test_long_gaps_are_not_read(packed, reads):
    side = packed.pack.side("train")
    few = [side.names[row] for row in np.argsort(side.columns["offset"])[::10]]
    files = PackedFiles(packed, few, 1, None)
    for name in few:
        files.read(name)
    assert sum(reads) == sum(packed.path(name).stat().st_size for name in few)


def test_an_image_asked_for_twice_is_read_again(packed):
    files = PackedFiles(packed, packed.images, 1, (10, 20))
    name = packed.images[0]
    first, again = files.read(name), files.read(name)
    assert (first[0] == again[0]).all()
    assert first[0].shape == (10, 20, 1)
    assert first[1] == (48, 64)


def test_depth_of_the_dataset_is_used(packed):
    other = dataclasses.replace(packed, depth=packed.depth.overruled("12"))
    assert PackedFiles(other, packed.images, 1, None).dataset.depth.bits == 12

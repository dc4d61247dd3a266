"""The plan: every image in one shard, which its name alone decides, whatever the order and however many there are."""

import random
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pyarrow")

import pyarrow as arrow

from utils.data.stores import Store
from utils.errors import InputError
from utils.shards.plan import decode_offsets, encode_offsets, hash_of, make_plan, read_shard, shard_of_hash


def tables(names: list[str], rows: int = 100):
    for first in range(0, len(names), rows):
        some = names[first : first + rows]
        yield arrow.table({"image": some, "line": [len(name) for name in some]})


def shards_of(folder: Path, names: list[str], size: int) -> list[list[tuple[str, int]]]:
    plan = make_plan(tables(names), size, folder)
    offsets = decode_offsets(encode_offsets(plan.offsets))
    assert (plan.images, plan.shards) == (len(names), -(-len(names) // size))
    found = []
    for start, end in zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True):
        table = read_shard(Store(folder), "plan.arrow", start, end)
        found.append([] if table is None else [(row["image"], row["line"]) for row in table.to_pylist()])
    assert [path.name for path in folder.iterdir()] == ["plan.arrow"], "temporary files stayed"
    return found


@pytest.mark.parametrize(("count", "size"), [(1, 1000), (7, 1), (999, 1000), (1000, 100), (2345, 10)])
@pytest.mark.parametrize("most", [100_000, 20])
def test_every_image_is_in_the_one_shard_of_its_hash_in_whatever_order_they_come(
    tmp_path, monkeypatch, count, size, most
):
    monkeypatch.setattr("utils.shards.plan._MOST_SORTED", most)  # few: the files are parted again and again
    names = [f"line{number % 3}/ä{number}.png" for number in range(count)]
    found = shards_of(tmp_path, names, size)
    assert sorted(row for rows in found for row in rows) == sorted((name, len(name)) for name in names)
    for shard, rows in enumerate(found):
        hashes = np.array([hash_of(name) for name, _ in rows], np.uint64)
        assert (shard_of_hash(hashes, len(found)) == shard).all()
    random.Random(1).shuffle(names)
    assert shards_of(tmp_path, names, size) == found


def test_shards_are_of_about_the_size_asked_for():
    hashes = np.array([hash_of(f"{number}.png") for number in range(20_000)], np.uint64)
    sizes = np.bincount(shard_of_hash(hashes, 20).astype(int), minlength=20)
    assert sizes.min() > 850
    assert sizes.max() < 1150
    assert hash_of("a.png") == 16285994259159184982  # stored jobs depend on it


def test_memory_is_a_small_part_of_the_list(tmp_path, monkeypatch):
    """What Arrow and Python ask for at most is that of some thousand rows, however many there are."""
    monkeypatch.setattr("utils.shards.plan._MOST_SORTED", 1000)
    names = [f"line/{number:08d}.jpg" for number in range(30_000)]
    listed = list(tables(names, 1000))
    make_plan(listed[:1], 500, tmp_path)  # imports
    before = arrow.default_memory_pool()
    pool = arrow.proxy_memory_pool(before)
    arrow.set_memory_pool(pool)
    tracemalloc.start()
    try:
        make_plan(listed, 500, tmp_path)
        assert tracemalloc.get_traced_memory()[1] + pool.max_memory() < sum(table.nbytes for table in listed) / 2
    finally:
        tracemalloc.stop()
        arrow.set_memory_pool(before)


def test_a_name_that_comes_twice_is_refused(tmp_path):
    names = [f"{number}.png" for number in range(500)]
    with pytest.raises(InputError, match=r"the image 321\.png is listed twice; name each image once"):
        make_plan(tables([*names, "321.png"]), 100, tmp_path)


def test_nothing_to_predict_is_refused(tmp_path):
    with pytest.raises(InputError, match="no images to predict"):
        make_plan([], 100, tmp_path)


@pytest.mark.parametrize(("damage", "reason"), [("flip", "damaged"), ("cut", "damaged"), ("remove", "missing")])
def test_a_damaged_plan_is_one_line(tmp_path, damage, reason):
    plan = make_plan(tables([f"{number}.png" for number in range(20)]), 10, tmp_path)
    content = bytearray(plan.file.read_bytes())
    content[content.index(b"7.png")] ^= 1  # another name, which Arrow would take
    plan.file.write_bytes(content if damage == "flip" else content[:40])
    if damage == "remove":
        plan.file.unlink()
    pieces = zip(plan.offsets[:-1].tolist(), plan.offsets[1:].tolist(), strict=True)
    with pytest.raises(InputError, match=rf"plan.arrow: {reason}; name another folder with -out"):
        [read_shard(Store(tmp_path), "plan.arrow", start, end) for start, end in pieces]

"""A packed dataset gives what its folder gives, and anything wrong with it is one line."""

import json
import multiprocessing
import os
import pickle
import tarfile

import numpy as np
import pytest
from PIL import Image

from config import CheckConfig, PackConfig, SynthesiseConfig, TrainConfig, Url
from utils.data.checks import check, check_dataset
from utils.data.dataset_folder import open_dataset, open_test_images
from utils.data.images import read_image, read_size
from utils.data.packed import PACK, local_folder, open_pack, with_local_folder
from utils.data.packing import pack
from utils.data.synthetic import synthesise
from utils.errors import InputError
from utils.settings import given_fields, note_given


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """24 strips in folders within, one of them with more than 8 bits."""
    root = tmp_path_factory.mktemp("data") / "strips"
    synthesise(SynthesiseConfig(dir=root, num_of_images=23, image_size=(64, 64), seed=1))
    (root / "train_images" / "line2").mkdir()
    wide = np.arange(32 * 64, dtype=np.uint16).reshape(32, 64)
    Image.fromarray(wide).save(root / "train_images" / "line2" / "wide.png")
    (root / "test_images").mkdir()
    Image.fromarray(np.full((32, 64), 90, np.uint8)).save(root / "test_images" / "t.png")
    return root


@pytest.fixture(scope="module")
def packed(folder):
    out = folder.parent / "packed"
    summary = pack(PackConfig(dir=folder, out=out, shard_mb=1), progress=False)
    assert summary.images == {"train": 24, "test": 1}
    return out


@pytest.fixture
def copy(packed, tmp_path):
    """A copy to be damaged."""
    for path in packed.iterdir():
        if path.is_file():
            (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


def test_everything_is_as_in_the_folder(folder, packed):
    files, ours = open_dataset(folder), open_dataset(packed)
    assert ours.images == files.images
    assert ours.annotations.rows.equals(files.annotations.rows)
    for name in files.images:
        theirs, path = files.path(name), ours.path(name)
        assert path.read_bytes() == theirs.read_bytes()
        assert path.stat().st_size == theirs.stat().st_size
        assert read_size(path) == read_size(theirs)
        assert (read_image(path) == read_image(theirs)).all()
        assert path.relative_to(ours.image_dir).as_posix() == name
    one, other = (check_dataset(dataset, 1, False) for dataset in (files, ours))
    assert (one.sizes, one.depth, one.largest) == (other.sizes, other.depth, other.largest)
    assert [path.name for path in open_test_images(packed)] == ["t.png"]


def test_a_path_travels_to_another_process(packed):
    path = open_dataset(packed).path("line2/wide.png")
    again = pickle.loads(pickle.dumps(path))
    assert again == path
    assert again.read_bytes() == path.read_bytes()


def test_shards_are_plain_tars_in_random_order(packed, folder):
    with tarfile.open(packed / "train-00000.tar") as tar:
        names = tar.getnames()
        member = tar.extractfile("line2/wide.png")
        assert member.read() == (folder / "train_images/line2/wide.png").read_bytes()
    assert sorted(names) == sorted(open_dataset(folder).images)
    assert names != sorted(names)


def test_webdataset_reads_the_shards(packed, folder):
    webdataset = pytest.importorskip("webdataset")
    samples = list(webdataset.WebDataset(str(packed / "train-00000.tar"), shardshuffle=False))
    files = {sample["__key__"]: sample.get("jpg") or sample.get("png") for sample in samples}
    assert len(files) == 24
    for path in (folder / "train_images").rglob("*.*"):
        key = path.relative_to(folder / "train_images").as_posix().partition(".")[0]
        assert files[key] == path.read_bytes()


def test_shards_have_the_size_that_is_asked_for(tmp_path):
    (tmp_path / "data/train_images").mkdir(parents=True)
    random = np.random.default_rng(0)
    for number in range(4):
        image = random.integers(0, 255, (800, 800), np.uint8)
        Image.fromarray(image).save(tmp_path / f"data/train_images/{number}.bmp")
    (tmp_path / "data/train.csv").write_text("ImageId,ClassId,EncodedPixels\n0.bmp,1,1 2\n")
    summary = pack(PackConfig(dir=tmp_path / "data", out=tmp_path / "out", shard_mb=1), progress=False)
    assert summary.shards == 2
    ours, files = open_dataset(tmp_path / "out"), open_dataset(tmp_path / "data")
    assert all(ours.path(name).read_bytes() == files.path(name).read_bytes() for name in files.images)


def test_at_a_url_the_index_is_fetched_and_the_shards_stay(folder, packed, monkeypatch, tmp_path):
    pytest.importorskip("fsspec")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    url = Url("memory://bucket/strips")
    pack(PackConfig(dir=folder, out=url, shard_mb=1), progress=False)
    root = local_folder(url)
    assert not list(root.glob("*.tar"))
    assert local_folder(url) == root
    ours, files = open_dataset(root), open_dataset(folder)
    assert all(ours.path(name).read_bytes() == files.path(name).read_bytes() for name in files.images)
    with pytest.raises(InputError, match="holds a packed dataset already"):
        pack(PackConfig(dir=folder, out=url), progress=False)
    given = note_given(TrainConfig(dir=url), ["dir", "seed"])
    config = with_local_folder(given)
    assert config.dir == root
    assert given_fields(config) == {"dir", "seed"}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_forked_processes_read_from_s3_as_the_one_that_they_came_from(folder, bucket, monkeypatch, tmp_path):
    """As those of a training that load images: they begin when the first one has read already."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    url = Url(f"{bucket}/strips")
    pack(PackConfig(dir=folder, out=url, shard_mb=1), progress=False)
    dataset = open_dataset(local_folder(url))
    first, second = (dataset.path(name) for name in dataset.images[:2])
    assert first.read_bytes() == (folder / "train_images" / dataset.images[0]).read_bytes()
    forked = multiprocessing.get_context("fork").Pool(1)
    with forked:
        content = forked.apply_async(second.read_bytes).get(timeout=120)
    assert content == (folder / "train_images" / dataset.images[1]).read_bytes()


def test_a_url_without_a_pack_is_one_line(monkeypatch, tmp_path):
    pytest.importorskip("fsspec")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(InputError, match="no packed dataset"):
        local_folder(Url("memory://nothing/here"))


def test_what_packs_nothing_is_refused(folder, packed, tmp_path):
    with pytest.raises(InputError, match="is packed already"):
        pack(PackConfig(dir=packed, out=tmp_path / "x"), progress=False)
    with pytest.raises(InputError, match="is there already"):
        pack(PackConfig(dir=folder, out=packed), progress=False)
    with pytest.raises(InputError, match="no such folder"):
        pack(PackConfig(dir=tmp_path / "nothing", out=tmp_path / "x"), progress=False)


def test_a_bad_image_ends_packing_with_nothing_written(tmp_path):
    (tmp_path / "data/train_images").mkdir(parents=True)
    (tmp_path / "data/train_images/a.jpg").write_bytes(b"no image")
    (tmp_path / "data/train.csv").write_text("ImageId,ClassId,EncodedPixels\na.jpg,1,1 2\n")
    with pytest.raises(InputError, match=r"a\.jpg: not an image"):
        pack(PackConfig(dir=tmp_path / "data", out=tmp_path / "out"), progress=False)
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_a_flipped_bit_is_found_by_check_and_by_reading(copy):
    dataset = open_dataset(copy)
    place = int(dataset.pack.side("train").columns["offset"][3]) + 40
    content = bytearray((copy / "train-00000.tar").read_bytes())
    content[place] ^= 1
    (copy / "train-00000.tar").write_bytes(content)
    report = check(CheckConfig(dir=copy, out=copy / "problems.csv"), progress=False)
    assert report.problems[["file", "problem"]].values.tolist() == [
        ["train-00000.tar", f"{dataset.images[3]} is damaged in it"]
    ]
    with pytest.raises(InputError, match="is damaged in it"):
        read_image(dataset.path(dataset.images[3]))


def test_a_shard_cut_short_or_missing_is_one_line(copy):
    dataset = open_dataset(copy)
    shard = copy / "train-00000.tar"
    shard.write_bytes(shard.read_bytes()[:2000])
    with pytest.raises(InputError, match="shorter than it was"):
        [dataset.path(name).read_bytes() for name in dataset.images]
    shard.unlink()
    dataset.pack._open.clear()
    with pytest.raises(InputError, match="No such file"):
        dataset.path(dataset.images[0]).read_bytes()


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        (PACK, b"{", "damaged"),
        (PACK, b'{"version": 99, "sides": {}}', "later version"),
        (PACK, b'{"version": 1, "sides": {"train": {}}}', "damaged"),
        ("index-train.npz", b"PK\x03\x04 nothing", "damaged"),
        ("index-train.npz", None, "cannot be read"),
    ],
)
def test_a_damaged_pack_is_one_line(copy, file, content, message):
    if content is None:
        (copy / file).unlink()
    else:
        (copy / file).write_bytes(content)
    with pytest.raises(InputError, match=f"{file}: .*{message}"):
        open_dataset(copy)


def test_an_index_that_points_past_the_shards_is_refused(copy):
    about = json.loads((copy / PACK).read_text())
    about["sides"]["train"]["shards"] = []
    (copy / PACK).write_text(json.dumps(about))
    with pytest.raises(InputError, match="damaged"):
        open_dataset(copy)


def test_a_plain_folder_is_no_pack(folder):
    assert open_pack(folder) is None

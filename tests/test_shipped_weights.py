"""Every weights file that weights/index.json lists is what it says it is; a made one shows that the check can fail."""

import hashlib
import shutil
import socket
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.weights.misbehaving_server import write_index
from utils.commands.publish_weights import with_table
from utils.errors import InputError
from utils.inference.backends.int8 import find_int8
from utils.weights.index import OWN_INDEX, Entry, read_index
from utils.weights.sample import TOLERANCE, Sample
from utils.weights.storage import halved
from utils.weights.weights_file import load

WEIGHTS = OWN_INDEX.parent
LISTED = read_index(OWN_INDEX)


@pytest.fixture
def _no_network(monkeypatch) -> None:
    def refuse(*_, **__):
        raise AssertionError("building a network asks the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def check(folder: Path, entry: Entry) -> None:
    """Check one file: size and hash, no pickle, the spec of the index, and the stored answers."""
    path = folder / entry.file
    assert path.stat().st_size == entry.size <= 95_000_000
    assert hashlib.sha256(path.read_bytes()).hexdigest() == entry.sha256
    torch.load(path, map_location="cpu", weights_only=True)
    weights = load(path)
    spec = weights.spec
    assert (spec.architecture, spec.encoder, spec.task) == (entry.architecture, entry.encoder, entry.task)
    assert spec.scored_names == entry.classes
    assert all(tensor.dtype not in (torch.float16, torch.bfloat16) for tensor in weights.state_dict.values())
    model = weights.build()
    assert not model.training
    assert Sample.load(path.with_suffix(".npz")).difference(model) < TOLERANCE
    assert entry.sha256 in (folder / f"{entry.name}.md").read_text(encoding="utf-8")
    if entry.sibling is not None:
        packed = folder / entry.sibling.file
        assert packed.stat().st_size == entry.sibling.size <= 8_000_000
        assert hashlib.sha256(packed.read_bytes()).hexdigest() == entry.sibling.sha256
        assert find_int8(weights).path == packed
        assert find_int8(weights).objection == ""


@pytest.mark.usefixtures("_no_network")
@pytest.mark.parametrize("entry", LISTED.entries or [None], ids=lambda entry: entry.name if entry else "none listed")
def test_published_file_is_what_the_index_says(entry):
    if entry is None:
        assert not list(WEIGHTS.glob("*.pth")), "a weights file that the index does not list"
    else:
        check(WEIGHTS, entry)


def test_everything_in_the_folder_is_listed():
    names = [name for entry in LISTED.entries for name in (entry.file, Path(entry.file).with_suffix(".npz").name)]
    names += [entry.sibling.file for entry in LISTED.entries if entry.sibling]
    assert sorted(path.name for path in WEIGHTS.iterdir() if path.suffix in (".pth", ".npz", ".zip")) == sorted(names)
    assert sum(entry.size for entry in LISTED.entries) <= 250_000_000


def test_the_table_of_the_folder_is_that_of_the_index():
    page = (WEIGHTS / "README.md").read_text(encoding="utf-8")
    assert with_table(page, LISTED) == page


@pytest.fixture
def made(whole, tmp_path) -> tuple[Path, Entry]:
    """A copy to spoil of a folder with a weights file in 16-bit numbers, its sample, its card and its index."""
    folder, entry = whole
    return Path(shutil.copytree(folder, tmp_path / "copy")), entry


@pytest.fixture(scope="module")
def whole(make_weights, tmp_path_factory) -> tuple[Path, Entry]:
    tmp_path = tmp_path_factory.mktemp("whole")
    weights = load(next(make_weights().glob("*.pth")))
    model = weights.build()
    weights.state_dict = halved(weights.state_dict)
    path = weights.save_named(tmp_path, "net")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    spec = weights.spec
    entry = Entry(
        "net",
        path.name,
        digest,
        path.stat().st_size,
        (path.name,),
        spec.architecture,
        spec.encoder,
        spec.task,
        spec.scored_names,
        "half",
    )
    write_index(tmp_path, entry)
    half = load(path).build()
    Sample.of(half, spec.channels).save(path.with_suffix(".npz"))
    (tmp_path / "net.md").write_text(digest)
    assert Sample.of(model, spec.channels).difference(half) > 0, "16 bits change something"
    return tmp_path, entry


@pytest.mark.usefixtures("_no_network")
def test_made_file_passes_the_same_check(made, make_weights):
    folder, entry = made
    check(folder, read_index(folder / "index.json").pick("net"))
    whole = next(make_weights().glob("*.pth")).stat().st_size
    assert entry.size < 0.6 * whole, "16 bits are half of 32"


def flip_a_bit(folder: Path, entry: Entry) -> None:
    content = bytearray((folder / entry.file).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / entry.file).write_bytes(content)


def other_answers(folder: Path, entry: Entry) -> None:
    sample = Sample.load(folder / Path(entry.file).with_suffix(".npz").name)
    changed = tuple(answer + np.float32(2 * TOLERANCE) for answer in sample.answers)
    Sample(sample.images, changed).save(folder / Path(entry.file).with_suffix(".npz").name)


def no_answers(folder: Path, entry: Entry) -> None:
    (folder / Path(entry.file).with_suffix(".npz").name).write_bytes(b"PK")


@pytest.mark.parametrize(
    ("spoil", "error"), [(flip_a_bit, AssertionError), (other_answers, AssertionError), (no_answers, InputError)]
)
def test_the_check_fails_on_a_spoilt_one(made, spoil, error):
    spoil(*made)
    with pytest.raises(error):
        check(*made)


def test_answers_of_another_shape_differ_infinitely(made):
    folder, entry = made
    sample = Sample.load(folder / Path(entry.file).with_suffix(".npz").name)
    cut = Sample(sample.images, tuple(answer[..., :-1] for answer in sample.answers))
    assert cut.difference(load(folder / entry.file).build()) == float("inf")

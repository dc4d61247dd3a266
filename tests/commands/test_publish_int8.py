"""An 8-bit network is listed beside the weights that it was made of, and only where its report is a proof."""

import hashlib
import json

import pytest

from config import PublishWeightsConfig
from tests.weights.misbehaving_server import write_index
from utils.commands.publish_weights import publish_weights
from utils.errors import InputError
from utils.inference.backends.int8 import find_int8, pack
from utils.inference.backends.store import network_fingerprint
from utils.weights.index import Entry, read_index
from utils.weights.weights_file import load


@pytest.fixture
def folder(make_weights, tmp_path):
    """A folder with one published weights file."""
    weights = load(next(make_weights().glob("*.pth")))
    path = weights.save_named(tmp_path / "to", "net")
    spec = weights.spec
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    described = (spec.architecture, spec.encoder, spec.task, spec.scored_names)
    write_index(tmp_path / "to", Entry("net", path.name, digest, path.stat().st_size, (path.name,), *described))
    return tmp_path / "to"


def settings(folder, **report) -> PublishWeightsConfig:
    """Make an 8-bit file with this report outside of the folder."""
    weights = load(next(folder.glob("*.pth")))
    proof = {"network": network_fingerprint(weights), "scores": [0.9, 0.899], "dice": {}, "labels": None, "images": 9}
    for name in ("n.xml", "n.bin"):
        (folder.parent / name).write_text("")
    pack(folder.parent / "x.zip", folder.parent / "n.xml", folder.parent / "n.bin", json.dumps({**proof, **report}))
    return PublishWeightsConfig(name="net", to=folder, int8=folder.parent / "x.zip")


def test_it_lies_beside_the_weights_and_in_the_index(folder):
    result = publish_weights(settings(folder))
    entry = read_index(folder / "index.json").pick("net")
    content = (folder / entry.sibling.file).read_bytes()
    assert entry.sibling.file == f"{entry.file[:-4]}-int8.zip"
    assert (entry.sibling.size, entry.sibling.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    assert (entry.int8["mean_dice_original"], entry.int8["mean_dice"], entry.int8["images"]) == (0.9, 0.899, 9)
    assert entry.sibling.urls == (entry.sibling.file,)
    assert find_int8(load(folder / entry.file)).path == result.path
    assert "mean Dice 0.9000, in 8 bits 0.8990, on 9 images" in result.text()
    assert publish_weights(settings(folder)).path == result.path  # again: the same


@pytest.mark.parametrize(
    ("report", "flags", "message"),
    [
        ({"network": "0123456789abcdef"}, {}, "was not made of net-"),
        ({"scores": [0.9, 0.89]}, {}, r"the mean Dice falls by 0\.0100 on 9 labelled images, more than"),
        ({"scores": None, "dice": {"pits": 0.9}}, {}, "its masks differ"),
        ({"dice": None}, {}, "no 8-bit network with its report"),
        ({}, {"name": "nets"}, "nets: no such weights"),
        ({}, {"run": "runs/a"}, "-int8: takes the place of a run folder"),
    ],
)
def test_what_is_no_proof_is_refused_and_nothing_is_written(folder, report, flags, message):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    config = settings(folder, **report)
    with pytest.raises(InputError, match=message):
        publish_weights(PublishWeightsConfig(**{**vars(config), **flags}))
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_whoever_wants_it_all_the_same_says_so(folder):
    config = settings(folder, scores=[0.9, 0.89])
    publish_weights(PublishWeightsConfig(**{**vars(config), "force": True}))
    assert read_index(folder / "index.json").pick("net").sibling is not None

"""8-bit integers run where a file beside the weights has them, and unasked only where its report proves it."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from utils.errors import InputError
from utils.inference import backends
from utils.inference.backends import choice, int8, openvino_backend
from utils.inference.backends.int8 import find_int8, need_int8, pack
from utils.inference.backends.store import Store, network_fingerprint
from utils.inference.network import Outputs
from utils.inference.opening import open_network
from utils.weights.finding import find
from utils.weights.weights_file import load


@pytest.fixture
def beside(make_weights, tmp_path):
    """Return a function that puts a report and a file of no content beside a copy of the weights."""
    source = find(make_weights())
    shutil.copy(source, tmp_path / source.name)
    weights = load(tmp_path / source.name)

    def put(**changed: object) -> Path:
        report = {
            "network": network_fingerprint(weights),
            "images": 16,
            "scores": [0.9, 0.899],
            "dice": {"pits": 0.99, "cracks": 0.99},
            "labels": None,
            "size": None,
            **changed,
        }
        path = weights.source.with_name(f"{weights.source.stem}-int8.zip")
        write(path, json.dumps(report))
        return path

    return weights, put


def write(path: Path, report: str) -> None:
    """Write a file with a report and a network of no content."""
    parts = path.with_suffix(".xml"), path.with_suffix(".bin")
    for part in parts:
        part.write_text("")
    pack(path, *parts, report)
    for part in parts:
        part.unlink()


def test_what_lies_beside_the_weights_is_found_by_its_hash(beside):
    weights, put = beside
    assert find_int8(weights) is None
    path = put()
    assert find_int8(weights).path == path
    assert find_int8(weights, Store(weights)).objection == ""
    put(network="0123456789abcdef")
    with pytest.raises(InputError, match="was not made of the weights"):
        find_int8(weights)
    # Found by the hash under another name too, past files of others.
    write(path.with_name("a-int8.zip"), "{}")
    (other := put()).rename(other.with_name("line2-int8.zip"))
    assert find_int8(weights).path.name == "line2-int8.zip"
    path.write_bytes(b"PK")
    assert find_int8(weights).path.name == "line2-int8.zip"
    (path.with_name("line2-int8.zip")).unlink()
    with pytest.raises(InputError, match="no 8-bit network with its report, or a damaged one"):
        find_int8(weights)


def test_the_same_network_gives_the_same_bytes(tmp_path):
    for name in ("a.zip", "b.zip"):
        write(tmp_path / name, "{}")
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


def test_more_than_a_file_may_hold_is_not_unpacked(beside, monkeypatch):
    weights, put = beside
    put()
    monkeypatch.setattr(int8, "MOST_BYTES", 100)
    with pytest.raises(InputError, match="a damaged one"):
        find_int8(weights)


def test_without_a_file_the_way_to_make_one_is_said(beside):
    weights, _ = beside
    with pytest.raises(InputError, match=r"no 8-bit network beside it; .*Export_model.py -format openvino -int8"):
        open_network(weights, "openvino", "cpu", "int8", 0)
    with pytest.raises(InputError, match="no 8-bit network"):
        open_network(weights, "auto", "cpu", "int8", 0)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"scores": [1], "dice": {}, "labels": null, "images": 1}'])
def test_damaged_report_is_one_line(beside, content):
    weights, put = beside
    write(put(), content)
    with pytest.raises(InputError, match="no 8-bit network with its report, or a damaged one"):
        need_int8(weights)


def test_damaged_network_is_one_line(beside):
    weights, put = beside
    put()
    with pytest.raises(InputError, match=r"-int8\.zip: damaged"):
        open_network(weights, "openvino", "cpu", "int8", 0)


@pytest.mark.parametrize("backend", ["torch", "onnxruntime"])
def test_other_backends_refuse_it(beside, backend):
    with pytest.raises(InputError, match=r"int8.*-backend openvino"):
        open_network(beside[0], backend, "cpu", "int8", 0)


@pytest.mark.parametrize(
    ("report", "objection"),
    [
        ({"scores": [0.9, 0.8981]}, ""),
        ({"scores": [0.9, 0.8969]}, "the mean Dice falls by 0.0031 on 16 labelled images"),
        ({"scores": [float("nan"), 0.9]}, "the mean Dice falls by nan"),
        ({"scores": None, "dice": {"pits": 0.999}}, ""),
        ({"scores": None, "dice": {"pits": 0.999, "cracks": 0.99}}, r"its masks differ .*Dice 0\.9900"),
        ({"labels": 0.02}, r"probabilities of whole images move by up to 0\.020"),
    ],
)
def test_only_a_good_report_is_a_proof(beside, report, objection):
    weights, put = beside
    put(**report)
    found = find_int8(weights).objection
    assert re.match(objection or "$", found)


class Drawn:
    """Draws a block, and is wrong in some pixels."""

    parallel = 1

    def __init__(self, name: str, wrong: int) -> None:
        self.name, self.wrong = name, wrong

    def __call__(self, images, choose=None):
        logits = torch.full((len(images), 2, *images.shape[1:3]), -1.0)
        logits[:, :, :20, :50] = 1.0
        logits[:, 1, 30:40, : self.wrong // 10] = 1.0
        return Outputs(logits, None)


@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize(
    ("report", "wrong", "taken", "said"),
    [
        ({}, 20, "openvino int8", "proven when it was exported"),
        ({}, 300, "openvino f32", "openvino int8 differs (Dice 0.86"),
        ({"scores": [0.9, 0.89]}, 0, "openvino f32", "int8 is left out (the mean Dice falls by 0.0100"),
        ({"network": "another"}, 0, "openvino f32", "was not made of the weights"),
    ],
)
def test_auto_takes_it_only_where_it_is_proven(beside, images, monkeypatch, capsys, report, wrong, taken, said):
    weights, put = beside
    put(**report)
    seconds = {"int8": 0.1, "f32": 0.2}

    def make(backend):
        return lambda _, settings: Drawn(f"{backend} {settings.precision}", wrong * (settings.precision == "int8"))

    for name in backends.BACKENDS:
        monkeypatch.setitem(backends.BACKENDS, name, make(name))
    run = choice._run

    def timed(network, given):
        return (1.0 if "openvino" not in network.name else seconds[network.name.split()[1]]), run(network, given)[1]

    monkeypatch.setattr(choice, "_run", timed)
    monkeypatch.setattr(choice, "cpu_has_bf16", lambda: False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    network = open_network(weights, "auto", "cpu", "auto", 0)
    network(images)
    assert network.name == taken
    assert said in capsys.readouterr().err
    assert open_network(weights, "auto", "cpu", "auto", 0).name == taken
    assert "measured earlier" in capsys.readouterr().err


@pytest.mark.slow  # NNCF traces the network for seconds
def test_an_export_is_what_runs(make_weights, write_dataset, tmp_path, monkeypatch):
    from config import ExportConfig
    from utils.commands.export_model import export_model

    source = Path(shutil.copy(find(make_weights()), tmp_path))
    data = write_dataset(tmp_path / "data", 4)
    # A random network has no sharp edges to keep.
    export_model(ExportConfig(weights_dir=source, format="openvino", int8=True, dir=data, max_drop=1.0))
    monkeypatch.setattr(openvino_backend, "cpu_has_bf16", lambda: False)
    weights = load(Path(source))
    images = np.random.default_rng(0).integers(0, 256, (2, 48, 80, 3), dtype=np.uint8)
    found = open_network(weights, "openvino", "cpu", "int8", 2)
    exact = open_network(weights, "torch", "cpu", "f32", 0)(images).masks
    masks = found(images).masks
    assert found.name == "openvino int8 on cpu"
    assert 0 < (masks - exact).abs().mean() < 0.5 * exact.abs().mean()

"""Exported files stand alone: preprocessing inside, any number and size of images, and a report on how close they are."""

import functools
import json
import re
import shutil
import zipfile
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
import pytest
import torch
from PIL import Image

import Export_model
from config import ExportConfig
from utils.commands import export_model as exporting
from utils.commands.export_images import for_calibration, spread
from utils.commands.export_model import export_model, refuse_losses
from utils.decision.decision import Decision
from utils.errors import InputError
from utils.inference.export.parity import Parity, ParityImage
from utils.inference.export.quantise import Quantised
from utils.inference.opening import open_network
from utils.inference.openvino_core import openvino_core
from utils.inference.pipeline import InspectionPipeline
from utils.inference.systems.single import SingleNetwork
from utils.weights.finding import find
from utils.weights.weights_file import load

ROOT = Path(__file__).resolve().parents[2]


def opened(path: Path) -> Callable[[np.ndarray], np.ndarray]:
    """Open an exported file the way its library's users do."""
    if path.suffix == ".onnx":
        session = onnxruntime.InferenceSession(path)
        return lambda images: session.run(["masks"], {"images": images})[0]
    compiled = openvino_core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return lambda images: compiled(images)["masks"]


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> Path:
    """A labelled dataset folder of two sizes."""
    root = tmp_path_factory.mktemp("data")
    (root / "train_images").mkdir()
    random = np.random.default_rng(5)
    rows = ["ImageId,ClassId,EncodedPixels"]
    for number, size in enumerate([(48, 80), (33, 57), (48, 80), (64, 64)]):
        cv2.imwrite(str(root / f"train_images/{number}.png"), random.integers(0, 256, (*size, 3), dtype=np.uint8))
        rows.append(f"{number}.png,{1 + number % 2},100 200")
    (root / "train.csv").write_text("\n".join(rows))
    (root / "classes.txt").write_text("pits\ncracks")
    return root


@pytest.fixture(scope="module")
def exported(make_weights, images, tmp_path_factory):
    """Return a function that exports a network, one that resizes its images with ``input_size``; each is made once."""

    @functools.cache
    def export(format, input_size):
        config = ExportConfig(
            weights_dir=make_weights(input_size=input_size),
            format=format,
            dir=images,
            out=tmp_path_factory.mktemp("out"),
        )
        return export_model(config)

    # The cache takes a value that is left out for another call than the same value given.
    return lambda format, input_size=None: export(format, input_size)


@pytest.mark.parametrize(
    ("name", "input_size"), [("onnx", None), ("openvino", None), pytest.param("onnx", (32, 64), marks=pytest.mark.slow)]
)
def test_exported_masks_are_those_of_the_pipeline(make_weights, images, exported, name, input_size):
    result, weights = exported(name, input_size), load(find(make_weights(input_size=input_size)))
    network = open_network(weights, "torch", "cpu", "f32", 0)
    pipeline = InspectionPipeline(
        SingleNetwork(network, weights.spec, input_size), Decision((0.5, 0.5), (0, 0), (None, None))
    )
    paths, run = sorted((images / "train_images").iterdir()), opened(result.files[0])
    for _, (image, masks) in pipeline.run(paths, lambda path, result: (result.image, result.masks)):
        both = run(image[None].repeat(2, axis=0)) >= 0
        assert (both != masks).mean() < (0.001 if input_size is None else 0.02)  # resizing rounds otherwise
    assert result.size is None
    assert result.parity.images == 4
    assert min(result.parity.dice.values()) > 0.999
    assert result.parity.scores[0] == pytest.approx(result.parity.scores[1], abs=1e-3)
    report = json.loads(result.files[-1].read_text())
    assert report["dice"] == result.parity.dice


def test_metadata_says_what_a_user_needs(exported):
    found = onnxruntime.InferenceSession(exported("onnx").files[0]).get_modelmeta().custom_metadata_map
    graph = openvino_core().read_model(exported("openvino").files[0])
    for key, value in {"classes": ["pits", "cracks"], "thresholds": [0.5, 0.5], "channels": 3}.items():
        assert json.loads(found[key]) == value
        assert json.loads(graph.get_rt_info(["steel_defects", key]).astype(str)) == value
    assert found["task"] == "multilabel"


def test_the_snippet_of_the_documents_runs(make_weights, exported, tmp_path, monkeypatch):
    weights = load(find(make_weights()))
    shutil.copy(exported("onnx").files[0], tmp_path / "network.onnx")
    pixels = np.random.default_rng(0).integers(0, 256, (40, 70, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "strip.jpg", quality=100)
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs/export.md").read_text("utf-8"), re.DOTALL)
    (snippet,) = (block for block in blocks if "session = " in block)
    shown: dict = {}
    exec(snippet, shown)
    image = torch.from_numpy(np.asarray(Image.open("strip.jpg")).copy()).permute(2, 0, 1)[None]
    with torch.inference_mode():
        expected = weights.build()(image)[0].numpy() >= 0
    assert (shown["masks"] != expected).mean() < 0.001
    assert shown["masks"].any()


@pytest.mark.parametrize("format", ["onnx", pytest.param("openvino", marks=pytest.mark.slow)])
def test_f16_halves_the_file_and_hardly_changes_the_masks(make_weights, images, exported, tmp_path, format):
    config = ExportConfig(weights_dir=make_weights(), format=format, precision="f16", out=tmp_path, dir=images)
    half = export_model(config)
    assert half.megabytes < 0.6 * exported(format).megabytes
    assert min(half.parity.dice.values()) > 0.99


@pytest.mark.slow
def test_int8_is_calibrated_on_other_images_than_it_is_compared_on(make_weights, images, tmp_path, monkeypatch):
    calibrated, chosen_on = [], []

    def quantise(graph, given, limit):
        calibrated.extend(given)
        chosen_on.extend(limit.images)
        assert len(limit.score(openvino_core().compile_model(graph, "CPU"), limit.images)) == len(limit.images)
        return Quantised(graph, 9, ("decoder.head",))

    monkeypatch.setattr(exporting, "quantise", quantise)
    config = ExportConfig(weights_dir=make_weights(), format="openvino", int8=True, dir=images, out=tmp_path)
    result = export_model(config)
    assert (len(calibrated), [image.name for image in chosen_on], result.parity.images) == (1, ["2.png"], 2)
    assert [file.name.partition("-int8")[2] for file in result.files] == [".zip", ".xml", ".bin", "-parity.json"]
    assert "1 of 9 layers stay in floating point" in result.text()
    assert json.loads(result.files[-1].read_text())["int8"]["in_float"] == ["decoder.head"]
    packed = zipfile.ZipFile(result.files[0])
    for name, file in zip(("network.xml", "network.bin", "report.json"), result.files[1:], strict=True):
        assert packed.read(name) == file.read_bytes()


def test_images_are_chosen_from_all_over_a_folder():
    assert spread("abcdefgh", 3) == ["a", "c", "f"]
    assert spread("ab", 3) == ["a", "b"]
    assert spread("ab", 0) == []


def test_no_more_is_calibrated_on_than_takes_minutes():
    large = [ParityImage(str(k), np.full((1000, 1000, 3), k, np.uint8)) for k in range(20)]
    assert len(for_calibration(large, None)) == 16
    small = [ParityImage(str(k), np.full((200, 200, 3), k, np.uint8)) for k in range(200)]
    assert len(for_calibration(small, None)) == 100


@pytest.mark.slow  # NNCF traces the network for seconds
def test_int8_is_calibrated_on_images_of_the_size_that_the_architecture_fixes(
    make_weights, images, tmp_path, monkeypatch
):
    sizes = []

    def quantise(graph, given, limit):
        sizes.extend(image.shape[:2] for image in given)
        return Quantised(graph, 1, ())

    monkeypatch.setattr(exporting, "quantise", quantise)
    monkeypatch.setattr(exporting, "takes_any_size", lambda *given: False)
    folder = tmp_path / "images"
    shutil.copytree(images / "train_images", folder)  # compared on 0 and 3, calibrated on 1, chosen on 2
    config = ExportConfig(weights_dir=make_weights(), format="openvino", int8=True, images=folder, out=tmp_path / "out")
    with pytest.raises(InputError, match="-int8: this architecture fixes the size, to 48x80 here, and no image"):
        export_model(config)
    shutil.copy(folder / "0.png", folder / "1.png")
    assert export_model(config).size == (48, 80)
    assert sizes == [(48, 80)]


@pytest.mark.parametrize(
    ("parity", "message"),
    [
        (Parity(2, 1.0, None, {"pits": 0.5}, (0.9, 0.899)), None),  # the labels say that it does not matter
        (
            Parity(2, 1.0, None, {"pits": 0.999, "cracks": 0.99}, None),
            "masks differ .*Dice of 0.9900, less than 0.995,",
        ),
        (Parity(2, None, 0.03, {}, None), None),
        (Parity(2, None, 0.06, {}, None), "probabilities differ .*by up to 0.0600, more than 0.05, on 2 images"),
        (Parity(2, 1.0, 0.06, {"pits": 1.0}, (0.9, 0.9)), "probabilities differ"),
    ],
)
def test_int8_is_refused_for_what_it_changes(parity, message):
    with pytest.raises(InputError, match=f"-int8: {message}") if message else nullcontext():
        refuse_losses(parity)


@pytest.mark.slow  # NNCF traces the network for seconds
def test_int8_that_loses_too_much_is_refused_and_leaves_nothing(make_weights, images, tmp_path, monkeypatch):
    monkeypatch.setattr(exporting, "quantise", lambda graph, *given: Quantised(graph, 1, ()))
    monkeypatch.setattr(exporting, "compare", lambda *given: Parity(2, 1.0, None, {"pits": 0.9}, (0.9, 0.89)))
    config = ExportConfig(weights_dir=make_weights(), format="openvino", int8=True, dir=images, out=tmp_path / "out")
    with pytest.raises(InputError, match=r"-int8: the mean Dice falls by 0\.0100, more than 0\.005, on 2 images"):
        export_model(config)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_int8_by_nncf_runs(make_weights, images, exported, tmp_path):
    # A random network has no sharp edges to keep.
    config = ExportConfig(
        weights_dir=make_weights(), format="openvino", int8=True, dir=images, out=tmp_path, max_drop=1.0
    )
    result = export_model(config)
    assert result.megabytes < 0.4 * exported("openvino").megabytes
    assert min(result.parity.dice.values()) > 0.8


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"int8": True}, "-int8: only with -format openvino"),
        ({"int8": True, "format": "openvino"}, "-int8: needs images to calibrate on"),
        ({"dir": Path("a"), "images": Path("b")}, "give -dir DATASET_FOLDER or -images FOLDER_OR_FILE"),
        ({"images": Path("nowhere")}, "nowhere"),
    ],
)
def test_flags_that_do_not_fit_are_one_line(make_weights, tmp_path, flags, message):
    with pytest.raises(InputError) as error:
        export_model(ExportConfig(weights_dir=make_weights(), out=tmp_path / "out", **flags))
    assert str(error.value).startswith(message)
    assert not (tmp_path / "out").exists()


def test_a_missing_package_says_how_to_install_it(make_weights, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "openvino", None)
    with pytest.raises(InputError, match=r"-format openvino: the package openvino is not installed; run .*openvino"):
        export_model(ExportConfig(weights_dir=make_weights(), format="openvino"))


def test_the_command_compares_on_synthetic_strips_without_images(make_weights, tmp_path, capsys):
    assert Export_model.main(["-weights_dir", str(make_weights()), "-out", str(tmp_path), "-num_of_images", "1"]) == 0
    shown = capsys.readouterr().out
    assert "parity with torch f32 on 1 images" in shown
    assert "takes images of any size" in shown

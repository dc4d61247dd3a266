"""A gated system is exported as a folder whose program gives the masks of the pipeline; two heads are one network."""

import ast
import dataclasses
import json
import re
import runpy
import subprocess
import sys
import zlib
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
import pytest
import torch
from PIL import Image

from config import ExportConfig
from utils.commands import export_model as exporting
from utils.commands.export_model import ExportResult, export_model
from utils.commands.export_system import SystemExportResult, runner
from utils.decision.decision import Decision
from utils.decision.gate import Gate
from utils.errors import InputError
from utils.inference.opening import open_network
from utils.inference.pipeline import InspectionPipeline
from utils.inference.systems.making import make_system
from utils.models.factory import build
from utils.models.spec import ModelSpec
from utils.weights.system_file import SystemFile, read_system
from utils.weights.weights_file import WeightsFile, load

ROOT = Path(__file__).resolve().parents[2]
CLASSES = ("pits", "cracks")


def member(folder: Path, architecture: str, task: str, size=None, target=None, names=CLASSES) -> WeightsFile:
    spec = ModelSpec(architecture, "test_resnet", task, names, 3, target)
    torch.manual_seed(zlib.crc32(f"{architecture}{task}{target}".encode()))
    model = build(spec)
    for name, module in model.net.named_modules():  # so that thresholds are reached here and there
        if isinstance(module, torch.nn.Conv2d) and name.startswith("segmentation_head"):
            torch.nn.init.normal_(module.weight, std=2.0)
    decision = Decision.uniform(len(spec.scored_names), 0.5)
    weights = WeightsFile(spec, model.net.state_dict(), model.mean, model.std, size, decision)
    return load(weights.save_named(folder, f"{architecture}-{task}-{target}"))


def system(folder: Path, kind: str, gate: Gate, task: str = "multilabel", decision: Decision | None = None) -> Path:
    if kind == "two-stage":
        judge = "classify-binary" if gate.classes is None else "classify-multilabel"
        parts = {"classifier": member(folder, "classifier", judge, (32, 64)), "segmenter": member(folder, "unet", task)}
    elif kind == "six-model":
        parts = {"binary": member(folder, "classifier", "classify-binary")}
        parts["multilabel"] = member(folder, "classifier", "classify-multilabel", (32, 64))
        for number, name in enumerate(CLASSES, start=1):
            parts[f"segmenter-{number}"] = member(folder, "unet", "per-class", target=name)
    elif kind == "ensemble":
        parts = {
            "network-1": member(folder, "unet", task),
            "network-2": member(folder, "fpn", task, (32, 64), names=CLASSES[::-1]),
        }
    else:
        parts = {"network": member(folder, kind, task)}
    count = 1 if task == "binary" else 2
    file = SystemFile(kind, parts, gate, decision or Decision((0.4, 0.6)[:count], (0,) * count, (None,) * count))
    path = folder / f"{kind}-{task}.system.json"
    file.save(path)
    return path


def expected(path: Path, images: list[np.ndarray]) -> list[np.ndarray]:
    file = read_system(path)
    made = make_system(file, lambda weights: open_network(weights, "torch", "cpu", "f32", 1), file.decision.min_areas)
    pipeline = InspectionPipeline(made, file.decision)
    judged = (pipeline.judge([pipeline.prepare("a", image)])[0] for image in images)
    return [pipeline.finish(one, lambda result: result.masks) for one in judged]


def export(path: Path, **flags) -> ExportResult | SystemExportResult:
    """Export, and compare on a small image."""
    Image.fromarray(strips()[0]).save(path.parent / "compared.png")
    return export_model(ExportConfig(weights_dir=path, images=path.parent / "compared.png", **flags))


def strips() -> list[np.ndarray]:
    random = np.random.default_rng(3)
    sizes = [(64, 96), (40, 70), (64, 96), (33, 100)]
    return [(random.integers(0, 256, (*size, 3)) * random.random()).astype(np.uint8) for size in sizes]


@pytest.mark.parametrize(
    ("kind", "gate", "task", "format"),
    [
        ("two-stage", Gate(classes=(0.0, 0.5)), "multilabel", "onnx"),
        ("two-stage", Gate(classes=(0.0, 1.0)), "multiclass", "onnx"),
        ("ensemble", Gate(), "multilabel", "onnx"),
        pytest.param("ensemble", Gate(), "multiclass", "openvino", marks=pytest.mark.slow),
        pytest.param("two-stage", Gate(image=0.0), "binary", "openvino", marks=pytest.mark.slow),
        pytest.param("two-stage", Gate(image=1.0), "multilabel", "onnx", marks=pytest.mark.slow),
        pytest.param("six-model", Gate(image=0.1, classes=(0.0, 0.5)), "multilabel", "onnx", marks=pytest.mark.slow),
    ],
)
def test_program_of_the_folder_gives_the_masks_of_the_pipeline(tmp_path, kind, gate, task, format):
    path = system(tmp_path, kind, gate, task)
    result = export(path, format=format, out=tmp_path / "out")
    assert isinstance(result, SystemExportResult)
    assert result.folder == tmp_path / "out" / f"{kind}-{task}-{format}"
    inspect = runpy.run_path(str(result.folder / "run.py"))["inspect"]
    found = 0
    for image, masks in zip(strips(), expected(path, strips()), strict=True):
        mine = inspect(image)
        assert mine.shape == masks.shape
        assert (mine != masks).mean() < 0.01
        found += masks.sum()
    assert bool(found) is (gate.image != 1.0)
    assert sorted(result.members) == sorted(read_system(path).members)
    assert "any size" in result.text()


# Small and large defects, and those without a sure pixel, are dropped of one class or the other.
LIMITS = Decision((0.4, 0.6), (3, 0), (None, 60), (0.0, 0.7))


@pytest.mark.parametrize(
    ("kind", "gate", "task", "decision"),
    [
        ("two-stage", Gate(classes=(0.0, 0.3)), "multilabel", LIMITS),
        ("two-stage", Gate("soft", classes=(0.0, 0.3), c=4.0), "multiclass", LIMITS),
        pytest.param("two-stage", Gate("soft", image=0.0, c=4.0), "multilabel", LIMITS, marks=pytest.mark.slow),
        pytest.param(
            "six-model",
            Gate("soft", image=0.1, classes=(0.0, 0.3), c=3.0),
            "multilabel",
            LIMITS,
            marks=pytest.mark.slow,
        ),
        pytest.param("two-stage", Gate(image=0.0), "multilabel", Decision((0.0, 1.0), (0, 0)), marks=pytest.mark.slow),
    ],
)
def test_program_of_the_folder_drops_the_defects_that_the_pipeline_drops(tmp_path, kind, gate, task, decision):
    path = system(tmp_path, kind, gate, task, decision)
    inspect = runpy.run_path(str(export(path, out=tmp_path / "out").folder / "run.py"))["inspect"]
    without = dataclasses.replace(read_system(path), decision=Decision(decision.thresholds, (0, 0)))
    without.save(path.with_name("without.system.json"))
    masks, all_masks = (expected(one, strips()) for one in (path, path.with_name("without.system.json")))
    for image, wanted in zip(strips(), masks, strict=True):
        assert (inspect(image) != wanted).mean() < 0.002
    if decision is LIMITS:
        dropped = [int((before & ~after).sum()) for before, after in zip(all_masks, masks, strict=True)]
        assert sum(dropped) > 0.005 * sum(before.size for before in all_masks), "the limits have to drop something"


@pytest.mark.parametrize("kind", ["two-head", pytest.param("shared-backbone", marks=pytest.mark.slow)])
def test_a_system_of_one_network_is_one_file_with_the_thresholds_of_the_system(tmp_path, kind):
    path = system(tmp_path, kind, Gate(classes=(0.3, 0.7)))
    result = export(path, out=tmp_path / "out")
    assert isinstance(result, ExportResult)
    session = onnxruntime.InferenceSession(result.files[0])
    assert [output.name for output in session.get_outputs()] == ["masks", "labels"]
    about = session.get_modelmeta().custom_metadata_map
    assert json.loads(about["thresholds"]) == [0.4, 0.6]
    assert json.loads(about["label_thresholds"]) == [0.3, 0.7]


@pytest.mark.slow
def test_program_runs_by_itself_and_names_what_it_found(tmp_path):
    path = system(tmp_path, "two-stage", Gate(image=0.0))
    folder = export(path).folder
    Image.fromarray(strips()[0]).save(tmp_path / "strip.png")
    shown = subprocess.run(
        [sys.executable, folder / "run.py", tmp_path / "strip.png"], capture_output=True, text=True, check=True
    ).stdout
    counts = {name: int(mask.sum()) for name, mask in zip(CLASSES, expected(path, strips()[:1])[0], strict=True)}
    told = ast.literal_eval(re.search(r"\{.*\}", shown)[0])
    assert told == pytest.approx(counts, abs=60)


@pytest.mark.parametrize("shape", [(8, 9), (8, 9, 3)])
def test_program_takes_no_image_of_more_than_8_bits(tmp_path, monkeypatch, shape):
    cv2.imwrite(str(tmp_path / "wide.png"), np.full(shape, 900, np.uint16))
    (tmp_path / "run.py").write_text(runner("multilabel", "onnx"), encoding="utf-8")
    (tmp_path / "system.json").write_text('{"files": {}, "mode": "L"}', encoding="utf-8")
    monkeypatch.setattr(sys, "argv", ["run.py", str(tmp_path / "wide.png")])
    with pytest.raises(SystemExit, match=r"wide\.png: has more than 8 bits; bring it to 8"):
        runpy.run_path(str(tmp_path / "run.py"), run_name="__main__")


def test_program_of_the_documents_is_the_one_that_is_written():
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs/export.md").read_text("utf-8"), re.DOTALL)
    (shown,) = (block for block in blocks if "system.json" in block)
    assert shown == runner("multilabel", "onnx").partition("\n\nif __name__")[0]
    assert len([line for line in shown.splitlines() if line]) <= 36


def test_nothing_is_written_when_a_member_cannot_be_exported(tmp_path, monkeypatch):
    path = system(tmp_path, "two-stage", Gate(image=0.0))
    real = exporting.to_onnx

    def fail(model, *given):
        if model.spec.task == "multilabel":
            raise RuntimeError("no such operator")
        return real(model, *given)

    monkeypatch.setattr(exporting, "to_onnx", fail)
    with pytest.raises(
        InputError, match=r"^unet test_resnet: cannot be written as onnx \(no such operator\); take -format"
    ):
        export(path, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_networks_that_are_put_together_are_exported_beside_the_first(tmp_path):
    first, second = (member(tmp_path / name, "unet", "multilabel") for name in ("one", "two"))
    Image.fromarray(strips()[0]).save(tmp_path / "compared.png")
    together = Path(f"{first.source},{second.source}")
    result = export_model(ExportConfig(weights_dir=together, images=tmp_path / "compared.png"))
    assert result.folder == tmp_path / "one/ensemble-test_resnet+test_resnet-onnx"
    about = json.loads((result.folder / "system.json").read_text())
    assert [(one["network"], one["weight"]) for one in about["drawers"][0]["mean"]] == [
        ("network-1", 0.5),
        ("network-2", 0.5),
    ]

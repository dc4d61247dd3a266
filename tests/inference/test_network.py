"""The interface of networks: outputs told apart, gates, and clear refusals of what cannot run."""

import pytest
import torch

from utils.errors import InputError
from utils.inference.network import Outputs, keep_chosen
from utils.inference.opening import open_network
from utils.weights.finding import find
from utils.weights.weights_file import load

LABELS = torch.tensor([[3.0, -1.0], [-2.0, -2.0], [-1.0, 0.5]])
MASKS = torch.arange(24.0).view(3, 2, 2, 2)


@pytest.fixture(scope="module")
def weights(make_weights):
    return load(find(make_weights()))


def test_outputs_are_told_apart_by_their_axes():
    assert Outputs.of(MASKS) == Outputs(MASKS, None)
    assert Outputs.of(LABELS) == Outputs(None, LABELS)
    assert Outputs.of((MASKS, LABELS)) == Outputs(MASKS, LABELS)


def test_a_gate_keeps_the_masks_of_chosen_images():
    both = Outputs(MASKS, LABELS)
    chosen = keep_chosen(both, lambda labels: (labels > 0).any(dim=1))
    assert torch.equal(chosen.masks, MASKS[[0, 2]])
    assert torch.equal(chosen.labels, LABELS)
    assert keep_chosen(both, lambda labels: labels[:, 0] > 9).masks is None
    assert keep_chosen(both, None) is both
    assert torch.equal(keep_chosen(Outputs(MASKS, None), lambda labels: labels[:, 0] > 9).masks, MASKS)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("torch", "cpu", "f16", 0), "-precision f16: only for GPUs; use bf16 or f32 on a CPU"),
        (("torch", "cuda", "f32", 0), "-device cuda: PyTorch finds no GPU"),
        (("auto", "cuda", "f32", 0), "-device cuda: PyTorch finds no GPU"),
        (("torch", "cpu", "f32", -1), "-threads -1: expected 0 (all cores) or more"),
        (("tensorflow", "cpu", "f32", 0), "-backend tensorflow: choose from auto, openvino, onnxruntime, torch"),
        (("openvino", "cuda", "f32", 0), "-backend openvino: runs on CPUs only; use -backend torch for a GPU"),
        (("openvino", "cpu", "f16", 0), "-precision f16: only for GPUs; use bf16 or f32 on a CPU"),
        (("onnxruntime", "cpu", "bf16", 0), "-backend onnxruntime: has no bf16 on CPUs; use -precision f32"),
    ],
)
def test_what_a_machine_cannot_do_is_one_line(weights, monkeypatch, flags, message):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError) as error:
        open_network(weights, *flags)
    assert str(error.value).startswith(message)


@pytest.mark.parametrize("backend", ["openvino", "onnxruntime"])
def test_a_backend_that_is_not_installed_is_one_line_with_the_command(weights, monkeypatch, backend):
    monkeypatch.setitem(__import__("sys").modules, backend, None)  # as if it could not be imported
    with pytest.raises(InputError) as error:
        open_network(weights, backend, "cpu", "f32", 0)
    assert str(error.value).startswith(f"-backend {backend}: the package {backend} is not installed; run ")
    assert f"uv pip install {backend}" in str(error.value)
    assert str(error.value).endswith("or use -backend torch")

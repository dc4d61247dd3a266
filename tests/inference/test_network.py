"""The torch backend: same logits as the model itself, and clear refusals."""

import numpy as np
import pytest
import torch

from utils.errors import InputError
from utils.inference import network
from utils.inference.network import Outputs, open_network, pass_gate
from utils.published.weights_file import find, load


@pytest.fixture(scope="module")
def weights(make_weights):
    return load(find(make_weights()))


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (3, 40, 70, 3), dtype=np.uint8)


@pytest.mark.parametrize("backend", ["auto", "torch"])
def test_logits_are_those_of_the_model(weights, images, backend):
    run = open_network(weights, backend, "cpu", "f32", 0)
    with torch.inference_mode():
        expected = weights.build()(torch.from_numpy(images.transpose(0, 3, 1, 2).copy()))
    logits, labels = run(images)
    assert labels is None
    assert logits.dtype == torch.float32
    assert logits.shape == (3, 2, 40, 70)
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-3)
    assert run.name == "torch f32 on cpu"


def test_an_image_has_the_same_logits_in_any_batch(weights, images):
    run = open_network(weights, "torch", "cpu", "f32", 0)
    alone = torch.cat([run(images[k : k + 1]).masks for k in range(3)])
    torch.testing.assert_close(run(images).masks, alone, rtol=1e-4, atol=1e-3)


def test_bf16_comes_close_and_gives_float32(weights, images, monkeypatch, capsys):
    monkeypatch.setattr(network, "cpu_has_bf16", lambda: True)
    exact = open_network(weights, "torch", "cpu", "f32", 0)(images).masks
    rounded = open_network(weights, "torch", "cpu", "bf16", 0)(images).masks
    assert rounded.dtype == torch.float32
    assert 0 < (rounded - exact).abs().max() < 0.1 * exact.abs().max()
    assert capsys.readouterr().err == ""


def test_bf16_without_hardware_is_a_warning(weights, monkeypatch, capsys):
    monkeypatch.setattr(network, "cpu_has_bf16", lambda: False)
    open_network(weights, "torch", "cpu", "bf16", 0)
    assert capsys.readouterr().err == "warning: -precision bf16: this CPU only emulates it, f32 is faster here\n"


def test_threads_set_the_number_of_threads(weights):
    before = torch.get_num_threads()
    try:
        open_network(weights, "torch", "cpu", "f32", before + 1)
        assert torch.get_num_threads() == before + 1
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("torch", "cpu", "f16", 0), "-precision f16: only for GPUs; use bf16 or f32 on a CPU"),
        (("torch", "cuda", "f32", 0), "-device cuda: PyTorch finds no GPU"),
        (("torch", "cpu", "f32", -1), "-threads -1: expected 0 (all cores) or more"),
        (("tensorflow", "cpu", "f32", 0), "-backend tensorflow: choose from auto, torch"),
    ],
)
def test_what_a_machine_cannot_do_is_one_line(weights, monkeypatch, flags, message):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError) as error:
        open_network(weights, *flags)
    assert str(error.value).startswith(message)


@pytest.mark.parametrize(
    "raised", [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("DefaultCPUAllocator: can't allocate memory")]
)
def test_too_little_memory_is_one_line_with_the_way_out(weights, images, raised, monkeypatch):
    run = open_network(weights, "torch", "cpu", "f32", 0)

    def fail(batch):
        raise raised

    monkeypatch.setattr(run, "model", fail)
    with pytest.raises(InputError, match=r"3 images of 40x70.*-batch_size"):
        run(images)


LABELS = torch.tensor([[3.0, -1.0], [-2.0, -2.0], [-1.0, 0.5]])
MASKS = torch.arange(24.0).view(3, 2, 2, 2)


def test_outputs_are_told_apart_by_their_axes():
    assert Outputs.of(MASKS) == Outputs(MASKS, None)
    assert Outputs.of(LABELS) == Outputs(None, LABELS)
    assert Outputs.of((MASKS, LABELS)) == Outputs(MASKS, LABELS)


def test_a_gate_keeps_the_masks_of_chosen_images():
    both = Outputs(MASKS, LABELS)
    chosen = pass_gate(both, lambda labels: (labels > 0).any(dim=1))
    assert torch.equal(chosen.masks, MASKS[[0, 2]])
    assert torch.equal(chosen.labels, LABELS)
    assert pass_gate(both, lambda labels: labels[:, 0] > 9).masks is None
    assert pass_gate(both, None) is both
    assert torch.equal(pass_gate(Outputs(MASKS, None), lambda labels: labels[:, 0] > 9).masks, MASKS)

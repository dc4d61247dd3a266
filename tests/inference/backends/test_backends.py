"""Every backend gives the model's own logits, whatever the size, the batch and the thread."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from tests.conftest import NARROW
from utils import device
from utils.decision.decision import Decision
from utils.errors import InputError
from utils.inference.backends import BACKENDS, onnxruntime_backend, openvino_backend, openvino_steps, store
from utils.inference.export import graph
from utils.inference.network import Settings
from utils.inference.opening import open_network
from utils.models.factory import build
from utils.models.spec import ModelSpec
from utils.weights.weights_file import WeightsFile

SLOW_OPENVINO = [pytest.param("openvino", marks=pytest.mark.slow), "onnxruntime"]  # it converts for seconds


def by_model(weights: WeightsFile, images: np.ndarray) -> torch.Tensor:
    with torch.inference_mode():
        return weights.build()(torch.from_numpy(images.transpose(0, 3, 1, 2).copy()))


@pytest.mark.parametrize("backend", BACKENDS)
def test_logits_are_those_of_the_model_for_any_size_batch_and_thread(weights, images, backend):
    network = open_network(weights, backend, "cpu", "f32", 2)
    assert network.name == f"{backend} f32 on cpu"
    batches = [images, images[:1], np.ascontiguousarray(images[:, :33, :31]), images[1:]]
    with ThreadPoolExecutor(network.parallel) as threads:
        results = list(threads.map(network, batches))
    for batch, (masks, labels) in zip(batches, results, strict=True):
        assert labels is None
        assert masks.dtype == torch.float32
        torch.testing.assert_close(masks, by_model(weights, batch), rtol=1e-3, atol=2e-3)


@pytest.mark.parametrize("backend", ["torch", "openvino"])
def test_bf16_comes_close_and_gives_float32(weights, images, backend, monkeypatch, capsys):
    monkeypatch.setattr(device, "cpu_has_bf16", lambda: True)
    exact = by_model(weights, images)
    rounded = open_network(weights, backend, "cpu", "bf16", 0)(images).masks
    assert rounded.dtype == torch.float32
    assert (rounded - exact).abs().max() < 0.1 * exact.abs().max()
    assert capsys.readouterr().err == ""


def test_bf16_without_hardware_is_a_warning(weights, monkeypatch, capsys):
    monkeypatch.setattr(device, "cpu_has_bf16", lambda: False)
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
    "raised", [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("DefaultCPUAllocator: can't allocate memory")]
)
def test_too_little_memory_is_one_line_with_the_way_out(weights, images, raised, monkeypatch):
    run = open_network(weights, "torch", "cpu", "f32", 0)

    def fail(batch):
        raise raised

    monkeypatch.setattr(run, "model", fail)
    with pytest.raises(InputError, match=r"3 images of 40x70.*-batch_size"):
        run(images)


@pytest.mark.parametrize("backend", ["openvino", "onnxruntime"])
def test_the_converted_network_is_kept_and_read_again(weights, images, backend, monkeypatch):
    first = open_network(weights, backend, "cpu", "f32", 0)(images).masks
    monkeypatch.setattr(WeightsFile, "build", lambda self: pytest.fail("converted again"))
    assert torch.equal(open_network(weights, backend, "cpu", "f32", 0)(images).masks, first)


@pytest.mark.parametrize("backend", SLOW_OPENVINO)
def test_a_cache_folder_that_cannot_be_used_does_not_break_a_run(weights, images, backend, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    masks = open_network(weights, backend, "cpu", "f32", 0)(images).masks
    torch.testing.assert_close(masks, by_model(weights, images), rtol=1e-3, atol=2e-3)


def test_damaged_files_in_the_cache_are_made_anew(weights, images, cache):
    open_network(weights, "onnxruntime", "cpu", "f32", 0)
    (kept,) = cache.rglob("network.onnx")
    kept.write_text("nonsense")
    masks = open_network(weights, "onnxruntime", "cpu", "f32", 0)(images).masks
    torch.testing.assert_close(masks, by_model(weights, images), rtol=1e-3, atol=2e-3)
    assert kept.read_bytes() != b"nonsense"


@pytest.mark.slow  # it converts for seconds
def test_many_calls_at_once_do_not_wait_for_each_other_for_ever(weights):
    network = open_network(weights, "openvino", "cpu", "f32", 2)
    images = np.random.default_rng(1).integers(0, 256, (2, 40, 70, 3), dtype=np.uint8)
    expected = network(images).masks
    right = []

    def call() -> None:
        right.extend(torch.equal(network(images).masks, expected) for _ in range(80))

    threads = [threading.Thread(target=call, daemon=True) for _ in range(network.parallel)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert right == [True] * 80 * network.parallel


def test_more_sizes_than_openvino_compiles_for_share_one_graph(weights, monkeypatch):
    monkeypatch.setattr(openvino_backend, "SIZES", 1)
    network = open_network(weights, "openvino", "cpu", "f32", 0)
    random = np.random.default_rng(1)
    for height, width in ((32, 32), (40, 33), (5, 70), (32, 32)):
        images = random.integers(0, 256, (2, height, width, 3), dtype=np.uint8)
        torch.testing.assert_close(network(images).masks, by_model(weights, images), rtol=1e-3, atol=2e-3)
    assert len(network._requests) == 2


@pytest.mark.slow  # it converts for seconds
@pytest.mark.parametrize("backend", SLOW_OPENVINO)
def test_an_architecture_that_fixes_the_size_gets_a_graph_for_each(weights, backend, cache, monkeypatch):
    module = {"openvino": openvino_backend, "onnxruntime": onnxruntime_backend}[backend]
    monkeypatch.setattr(module, "takes_any_size", lambda *given: False)
    network = open_network(weights, backend, "cpu", "f32", 0)
    random = np.random.default_rng(1)
    images = random.integers(0, 256, (1, 40, 96, 3), dtype=np.uint8)
    torch.testing.assert_close(network(images).masks, by_model(weights, images), rtol=1e-3, atol=2e-3)
    assert list(cache.glob("*/*40x96"))


@pytest.mark.slow  # it converts a graph for each size
@pytest.mark.parametrize("backend", ["openvino", "onnxruntime"])
def test_of_many_fixed_sizes_the_last_ones_stay_ready(weights, backend, cache, monkeypatch):
    module = {"openvino": openvino_backend, "onnxruntime": onnxruntime_backend}[backend]
    monkeypatch.setattr(module, "takes_any_size", lambda *given: False)
    monkeypatch.setattr(module, "SIZES", 2)
    monkeypatch.setattr(store, "PARTS", 3)
    network = open_network(weights, backend, "cpu", "f32", 0)
    for height in (32, 64, 32, 96):
        images = np.full((1, height, 32, 3), 99, np.uint8)
        torch.testing.assert_close(network(images).masks, by_model(weights, images), rtol=1e-3, atol=2e-3)
    ready = network._requests if backend == "openvino" else network._sessions
    assert list(ready) == [(32, 32), (96, 32)]
    assert list(cache.glob("*/*96x32"))
    assert len([path for path in cache.glob("*/*") if path.is_dir()]) <= 3


def test_what_cannot_be_converted_is_one_line(cache, capfd, monkeypatch):
    # PSPNet pools to grids that ONNX does not have.
    monkeypatch.setattr(graph, "replace_pooling", lambda model: model)
    spec = ModelSpec("pspnet", "resnet18", "multilabel", ("pits", "cracks"))
    model = build(spec)
    weights = WeightsFile(spec, model.net.state_dict(), model.mean, model.std, None, Decision.uniform(2, 0.5))
    network = open_network(weights, "onnxruntime", "cpu", "f32", 0)
    with pytest.raises(
        InputError, match=r"^-backend onnxruntime: cannot convert pspnet resnet18 \(.*\); use -backend torch$"
    ):
        network(np.zeros((1, 64, 96, 3), dtype=np.uint8))
    assert capfd.readouterr() == ("", "")


def test_compile_asks_torch_to_translate_the_network(weights, monkeypatch):
    asked = []
    monkeypatch.setattr(torch.nn.Module, "compile", lambda self, dynamic: asked.append((self, dynamic)))
    network = BACKENDS["torch"](weights, Settings("cpu", "f32", compile=True))
    assert asked == [(network.model, False)]
    assert network.name == "torch compiled f32 on cpu"


@pytest.fixture(scope="module", params=[1, pytest.param(2, marks=pytest.mark.slow)])
def judging(request) -> WeightsFile:
    """A network with a shared backbone, which sees images as they are or at half their size."""
    torch.manual_seed(2)
    spec = ModelSpec(
        "shared-backbone",
        "test_resnet",
        "multilabel",
        ("pits", "cracks"),
        decoder_channels=NARROW,
        downsample=request.param,
    )
    model = build(spec)
    return WeightsFile(spec, model.net.state_dict(), model.mean, model.std, None, Decision.uniform(2, 0.5))


@pytest.mark.parametrize("backend", [*SLOW_OPENVINO, "torch"])
@pytest.mark.parametrize("shape", [(40, 70), (64, 96)])
def test_a_gate_gives_the_masks_of_the_images_it_chooses(judging, backend, shape):
    images = np.random.default_rng(0).integers(0, 256, (4, *shape, 3), dtype=np.uint8)
    with torch.inference_mode():
        masks, labels = judging.build()(torch.from_numpy(images.transpose(0, 3, 1, 2).copy()))
    bar = labels[:, 0].sort().values[1:3].mean()  # in the middle of the two in the middle
    chosen = labels[:, 0] > bar
    assert chosen.sum() == 2
    network = open_network(judging, backend, "cpu", "f32", 2)
    found = network(images, lambda logits: logits[:, 0] > bar)
    torch.testing.assert_close(found.labels, labels, rtol=1e-3, atol=2e-3)
    torch.testing.assert_close(found.masks, masks[chosen], rtol=1e-3, atol=2e-3)
    assert network(images, lambda logits: logits[:, 0] > 1e6).masks is None
    torch.testing.assert_close(network(images).masks, masks, rtol=1e-3, atol=2e-3)


@pytest.mark.slow  # it converts for seconds
def test_openvino_decodes_only_what_the_gate_chooses(judging, monkeypatch):
    drawn = []
    draw = openvino_steps._Pair.draw
    monkeypatch.setattr(openvino_steps._Pair, "draw", lambda pair: drawn.append(1) or draw(pair))
    network = open_network(judging, "openvino", "cpu", "f32", 2)
    images = np.random.default_rng(0).integers(0, 256, (4, 40, 70, 3), dtype=np.uint8)
    assert network(images, lambda logits: torch.tensor([False])).masks is None
    drawn.clear()  # what was converted just now was compared with the whole network, too
    turns = iter([True, False, False, True])
    found = network(images, lambda logits: torch.tensor([next(turns)]))
    assert len(drawn) == 2
    with torch.inference_mode():
        masks, _ = judging.build()(torch.from_numpy(images.transpose(0, 3, 1, 2).copy()))
    torch.testing.assert_close(found.masks, masks[[0, 3]], rtol=1e-3, atol=2e-3)


@pytest.mark.slow  # it converts for seconds
def test_the_halves_hand_their_maps_over_in_bf16(judging, monkeypatch):
    monkeypatch.setattr(device, "cpu_has_bf16", lambda: True)
    pairs = []
    make = openvino_steps._Pair.__init__
    monkeypatch.setattr(
        openvino_steps._Pair, "__init__", lambda pair, *halves: pairs.append(pair) or make(pair, *halves)
    )
    images = np.random.default_rng(0).integers(0, 256, (2, 40, 70, 3), dtype=np.uint8)
    found = open_network(judging, "openvino", "cpu", "bf16", 2)(images, lambda logits: torch.tensor([True]))
    assert {tensor.element_type.get_type_name() for tensor in pairs[-1]._maps} == {"bf16"}
    with torch.inference_mode():
        exact, labels = judging.build()(torch.from_numpy(images.transpose(0, 3, 1, 2).copy()))
    assert found.masks.dtype == found.labels.dtype == torch.float32
    assert (found.masks - exact).abs().max() < 0.1 * exact.abs().max()
    assert (found.labels - labels).abs().max() < 0.1 * labels.abs().max()


@pytest.mark.slow  # it converts both halves
def test_the_halves_are_kept_and_read_again(judging, cache, monkeypatch):
    images = np.random.default_rng(0).integers(0, 256, (2, 40, 70, 3), dtype=np.uint8)
    first = open_network(judging, "openvino", "cpu", "f32", 0)(images, lambda logits: torch.tensor([True])).masks
    monkeypatch.setattr(WeightsFile, "build", lambda self: pytest.fail("converted again"))
    again = open_network(judging, "openvino", "cpu", "f32", 0)(images, lambda logits: torch.tensor([True])).masks
    assert torch.equal(first, again)


@pytest.mark.slow  # it converts both halves
def test_halves_that_do_not_fit_leave_the_whole_network(judging, cache, monkeypatch):
    monkeypatch.setattr(openvino_steps, "takes_any_size", lambda *given: False)
    network = open_network(judging, "openvino", "cpu", "f32", 0)
    images = np.random.default_rng(0).integers(0, 256, (2, 40, 70, 3), dtype=np.uint8)
    whole = network(images).masks
    found = network(images, lambda logits: torch.arange(len(logits)) == 1).masks
    assert torch.equal(found, whole[1:])

"""auto takes the fastest whose masks agree with torch, says why, and remembers it."""

import importlib.metadata
import threading

import numpy as np
import pytest
import torch

from utils.device import versions
from utils.errors import InputError
from utils.inference import backends
from utils.inference.backends import choice
from utils.inference.backends.choice import agreement, list_candidates
from utils.inference.backends.store import Store
from utils.inference.network import Outputs, Settings
from utils.inference.opening import open_network


class Clock:
    """Stands still unless a fake network runs, so that no busy machine makes the quicker one the slower."""

    now = 0.0

    def perf_counter(self) -> float:
        return self.now


CLOCK = Clock()


class Fake:
    """Takes some time an image, and is wrong in some pixels."""

    parallel = 1
    made: tuple[str, ...] = ()

    def __init__(self, name: str, seconds: float, wrong: int = 0) -> None:
        self.name, self.seconds, self.wrong = name, seconds, wrong

    def __call__(self, images: np.ndarray, choose=None) -> Outputs:
        CLOCK.now += self.seconds * len(images)
        logits = torch.full((len(images), 2, *images.shape[1:3]), -1.0)
        logits[:, :, :20, :50] = 1.0
        logits[:, 1, 30, : self.wrong] = 1.0
        return Outputs(logits, None)


@pytest.fixture
def fakes(monkeypatch, cache):
    """Put fake networks behind the names of the backends."""
    made = []

    def put(**kinds: dict[str, Fake]) -> list[str]:
        def maker(backend):
            def make(weights, settings):
                made.append(f"{backend} {settings.precision}")
                found = kinds[backend][settings.precision]
                if isinstance(found, Exception):
                    raise found
                return found

            return make

        for backend in backends.BACKENDS:
            monkeypatch.setitem(backends.BACKENDS, backend, maker(backend))
        monkeypatch.setattr(choice, "time", CLOCK)
        monkeypatch.setattr(choice, "cpu_has_bf16", lambda: True)
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        return made

    return put


TORCH = {"f32": Fake("torch f32", 0.02), "bf16": Fake("torch bf16", 0.2)}


def test_the_fastest_that_agrees_is_taken_and_remembered(weights, images, fakes, capsys):
    made = fakes(
        openvino={"bf16": Fake("openvino bf16", 0.0, wrong=40), "f32": Fake("openvino f32", 0.004)},
        onnxruntime={"f32": Fake("onnxruntime f32", 0.1)},
        torch=TORCH,
    )
    network = open_network(weights, "auto", "cpu", "auto", 0)
    masks = network(images).masks
    assert network.name == "openvino f32"
    assert torch.equal(masks, TORCH["f32"](images).masks)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("backend: openvino f32: ")
    assert "openvino bf16 differs (Dice 0.98" in line
    made.clear()
    assert open_network(weights, "auto", "cpu", "auto", 0).name == "openvino f32"
    assert made == ["openvino f32"]
    assert capsys.readouterr().err.startswith("backend: openvino f32 (measured earlier): ")


class Held(Fake):
    """Does not run before it may."""

    def __init__(self, name: str, seconds: float) -> None:
        super().__init__(name, seconds)
        self.go = threading.Event()

    def __call__(self, images: np.ndarray, choose=None) -> Outputs:
        assert self.go.wait(20)
        return super().__call__(images, choose)


def test_torch_answers_until_a_faster_one_is_proven(weights, images, fakes, capsys):
    held = Held("openvino f32", 0.001)
    fakes(
        openvino={"bf16": InputError("no"), "f32": held},
        onnxruntime={"f32": InputError("no")},
        torch=TORCH,
    )
    network = open_network(weights, "auto", "cpu", "auto", 0, meanwhile=True)
    assert network(images).masks is not None  # nobody has waited for the other
    assert network.name == "torch f32 until a faster backend is proven"
    assert any(thread.is_alive() for thread in choice._measuring)
    held.go.set()
    for thread in choice._measuring:
        thread.join(20)
    assert network.name == "openvino f32"
    assert network(images).masks is not None
    assert network._plain is None  # its memory goes back
    assert open_network(weights, "auto", "cpu", "auto", 0).name == "openvino f32"  # it is remembered
    assert "backend: openvino f32" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "told"), [(InputError("too small a machine"), "too small a machine"), (MemoryError(), "MemoryError")]
)
def test_torch_stays_where_nothing_agrees_or_runs(weights, images, fakes, capsys, error, told):
    fakes(
        openvino={"bf16": Fake("openvino bf16", 0.0, wrong=70), "f32": error},
        onnxruntime={"f32": Fake("onnxruntime f32", 0.2)},
        torch=TORCH,
    )
    network = open_network(weights, "auto", "cpu", "auto", 0)
    network(images)
    assert network.name == "torch f32"
    assert f"openvino f32 does not run ({told})" in capsys.readouterr().err


def test_a_few_images_are_not_worth_measuring(weights, fakes, capsys):
    made = fakes(torch=TORCH)
    assert open_network(weights, "auto", "cpu", "auto", 0, images=3).name == "torch f32"
    assert made == ["torch f32"]
    assert capsys.readouterr().err == ""  # nothing was chosen: the summary names what ran


def test_a_precision_or_a_backend_may_be_fixed(weights, images, fakes):
    fakes(openvino={"bf16": Fake("openvino bf16", 0.0), "f32": Fake("openvino f32", 0.01)}, torch=TORCH)
    network = open_network(weights, "openvino", "cpu", "auto", 0)
    network(images)
    assert network.name == "openvino bf16"
    assert open_network(weights, "torch", "cpu", "f32", 0).name == "torch f32"


def test_a_named_backend_is_what_runs_even_where_torch_is_faster_or_agrees_better(weights, images, fakes, capsys):
    fakes(
        openvino={"bf16": Fake("openvino bf16", 0.01, wrong=70), "f32": Fake("openvino f32", 0.5)},
        onnxruntime={"f32": Fake("onnxruntime f32", 0.1)},
        torch=TORCH,
    )
    network = open_network(weights, "openvino", "cpu", "auto", 0)
    network(images)
    assert network.name == "openvino f32"
    assert "openvino bf16 differs" in capsys.readouterr().err
    wrong = {"bf16": Fake("openvino bf16", 0.01, wrong=70), "f32": Fake("openvino f32", 0.5, wrong=60)}
    fakes(openvino=wrong, torch=TORCH)
    network = choice.ChoosingNetwork(
        weights, Settings("cpu"), [("openvino", "bf16"), ("openvino", "f32")], Store(weights), "x"
    )
    network(images)
    assert network.name == "openvino f32"
    assert (
        "none that may be taken gives the masks of torch f32, of the closest this is the fastest"
        in capsys.readouterr().err
    )


@pytest.mark.parametrize(("wrong", "taken"), [(61, "openvino bf16"), (70, "torch bf16")])
def test_of_two_that_are_about_as_close_the_faster_one_is_taken(weights, images, fakes, wrong, taken):
    fakes(
        openvino={"bf16": Fake("openvino bf16", 0.01, wrong=wrong)},
        torch={**TORCH, "bf16": Fake("torch bf16", 0.5, wrong=60)},
    )
    pairs = [("torch", "bf16"), ("openvino", "bf16")]
    network = choice.ChoosingNetwork(weights, Settings("cpu", "bf16"), pairs, Store(weights), "x")
    network(images)
    assert network.name == taken


def test_a_named_backend_that_does_not_run_is_an_error(weights, images, fakes):
    refusal = InputError("too small a machine")
    fakes(openvino={"bf16": refusal, "f32": refusal}, torch=TORCH)
    with pytest.raises(InputError, match="too small a machine"):
        open_network(weights, "openvino", "cpu", "auto", 0)(images)


@pytest.mark.parametrize("number", [3, 100, None])
def test_a_precision_that_no_cpu_has_is_refused_for_any_number_of_images(weights, fakes, number):
    fakes(torch=TORCH)
    with pytest.raises(InputError, match="-precision f16: only for GPUs"):
        open_network(weights, "auto", "cpu", "f16", 0, images=number)


def test_candidates_are_those_that_the_machine_has(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(choice, "cpu_has_bf16", lambda: False)
    every = list(backends.BACKENDS)
    assert list_candidates(Settings(precision="auto"), every) == [
        ("openvino", "f32"),
        ("onnxruntime", "f32"),
        ("torch", "f32"),
    ]
    monkeypatch.setattr(choice, "cpu_has_bf16", lambda: True)
    monkeypatch.setattr(choice.importlib.util, "find_spec", lambda name: None)
    assert list_candidates(Settings(precision="auto"), every) == [("torch", "bf16"), ("torch", "f32")]
    assert list_candidates(Settings(precision="bf16"), every) == [("torch", "bf16")]


@pytest.mark.parametrize(("backend", "precisions"), [("openvino", ["bf16", "f32"]), ("onnxruntime", ["f32"])])
def test_a_named_backend_for_cpus_runs_there_on_a_machine_with_a_gpu(monkeypatch, backend, precisions):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: True)
    monkeypatch.setattr(choice, "cpu_has_bf16", lambda: True)
    settings = Settings(precision="auto")
    assert list_candidates(settings, [backend]) == [(backend, precision) for precision in precisions]
    assert list_candidates(settings, list(backends.BACKENDS)) == [("torch", "bf16"), ("torch", "f32")]
    assert list_candidates(Settings("cuda", "auto"), [backend]) == []


def test_a_library_under_another_package_name_is_taken_all_the_same(weights, images, fakes, monkeypatch):
    """As onnxruntime-gpu."""

    def missing(package):
        raise importlib.metadata.PackageNotFoundError(package)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    fakes(
        openvino={"bf16": Fake("openvino bf16", 0.0), "f32": Fake("openvino f32", 0.004)},
        onnxruntime={"f32": Fake("onnxruntime f32", 0.1)},
        torch=TORCH,
    )
    network = open_network(weights, "auto", "cpu", "auto", 0)
    network(images)
    assert network.name == "openvino bf16"
    assert versions()["torch"] == torch.__version__


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        (0, 1.0),
        (8, 1.0),  # a class that is hardly there has no steady Dice: 8 of 1,000,000 pixels are specks
        (5000, 1 - 5000 / (2 * 10_000 + 5000)),
    ],
)
def test_agreement_is_the_least_dice_of_a_class(weights, changed, expected):
    first = torch.full((1, 2, 1000, 1000), -5.0)
    first[:, 1, :100, :100] = 5.0
    second = first.clone()
    second.view(2, -1)[1, -changed or 10**6 :] = 5.0
    assert agreement(Outputs(first, None), Outputs(second, None), weights) == pytest.approx(expected)


@pytest.mark.parametrize(("other", "expected"), [(0.505, 1.0), (0.6, 0.0), (float("nan"), 0.0)])
def test_probabilities_of_whole_images_have_to_agree_too(weights, other, expected):
    first, second = (torch.logit(torch.tensor([[value]])) for value in (0.5, other))
    assert agreement(Outputs(None, first), Outputs(None, second), weights) == expected


@pytest.mark.slow
def test_real_backends_agree(weights, images, capsys):
    """With nothing replaced: whatever is taken gives torch's masks."""
    network = open_network(weights, "auto", "cpu", "f32", 0)
    masks = network(images).masks
    with torch.inference_mode():
        wanted = weights.build()(torch.from_numpy(images.transpose(0, 3, 1, 2).copy()))
    torch.testing.assert_close(masks, wanted, rtol=1e-3, atol=2e-3)
    assert capsys.readouterr().err.startswith("backend: ")

"""Every architecture with every task that it has: it runs, learns, takes any size, and comes back from its weights file."""

import inspect
from collections.abc import Sequence
from itertools import product

import pytest
import torch

from utils.decision.decision import Decision
from utils.errors import InputError
from utils.models.architectures import ARCHITECTURES
from utils.models.factory import build
from utils.models.segmenter import Segmenter
from utils.models.spec import DECODER_BLOCKS, LABEL_TASKS, MASK_TASKS, ModelSpec
from utils.weights.weights_file import WeightsFile, load

NAMES = ("pit", "crack")
ENCODER = "test_resnet"  # timm's smallest, made for tests
OUTPUTS = {
    "multilabel": 2,
    "binary": 1,
    "multiclass": 3,
    "per-class": 1,
    "classify-binary": 0,
    "classify-multilabel": 0,
}
LABELS = {"multilabel": 2, "binary": 1, "multiclass": 2, "per-class": 1, "classify-binary": 1, "classify-multilabel": 2}
CASES = [
    (name, task)
    for name, kind in ARCHITECTURES.items()
    if not hasattr(kind, "only_task")  # patchcore has a test of its own
    for task in (MASK_TASKS if getattr(kind, "has_masks", True) else LABEL_TASKS)
]


def make(architecture: str, task: str, channels: int = 3, **changes) -> Segmenter:
    torch.manual_seed(1)
    target = NAMES[1] if task == "per-class" else None
    return build(ModelSpec(architecture, ENCODER, task, NAMES, channels, target, **changes))


def images(height: int, width: int, channels: int = 3, count: int = 2) -> torch.Tensor:
    generator = torch.Generator().manual_seed(height)
    return torch.randint(0, 256, (count, channels, height, width), dtype=torch.uint8, generator=generator)


def every_part(answer: torch.Tensor | tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    return answer if isinstance(answer, tuple) else (answer,)


# The network is that of multilabel with another number of masks; unet shows it for every task.
OTHER_NUMBER = ("binary", "per-class", "multiclass")
PARAMS = [
    pytest.param(case, marks=[pytest.mark.slow] if case[1] in OTHER_NUMBER and case[0] != "unet" else [])
    for case in CASES
]


def narrow(architecture: str) -> dict[str, tuple[int, ...]]:
    """Name widths of a decoder that take little time, where the architecture lets them be chosen."""
    blocks = DECODER_BLOCKS.get(architecture)
    return {} if blocks is None else {"decoder_channels": (16,) if blocks == 1 else (64, 32, 16, 16, 8)}


@pytest.fixture(scope="class", params=PARAMS, ids="-".join)
def network(request) -> Segmenter:
    return make(*request.param, **narrow(request.param[0]))


class TestEveryArchitectureAndTask:
    def shapes(self, network: Segmenter, height: int, width: int) -> list[tuple[int, ...]]:
        spec = network.spec
        has_labels = getattr(ARCHITECTURES[spec.architecture], "has_labels", False)
        masks = [(2, OUTPUTS[spec.task], height, width)] if OUTPUTS[spec.task] else []
        return masks + ([(2, LABELS[spec.task])] if has_labels else [])

    def test_says_what_it_gives(self, network):
        spec = network.spec
        assert spec.outputs == OUTPUTS[spec.task]
        assert spec.labels == len(spec.label_names)
        names = {"per-class": ("crack",), "binary": ("defect",), "classify-binary": ("defect",)}.get(spec.task, NAMES)
        assert spec.scored_names == (names if spec.outputs else ())
        assert spec.label_names in ((), names)

    @pytest.mark.parametrize(("height", "width"), [(32, 64), (33, 45)])
    def test_forward_at_any_size(self, network, height, width):
        with torch.no_grad():
            answer = every_part(network.eval()(images(height, width)))
        assert [part.shape for part in answer] == self.shapes(network, height, width)
        assert all(part.dtype == torch.float32 and part.isfinite().all() for part in answer)

    def test_backward_reaches_every_weight(self, network):
        answer = every_part(network.train()(images(64, 64)))
        sum((part**2).sum() for part in answer).backward()
        untouched = [name for name, weight in network.named_parameters() if weight.grad is None]
        # UPerNet and others make layers for the finest features that they then leave unused.
        assert len(untouched) < 0.2 * len(list(network.parameters())), untouched
        assert all(weight.grad.isfinite().all() for weight in network.parameters() if weight.grad is not None)
        assert any(weight.grad.any() for weight in network.net.encoder.parameters() if weight.grad is not None)

    def test_comes_back_from_its_weights_file(self, network, tmp_path):
        spec, count = network.spec, len(network.spec.scored_names)
        thresholds = tuple(0.3 + 0.1 * k for k in range(spec.labels))
        state, decision = network.net.state_dict(), Decision.uniform(count, 0.5)
        file = WeightsFile(spec, state, network.mean, network.std, None, decision, label_thresholds=thresholds)
        file.save(tmp_path / "weights.pth")
        assert torch.load(tmp_path / "weights.pth", weights_only=True)["spec"]["task"] == spec.task
        loaded = load(tmp_path / "weights.pth")
        assert (loaded.spec, loaded.label_thresholds) == (spec, pytest.approx(thresholds))
        with torch.no_grad():
            pairs = zip(*(every_part(model(images(40, 50))) for model in (network.eval(), loaded.build())), strict=True)
            assert all(torch.equal(one, other) for one, other in pairs)


@pytest.mark.parametrize("architecture", sorted({name for name, _ in CASES}))
def test_one_channel(architecture):
    task = "multilabel" if getattr(ARCHITECTURES[architecture], "has_masks", True) else "classify-multilabel"
    network = make(architecture, task, channels=1).eval()
    with torch.no_grad():
        answer = every_part(network(images(32, 32, channels=1)))
    assert [part.shape[:2] for part in answer] == [(2, 2)] * len(answer)
    assert len(network.mean) == len(network.std) == 1


@pytest.mark.parametrize("architecture", [name for name, kind in ARCHITECTURES.items() if hasattr(kind, "has_labels")])
def test_dense_layers_stand_before_the_labels(architecture):
    task = "multilabel" if getattr(ARCHITECTURES[architecture], "has_masks", True) else "classify-multilabel"
    network = make(architecture, task, dense=(24, 12), dropout=0.25)
    head = network.net.classification_head
    sizes = [(layer.in_features, layer.out_features) for layer in head if isinstance(layer, torch.nn.Linear)]
    assert sizes == [(network.net.encoder.out_channels[-1], 24), (24, 12), (12, 2)]
    assert [layer.p for layer in head if isinstance(layer, torch.nn.Dropout)] == [0.25] * 3
    assert sum(isinstance(layer, torch.nn.BatchNorm1d) for layer in head) == 2


def test_the_numbers_of_decoder_channels_are_those_of_smp():
    takes = {
        name: inspect.signature(kind.__init__).parameters.get("decoder_channels")
        for name, kind in ARCHITECTURES.items()
    }
    defaults = {name: parameter.default for name, parameter in takes.items() if parameter is not None}
    numbers = {name: len(value) if isinstance(value, Sequence) else 1 for name, value in defaults.items()}
    assert numbers == DECODER_BLOCKS


@pytest.mark.parametrize("architecture", DECODER_BLOCKS)
def test_narrow_decoders_are_smaller(architecture):
    """That they come back from their weights file is looked at above."""
    networks = make(architecture, "multilabel"), make(architecture, "multilabel", **narrow(architecture))
    usual, small = (sum(weight.numel() for weight in network.net.decoder.parameters()) for network in networks)
    assert small < 0.6 * usual
    assert networks[1].spec.decoder_channels == narrow(architecture)["decoder_channels"]


@pytest.mark.parametrize("factor", [2, 4])
def test_a_downsampled_network_sees_the_means_of_squares(factor):
    small, large = (make("unet", "multilabel", **narrow("unet"), downsample=one).eval() for one in (1, factor))
    large.net.load_state_dict(small.net.state_dict())
    batch = images(64, 96)
    with torch.no_grad():
        expected = torch.nn.functional.interpolate(small(batch), scale_factor=factor, mode="bilinear")
        found = large(batch.repeat_interleave(factor, 2).repeat_interleave(factor, 3))
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
    assert large.multiple == factor * small.multiple


@pytest.mark.parametrize("factor", [1, 2])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_logits_are_of_32_bits_whatever_the_network_computes_in(factor, dtype):
    network = make("unet", "multilabel", **narrow("unet"), downsample=factor).eval()
    images = torch.randint(0, 256, (1, 3, 70, 90), dtype=torch.uint8)
    with torch.inference_mode(), torch.autocast("cpu", dtype):
        logits = network(images)
    assert logits.dtype == torch.float32
    if factor > 1:  # four of them lie between two that the network gives
        assert logits[0, 0].unique().numel() > logits[0, 0, ::factor, ::factor].unique().numel()


def test_a_downsampled_network_takes_any_size_and_comes_back_from_its_weights_file(tmp_path):
    network = make("unet", "multilabel", **narrow("unet"), downsample=2).eval()
    file = WeightsFile(
        network.spec, network.net.state_dict(), network.mean, network.std, None, Decision.uniform(2, 0.5)
    )
    file.save(tmp_path / "weights.pth")
    with torch.no_grad():
        found = load(tmp_path / "weights.pth").build()(images(33, 45))
        assert torch.equal(found, network(images(33, 45)))
    assert found.shape == (2, 2, 33, 45)


@pytest.mark.parametrize(
    "keep", [None, torch.tensor([False, True, False, True]), torch.tensor([2]), torch.tensor([False] * 4)]
)
def test_a_shared_backbone_decodes_only_what_is_kept(keep):
    network, batch = make("shared-backbone", "multilabel").eval(), images(33, 45, count=4)
    decoded = []
    network.net.decoder.register_forward_hook(lambda _, given, __: decoded.append(len(given[0][-1])))
    with torch.no_grad():
        masks, labels = network(batch)
        features, first = network.encode(batch)
        kept = network.decode(features, keep)
    torch.testing.assert_close(first, labels)
    expected = masks if keep is None else masks[keep]
    assert kept.shape == expected.shape
    torch.testing.assert_close(kept, expected, atol=1e-4, rtol=1e-4)
    assert decoded == [4, len(expected)]


@pytest.mark.parametrize(("architecture", "decodes"), [("shared-backbone", 2), ("two-head", 4)])
def test_a_gate_draws_the_chosen_images(architecture, decodes):
    network, batch = make(architecture, "multilabel").eval(), images(32, 32, count=4)
    decoded = []
    network.net.decoder.register_forward_hook(lambda _, given, __: decoded.append(len(given[0][-1])))
    with torch.no_grad():
        masks, labels = network(batch)
        chosen, same = network.chosen(batch, lambda logits: torch.tensor([True, False, False, True]))
        none, _ = network.chosen(batch, lambda logits: logits[:, 0] > torch.inf)
    torch.testing.assert_close(chosen, masks[[0, 3]], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(same, labels)
    assert none is None
    assert decoded[:2] == [4, decodes]


@pytest.mark.parametrize(
    ("architecture", "changes", "message"),
    [
        (
            "unet",
            {"task": "classify-binary"},
            "-architecture unet is not for -task classify-binary; take -architecture cl",
        ),
        (
            "classifier",
            {"task": "binary"},
            "-architecture classifier is not for -task binary; take -task classify-binary",
        ),
        ("unet", {"task": "per-class"}, "-task per-class: needs -target; choose from pit, crack"),
        ("unet", {"task": "per-class", "target": "dent"}, "-target dent: no such class; choose from pit, crack"),
        ("unet", {"task": "binary", "target": "pit"}, "-target pit: only for -task per-class"),
        ("unet", {"task": "binary", "dense": (8,)}, "-dense: -architecture unet has no labels of whole images"),
        ("classifier", {"task": "classify-binary", "dropout": 1.0}, "-dropout 1.0"),
        (
            "fpn",
            {"task": "binary", "decoder_channels": (8,)},
            "-decoder_channels: not for -architecture fpn, only for unet, unetplusplus",
        ),
        (
            "unet",
            {"task": "binary", "decoder_channels": (64, 32)},
            "-decoder_channels 64,32: -architecture unet takes 5 numbers of 1 or more, coarsest first",
        ),
        (
            "unet",
            {"task": "binary", "decoder_channels": (64, 32, 16, 0, 8)},
            "-decoder_channels 64,32,16,0,8: -architecture unet takes 5 numbers of 1 or more",
        ),
        (
            "pan",
            {"task": "binary", "decoder_channels": (64, 32, 16, 8, 8)},
            "-decoder_channels 64,32,16,8,8: -architecture pan takes one number of 1 or more",
        ),
        ("unet", {"task": "binary", "downsample": 3}, "-downsample 3: choose from 1, 2, 4"),
        (
            "patchcore",
            {"task": "anomaly", "memory": 1, "components": 1, "downsample": 2},
            "-downsample 2: not for -task anomaly; leave it out",
        ),
    ],
)
def test_what_does_not_fit_together(architecture, changes, message):
    with pytest.raises(InputError, match=message):
        ModelSpec(architecture, ENCODER, class_names=NAMES, **changes)


def test_specs_written_before_the_newer_fields_still_load():
    old = {"architecture": "unet", "encoder": "resnet18", "task": "binary", "class_names": ["a"], "channels": 3}
    spec = ModelSpec.from_dict(old)
    assert (spec.target, spec.dense, spec.labels, spec.decoder_channels, spec.downsample) == (None, (), 0, (), 1)
    assert spec.to_dict() == old


def test_fcn32s_enlarges_bilinearly_at_first():
    from utils.models.architectures.fcn32s import bilinear

    upscale = torch.nn.ConvTranspose2d(2, 2, 64, 32, 16, bias=False)
    small = torch.rand(1, 2, 5, 7)
    with torch.no_grad():
        upscale.weight.copy_(bilinear(2, 32))
        large = upscale(small)
    expected = torch.nn.functional.interpolate(small, scale_factor=32, mode="bilinear", align_corners=False)
    assert large.shape == expected.shape
    inside = (..., slice(16, -16), slice(16, -16))  # at the border one extends the image, the other fades to zero
    torch.testing.assert_close(large[inside], expected[inside], atol=1e-5, rtol=1e-5)


def test_architectures_and_tasks_are_all_covered():
    assert len(CASES) == len(set(CASES)) >= 10 * len(MASK_TASKS) + len(LABEL_TASKS)
    assert {task for _, task in CASES} == {*MASK_TASKS, *LABEL_TASKS}
    assert set(CASES) <= set(product(ARCHITECTURES, OUTPUTS))


def test_dropout_of_each_layer():
    network = make("classifier", "classify-multilabel", dense=(24, 12), dropout=(0.5, 0.25, 0.0))
    shares = [layer.p for layer in network.net.classification_head if isinstance(layer, torch.nn.Dropout)]
    assert shares == [0.5, 0.25, 0.0]
    assert ModelSpec.from_dict(network.spec.to_dict()) == network.spec


@pytest.mark.parametrize(
    ("architecture", "task", "changes", "message"),
    [
        ("classifier", "classify-binary", {"dense": (8,), "dropout": (0.5,)}, "-dropout 0.5: expected one value, or 2"),
        ("classifier", "classify-binary", {"dropout": (0.5, 1.0)}, "-dropout 1.0: expected 0 or more and less than 1"),
        ("unet", "multilabel", {"dropout": (0.5, 0.5)}, "-dropout 0.5,0.5: -architecture unet has no labels"),
    ],
)
def test_dropout_for_other_layers_is_refused(architecture, task, changes, message):
    with pytest.raises(InputError, match=message):
        make(architecture, task, **changes)

"""The gated systems on networks whose answers are known: who is asked about which image, and what becomes of it."""

import numpy as np
import pytest
import torch

from utils.decision.decision import Decision
from utils.decision.gate import Gate
from utils.inference.network import Outputs, keep_chosen
from utils.inference.systems.gated import NEVER, Joint, SixModel, TwoStage
from utils.inference.systems.making import SYSTEMS, make_system
from utils.inference.tiles import Tiled
from utils.inference.tta import Augmented
from utils.models.spec import ModelSpec
from utils.weights.system_file import SystemFile
from utils.weights.weights_file import WeightsFile

CLASSES = ("pits", "cracks", "scratches")
SMALL = (2, 2)


class Network:
    """Reads its answers out of the image: pixel (0, k) of the red channel is the logit of label k, in halves from -64.

    Masks have the logit 100 * channel + the image's blue pixel (0, 0), which numbers it.
    """

    name, parallel = "fake", 4

    def __init__(self, masks: int = 0, labels: slice | None = None, parallel: int = 4) -> None:
        self.masks, self.labels, self.parallel = masks, labels, parallel
        self.saw: list[list[int]] = []

    def __call__(self, images, choose=None):
        assert images.flags["C_CONTIGUOUS"]
        self.saw.append(images[:, 0, 0, 2].tolist())
        numbers = torch.from_numpy(images[:, 0, 0, 2].astype(np.float32))
        masks = labels = None
        if self.masks:
            masks = (100 * torch.arange(self.masks).view(1, -1, 1, 1) + numbers.view(-1, 1, 1, 1)).expand(-1, -1, 4, 6)
        if self.labels is not None:
            labels = (torch.from_numpy(images[:, 0, self.labels, 0].astype(np.float32)) - 128) / 2
        return keep_chosen(Outputs(masks, labels), choose)


def images(logits: list[list[float]]) -> np.ndarray:
    """Make images of which networks read these logits."""
    made = np.zeros((len(logits), 4, 6, 3), dtype=np.uint8)
    for number, row in enumerate(logits):
        made[number, 0, : len(row), 0] = [128 + round(2 * value) for value in row]
        made[number, 0, 0, 2] = number
    return made


def member(architecture: str, task: str, size=None, target=None) -> WeightsFile:
    spec = ModelSpec(architecture, "resnet18", task, CLASSES, 3, target)
    count = len(spec.scored_names)
    return WeightsFile(spec, {}, (0.5,) * 3, (0.5,) * 3, size, Decision.uniform(count, 0.5))


def system_file(kind: str, task: str, gate: Gate) -> SystemFile:
    if kind == "two-stage":
        judge = "classify-binary" if gate.classes is None else "classify-multilabel"
        parts = {"classifier": member("classifier", judge, SMALL), "segmenter": member("unet", task)}
    elif kind == "six-model":
        parts = {"binary": member("classifier", "classify-binary", SMALL)}
        parts["multilabel"] = member("classifier", "classify-multilabel")
        for k, name in enumerate(CLASSES, start=1):
            parts[f"segmenter-{k}"] = member("unet", "per-class", target=name)
    else:
        parts = {"network": member("two-head", task)}
    count = 1 if task == "binary" else len(CLASSES)
    return SystemFile(kind, parts, gate, Decision.uniform(count, 0.5))


def batch_of(pixels: np.ndarray) -> dict:
    # The small images of the same numbers; they have room for two logits only, which is all the tests need of them.
    return {None: pixels, SMALL: np.ascontiguousarray(pixels[:, :2, :6])}


AREAS = (10, 20, 30)
LOGITS = [[4.0, -4.0, -4.0], [-4.0, -4.0, -4.0], [4.0, 4.0, 4.0], [-4.0, -4.0, 0.5]]


def two_stage(gate: Gate, task="multilabel"):
    outputs = {"multilabel": 3, "binary": 1, "multiclass": 4}[task]
    labels = slice(0, 1 if gate.classes is None else 3)
    networks = {"classifier": Network(labels=labels), "segmenter": Network(masks=outputs, parallel=2)}
    file = system_file("two-stage", task, gate)
    return TwoStage(file, networks, AREAS[: 1 if task == "binary" else 3]), networks


def joint(gate: Gate, task="multilabel"):
    networks = {"network": Network(masks={"multilabel": 3, "multiclass": 4}[task], labels=slice(0, 3))}
    return Joint(system_file("two-head", task, gate), networks, AREAS), networks


@pytest.mark.parametrize("make", [two_stage, joint])
def test_only_what_passes_is_drawn(make):
    system, networks = make(Gate("hard", None, (0.5, 0.5, 0.7)))
    answers = system.answer(batch_of(images(LOGITS)))
    expected = 1 / (1 + np.exp(-np.float32(LOGITS)))
    for number, answer in enumerate(answers):
        np.testing.assert_allclose(answer.labels, expected[number], rtol=1e-5)
    assert answers[1].masks is None
    assert answers[3].masks is None, "the class's own threshold counts: sigmoid(0.5) is below 0.7"
    # Image 2 passes with every class: nothing is changed.
    assert answers[2].min_areas is None
    assert answers[2].masks[:, 0, 0].tolist() == [2, 102, 202]
    # Image 0 passes with class 1: the others are off, whatever their thresholds and areas.
    assert answers[0].masks[:, 0, 0].tolist() == [0, -1e4, -1e4]
    assert answers[0].min_areas == (10, NEVER, NEVER)
    if make is two_stage:
        assert networks["classifier"].saw == [[0, 1, 2, 3]]
        assert networks["segmenter"].saw == [[0, 2]]
        assert system.parallel == 2
        assert system.sizes == (SMALL, None)


@pytest.mark.parametrize("make", [two_stage, joint])
def test_with_open_gates_everything_is_drawn_and_nothing_changed(make):
    system, _ = make(Gate("soft", None, (0.9, 0.9, 0.9), 3.0))
    answers = system.answer(batch_of(images(LOGITS)), gates=False)
    assert [answer.masks[:, 0, 0].tolist() for answer in answers] == [[k, 100 + k, 200 + k] for k in range(4)]
    assert [answer.min_areas for answer in answers] == [None] * 4
    assert all(answer.labels is not None for answer in answers)


def test_when_nothing_passes_the_segmenter_is_not_asked():
    system, networks = two_stage(Gate("hard", None, (1.0, 1.0, 1.0)))
    assert all(answer.masks is None for answer in system.answer(batch_of(images(LOGITS))))
    assert networks["segmenter"].saw == []


def test_one_probability_stands_for_all_classes():
    system, networks = two_stage(Gate("hard", 0.5), task="multilabel")
    answers = system.answer(batch_of(images(LOGITS)))
    assert [answer.masks is None for answer in answers] == [False, True, False, True]
    assert all(answer.min_areas is None for answer in answers)
    assert networks["segmenter"].saw == [[0, 2]]
    binary, _ = two_stage(Gate("hard", 0.5), task="binary")
    assert [a.masks is None for a in binary.answer(batch_of(images(LOGITS)))] == [False, True, False, True]


@pytest.mark.parametrize("make", [two_stage, joint])
def test_a_class_that_is_off_leaves_softmax_its_background(make):
    system, _ = make(Gate("hard", None, (0.5, 0.5, 0.5)), task="multiclass")
    answers = system.answer(batch_of(images(LOGITS)))
    assert answers[0].masks[:, 0, 0].tolist() == [0, 100, -1e4, -1e4]


@pytest.mark.parametrize("make", [two_stage, joint])
def test_a_soft_gate_asks_for_larger_defects_of_unlikely_classes(make):
    gate = Gate("soft", None, (0.0, 0.0, 0.9), 3.0)
    system, _ = make(gate)
    answers = system.answer(batch_of(images(LOGITS)))
    for answer in answers:
        soft = gate.areas(AREAS, answer.labels)
        assert answer.min_areas[:2] == soft[:2]
        assert answer.min_areas[2] == (soft[2] if answer.labels[2] >= 0.9 else NEVER)
    assert answers[1].min_areas[0] > answers[0].min_areas[0] > 10


def six_model(gate: Gate):
    networks = {
        "binary": Network(labels=slice(0, 1)),
        "multilabel": Network(labels=slice(1, 4)),
        **{f"segmenter-{k}": Network(masks=1) for k in (1, 2, 3)},
    }
    return SixModel(system_file("six-model", "per-class", gate), networks, AREAS), networks


SIX = [[4.0, 4.0, -4.0, -4.0], [-4.0, 4.0, 4.0, 4.0], [4.0, 4.0, -4.0, 4.0], [4.0, -4.0, -4.0, -4.0]]


def test_six_networks_each_see_what_the_one_before_lets_through():
    system, networks = six_model(Gate("hard", 0.5, (0.5, 0.5, 0.5)))
    answers = system.answer(batch_of(images(SIX)))
    assert networks["binary"].saw == [[0, 1, 2, 3]]
    assert networks["multilabel"].saw == [[0, 2, 3]]
    assert [networks[f"segmenter-{k}"].saw for k in (1, 2, 3)] == [[[0, 2]], [], [[2]]]
    assert [answer.masks is None for answer in answers] == [False, True, False, True]
    assert answers[2].masks[:, 0, 0].tolist() == [2, -1e4, 2]
    assert answers[2].min_areas == (10, NEVER, 30)
    assert (answers[1].labels[1:] == 0).all(), "nobody was asked about its classes"
    np.testing.assert_allclose(answers[0].labels, 1 / (1 + np.exp(-np.float32(SIX[0]))), rtol=1e-5)


def test_six_networks_with_open_gates_all_see_everything():
    system, networks = six_model(Gate("hard", 0.5, (0.5, 0.5, 0.5)))
    answers = system.answer(batch_of(images(SIX)), gates=False)
    assert all(network.saw == [[0, 1, 2, 3]] for network in networks.values())
    assert [answer.masks[:, 0, 0].tolist() for answer in answers] == [[k, k, k] for k in range(4)]
    np.testing.assert_allclose([answer.labels for answer in answers], 1 / (1 + np.exp(-np.float32(SIX))), rtol=1e-5)


@pytest.mark.parametrize(("tta", "words"), [("none", None), ("flips", "4 flips"), ("d4", "8 flips and quarter turns")])
@pytest.mark.parametrize("kind", [kind for kind in SYSTEMS if kind != "ensemble"])
def test_every_member_is_opened_and_turned_if_asked(kind, tta, words):
    gate = Gate("hard", 0.5, (0.5,) * 3) if kind == "six-model" else Gate("hard", None, (0.5,) * 3)
    file = system_file(kind, "multilabel", gate)
    opened = []

    def open_one(weights):
        opened.append(weights)
        return Network(masks=3, labels=slice(0, 3))

    system = make_system(file, open_one, AREAS, tta)
    assert opened == list(file.members.values())
    assert all(isinstance(network, Augmented) == (words is not None) for network in system.networks.values())
    assert system.task == "multilabel"
    assert words is None or words in system.name


@pytest.mark.parametrize("kind", ["two-stage", "six-model"])
def test_tiles_are_for_the_segmenters_and_a_classifier_keeps_the_whole_image(kind):
    gate = Gate("hard", 0.5, (0.5,) * 3) if kind == "six-model" else Gate("hard", None, (0.5,) * 3)
    file = system_file(kind, "multilabel", gate)

    def open_one(weights):
        spec = weights.spec
        return Network(labels=slice(0, spec.labels)) if spec.is_classifier else Network(masks=spec.outputs)

    whole, tiled = (make_system(file, open_one, AREAS, tile=tile) for tile in (None, (4, 6)))
    assert {role for role, network in tiled.networks.items() if isinstance(network, Tiled)} == {
        role for role in file.members if role.startswith("segmenter")
    }
    batch = batch_of(images(LOGITS))
    for one, other in zip(tiled.answer(batch), whole.answer(batch), strict=True):
        torch.testing.assert_close(one.masks, other.masks)
        np.testing.assert_array_equal(one.labels, other.labels)

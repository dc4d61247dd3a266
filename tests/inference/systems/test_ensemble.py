"""The mean of the logits of networks whose answers are known."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from utils.decision.decision import Decision
from utils.decision.gate import Gate
from utils.decision.masks import resize_logits
from utils.inference.network import Outputs
from utils.inference.systems.ensemble import Ensemble
from utils.inference.systems.making import make_system
from utils.inference.tiled_views import TiledViews
from utils.models.spec import ModelSpec
from utils.weights.system_file import SystemFile
from utils.weights.weights_file import WeightsFile

NAMES = ("pits", "cracks", "scratches")
SHAPE = (12, 18)


class Network:
    """Answers with logits of its own, the image's first pixel added; with labels too where it has some."""

    def __init__(self, logits: np.ndarray, parallel: int = 4, labels: bool = False, name: str = "fake") -> None:
        self.logits, self.parallel, self.labels, self.name = logits, parallel, labels, name
        self.saw: list[tuple[int, ...]] = []

    def __call__(self, images, choose=None):
        assert choose is None
        assert images.flags["C_CONTIGUOUS"]
        self.saw.append(images.shape)
        first = torch.from_numpy(images[:, 0, 0, 0].astype(np.float32)).view(-1, 1, 1, 1)
        return Outputs(
            torch.from_numpy(self.logits)[None] + first, torch.zeros(len(images), 2) if self.labels else None
        )


def member(task: str, size=None, names=NAMES) -> WeightsFile:
    spec = ModelSpec("unet", "resnet18", task, names)
    return WeightsFile(spec, {}, (0.5,) * 3, (0.5,) * 3, size, Decision.uniform(len(spec.scored_names), 0.5))


def system_of(*members: WeightsFile, weights=()) -> SystemFile:
    named = {f"network-{k}": one for k, one in enumerate(members, start=1)}
    return SystemFile("ensemble", named, Gate(), members[0].decision, member_weights=weights)


def noise(seed: int, channels: int = 3, shape=SHAPE) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(channels, *shape)).astype(np.float32)


def batch(*sizes, count: int = 2) -> dict:
    return {size: np.zeros((count, *(size or SHAPE), 3), np.uint8) for size in (None, *sizes)}


def masks(system: Ensemble, pixels: dict) -> np.ndarray:
    answers = system.answer(pixels)
    assert all(answer.labels is None and answer.min_areas is None for answer in answers)
    return np.stack([answer.masks.numpy() for answer in answers])


@pytest.mark.parametrize("count", [1, 2])
def test_the_mean_of_one_networks_logits_is_that_network_bit_for_bit(count):
    logits = noise(1)
    networks = {f"network-{k}": Network(logits) for k in range(1, count + 1)}
    system = Ensemble(system_of(*[member("multilabel")] * count), networks, (0, 0, 0))
    found = masks(system, batch())
    assert found.shape == (2, 3, *SHAPE)
    assert (found == logits).all()
    assert system.sizes == (None,)


def test_networks_run_once_a_batch_and_are_averaged_by_their_weights():
    logits = [noise(k) for k in range(3)]
    for weights in ((), (1.0, 0.0, 3.0)):
        networks = {f"network-{k}": Network(one, parallel=k) for k, one in enumerate(logits, start=1)}
        system = Ensemble(system_of(*[member("multilabel")] * 3, weights=weights), networks, (0, 0, 0))
        shares = weights or (1.0, 1.0, 1.0)
        wanted = sum(w * one for w, one in zip(shares, logits, strict=True)) / sum(shares)
        np.testing.assert_allclose(masks(system, batch())[1], wanted, rtol=1e-5, atol=1e-6)
        assert [len(network.saw) for network in networks.values()] == [int(w > 0) for w in shares]
        assert system.parallel == 1
        assert system.name == "ensemble of 3, fake"


def test_classes_in_another_order_are_mapped_by_name():
    first, second = noise(1, 4), noise(2, 4)
    names = ("scratches", "pits", "cracks")
    members = member("multiclass"), member("multiclass", names=names)
    system = Ensemble(system_of(*members), {"network-1": Network(first), "network-2": Network(second)}, (0, 0, 0))
    np.testing.assert_array_equal(masks(system, batch())[0], (first + second[[0, 2, 3, 1]]) / 2)
    assert system.task == "multiclass"


def test_logits_of_other_sizes_are_brought_to_the_images_own_before_the_mean():
    small, whole = (6, 6), noise(2)
    coarse = noise(1, shape=small)
    members = member("multilabel", small), member("multilabel")
    networks = {"network-1": Network(coarse), "network-2": Network(whole)}
    system = Ensemble(system_of(*members), networks, (0, 0, 0))
    assert system.sizes == (small, None)
    wanted = (resize_logits(torch.from_numpy(coarse)[None], *SHAPE)[0].numpy() + whole) / 2
    np.testing.assert_array_equal(masks(system, batch(small))[1], wanted)
    assert (networks["network-1"].saw, networks["network-2"].saw) == ([(2, 6, 6, 3)], [(2, *SHAPE, 3)])


def test_where_no_network_sees_the_own_size_it_is_asked_for_all_the_same():
    sizes = (6, 6), (4, 9)
    members = [member("multilabel", size) for size in sizes]
    networks = {f"network-{k}": Network(noise(k, shape=size)) for k, size in enumerate(sizes, start=1)}
    system = Ensemble(system_of(*members), networks, (0, 0, 0))
    assert system.sizes == (*sizes, None)
    assert masks(system, batch(*sizes)).shape == (2, 3, *SHAPE)
    one_size = Ensemble(system_of(*members[:1] * 2), {"network-1": networks["network-1"]}, (0, 0, 0))
    assert one_size.sizes == sizes[:1]


def test_labels_of_members_are_left_aside_and_a_logit_that_is_none_stays_one():
    broken = noise(1)
    broken[0, 3, 4] = math.nan
    networks = {"network-1": Network(noise(2), labels=True), "network-2": Network(broken)}
    system = Ensemble(system_of(*[member("multilabel")] * 2), networks, (0, 0, 0))
    assert np.isnan(masks(system, batch())).sum() == 2


def test_every_member_is_cut_into_tiles_and_turned_if_asked():
    members = [member("multilabel"), dataclasses.replace(member("multilabel"), input_size=(6, 6))]
    system = make_system(system_of(*members), lambda file: Network(noise(1)), (0, 0, 0), "flips", (6, 6))
    assert isinstance(system, Ensemble)
    assert all(isinstance(network, TiledViews) for network in system.networks.values())
    assert system.name == "ensemble of 2, fake, tiles of 6x6, 4 flips"

"""The network of task anomaly: distances to a memory, at any size, and back from its weights file."""

import dataclasses

import pytest
import torch

from utils.decision.decision import Decision
from utils.errors import InputError
from utils.models.class_channels import head_names
from utils.models.factory import build, check_shapes
from utils.models.segmenter import Segmenter
from utils.models.spec import ModelSpec
from utils.weights.weights_file import WeightsFile, load

SPEC = ModelSpec("patchcore", "test_resnet", "anomaly", ("anomaly",), memory=5, components=3)


@pytest.fixture(scope="module")
def network() -> Segmenter:
    torch.manual_seed(3)
    return build(SPEC).eval()


def test_it_is_of_one_class_that_no_label_names():
    assert (SPEC.scored_names, SPEC.label_names, SPEC.outputs) == (("anomaly",), (), 1)
    assert head_names(SPEC) == {}
    plain = SPEC.to_dict()
    assert (plain["memory"], plain["components"]) == (5, 3)
    assert ModelSpec.from_dict(plain) == SPEC
    assert "memory" not in ModelSpec("unet", "resnet18", "binary", ("pit",)).to_dict()


@pytest.mark.parametrize(("height", "width"), [(32, 64), (33, 45), (8, 8)])
@torch.inference_mode()
def test_logits_have_the_size_of_the_image(network, height, width):
    images = torch.randint(0, 256, (2, 3, height, width), dtype=torch.uint8)
    logits = network(images)
    assert logits.shape == (2, 1, height, width)
    assert logits.dtype == torch.float32
    assert logits.isfinite().all()


@torch.inference_mode()
def test_distances_are_those_to_the_nearest_of_the_memory(network):
    features = torch.randn(2, network.net.whiten.in_channels, 4, 6)
    weights, bias = torch.randn(3, features.shape[1]) * 0.1, torch.randn(3)
    vectors = torch.randn(7, 3)
    network.net.remember(weights, bias, vectors)
    rows = features.permute(0, 2, 3, 1).reshape(-1, features.shape[1]) @ weights.T + bias
    expected = torch.cdist(rows, vectors).min(1).values.reshape(2, 1, 4, 6)
    assert torch.allclose(network.net.nearest(features).sqrt(), expected, atol=1e-3)


@torch.inference_mode()
def test_one_hot_cell_counts_less_than_a_hot_square_and_the_edge_gives_no_alarm(network):
    def hottest(*cells):
        squares = torch.ones(1, 1, 8, 8)
        for y, x in cells:
            squares[0, 0, y, x] = 100.0
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(network.net, "nearest", lambda features: squares)
            return float(network.net.distances(torch.empty(0)).max())

    square = [(y, x) for y in (3, 4, 5) for x in (3, 4, 5)]
    assert hottest(*square) == pytest.approx(10)
    assert hottest((4, 4)) == pytest.approx((108 / 9) ** 0.5)
    assert hottest(*((0, x) for x in range(8))) == pytest.approx(1)


@torch.inference_mode()
def test_brighter_features_are_the_same_features(network):
    pixels = torch.randn(1, 3, 64, 64)
    maps = network.net.encoder(pixels)
    with pytest.MonkeyPatch.context() as patch:
        one = network.net.features(pixels)
        patch.setattr(network.net.encoder, "forward", lambda pixels: [5 * part for part in maps])
        assert torch.allclose(network.net.features(pixels), one, atol=1e-3)


@torch.inference_mode()
def test_comes_back_from_its_weights_file_with_its_threshold(tmp_path):
    torch.manual_seed(4)
    network = build(SPEC).eval()
    network.net.centre.fill_(1.5), network.net.spread.fill_(0.25)
    file = WeightsFile(SPEC, network.net.state_dict(), network.mean, network.std, None, Decision.uniform(1, 0.5))
    file.save(tmp_path / "weights.pth")
    images = torch.randint(0, 256, (1, 3, 40, 50), dtype=torch.uint8)
    assert torch.equal(load(tmp_path / "weights.pth").build()(images), network(images))
    shapes = {name: tuple(tensor.shape) for name, tensor in file.state_dict.items()}
    assert check_shapes(SPEC, shapes) == ""
    assert "memory 6" in check_shapes(dataclasses.replace(SPEC, memory=6), shapes)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"architecture": "unet"}, "take -architecture patchcore"),
        ({"task": "binary"}, "take -task anomaly"),
        ({"memory": 0}, "memory 0"),
        ({"components": 0}, "0 components"),
    ],
)
def test_parts_that_do_not_fit_are_refused(changes, words):
    with pytest.raises(InputError, match=words):
        dataclasses.replace(SPEC, **changes)

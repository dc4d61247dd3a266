"""The first part of a network: which layer, what it costs, and that nothing behind it runs."""

import numpy as np
import pytest
import torch

from tests.conftest import NARROW
from utils.models.factory import build
from utils.models.segmenter import Segmenter
from utils.models.spec import ModelSpec
from utils.models.trunk import MOST_CHANNELS, SEEN, SIDE, Trunk, layer_of, square_of


def network(encoder, architecture="unet", channels=3, **more) -> Segmenter:
    torch.manual_seed(0)
    spec = ModelSpec(architecture, encoder, "multilabel", ("a", "b"), channels, **more)
    return build(spec).eval()


@pytest.fixture(scope="module")
def small() -> Segmenter:
    return network("tf_efficientnet_lite0", decoder_channels=NARROW)


def test_layer_is_of_the_encoder_and_deeper_than_the_first(small):
    layer = layer_of(small)
    assert layer is not None
    assert layer.startswith("encoder.")
    assert "blocks" in layer


def test_wide_first_layer_is_taken_though_it_costs_more():
    assert layer_of(network("resnet18", decoder_channels=NARROW)) in ("encoder.conv1", "encoder.bn1", "encoder.relu")


def test_features_are_means_of_the_layer_and_nothing_behind_it_runs(small):
    layer = layer_of(small)
    image = np.random.default_rng(1).integers(0, 255, (200, 240, 3), np.uint8)
    seen, ran = [], []
    hooks = [
        small.net.get_submodule(layer).register_forward_hook(lambda module, given, answer: seen.append(answer)),
        small.net.decoder.register_forward_hook(lambda module, given, answer: ran.append(1)),
    ]
    with torch.inference_mode():
        small(torch.from_numpy(square_of(image)))
    assert ran
    ran.clear()
    found = Trunk(small, layer).features(image)
    for hook in hooks:
        hook.remove()
    assert found.shape == (seen[0].shape[1],)
    assert len(found) <= MOST_CHANNELS
    assert np.allclose(found, seen[0].mean((2, 3))[0].numpy(), atol=1e-6)
    assert not ran
    assert not small.net.get_submodule(layer)._forward_hooks


@pytest.mark.parametrize("size", [(1, 1), (2, 300), (96, 96), (256, 1600)])
@pytest.mark.parametrize("channels", [1, 3])
def test_square_of_any_size_is_the_middle(size, channels):
    image = np.zeros((*size, channels), np.uint8)
    image[size[0] // 2, size[1] // 2] = 255
    square = square_of(image)
    assert square.shape == (1, channels, SIDE, SIDE)
    assert square.any()
    assert square.flags["C_CONTIGUOUS"]


def test_square_shows_half_scale():
    image = np.zeros((400, 400, 1), np.uint8)
    image[:, 200 : 200 + SEEN // 2] = 200
    assert (square_of(image)[0, 0] == 200).mean() == pytest.approx(0.5)


def test_unknown_layer_is_refused(small):
    with pytest.raises(ValueError, match="layer"):
        Trunk(small, "encoder.nowhere")

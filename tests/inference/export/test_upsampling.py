"""A decoder that upsamples and convolves in one step: the same logits, and only where it can."""

import pytest
import torch
from torch import nn

from utils.inference.export.upsampling import MergedBlock, merge_upsampling
from utils.models.factory import build
from utils.models.segmenter import Segmenter
from utils.models.spec import ModelSpec


def trained(architecture: str, encoder: str = "test_resnet") -> Segmenter:
    """Return a network whose normalisation layers do something."""
    torch.manual_seed(3)
    model = build(ModelSpec(architecture, encoder, "multilabel", ("pits", "cracks"), 3)).eval()
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            nn.init.normal_(layer.bias, std=0.3)
            nn.init.normal_(layer.running_mean, std=0.3)
            nn.init.uniform_(layer.running_var, 0.5, 2)
    return model


def merged_blocks(model: nn.Module) -> list[MergedBlock]:
    return [block for block in model.modules() if isinstance(block, MergedBlock)]


@pytest.mark.parametrize("encoder", ["resnet18", "efficientnet-b0", pytest.param("vgg11", marks=pytest.mark.slow)])
def test_the_logits_are_the_same(encoder: str) -> None:
    model = trained("unet", encoder)
    merged = merge_upsampling(model)
    assert len(merged_blocks(merged)) == 5
    for size in ((64, 160), (33, 57), (32, 32)):
        images = torch.randint(0, 256, (2, 3, *size), dtype=torch.uint8)
        with torch.inference_mode():
            expected, found = model(images), merged(images)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))


def test_the_network_itself_stays_as_it_is() -> None:
    model = trained("unet")
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    merge_upsampling(model)
    assert not merged_blocks(model)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert not any(module._forward_pre_hooks for module in model.modules())


@pytest.mark.parametrize("architecture", ["linknet", "fpn", "unetplusplus"])
def test_other_decoders_are_left_alone(architecture: str) -> None:
    model = trained(architecture)
    assert merge_upsampling(model) is model


def test_blocks_that_attend_or_blend_are_left_alone() -> None:
    model = trained("unet")
    blocks = model.net.decoder.blocks
    blocks[0].interpolation_mode = "bilinear"
    blocks[1].attention1.attention = nn.Dropout2d()
    merged = merge_upsampling(model).net.decoder.blocks
    assert [isinstance(block, MergedBlock) for block in merged] == [False, False, True, True, True]

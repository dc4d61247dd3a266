"""Depthwise convolutions are computed in float32 where the rest is in bf16."""

import pytest
import torch

from utils.models.factory import build
from utils.models.spec import ModelSpec
from utils.training.depthwise import depthwise_in_full


def network(encoder: str) -> torch.nn.Module:
    torch.manual_seed(7)
    return build(ModelSpec("unet", encoder, "multilabel", ("pits",))).net.eval()


@pytest.mark.parametrize(
    ("encoder", "count"),
    [("efficientnet-b0", 16), pytest.param("tf_efficientnet_lite0", 16, marks=pytest.mark.slow), ("resnet18", 0)],
)
def test_only_they_are_changed(encoder, count):
    changed, same = network(encoder), network(encoder)
    assert depthwise_in_full(changed) == count
    assert changed.state_dict().keys() == same.state_dict().keys()
    images = torch.rand(1, 3, 64, 64)
    assert torch.equal(changed(images), same(images))  # without autocast there is nothing to change


def test_dtypes_and_gradients_under_autocast():
    changed, same = network("efficientnet-b0"), network("efficientnet-b0")
    depthwise_in_full(changed)
    seen: list[tuple[torch.dtype, torch.dtype]] = []
    layer = next(m for m in changed.modules() if isinstance(m, torch.nn.Conv2d) and m.groups > 1)
    layer.register_forward_hook(lambda _module, given, out: seen.append((given[0].dtype, out.dtype)))
    images = torch.rand(2, 3, 64, 64)
    with torch.autocast("cpu", torch.bfloat16):
        one, other = changed(images), same(images)
    assert one.dtype == torch.bfloat16
    assert seen[0][0] == seen[0][1]
    assert (one - other).abs().mean() < 0.05 * other.abs().mean()
    one.float().square().mean().backward()
    assert layer.weight.grad is not None
    assert layer.weight.grad.dtype == torch.float32
    assert layer.weight.grad.abs().sum() > 0

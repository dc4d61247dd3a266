"""Pooling to a grid by matrices equals torch's own, for every size, and is what ONNX needs."""

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

from utils.commands import export_model as exporting
from utils.errors import InputError
from utils.inference.export.graph import takes_any_size, to_onnx
from utils.inference.export.pooling import GridPool, replace_pooling
from utils.models.factory import build
from utils.models.segmenter import Segmenter
from utils.models.spec import ModelSpec


def make(architecture: str, encoder: str = "test_resnet") -> Segmenter:
    torch.manual_seed(1)
    return build(ModelSpec(architecture, encoder, "multilabel", ("pits", "cracks"), 3)).eval()


@pytest.mark.parametrize("cells", [2, 3, 6, 7])
@pytest.mark.parametrize("size", [(1, 1), (2, 5), (6, 6), (7, 13), (32, 17)])
def test_means_are_those_of_torch(cells, size):
    images = torch.randn(2, 3, *size)
    torch.testing.assert_close(GridPool(cells, cells + 1)(images), nn.AdaptiveAvgPool2d((cells, cells + 1))(images))


@pytest.mark.parametrize("architecture", ["pspnet", "upernet"])
def test_replaced_network_gives_the_same_logits(architecture):
    model = make(architecture)
    replaced = replace_pooling(model)
    kinds = {type(module) for module in replaced.modules()}
    assert GridPool in kinds
    images = torch.randint(0, 256, (2, 3, 64, 128), dtype=torch.uint8)
    with torch.inference_mode():
        torch.testing.assert_close(replaced(images), model(images), rtol=1e-4, atol=1e-5)
    assert all(not isinstance(module, GridPool) for module in model.modules())


@pytest.mark.parametrize("architecture", ["unet", "deeplabv3plus", "classifier"])
def test_network_without_such_pooling_stays_as_it_is(architecture):
    task = "classify-binary" if architecture == "classifier" else "multilabel"
    model = build(ModelSpec(architecture, "test_resnet", task, ("pits", "cracks"), 3)).eval()
    assert replace_pooling(model) is model


@pytest.mark.parametrize("architecture", ["pspnet", "upernet"])
def test_onnx_file_takes_images_of_any_size(architecture):
    model = make(architecture)
    session = onnxruntime.InferenceSession(to_onnx(model))
    assert takes_any_size(model, lambda images: session.run(None, {"images": images}))


def test_what_cannot_be_converted_is_one_short_line_with_a_remedy(monkeypatch):
    def fail(*given):
        raise RuntimeError("Unsupported: ONNX export of operator x. Please feel free to ... \n [Caused by " + "y" * 500)

    monkeypatch.setattr(exporting, "to_onnx", fail)
    example = exporting.ParityImage("a", np.zeros((32, 64, 3), np.uint8))
    with pytest.raises(InputError) as refused:
        exporting._convert_onnx(onnxruntime, make("unet"), None, example)
    expected = (
        "unet test_resnet: cannot be written as onnx (Unsupported: ONNX export of operator x); take -format openvino"
    )
    assert str(refused.value) == expected

"""Tries of a step before the training: batches of one image, and parameters that no step changes."""

import copy

import cv2
import numpy as np
import pytest
import torch

from config import TrainConfig
from utils.errors import InputError
from utils.models.factory import build
from utils.models.segmenter import parts
from utils.models.spec import ModelSpec
from utils.training.trial import check_batch, freeze_unreached


def network(architecture="unet", encoder="resnet18"):
    torch.manual_seed(0)
    return build(ModelSpec(architecture, encoder, "multilabel", ("scratch",)))


@pytest.fixture
def images(tmp_path):
    """Nine files, the fourth of 30x20 pixels."""
    paths = [tmp_path / f"{number}.png" for number in range(9)]
    for number, path in enumerate(paths):
        cv2.imwrite(str(path), np.zeros((30, 20) if number == 3 else (40, 72), np.uint8))
    return paths


@pytest.mark.parametrize(
    ("batch_size", "processes", "message"),
    [
        (1, 1, "-batch_size 1: unet cannot train on batches of a single image of 30x20; take -batch_size 2 or more"),
        (8, 2, "-batch_size 8: .* of 30x20; take -batch_size that leaves each process 2 images or more"),
    ],
)
def test_the_smallest_image_alone_in_a_batch_is_tried(images, batch_size, processes, message):
    config = TrainConfig(image_size=None, batch_size=batch_size)
    with pytest.raises(InputError, match=message):
        check_batch(config, network(), images, processes)
    # None of the others is that small.
    check_batch(config, network(), images[:3] + images[4:] + [images[0]], processes)


@pytest.mark.parametrize(("batch_size", "processes"), [(8, 1), (4, 2)])
def test_batches_of_more_images_are_not_tried(images, batch_size, processes):
    check_batch(TrainConfig(image_size=None, batch_size=batch_size), network(), images, processes)


@pytest.mark.parametrize(
    ("architecture", "encoder", "unreached"),
    [
        ("unet", "efficientnet-b0", ("encoder._conv_head.", "encoder._bn1.")),
        ("pspnet", "resnet18", ("encoder.layer3.", "encoder.layer4.")),
        ("unet", "resnet18", ()),
    ],
)
def test_parameters_that_no_step_changes_wait_for_no_gradient(architecture, encoder, unreached):
    model = network(architecture, encoder)
    before = copy.deepcopy(model.state_dict())
    freeze_unreached(TrainConfig(image_size=(32, 64)), model)
    frozen = {name for name, parameter in model.net.named_parameters() if not parameter.requires_grad}
    assert (
        frozen == {name for name, _ in model.net.named_parameters() if name.startswith(unreached)}
        if unreached
        else not frozen
    )
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    masks, _ = parts(model.train()(torch.zeros(2, 3, 32, 64, dtype=torch.uint8)))
    masks.sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters() if parameter.requires_grad)

"""Tries before the training: sizes of images, batches of one image, and parameters that no step changes."""

import copy
import re

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


def network(architecture="unet", encoder="test_resnet"):
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
def test_batches_of_more_images_are_fine(images, batch_size, processes):
    check_batch(TrainConfig(image_size=None, batch_size=batch_size), network(), images, processes)


@pytest.mark.parametrize(
    ("encoder", "sizes", "message"),
    [
        (
            "test_maxvit",
            {"image_size": (256, 768)},
            "256x768 (height (64) must be divisible by window (5)); give -image_size",
        ),
        ("test_maxvit", {"image_size": None}, "40x72 (*); give -image_size"),
        ("test_coatnet", {"image_size": (256, 768)}, "256x768 (*); give -image_size"),
        ("test_coatnet", {"image_size": (160, 160), "crop": (64, 96)}, "64x96 (*); give -crop"),
        ("test_coatnet", {"image_size": (160, 160), "start_size": (96, 96)}, "96x96 (*); give -start_size"),
        ("test_coatnet", {"image_size": None, "crop": (160, 160)}, "40x72 (*); give -image_size"),  # of validation
    ],
)
def test_encoders_of_one_size_refuse_others_and_say_which(images, encoder, sizes, message):
    wanted = re.escape(f"-encoder {encoder}: cannot take images of {message} 160,160, or").replace(r"\*", ".*")
    with pytest.raises(InputError, match=wanted):
        check_batch(TrainConfig(encoder=encoder, **sizes), network(encoder=encoder), images, 1)


def test_encoders_of_one_size_take_it(tmp_path):
    cv2.imwrite(str(tmp_path / "0.png"), np.zeros((160, 160), np.uint8))
    config, model = TrainConfig(encoder="test_maxvit", image_size=None), network(encoder="test_maxvit")
    check_batch(config, model, [tmp_path / "0.png"] * 9, 1)
    freeze_unreached(config, model, [tmp_path / "0.png"])


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory"), MemoryError()])
def test_a_lack_of_memory_is_no_fault_of_the_encoder(images, monkeypatch, error):
    model = network()
    monkeypatch.setattr(type(model), "forward", lambda self, images: (_ for _ in ()).throw(error))
    with pytest.raises(type(error)):
        check_batch(TrainConfig(), model, images, 1)


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
    freeze_unreached(TrainConfig(image_size=(32, 64)), model, [])
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

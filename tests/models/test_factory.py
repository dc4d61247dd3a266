"""Every architecture takes any image size and comes back from its spec."""

import pytest
import torch

from config import RECIPES, TrainConfig
from utils.errors import InputError
from utils.models.factory import build
from utils.models.segmenter import Segmenter
from utils.models.spec import ModelSpec


def spec(**changes) -> ModelSpec:
    return ModelSpec(
        **{"architecture": "unet", "encoder": "resnet18", "task": "multilabel", "class_names": ("a", "b"), **changes}
    )


def test_recipes_set_only_fields_that_exist():
    for recipe in RECIPES.values():
        TrainConfig(**recipe)


@pytest.mark.parametrize(("task", "outputs", "scored"), [("multilabel", 2, 2), ("binary", 1, 1), ("multiclass", 3, 2)])
def test_tasks_fix_the_number_of_outputs(task, outputs, scored):
    described = spec(task=task)
    assert described.outputs == outputs
    assert len(described.scored_names) == scored
    assert build(described)(torch.zeros(2, 3, 32, 32, dtype=torch.uint8)).shape[1] == outputs


@pytest.mark.parametrize("channels", [1, 3])
def test_channels(channels):
    network = build(spec(channels=channels))
    assert network(torch.zeros(2, channels, 32, 32, dtype=torch.uint8)).shape == (2, 2, 32, 32)
    assert len(network.mean) == len(network.std) == channels


def test_normalising_equals_the_textbook():
    class Identity(torch.nn.Module):
        def forward(self, pixels):
            return pixels

    network = Segmenter(Identity(), spec(), (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), 1)
    images = torch.randint(0, 256, (2, 3, 5, 7), dtype=torch.uint8)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (network.mean, network.std))
    torch.testing.assert_close(network(images), (images / 255 - mean) / std, atol=1e-5, rtol=1e-5)


def test_padding_mirrors_the_image():
    seen = []

    class Record(torch.nn.Module):
        def forward(self, pixels):
            seen.append(pixels)
            return pixels

    network = Segmenter(Record(), spec(), (0.0,) * 3, (1.0,) * 3, 8)
    images = torch.randint(0, 256, (1, 3, 6, 9), dtype=torch.uint8)
    assert network(images).shape == images.shape
    (pixels,) = seen
    assert pixels.shape[-2:] == (8, 16)
    assert torch.equal(pixels[..., 6:, :9], pixels[..., :6, :9].flip(2)[..., 1:3, :])
    assert torch.equal(pixels[..., :, 9:], pixels[..., :9].flip(3)[..., 1:8])


def test_a_spec_survives_plain_words():
    described = spec(task="multiclass", channels=1)
    assert ModelSpec.from_dict(described.to_dict()) == described
    with pytest.raises(InputError, match="expected architecture"):
        ModelSpec.from_dict({"architecture": "unet"})


@pytest.mark.parametrize(
    ("name", "expected"),
    [("resnet18", "resnet18"), ("convnext_tiny", "tu-convnext_tiny"), ("tu-convnext_tiny", "tu-convnext_tiny")],
)
def test_timm_encoders_need_no_prefix(name, expected):
    described = spec(encoder=name)
    assert described.smp_encoder() == expected
    assert described.to_dict()["encoder"] == name, "a weights file keeps the word that was given"


def test_an_encoder_of_timm_works():
    network = build(spec(encoder="mobilenetv4_conv_small")).eval()
    assert network(torch.zeros(1, 3, 40, 40, dtype=torch.uint8)).shape == (1, 2, 40, 40)
    assert network.mean == (0.485, 0.456, 0.406)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"architecture": "unett"}, "did you mean unet"),
        ({"encoder": "efficientnet-b33"}, "did you mean efficientnet-b3"),
        ({"task": "panoptic"}, "choose from multilabel"),
        ({"class_names": ()}, "at least one class"),
        ({"channels": 4}, "choose 1"),
        ({"architecture": "unetplusplus", "encoder": "mit_b0"}, "-architecture unetplusplus -encoder mit_b0"),
    ],
)
def test_what_cannot_be_built(changes, message):
    with pytest.raises(InputError, match=message):
        build(spec(**changes))


def test_weights_that_cannot_be_fetched(monkeypatch):
    from huggingface_hub.errors import LocalEntryNotFoundError

    from utils.models import factory

    def unreachable(**_):
        raise LocalEntryNotFoundError("no connection")

    monkeypatch.setitem(factory.ARCHITECTURES, "unet", unreachable)
    with pytest.raises(InputError, match=r"could not be fetched .* -encoder_weights none") as caught:
        build(spec(), "imagenet")
    assert "\n" not in str(caught.value)

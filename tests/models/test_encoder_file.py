"""Encoder weights from the file of another library."""

import pytest
import timm
import torch

from utils.errors import InputError
from utils.models.encoder_file import encoder_tensors
from utils.models.factory import build
from utils.models.spec import ModelSpec


def encoder(name: str = "resnet18", channels: int = 3) -> torch.nn.Module:
    return build(ModelSpec("unet", name, "multilabel", ("pits",), channels=channels)).net.encoder


def classifier(name: str) -> dict[str, torch.Tensor]:
    """Weights of a classifier of ImageNet's form, as timm gives them out; random ones."""
    torch.manual_seed(7)
    return timm.create_model(name, pretrained=False).state_dict()


def fill(module: torch.nn.Module, content: object) -> torch.nn.Module:
    module.load_state_dict(encoder_tensors(content, module, "-encoder_weights f.pth"), strict=False)
    return module.eval()


@pytest.mark.parametrize(
    ("classes", "mine"),
    [
        ("resnet18", "resnet18"),
        ("resnet18", "tu-resnet18"),
        ("tf_efficientnet_lite0", "tf_efficientnet_lite0"),
        ("convnext_atto", "tu-convnext_atto"),
    ],
)
def test_features_are_those_of_the_library(classes, mine):
    given = classifier(classes)
    theirs = timm.create_model(classes, pretrained=False).eval()
    theirs.load_state_dict(given)
    image = torch.rand(1, 3, 64, 64)
    last = fill(encoder(mine), given)(image)[-1]
    features = timm.create_model(classes, features_only=True, pretrained=False).eval()
    assert last.shape[1] == features.feature_info.channels()[-1]
    assert torch.allclose(last, _last_stage(theirs, image, last.shape), atol=1e-4)


def _last_stage(theirs: torch.nn.Module, image: torch.Tensor, shape: torch.Size) -> torch.Tensor:
    """Return what the classifier's last stage, found by its shape, computes of the image."""
    seen: list[torch.Tensor] = []
    for name in ("layer4", "blocks", "stages"):
        if hasattr(theirs, name):
            getattr(theirs, name).register_forward_hook(lambda _module, _given, out: seen.append(out))
    theirs(image)
    assert seen[-1].shape == shape
    return seen[-1]


def test_other_names_are_taken_in_order():
    theirs = classifier("tf_efficientnet_lite0")
    renamed = {f"_{number}.{name.rpartition('.')[2]}": tensor for number, (name, tensor) in enumerate(theirs.items())}
    one, other = fill(encoder("tf_efficientnet_lite0"), theirs), fill(encoder("tf_efficientnet_lite0"), renamed)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


@pytest.mark.parametrize("key", ["state_dict", "model"])
def test_a_checkpoint_of_a_training_program(key):
    theirs = classifier("resnet18")
    filled = fill(encoder(), {key: theirs, "epoch": 3})
    assert torch.equal(filled.state_dict()["conv1.weight"], theirs["conv1.weight"])


def test_half_precision_and_one_channel():
    theirs = classifier("resnet18")
    filled = fill(encoder(channels=1), {name: tensor.half() for name, tensor in theirs.items()})
    stem = filled.state_dict()["conv1.weight"]
    assert torch.allclose(stem, theirs["conv1.weight"].half().float().sum(1, keepdim=True))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1, 2], "holds neither a weights file of this project nor an encoder's tensors"),
        ({"epoch": 3}, "holds neither"),
        ({}, r"0 tensors where 100 are needed"),
        ({"a.weight": torch.zeros(64, 3, 7, 7), "a.bias": torch.zeros(64)}, "a.bias stands where bn1.weight should"),
        ({"a.weight": torch.zeros(64, 3, 7, 7)}, "1 tensors where 100 are needed"),
    ],
)
def test_what_is_no_encoder(content, message):
    with pytest.raises(InputError, match=f"-encoder_weights f.pth: .*{message}"):
        encoder_tensors(content, encoder(), "-encoder_weights f.pth")


def test_an_encoder_of_another_width():
    wider = {**classifier("resnet18"), "layer1.0.conv1.weight": torch.zeros(96, 64, 3, 3)}
    with pytest.raises(InputError, match=r"is of another network, layer1.0.conv1.weight is \(96, 64, 3, 3\) where"):
        encoder_tensors(wider, encoder(), "-encoder_weights f.pth")


@pytest.mark.parametrize("mine", ["resnet18", "tu-resnet18"])
def test_a_deeper_network_of_the_same_kind(mine):
    with pytest.raises(
        InputError, match=r"is of another network, its layer1.2.conv1.weight has no place in the encoder"
    ):
        encoder_tensors(classifier("resnet34"), encoder(mine), "-encoder_weights f.pth")


NOT_FINITE = r"holds numbers that are not finite \(nan or infinity\)"


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("layer2.0.conv1.weight", float("nan"), NOT_FINITE),
        ("conv1.weight", float("-inf"), NOT_FINITE),
        ("bn1.bias", 1e300, NOT_FINITE),  # in 32 bits
        ("bn1.running_var", -1.0, r"holds a variance of -1"),
    ],
)
def test_numbers_that_cannot_be_are_refused_by_name(name, value, said):
    given = classifier("resnet18")
    given[name] = given[name].double()
    given[name].view(-1)[3] = value
    with pytest.raises(InputError, match=rf"^-encoder_weights f.pth: its {name} {said}; the file is damaged") as error:
        encoder_tensors(given, encoder(), "-encoder_weights f.pth")
    assert "\n" not in str(error.value)
    given["fc.weight"][0, 0] = given[name].view(-1)[3]
    encoder_tensors({**classifier("resnet18"), "fc.weight": given["fc.weight"]}, encoder(), "x")  # which is not taken

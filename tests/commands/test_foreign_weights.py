"""Publish_weights.py -from: a weights file of another program's network, or the reason why not."""

import json

import pytest
import segmentation_models_pytorch as smp
import torch

import Publish_weights
from config import PublishWeightsConfig
from utils.commands.publish_weights import publish_weights
from utils.errors import InputError
from utils.weights.weights_file import load


@pytest.fixture(scope="module")
def theirs() -> torch.nn.Module:
    torch.manual_seed(4)
    return smp.Unet("tu-test_resnet", encoder_weights=None, classes=2, decoder_channels=(16, 8, 8, 4, 4)).eval()


@pytest.fixture
def hub(theirs, tmp_path):
    theirs.save_pretrained(tmp_path / "hub")
    return tmp_path / "hub"


def test_the_file_gives_the_networks_own_answers(theirs, hub, tmp_path, capsys):
    words = ["-from", hub, "-classes", "pit,crack", "-name", "unet-theirs", "-to", tmp_path, "-image_size", "64,96"]
    assert Publish_weights.main([str(word) for word in words]) == 0
    (path,) = tmp_path.glob("unet-theirs-*.pth")
    printed = capsys.readouterr().out
    assert f"weights: {path}" in printed
    assert "mean 0.5,0.5,0.5 std 0.5,0.5,0.5" in printed
    file = load(path)
    assert (file.spec.architecture, file.spec.smp_encoder(), file.spec.class_names) == (
        "unet",
        "tu-test_resnet",
        ("pit", "crack"),
    )
    assert (file.input_size, file.decision.thresholds) == ((64, 96), (0.5, 0.5))
    assert file.provenance["made_from"]["file"] == "model.safetensors"
    pixels = torch.randint(0, 256, (1, 3, 64, 96), dtype=torch.uint8)
    with torch.no_grad():
        torch.testing.assert_close(file.build()(pixels), theirs((pixels / 255 - 0.5) / 0.5), atol=1e-4, rtol=1e-4)


def test_a_state_dict_needs_to_be_described(theirs, tmp_path):
    torch.save({"state_dict": {f"net.{k}": t for k, t in theirs.state_dict().items()}}, tmp_path / "a.ckpt")
    described = {
        "architecture": "unet",
        "encoder": "test_resnet",
        "classes": ("a", "b"),
        "decoder_channels": (16, 8, 8, 4, 4),
        "mean": (0.1, 0.2, 0.3),
        "std": (0.4, 0.5, 0.6),
    }
    made = publish_weights(PublishWeightsConfig(source=tmp_path / "a.ckpt", name="x", to=tmp_path / "to", **described))
    file = load(made.weights)
    assert (file.mean, file.std) == ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"classes": None}, "needs -classes"),
        ({"classes": ("a", "b", "c")}, "its head has 2 channels, and -task multilabel with -classes a,b,c needs 3"),
        ({"task": "multiclass"}, "its head has 2 channels, and -task multiclass with -classes a,b needs 3"),
        ({"architecture": "linknet"}, "is no linknet on tu-test_resnet: "),
        ({"architecture": "unetplusplus"}, "is no unetplusplus on tu-test_resnet: "),
        ({"encoder": "resnet18"}, "names its tensors otherwise than SMP's models on resnet18; correct -encoder"),
        ({"decoder_channels": (16, 16, 8, 4, 4)}, "is no unet on tu-test_resnet: decoder"),
        ({"mean": (0.5,)}, "-mean: expected 3 numbers"),
        ({"std": (0.0, 1.0, 1.0)}, "a std above 0"),
        ({"mean": (123.0, 117.0, 104.0)}, "divide those of 0..255 by 255"),
        ({"run": "runs/first"}, "RUN: is for a run folder"),
        ({"push": "USER/NAME"}, "-push: is for a run folder"),
        ({"name": "a/b"}, "-name a/b: use letters"),
    ],
)
def test_what_cannot_be_made_is_refused_and_nothing_is_written(hub, tmp_path, changes, message):
    settings = {"source": hub, "classes": ("a", "b"), "name": "x", "to": tmp_path / "to", **changes}
    with pytest.raises(InputError, match=message) as error:
        publish_weights(PublishWeightsConfig(**settings))
    assert "\n" not in str(error.value)
    assert not (tmp_path / "to").exists()


def test_what_smps_file_says_and_ours_do_not_have(hub, tmp_path):
    described = json.loads((hub / "config.json").read_text())
    (hub / "config.json").write_text(json.dumps({**described, "activation": "sigmoid"}))
    with pytest.raises(InputError, match=r"config\.json: activation is sigmoid, and networks here have None"):
        publish_weights(PublishWeightsConfig(source=hub, classes=("a", "b"), name="x", to=tmp_path / "to"))


def test_answers_that_are_no_numbers(theirs, tmp_path):
    state = {name: tensor.clone() for name, tensor in theirs.state_dict().items()}
    state["segmentation_head.0.weight"][:] = 3e38  # finite, and its sums are not
    state["segmentation_head.0.bias"][0] = 3e38
    torch.save(state, tmp_path / "a.pth")
    described = {"architecture": "unet", "encoder": "test_resnet", "decoder_channels": (16, 8, 8, 4, 4)}
    with pytest.raises(InputError, match="its answers are not finite"):
        publish_weights(
            PublishWeightsConfig(source=tmp_path / "a.pth", classes=("a", "b"), name="x", to=tmp_path, **described)
        )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": "strips"}, "missing RUN"),
        ({"run": "runs/first"}, "missing -data"),
        ({"run": "runs/first", "data": "strips", "encoder": "resnet18"}, "-encoder: is for -from FILE"),
    ],
)
def test_a_run_folder_needs_other_flags(changes, message):
    with pytest.raises(InputError, match=message):
        publish_weights(PublishWeightsConfig(name="x", **changes))

"""What a training starts from, and how its images are normalised then."""

from pathlib import Path

import pytest
import torch

from config import TrainConfig
from utils.decision.decision import Decision
from utils.models.factory import build
from utils.models.spec import ModelSpec
from utils.training.initial_weights import initial_network
from utils.weights.weights_file import WeightsFile

ODD = (0.1, 0.2, 0.3), (0.4, 0.5, 0.6)


def spec(*class_names: str, **changes) -> ModelSpec:
    return ModelSpec("unet", "test_resnet", "multilabel", class_names or ("pit", "crack"), **changes)


def write_weights(path: Path, described: ModelSpec, mean=ODD[0], std=ODD[1]) -> Path:
    torch.manual_seed(1)
    decision = Decision.uniform(len(described.scored_names), 0.5)
    WeightsFile(described, build(described).net.state_dict(), mean, std, None, decision).save(path)
    return path


@pytest.mark.parametrize("flag", ["encoder_weights", "init_encoder"])
def test_images_are_normalised_as_for_the_weights_that_it_goes_on_from(tmp_path, flag):
    path = write_weights(tmp_path / "a.pth", spec())
    config = TrainConfig(**{"encoder": "test_resnet", "encoder_weights": "none", flag: path})
    start = initial_network(config, spec(), None)
    assert (start.network.mean, start.network.std) == ODD
    pixels = torch.full((1, 3, 32, 32), 51, dtype=torch.uint8)
    torch.testing.assert_close(start.network.normalised(pixels)[0, :, 0, 0], torch.tensor([0.25, 0.0, -1 / 6]))
    (note,) = [note for note in start.notes if "images are normalised" in note]
    assert note == (
        f"-{flag} {path}: images are normalised as for it, with mean 0.1,0.2,0.3 std 0.4,0.5,0.6, not with mean"
        " 0.5,0.5,0.5 std 0.5,0.5,0.5"
    )


def test_nothing_is_said_where_that_is_the_encoders_own(tmp_path):
    path = write_weights(tmp_path / "a.pth", spec(), (0.5,) * 3, (0.5,) * 3)
    assert initial_network(TrainConfig(encoder_weights=str(path)), spec(), None).notes == []


def test_the_normalisation_of_an_encoders_file_is_said(tmp_path):
    torch.save(build(spec()).net.encoder.state_dict(), tmp_path / "encoder.pth")
    start = initial_network(TrainConfig(encoder_weights=str(tmp_path / "encoder.pth")), spec(), None)
    assert "images are normalised with mean 0.5,0.5,0.5 std 0.5,0.5,0.5" in start.notes[0]


@pytest.mark.parametrize(
    ("encoder", "checkpoint", "mean"),
    [
        ("test_resnet", {"mean": list(ODD[0]), "std": list(ODD[1])}, ODD[0]),
        ("test_resnet", {}, (0.5, 0.5, 0.5)),
        ("timm-tf_efficientnet_lite0", {}, (0.485, 0.456, 0.406)),  # of before each encoder's own was known
    ],
)
def test_a_run_that_goes_on_keeps_its_normalisation(encoder, checkpoint, mean):
    described = ModelSpec("unet", encoder, "multilabel", ("pit",))
    network = initial_network(TrainConfig(encoder=encoder, encoder_weights="gone.pth"), described, checkpoint).network
    assert tuple(network.mean) == mean

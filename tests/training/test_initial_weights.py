"""What a training starts from, and how its images are normalised then."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from config import TrainConfig
from utils.decision.decision import Decision
from utils.errors import InputError
from utils.models import factory
from utils.models.factory import build
from utils.models.spec import ModelSpec
from utils.training import initial_weights
from utils.training.initial_weights import initial_network
from utils.weights.image_hashes import BYTES, of_images
from utils.weights.weights_file import WeightsFile, load

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


def test_a_run_that_goes_on_needs_no_file():
    assert initial_network(TrainConfig(encoder_weights="gone.pth"), spec(), {}).origin is None


HEAD = "segmentation_head.0.weight"


@pytest.mark.parametrize(
    ("task", "head"),
    [
        ("multilabel", {"unet": HEAD, "fcn32s": HEAD, "two-head": "classification_head.3.weight"}),
        ("multiclass", {"unet": HEAD}),
        ("classify-multilabel", {"classifier": "classification_head.3.weight"}),
    ],
)
def test_classes_are_taken_by_their_names(tmp_path, task, head):
    for architecture, tensor in head.items():
        first, second = (
            dataclasses.replace(spec(*names), architecture=architecture, task=task)
            for names in (("pit", "crack"), ("scale", "crack", "pit"))
        )
        path = write_weights(tmp_path / "a.pth", first)
        start = initial_network(TrainConfig(encoder_weights=str(path)), second, None)
        given, taken = load(path).state_dict, start.network.net.state_dict()
        first_channel = 1 if task == "multiclass" else 0
        for old, new in ((0, 2), (1, 1)):
            torch.testing.assert_close(taken[tensor][first_channel + new], given[tensor][first_channel + old])
        assert not any(torch.equal(taken[tensor][first_channel], row) for row in given[tensor])
        if task == "multiclass":
            torch.testing.assert_close(taken[tensor][0], given[tensor][0])
        assert (
            f"-encoder_weights {path}: its classes are pit, crack; taken by name: crack, pit. Start at random: scale"
            in (start.notes)
        )


def test_a_convolution_from_classes_to_classes_has_two_axes_of_them(tmp_path):
    first, second = (dataclasses.replace(spec(*names), architecture="fcn32s") for names in ("ab", "ba"))
    path = write_weights(tmp_path / "a.pth", first)
    net = initial_network(TrainConfig(encoder_weights=str(path)), second, None).network.net
    given, taken = load(path).state_dict["segmentation_head.1.weight"], net.state_dict()["segmentation_head.1.weight"]
    assert given.shape[:2] == (2, 2)
    torch.testing.assert_close(taken, given.flip(0).flip(1))


@pytest.mark.parametrize(
    ("have", "want", "class_map", "same", "notes"),
    [
        (("1", "2"), ("1", "2"), None, True, []),
        (("pit", "crack"), ("pit", "crack"), None, True, []),
        (
            ("1", "2"),
            ("pit", "crack"),
            None,
            False,
            [
                "none of its classes (1, 2) is called as one here (pit, crack): they start at random; for example,"
                " if they are the same in this order, give -class_map 1=pit,2=crack"
            ],
        ),
        (("1", "2"), ("pit", "crack"), ("1=pit", "2=crack"), True, []),
        (
            ("pit", "cracks"),
            ("crack", "pit"),
            None,
            False,
            [
                "its classes are pit, cracks; taken by name: pit. Start at random: crack; if they mean the same, give"
                " -class_map cracks=crack"
            ],
        ),
        (
            ("1", "2"),
            ("pit", "crack", "scale"),
            ("2=pit",),
            False,
            [
                "its classes are 1, 2; taken by name: pit. Start at random: crack, scale; if they mean the same, give"
                " -class_map 2=pit,1=?, with one of those for each question mark"
            ],
        ),
    ],
)
def test_classes_of_other_names(tmp_path, have, want, class_map, same, notes):
    path = write_weights(tmp_path / "a.pth", spec(*have), (0.5,) * 3, (0.5,) * 3)
    start = initial_network(TrainConfig(encoder_weights=str(path), class_map=class_map), spec(*want), None)
    assert torch.equal(start.network.net.state_dict()[HEAD], load(path).state_dict[HEAD]) is same
    assert start.notes[len(start.notes) - len(notes) :] == [f"-encoder_weights {path}: {note}" for note in notes]


def test_a_map_of_classes_that_there_are_not_is_refused(tmp_path):
    path = write_weights(tmp_path / "a.pth", spec())
    with pytest.raises(InputError, match="-class_map pits=x: the weights have no class pits, did you mean pit"):
        initial_network(TrainConfig(encoder_weights=str(path), class_map=("pits=x",)), spec(), None)


def test_a_map_to_classes_that_the_data_does_not_have_is_refused(tmp_path):
    path = write_weights(tmp_path / "a.pth", spec("pit", "crack"))
    config = TrainConfig(encoder_weights=str(path), class_map=("crack=craks",))
    with pytest.raises(InputError, match="-class_map crack=craks: the data has no class craks; it has pit, cracks"):
        initial_network(config, spec("pit", "cracks"), None)


@pytest.mark.parametrize(
    ("encoder", "offer"),
    [
        (
            "tf_efficientnet_lite2",
            r", or start from a published network by -encoder_weights \S*unet-tf_efficientnet_lite2-neuseg-\w{8}\.pth, or",
        ),
        ("timm-tf_efficientnet_lite2", r"-encoder tf_efficientnet_lite2 -encoder_weights .*lite2-neuseg"),
        ("mobilenet_v2", r"where\), or give them as .*-encoder_weights none$"),
    ],
)
def test_weights_that_cannot_be_fetched(monkeypatch, capsys, encoder, offer):
    def unreachable(**_):
        assert (
            capsys.readouterr().out
            == f"fetching the imagenet weights of {encoder} from the Hugging Face hub, once ...\n"
        )
        raise OSError("no connection")

    monkeypatch.setitem(factory.ARCHITECTURES, "unet", unreachable)
    monkeypatch.setattr(initial_weights, "is_cached", lambda *_: False)
    with pytest.raises(InputError, match=offer) as error:
        initial_network(TrainConfig(encoder=encoder), ModelSpec("unet", encoder, "multilabel", ("a",)), None)
    assert f"the ImageNet weights of {encoder} could not be fetched (OSError)" in str(error.value)
    assert "\n" not in str(error.value)


def test_nothing_is_said_of_weights_that_lie_here(monkeypatch, capsys):
    monkeypatch.setattr(initial_weights, "is_cached", lambda *_: True)
    monkeypatch.setattr(initial_weights, "build", lambda *_: None)
    initial_network(TrainConfig(encoder="resnet18"), dataclasses.replace(spec(), encoder="resnet18"), None)
    assert capsys.readouterr().out == ""


def test_what_tells_defect_from_none_is_offered_no_class_map(tmp_path):
    path = write_weights(tmp_path / "a.pth", spec("pit", "crack"))
    wanted = dataclasses.replace(spec("defect"), task="binary")
    notes = initial_network(TrainConfig(encoder_weights=str(path)), wanted, None).notes
    assert notes[-1] == (
        f"-encoder_weights {path}: its classes are pit, crack; what tells defect from the rest starts at random"
    )


@pytest.mark.parametrize("flag", ["encoder_weights", "init_encoder"])
def test_what_the_weights_before_have_learnt_from_is_carried_along(tmp_path, flag):
    path = write_weights(tmp_path / "a.pth", spec())
    config = TrainConfig(**{"encoder": "test_resnet", "encoder_weights": "none", flag: path})
    (nobody_knows,) = initial_network(config, spec(), None).hashes
    assert nobody_knows.unknown == ("a.pth",)
    rows = np.full((2, BYTES), 7, np.uint8)
    dataclasses.replace(load(path), image_hashes=of_images(1.0, rows, rows[:0])).save(path)
    (known,) = initial_network(config, spec(), None).hashes
    assert (known.trained, known.unknown) == (1, ())


def test_nobody_knows_what_weights_of_others_have_learnt_from(tmp_path):
    torch.save(build(spec()).net.encoder.state_dict(), tmp_path / "encoder.pth")
    start = initial_network(TrainConfig(encoder_weights=str(tmp_path / "encoder.pth")), spec(), None)
    assert [one.unknown for one in start.hashes] == [("encoder.pth",)]

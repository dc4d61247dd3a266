"""Networks of other programs are taken over by the names of their tensors, however they are wrapped and stored."""

import pytest
import segmentation_models_pytorch as smp
import torch
from safetensors.torch import save_file

from config import TrainConfig
from utils.decision.decision import Decision
from utils.errors import InputError
from utils.models.factory import build
from utils.models.spec import ModelSpec
from utils.training.initial_weights import initial_network
from utils.weights.foreign import file_of, read_content, whole_network
from utils.weights.weights_file import WeightsFile, load

SPEC = ModelSpec("unet", "test_resnet", "multilabel", ("1", "2"))


@pytest.fixture(scope="module")
def theirs() -> torch.nn.Module:
    torch.manual_seed(4)
    return smp.Unet("tu-test_resnet", encoder_weights=None, classes=2)


def wrapped(state, prefix=""):
    return {f"{prefix}{name}": tensor for name, tensor in state.items()}


STORED = {
    "state_dict.pth": lambda state: state,
    "half.pth": lambda state: {name: t.half() if t.is_floating_point() else t for name, t in state.items()},
    "lightning.ckpt": lambda state: {
        "epoch": 3,
        "global_step": 7,
        "pytorch-lightning_version": "2.5.0",
        "state_dict": {**wrapped(state, "model."), "loss.weight": torch.ones(2)},
        "hyper_parameters": {"lr": 1e-3},
        "optimizer_states": [{}],
    },
    "catalyst.pth": lambda state: {"model_state_dict": state, "epoch_metrics": {"valid": {"loss": 0.1}}},
    "parallel.pth": lambda state: {"model": wrapped(state, "module.")},
    "compiled.pt": lambda state: wrapped(state, "net._orig_mod."),
}


@pytest.mark.parametrize("name", [*STORED, "model.safetensors", "hub"])
def test_a_training_goes_on_from_it(theirs, tmp_path, name):
    path, state = tmp_path / name, theirs.state_dict()
    if name == "hub":
        theirs.save_pretrained(path)
    elif name.endswith(".safetensors"):
        save_file(state, path)
    else:
        torch.save(STORED[name](state), path)
    start = initial_network(TrainConfig(encoder_weights=str(path)), SPEC, None)
    taken = start.network.net.state_dict()
    assert all(torch.allclose(taken[key], tensor.to(taken[key].dtype), atol=1e-3) for key, tensor in state.items())
    assert f"-encoder_weights {path}: {len(state)} of the network's {len(state)} tensors are from it" in start.notes
    assert start.notes[-1] == "images are normalised with mean 0.5,0.5,0.5 std 0.5,0.5,0.5"
    assert start.origin is not None
    assert start.origin["file"] == ("model.safetensors" if name == "hub" else name)


@pytest.mark.parametrize(("class_map", "same"), [(None, False), (("1=crack", "2=pit"), True)])
def test_its_classes_are_numbers(theirs, tmp_path, class_map, same):
    torch.save(theirs.state_dict(), tmp_path / "a.pth")
    spec = ModelSpec("unet", "test_resnet", "multilabel", ("pit", "crack"))
    start = initial_network(TrainConfig(encoder_weights=str(tmp_path / "a.pth"), class_map=class_map), spec, None)
    head = start.network.net.state_dict()["segmentation_head.0.weight"]
    assert torch.equal(head, theirs.state_dict()["segmentation_head.0.weight"].flip(0)) is same
    assert any("-class_map 1=pit,2=crack" in note for note in start.notes) is not same


def test_of_another_decoder_the_encoder_is_taken(theirs, tmp_path):
    torch.save(theirs.state_dict(), tmp_path / "a.pth")
    spec = ModelSpec("fpn", "test_resnet", "multilabel", ("1", "2"))
    start = initial_network(TrainConfig(encoder_weights=str(tmp_path / "a.pth")), spec, None)
    encoder = {name: tensor for name, tensor in theirs.state_dict().items() if name.startswith("encoder.")}
    taken = start.network.net.state_dict()
    assert all(torch.equal(taken[name], tensor) for name, tensor in encoder.items())
    number = len(encoder) + 1  # and the head's bias, which has the same name and shape
    assert f"{number} of the network's {len(taken)} tensors are from it" in start.notes[0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda state: {**state, "encoder.model.conv1.0.weight": torch.zeros(1, 2)},
            r"conv1\.0\.weight is \(1, 2\) where",
        ),
        (lambda state: {k: t for k, t in state.items() if "layer4" not in k}, r"it has no encoder\.model\.layer4"),
        (lambda state: {**state, "encoder.model.layer9.weight": torch.zeros(1)}, "layer9.weight has no place in it"),
    ],
)
def test_of_another_encoder_it_is_refused(theirs, change, message):
    with pytest.raises(InputError, match=f"-from a.pth: is of another network than test_resnet, .*{message}"):
        whole_network(change(theirs.state_dict()), build(SPEC), "-from a.pth")


def test_an_encoder_alone_is_no_whole_network(theirs):
    assert whole_network(theirs.encoder.state_dict(), build(SPEC), "-from a.pth") is None


def test_what_there_is_not(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        file_of(tmp_path / "gone.pth")
    with pytest.raises(InputError, match=r"holds none of model\.safetensors"):
        file_of(tmp_path)
    (tmp_path / "a.safetensors").write_bytes(b"damaged")
    with pytest.raises(InputError, match=r"a\.safetensors: damaged"):
        read_content(tmp_path / "a.safetensors")


@pytest.mark.parametrize("read", [load, read_content])
def test_a_checkpoint_of_a_run_is_called_so(tmp_path, read):
    path = tmp_path / "run" / "checkpoints" / "best.pth"
    path.parent.mkdir(parents=True)
    torch.save({"epoch": 1, "scores": {}, "network": {"a": torch.zeros(1)}}, path)
    with pytest.raises(
        InputError, match=rf"is a checkpoint of a run, .* -resume {tmp_path / 'run'}, or name that file"
    ):
        read(path)


def test_how_to_make_a_weights_file_of_it_is_said(theirs, tmp_path):
    torch.save({"state_dict": theirs.state_dict()}, tmp_path / "a.pth")
    with pytest.raises(InputError, match=r"with Publish_weights\.py -from .*a\.pth$"):
        load(tmp_path / "a.pth")


@pytest.mark.parametrize("name", ["segmentation_head.0.bias", "decoder.blocks.0.conv1.0.weight", "encoder"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_network_whose_numbers_are_not_finite_is_refused_by_its_first_tensor(theirs, tmp_path, name, value):
    state = {key: tensor.clone() for key, tensor in theirs.state_dict().items()}
    name = next(iter(state)) if name == "encoder" else name
    state[name].view(-1)[0] = value
    torch.save(wrapped(state, "model."), tmp_path / "a.pth")
    source = f"-encoder_weights {tmp_path / 'a.pth'}"
    with pytest.raises(InputError, match=f"^{source}: its {name} holds numbers that are not finite"):
        initial_network(TrainConfig(encoder_weights=str(tmp_path / "a.pth")), SPEC, None)


def test_a_weights_file_whose_numbers_are_not_finite_is_no_start_either(tmp_path):
    network = build(SPEC)
    weights = WeightsFile(SPEC, network.net.state_dict(), network.mean, network.std, None, Decision.uniform(2, 0.5))
    next(iter(weights.state_dict.values())).view(-1)[0] = float("nan")
    path = weights.save_named(tmp_path, "a")
    for flags in ({"encoder_weights": str(path)}, {"init_encoder": path, "encoder_weights": "none"}):
        with pytest.raises(InputError, match="holds numbers that are not finite") as error:
            initial_network(TrainConfig(**flags), SPEC, None)
        assert "\n" not in str(error.value)

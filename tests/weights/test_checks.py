"""Numbers that make no sense in a weights file: each is refused in one line, and none gives a network that sees nothing."""

import math
import re
from pathlib import Path

import pytest
import torch

from utils.decision.decision import Decision
from utils.errors import InputError
from utils.models.spec import ModelSpec
from utils.weights.weights_file import WeightsFile, load

SPEC = ModelSpec("unet", "resnet18", "multilabel", ("pit", "crack"))
HALF = (0.5, 0.5, 0.5)


def tensors(**changes: object) -> dict[str, object]:
    return {"state_dict": {"conv.weight": torch.ones(4, 3), "bn.running_var": torch.ones(4), **changes}}


def filled(value: float) -> dict[str, object]:
    tensor = torch.ones(4, 3)
    tensor[2, 1] = value
    return tensors(**{"conv.weight": tensor})


def spec(**changes: object) -> dict[str, object]:
    return {"spec": SPEC.to_dict() | changes}


REFUSED = {
    "nan in a tensor": (filled(math.nan), "tensor 'conv.weight': holds numbers that are not finite"),
    "infinity in a tensor": (filled(math.inf), "not finite"),
    "-infinity in a tensor": (filled(-math.inf), "not finite"),
    "nan in half precision": (tensors(a=torch.tensor([math.nan]).half()), "tensor 'a': holds numbers that are not finite"),
    "negative variance": (tensors(**{"bn.running_var": -torch.ones(4)}), "tensor 'bn.running_var': a variance of -1"),
    "name that is no text": ({"state_dict": {1: torch.ones(2)}}, "the name of a tensor is 1, expected text"),
    "no tensor": (tensors(a=[1.0]), "tensor 'a': expected a plain tensor"),
    "sparse": (tensors(a=torch.eye(3).to_sparse()), "tensor 'a': expected a plain tensor"),
    "complex": (tensors(a=torch.ones(2, dtype=torch.complex64)), "tensor 'a': expected a plain tensor"),
    "one number spread out": (tensors(a=torch.ones(1).expand(10**12)), "tensor 'a': has 10+ numbers and room for fewer"),
    "no tensors": ({"state_dict": {}}, "state_dict: expected tensors by name"),
    "tensors in a list": ({"state_dict": [torch.ones(1)]}, "state_dict: expected tensors by name"),
    "mean nan": ({"mean": [0.5, math.nan, 0.5]}, "mean nan: expected a finite number"),
    "mean of 0..255, squared": ({"mean": [0.5, 16000.0, 0.5]}, "mean 16000: expected it in units of 0..1"),
    "mean is text": ({"mean": "0.5"}, "mean '0.5': expected a list of numbers"),
    "std 0": ({"std": [0.5, 0.0, 0.5]}, "std 0: expected more than 0"),
    "std negative": ({"std": [0.5, -0.2, 0.5]}, "std -0.2: expected more than 0"),
    "std infinite": ({"std": [0.5, math.inf, 0.5]}, "std inf: expected a finite number"),
    "std of truth": ({"std": [True, 0.5, 0.5]}, "std True: expected a finite number"),
    "threshold 2": ({"thresholds": [0.5, 2.0]}, "thresholds 2: expected a probability 0..1"),
    "threshold -1": ({"thresholds": [0.5, -1.0]}, "thresholds -1: expected a probability 0..1"),
    "threshold nan": ({"thresholds": [0.5, math.nan]}, "thresholds nan: expected a probability 0..1"),
    "thresholds as text": ({"thresholds": ["0.5", "0.5"]}, "thresholds .*: expected a list of numbers"),
    "high threshold 1.5": ({"high_thresholds": [0.0, 1.5]}, "high_thresholds 1.5: expected a probability 0..1"),
    "largest area 0": ({"max_areas": [None, 0]}, "max_areas 0: expected whole pixels, 1 or more"),
    "smallest area -5": ({"min_areas": [0, -5]}, "min_areas -5: expected whole pixels, 0 or more"),
    "smallest area nan": ({"min_areas": [0, math.nan]}, "min_areas nan: expected whole pixels"),
    "smallest area infinite": ({"min_areas": [0, math.inf]}, "min_areas inf: expected whole pixels"),
    "half a pixel": ({"min_areas": [0, 2.5]}, "min_areas 2.5: expected whole pixels"),
    "largest area of others": ({"max_areas": [40]}, "max_areas .*: expected 2 numbers"),
    "no smallest area": ({"min_areas": [None, 0]}, "min_areas .*: expected a list of numbers"),
    "input size 0": ({"input_size": [0, 64]}, "input_size .0, 64.: expected height and width in pixels"),
    "input size of one side": ({"input_size": [64]}, "input_size .64.: expected height and width"),
    "input size without end": ({"input_size": [64, 2**40]}, "input_size .*: expected height and width"),
    "input size in halves": ({"input_size": [64.5, 64]}, "input_size .*: expected height and width"),
    "encoder is a list": (spec(encoder=["resnet18"]), "model spec: encoder is .*, expected a name"),
    "architecture is a number": (spec(architecture=7), "model spec: architecture is 7, expected a name"),
    "task is a dict": (spec(task={}), "model spec: task is .*, expected a name"),
    "class names are one word": (spec(class_names="pit"), "class_names is 'pit', expected a list of names"),
    "class name is a number": (spec(class_names=["pit", 2]), "class_names is .*, expected a list of names"),
    "channels are text": (spec(channels="3"), "channels is '3', expected a whole number"),
    "channels in halves": (spec(channels=3.0), "channels is 3.0, expected a whole number"),
    "dropout is text": (spec(dropout="x"), "dropout is 'x', expected a number"),
    "dropout nan": (spec(dropout=math.nan), "-dropout nan"),
    "decoder channels as text": (spec(decoder_channels=["8"] * 5), "decoder_channels is .*, expected a list of whole"),
    "spec is a list": ({"spec": ["unet"]}, "model spec is .*, expected entries by name"),
    "metrics are a number": ({"metrics": 3}, ""),
}  # fmt: skip


def write(path: Path, changes: dict[str, object]) -> None:
    WeightsFile(SPEC, tensors()["state_dict"], HALF, HALF, None, Decision.uniform(2, 0.5)).save(path)
    torch.save(torch.load(path, weights_only=True) | changes, path)


@pytest.mark.parametrize("name", REFUSED)
def test_numbers_that_make_no_sense_are_refused(tmp_path, name):
    changes, said = REFUSED[name]
    write(tmp_path / "w.pth", changes)
    with pytest.raises(InputError, match=rf"w\.pth: damaged weights file \(.*{said}") as error:
        load(tmp_path / "w.pth")
    assert re.search(r"; fetch or train it again$", str(error.value))
    assert len(str(error.value)) < 400


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"max_areas": [None, 1], "min_areas": [0, 0.0]},
        {"thresholds": [0, 1]},
        {"input_size": [256, 768]},
        {"mean": [0, -1, 127.5], "std": [1, 58.395, 1e-3]},
        tensors(steps=torch.tensor(7), flags=torch.ones(2, dtype=torch.bool), empty=torch.zeros(0)),
        tensors(a=torch.ones(2, 3).half(), b=torch.ones(2, 3).t(), c=torch.ones(2).double()),
        spec(decoder_channels=[8, 8, 4, 4, 2], dropout=0),
    ],
    ids=str,
)
def test_what_makes_sense_is_read(tmp_path, changes):
    write(tmp_path / "w.pth", changes)
    load(tmp_path / "w.pth")


def test_a_decoder_that_the_tensors_have_nothing_of_is_not_built(tmp_path):
    """4,000 channels in each block: gigabytes, and minutes, before the first tensor is compared."""
    write(tmp_path / "w.pth", spec(decoder_channels=[4000] * 5))
    with pytest.raises(
        InputError, match=r"do not fit unet resnet18 \(decoder_channels 4000: no tensor has such a side\)"
    ):
        load(tmp_path / "w.pth").build()


def test_shapes_are_compared_before_anything_is_built(tmp_path):
    sides = torch.ones(4000, 1)
    write(tmp_path / "w.pth", spec(decoder_channels=[4000] * 5) | tensors(a=sides))
    with pytest.raises(InputError, match=r"do not fit unet resnet18 \(no tensor encoder\.conv1\.weight\)"):
        load(tmp_path / "w.pth").build()

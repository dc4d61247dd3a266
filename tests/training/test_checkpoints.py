"""Checkpoints as files: damaged ones are refused in one line, and none goes on as another."""

from pathlib import Path

import pytest
import torch

from tests.weights.changed_bytes import change_one_byte
from utils.errors import InputError
from utils.training.checkpoints import read_best, read_last

STATE = {"epoch": 4, "stopped": False, "network": {"weight": torch.arange(5000.0)}, "history": [], "best_score": 0.5}


@pytest.mark.parametrize("change", [0xFF, 0x01])
def test_a_changed_byte_anywhere_is_refused_or_changes_nothing(tmp_path, change):
    path = tmp_path / "last.pth"
    torch.save(STATE, path)
    refused = 0
    for _ in change_one_byte(path, change):
        try:
            found = read_last(tmp_path)
        except InputError as error:
            refused += 1
            said = str(error)
            assert said.startswith(f"{path}: damaged checkpoint (")
            assert said.endswith("; start again with another -out")
        else:
            assert torch.equal(found.pop("network")["weight"], STATE["network"]["weight"])
            assert found == {name: value for name, value in STATE.items() if name != "network"}
    assert refused > 35


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"epoch": "4"}, "epoch is missing or wrong"),
        ({"epoch": None}, "epoch is missing or wrong"),
        ({"network": [1]}, "network is missing or wrong"),
        ({"stopped": "no"}, "stopped is missing or wrong"),
        ([STATE], "no entries by name"),
        ("text", "no entries by name"),
    ],
)
def test_what_is_no_checkpoint_is_refused(tmp_path: Path, content, said):
    torch.save(STATE | content if isinstance(content, dict) else content, tmp_path / "last.pth")
    with pytest.raises(InputError, match=rf"last\.pth: damaged checkpoint \({said}\); start again with another -out"):
        read_last(tmp_path)


def test_the_best_epoch_needs_its_scores(tmp_path: Path):
    torch.save({"epoch": 4, "network": {}}, tmp_path / "best.pth")
    with pytest.raises(InputError, match=r"best\.pth: damaged checkpoint \(scores is missing or wrong\)"):
        read_best(tmp_path)

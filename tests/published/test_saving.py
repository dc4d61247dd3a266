"""Writing a weights file: equal weights give equal bytes, and a disk that fills up leaves nothing half-written."""

import errno

import pytest
import torch

from utils.models.spec import ModelSpec
from utils.published.weights_file import WeightsFile

HALF = (0.5, 0.5, 0.5)


def a_file() -> WeightsFile:
    spec = ModelSpec("unet", "resnet18", "multilabel", ("pit", "crack"))
    return WeightsFile(spec, {"weight": torch.arange(10_000.0)}, HALF, HALF, None, (0.5, 0.5), (0, 0))


def test_equal_weights_give_one_name_and_equal_bytes(tmp_path):
    first = a_file().save_named(tmp_path / "first", "unet")
    second = a_file().save_named(tmp_path / "second", "unet")
    assert first.name == second.name
    assert first.read_bytes() == second.read_bytes()


def test_full_disk_is_an_error_that_names_the_file(tmp_path, small_disk):
    path = tmp_path / "unet.pth"
    with small_disk(), pytest.raises(OSError) as error:  # noqa: PT011 - its number is checked below
        a_file().save(path)
    assert (error.value.errno, error.value.filename) == (errno.EFBIG, str(path))
    assert list(tmp_path.iterdir()) == []

"""Writing a weights file: equal weights give equal bytes, and a disk that fills up leaves nothing half-written."""

import dataclasses
import errno
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.weights.changed_bytes import change_one_byte
from utils.decision.decision import Decision
from utils.errors import InputError
from utils.models.spec import ModelSpec
from utils.weights.weights_file import WeightsFile, load

HALF = (0.5, 0.5, 0.5)


def a_file() -> WeightsFile:
    spec = ModelSpec("unet", "resnet18", "multilabel", ("pit", "crack"))
    return WeightsFile(spec, {"weight": torch.arange(10_000.0)}, HALF, HALF, None, Decision.uniform(2, 0.5))


def save_with(path: Path, **entries: Any) -> None:
    """Save that file with other entries."""
    a_file().save(path)
    torch.save(torch.load(path, weights_only=True) | entries, path)


def test_equal_weights_give_one_name_and_equal_bytes(tmp_path):
    first = a_file().save_named(tmp_path / "first", "unet")
    second = a_file().save_named(tmp_path / "second", "unet")
    assert first.name == second.name
    assert first.read_bytes() == second.read_bytes()


def test_another_file_of_the_same_stem_is_left_alone(tmp_path):
    (tmp_path / "unet.pth").write_bytes(b"somebody's")
    assert a_file().save_named(tmp_path, "unet").name != "unet.pth"
    assert (tmp_path / "unet.pth").read_bytes() == b"somebody's"


@pytest.mark.parametrize("areas", [(), (None, None), (40, None)])
def test_largest_areas_are_kept(tmp_path, areas):
    decision = Decision((0.5, 0.5), (0, 0), areas)
    dataclasses.replace(a_file(), decision=decision).save(tmp_path / "unet.pth")
    assert load(tmp_path / "unet.pth").decision.max_areas == (areas or (None, None))


def test_files_from_before_there_were_largest_areas_have_none(tmp_path):
    a_file().save(tmp_path / "new.pth")
    content = torch.load(tmp_path / "new.pth", weights_only=True)
    del content["max_areas"]
    torch.save(content, tmp_path / "old.pth")
    assert load(tmp_path / "old.pth").decision.max_areas == (None, None)


def test_largest_areas_of_another_number_of_classes_are_refused(tmp_path):
    save_with(tmp_path / "unet.pth", max_areas=[40])
    with pytest.raises(InputError, match=r"unet\.pth: damaged weights file"):
        load(tmp_path / "unet.pth")


@pytest.mark.parametrize("thresholds", [(), (0.0, 0.0), (0.98, 0.0)])
def test_high_thresholds_are_kept_and_written_only_where_there_are_some(tmp_path, thresholds):
    decision = Decision((0.5, 0.5), (0, 0), (), thresholds)
    dataclasses.replace(a_file(), decision=decision).save(tmp_path / "unet.pth")
    assert load(tmp_path / "unet.pth").decision.high_thresholds == (thresholds or (0.0, 0.0))
    # Without any, the bytes, and with them the name, are those of files from before there were high thresholds.
    assert ("high_thresholds" in torch.load(tmp_path / "unet.pth", weights_only=True)) == any(thresholds)


def test_two_classes_of_one_name_are_damage(tmp_path):
    spec = {**a_file().spec.to_dict(), "class_names": ["pit", "pit"]}
    save_with(tmp_path / "unet.pth", spec=spec)
    with pytest.raises(InputError, match=r"unet\.pth: damaged weights file \(model spec: two classes are called pit\)"):
        load(tmp_path / "unet.pth")


def test_high_thresholds_of_another_number_of_classes_are_refused(tmp_path):
    save_with(tmp_path / "unet.pth", high_thresholds=[0.9])
    with pytest.raises(InputError, match=r"unet\.pth: damaged weights file"):
        load(tmp_path / "unet.pth")


def test_full_disk_is_an_error_that_names_the_file(tmp_path, small_disk):
    path = tmp_path / "unet.pth"
    with small_disk(), pytest.raises(OSError) as error:  # noqa: PT011 - its number is checked below
        a_file().save(path)
    assert (error.value.errno, error.value.filename) == (errno.EFBIG, str(path))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("bits", "white"), [(None, None), (12, None), (14, 1.0)])
def test_the_bit_depth_is_kept_and_written_only_where_there_is_one(tmp_path, bits, white):
    dataclasses.replace(a_file(), bit_depth=bits, float_white=white).save(tmp_path / "unet.pth")
    stored = load(tmp_path / "unet.pth")
    assert (stored.bit_depth, stored.float_white) == (bits, white)
    assert ("bit_depth" in torch.load(tmp_path / "unet.pth", weights_only=True)) == (bits is not None)


@pytest.mark.parametrize(
    "entry",
    [
        {"bit_depth": 7},
        {"bit_depth": 9},
        {"float_white": 1e-20},
        {"bit_depth": 12.0},
        {"bit_depth": "12"},
        {"float_white": 0.0},
        {"float_white": math.nan},
    ],
)
def test_a_bit_depth_that_makes_no_sense_is_refused(tmp_path, entry):
    save_with(tmp_path / "unet.pth", **entry)
    with pytest.raises(InputError, match=r"unet\.pth: damaged weights file \((bit_depth|float_white) "):
        load(tmp_path / "unet.pth")


@pytest.mark.parametrize("change", [0xFF, 0x01])
def test_a_changed_byte_anywhere_is_refused_or_changes_nothing(tmp_path, change):
    path = tmp_path / "unet.pth"
    a_file().save(path)
    refused = 0
    for _ in change_one_byte(path, change):
        try:
            found = load(path)
        except InputError:
            refused += 1
        else:
            assert torch.equal(found.state_dict["weight"], a_file().state_dict["weight"])
            assert dataclasses.replace(found, state_dict={}) == dataclasses.replace(a_file(), state_dict={})
    assert refused > 35


def test_torchs_old_format_is_refused(tmp_path):
    a_file().save(tmp_path / "new.pth")
    content = torch.load(tmp_path / "new.pth", weights_only=True)
    torch.save(content, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    with pytest.raises(InputError, match=r"old\.pth: is stored in torch's format without checksums, .*; save it anew"):
        load(tmp_path / "old.pth")

"""Damage to files of ``torch.save``: whatever byte changes, the file is refused or holds what it held."""

import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from utils.errors import InputError
from utils.weights.index import Entry, Index
from utils.weights.torch_file import OtherFileError, digest, read_torch_file

CONTENT = {
    "epoch": 3,
    "network": {"weight": torch.arange(90.0), "bias": torch.tensor([1.5, -2.0])},
    "words": ["a", None],
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    torch.save(CONTENT, tmp_path / "last.pth")
    return tmp_path / "last.pth"


def same(content: object) -> bool:
    """Compare with ``CONTENT`` bit by bit."""
    if (
        not isinstance(content, dict)
        or list(content) != list(CONTENT)
        or list(content["network"]) != ["weight", "bias"]
    ):
        return False
    tensors = CONTENT["network"]
    return (content["epoch"], content["words"]) == (3, ["a", None]) and all(
        tensor.dtype == torch.float32 and tensor.numpy().tobytes() == tensors[name].numpy().tobytes()
        for name, tensor in content["network"].items()
    )


def outcome(path: Path) -> str:
    """Read a file: ``refused`` in one line that names it, ``same`` content, or ``other`` content."""
    try:
        content = read_torch_file(path).content
    except InputError as error:
        said = str(error)
    else:
        return "same" if same(content) else "other"
    assert said.startswith(f"{path}: ")
    assert "\n" not in said
    assert ";" in said, "a remedy is named"
    return "refused"


@pytest.mark.parametrize(
    ("change", "step"),
    [(0xFF, 7), (0x01, 9), *(pytest.param(bits, 1, marks=pytest.mark.slow) for bits in (0xFF, 0x80, 0x20, 0x01))],
)
def test_no_changed_byte_gives_other_content(path, tmp_path, change, step):
    whole = path.read_bytes()
    damaged = tmp_path / "damaged.pth"
    found = []
    for offset in range(0, len(whole), step):
        changed = bytearray(whole)
        changed[offset] ^= change
        damaged.write_bytes(changed)
        found.append(outcome(damaged))
    # Half of so small a file is padding between its parts, which nobody reads.
    assert "other" not in found
    assert found.count("refused") > len(found) / 4


def test_no_cut_or_shifted_file_gives_other_content(path, tmp_path):
    whole = path.read_bytes()
    damaged = tmp_path / "damaged.pth"
    for length in range(0, len(whole), 40):
        for content in (
            whole[:length],
            whole[:length] + bytes(len(whole) - length),
            whole[:length] + whole[length + 1 :],
        ):
            damaged.write_bytes(content)
            assert outcome(damaged) == "refused" or content == whole


def test_parts_that_were_exchanged_are_refused(tmp_path):
    torch.save({"a": torch.zeros(50), "b": torch.ones(50)}, tmp_path / "w.pth")
    whole = (tmp_path / "w.pth").read_bytes()
    zeros, ones = np.zeros(50, np.float32).tobytes(), np.ones(50, np.float32).tobytes()
    first, second = whole.index(zeros), whole.index(ones)
    exchanged = bytearray(whole)
    exchanged[first : first + 200], exchanged[second : second + 200] = ones, zeros
    (tmp_path / "w.pth").write_bytes(exchanged)
    with pytest.raises(
        InputError, match=r"w\.pth: damaged: Bad CRC-32 for file '\w+/data/\d'; fetch or train it again"
    ):
        read_torch_file(tmp_path / "w.pth")


def test_a_part_that_calls_itself_a_folder_is_refused(path):
    """torch reads nothing of it then, and gives whatever lies in memory as its numbers."""
    changed = bytearray(path.read_bytes())
    entry = changed.rindex(b"last/data/0") - 46  # of the table of contents, where attributes have offset 38
    assert changed[entry : entry + 4] == b"PK\x01\x02"
    changed[entry + 38] ^= 0x10
    path.write_bytes(changed)
    with pytest.raises(InputError, match=r"last\.pth: damaged: its table of contents is wrong about 'last/data/0'"):
        read_torch_file(path)


def named(path: Path, name: str) -> Path:
    return Path(shutil.copyfile(path, path.with_name(name)))


@pytest.mark.parametrize("name", ["own.pth", "own-20240131.pth", "own-1234567.pth", "own-abcdefgh.pth"])
def test_a_whole_file_may_have_any_name_that_promises_nothing(path, name):
    assert read_torch_file(named(path, name)).sha256 == ""


def test_the_digits_of_the_name_are_compared(path):
    right = named(path, f"own-{digest(path)[:8]}.pth")
    assert read_torch_file(right).sha256 == digest(path)
    with pytest.raises(OtherFileError, match=r"promises a sha256 of 0123abcd and it has \w{8}; .* without -0123abcd"):
        read_torch_file(named(path, "own-0123abcd.pth"))


def test_the_index_beside_a_file_is_compared(path):
    found = digest(path)
    entry = Entry("own", f"own-{found[:8]}.pth", found[:8] + "0" * 56, 1, ("x",), "unet", "resnet18", "binary", ("a",))
    Index((entry,), "own").save(path.with_name("index.json"))
    file = named(path, entry.file)
    with pytest.raises(
        OtherFileError, match=r"not the file that index\.json beside it lists \(sha256\); fetch it again"
    ):
        read_torch_file(file)
    index = json.loads(path.with_name("index.json").read_text())
    index["weights"][0]["sha256"] = found
    path.with_name("index.json").write_text(json.dumps(index))
    assert read_torch_file(file).sha256 == found
    path.with_name("index.json").write_text("{")  # a damaged index is for whoever needs it
    assert read_torch_file(file).sha256 == found


def test_a_noted_sha256_is_compared(path):
    assert read_torch_file(path, digest(path).upper()).sha256 == digest(path)
    with pytest.raises(OtherFileError, match="another file than the one named"):
        read_torch_file(path, "0" * 64)


def test_packed_parts_are_refused_before_they_are_unpacked(path, tmp_path):
    packed = tmp_path / "packed.pth"
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as new:
        for part in old.infolist():
            new.writestr(part.filename, old.read(part))
    with pytest.raises(InputError, match=r"packed\.pth: refused, its part .* is packed, .*; save it anew"):
        read_torch_file(packed)


def test_torchs_old_format_has_no_checksum(tmp_path):
    torch.save({"conv.weight": torch.ones(3)}, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    assert not read_torch_file(tmp_path / "old.pth").summed

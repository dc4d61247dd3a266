"""Zips are unpacked within bounds, whatever they say of themselves."""

import io
import struct
import zipfile

import pytest

from utils.desk import archives
from utils.errors import InputError


def zipped(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return packed.getvalue()


def names(data: bytes, most: int = 1000) -> list[tuple[str, bool]]:
    return [(name, isinstance(content, bytes)) for name, content in archives.unpack(data, most)]


def test_files_come_out_and_noise_stays():
    data = zipped(
        {"a/1.png": b"one", "__MACOSX/a/._1.png": b"", "a/.hidden": b"x", "a/Thumbs.db": b"x", "b.png": b"two"}
    )
    assert list(archives.unpack(data, 1000)) == [("a/1.png", b"one"), ("b.png", b"two")]


def test_a_file_above_the_limit_is_named():
    assert names(zipped({"a.png": b"1" * 1001, "b.png": b"1"})) == [("a.png", False), ("b.png", True)]


def test_a_bomb_is_left_out(monkeypatch):
    monkeypatch.setattr(archives, "FREE_BYTES", 1000)
    assert names(zipped({"a.png": bytes(1_000_000)}), 10**7) == [("a.png", False)]


def test_all_files_together_are_bounded(monkeypatch):
    monkeypatch.setattr(archives, "MOST_UNPACKED", 2)
    with pytest.raises(InputError, match="too much"):
        names(zipped({str(k): b"x" * 900 for k in range(5)}))


def test_too_many_files_are_refused(monkeypatch):
    monkeypatch.setattr(archives, "MOST_FILES", 3)
    with pytest.raises(InputError, match="more than 3 files"):
        names(zipped({str(k): b"" for k in range(4)}))


def test_sizes_in_the_headers_are_not_believed(monkeypatch):
    monkeypatch.setattr(archives, "FREE_BYTES", 10)
    data = bytearray(zipped({"a.png": bytes(100_000)}))
    place = data.index(b"PK\x01\x02")
    data[place + 24 : place + 28] = struct.pack("<I", 5)  # it says 5 bytes
    assert names(bytes(data)) == [("a.png", False)]


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"PK\x03\x04", id="a beginning alone"),
        pytest.param(zipped({"a.png": b"1" * 500}, zipfile.ZIP_STORED)[:300], id="cut off"),
        pytest.param(b"PK\x05\x06" + bytes(4), id="an end that ends too soon"),
    ],
)
def test_damage_is_refused(data):
    assert archives.is_zip(data)
    with pytest.raises(InputError, match="damaged"):
        names(data)


def test_a_locked_file_is_named():
    data = bytearray(zipped({"a.png": b"one"}))
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(mark) + place] |= 1
    ((name, reason),) = archives.unpack(bytes(data), 1000)
    assert name == "a.png"
    assert "password" in reason


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_methods_that_unpack_without_bounds_are_named(method):
    entries = list(archives.unpack(zipped({"a.png": bytes(10**6)}, method), 1000))
    assert [name for name, _ in entries] == ["a.png"]
    assert "unusual method" in entries[0][1]


def test_what_is_left_out_counts_too(monkeypatch):
    monkeypatch.setattr(archives, "MOST_UNPACKED", 3)
    with pytest.raises(InputError, match="too much"):
        names(zipped({f"{k}.png": b"1" * 2000 for k in range(5)}))


def test_too_many_files_are_refused_before_their_list_is_read(monkeypatch):
    data = zipped({str(k): b"" for k in range(4)})
    monkeypatch.setattr(archives, "MOST_FILES", 3)
    monkeypatch.setattr(zipfile, "ZipFile", None)
    with pytest.raises(InputError, match="more than 3 files"):
        names(data)

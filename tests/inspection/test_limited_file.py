"""Bytes that lead a decoder into a long loop cost some seconds and no memory."""

import io
import struct
import time
import zlib

import numpy as np
import pytest
from PIL import Image

from utils.inference.inspected import Refused
from utils.inspection import limited_file
from utils.inspection.decoding import open_upload, unpack
from utils.inspection.limited_file import LimitedFile, TooMuchWork
from utils.inspection.upload import Upload


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(*between: bytes) -> bytes:
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 0, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(bytes(72)))
    return b"\x89PNG\r\n\x1a\n" + b"".join([head, *between, pixels, chunk(b"IEND", b"")])


def bmp_of_empty_rows() -> bytes:
    """A picture whose rows end before they begin, again and again: the decoder is one of Python's own."""
    head = struct.pack("<IHHI", 0, 0, 0, 54 + 1024) + struct.pack("<IiiHHIIiiII", 40, 9, 9, 1, 8, 1, 0, 0, 0, 256, 256)
    return b"BM" + head + bytes(1024) + b"\0\0" * 500_000 + b"\0\1"


def tiff_of_tags(size: int = 1_000_000, tags: int = 500) -> bytes:
    """A TIFF whose tags all point to nearly the whole file: each of them would be read and kept."""
    usual = [(256, 4, 1, 8), (257, 4, 1, 8), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1)]
    usual += [(273, 4, 1, 8), (277, 3, 1, 1), (278, 4, 1, 8), (279, 4, 1, 64)]
    entries = usual + [(30_000 + number, 1, size - 20_000, 20_000) for number in range(tags)]
    packed = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return (b"II*\0" + struct.pack("<IH", 8, len(entries)) + packed + bytes(4)).ljust(size, b"\0")


def outcome(data: bytes) -> str:
    opened = open_upload(Upload("strip", data), 1_000_000)
    found = opened if isinstance(opened, Refused) else unpack(opened, 3)
    return found.code if isinstance(found, Refused) else "read"


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(png(chunk(b"abCd", b"") * 500_000), id="chunks that say nothing"),
        pytest.param(png(chunk(b"IDAT", b"") * 500_000), id="pixels of no bytes"),
        pytest.param(bmp_of_empty_rows(), id="rows that end before they begin"),
    ],
)
def test_a_loop_ends_when_the_time_is_up(monkeypatch, data):
    monkeypatch.setattr(LimitedFile.__init__, "__defaults__", (lambda: True, 0.05))
    start = time.thread_time()  # of the processor: a busy machine is no fault
    assert outcome(data) == "too_slow"
    assert time.thread_time() - start < 2


def test_tags_that_all_point_to_the_whole_file_are_not_collected():
    file = LimitedFile(tiff_of_tags())
    with pytest.raises(TooMuchWork):
        Image.open(file)
    assert outcome(tiff_of_tags()) == "too_slow"
    assert outcome(tiff_of_tags(tags=2)) == "read"


def test_decoding_ends_when_nobody_waits_any_more():
    waiting = [True]
    opened = open_upload(Upload("strip", png()), 1_000_000, lambda: bool(waiting))
    waiting.clear()
    found = unpack(opened, 3)
    assert isinstance(found, Refused)
    assert found.code == "too_slow"


@pytest.mark.parametrize("format", ["JPEG", "PNG", "BMP", "TIFF"])
def test_an_ordinary_image_is_far_from_the_limits(monkeypatch, format):
    monkeypatch.setattr(limited_file, "FREE_BYTES", 0)
    monkeypatch.setattr(limited_file, "MOST_READ", 3)
    packed = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (99, 99, 3), dtype=np.uint8)).save(packed, format)
    assert outcome(packed.getvalue()) == "read"

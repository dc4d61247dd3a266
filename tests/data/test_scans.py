"""A JPEG's scans are counted in its bytes, whatever a decoder calls the file."""

import io

import numpy as np
import pytest
from PIL import Image

from utils.data.images import ImageError, read_image, read_size, verify_image
from utils.data.scans import MOST_SCANS, MOST_SEGMENTS, has_too_many_scans


def jpeg(kind: str = "JPEG", scans: int = 0, segment: bytes = b"", progressive: bool = True, **more) -> bytes:
    """A small JPEG that repeats its last scan, with a segment behind its start."""
    packed = io.BytesIO()
    picture = Image.fromarray(np.zeros((16, 16), np.uint8))
    picture.save(packed, kind, progressive=progressive, **more)
    data = packed.getvalue()
    end = data.index(b"\xff\xd9") if kind == "MPO" else len(data) - 2
    scan = data[data.rindex(b"\xff\xda", 0, end) : end]
    return data[:2] + segment + data[2:end] + scan * scans + data[end:]


def mpo(scans: int) -> bytes:
    other = Image.fromarray(np.zeros((16, 16), np.uint8))
    return jpeg("MPO", scans, save_all=True, append_images=[other])


def app(data: bytes) -> bytes:
    return b"\xff\xe5" + (len(data) + 2).to_bytes(2, "big") + data


CASES = {
    "plain": (jpeg(progressive=False), False),
    "progressive": (jpeg(), False),
    "as many as are allowed": (jpeg(scans=MOST_SCANS - 6), False),
    "too many": (jpeg(scans=MOST_SCANS + 1), True),
    "an MPO": (mpo(0), False),
    "an MPO with 3,000": (mpo(3000), True),
    "a plain JPEG with 3,000": (jpeg(progressive=False, scans=3000), True),
    "fill bytes before each marker": (jpeg(scans=200).replace(b"\xff\xda", b"\xff\xff\xff\xda"), True),
    "garbage between the scans": (jpeg(scans=200).replace(b"\xff\xda", b"\x00\x07\xff\xda"), True),
    "marks of a restart between": (jpeg(scans=200).replace(b"\xff\xda", b"\xff\xd3\xff\xda"), True),
    "the bytes of many scans inside of a segment": (jpeg(segment=app(b"\xff\xda" * 500)), False),
    "the same, and many scans": (jpeg(scans=200, segment=app(b"\xff\xda" * 500)), True),
    "scans behind the end": (jpeg() + b"\xff\xda\x00\x02" * 500, False),
    "segments without end": (jpeg(segment=app(b"") * (MOST_SEGMENTS + 1)), True),
    "no end": (jpeg(scans=200)[:-2], True),
    "two bytes": (b"\xff\xd8", False),
    "a segment that ends the file": (b"\xff\xd8\xff\xe1\xff", False),
    "a segment of length 0": (b"\xff\xd8" + b"\xff\xe1\x00\x00" * 50 + b"\xff\xda\x00\x02" * 101, True),
    "no JPEG": (b"\x89PNG\r\n\x1a\n" + b"\xff\xda" * 500, False),
    "nothing": (b"", False),
}


@pytest.mark.parametrize("name", CASES)
def test_scans_are_counted_as_a_decoder_would_meet_them(name):
    data, found = CASES[name]
    assert has_too_many_scans(data) is found


def test_pillow_calls_it_another_format():
    assert Image.open(io.BytesIO(mpo(3000))).format == "MPO"


@pytest.mark.parametrize("read", [read_image, verify_image])
def test_commands_refuse_such_a_file_at_once_and_say_what_to_do(tmp_path, read):
    path = tmp_path / "strip.jpg"
    path.write_bytes(mpo(3000))
    with pytest.raises(
        ImageError, match=r"strip\.jpg: JPEG of more than 100 scans, .*; save it again as a plain JPEG$"
    ):
        read(path)
    assert read_size(path) == (16, 16)  # the header alone costs nothing


def test_commands_read_an_ordinary_one_as_before(tmp_path):
    path = tmp_path / "strip.jpg"
    path.write_bytes(mpo(0))
    assert read_image(path).shape == (16, 16, 3)

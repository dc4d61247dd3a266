"""Damaged images are read, or refused in one line: by the commands and by the server."""

import io
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.fuzz.damage import damaged
from utils.data.images import ImageError, read_image, read_size, verify_image
from utils.inference.inspected import Refused
from utils.inspection.decoding import open_upload, unpack
from utils.inspection.upload import REFUSALS, Upload

pytestmark = pytest.mark.slow
SEEDS = st.integers(0, 2**32 - 1)
CASES = settings(
    max_examples=150, deadline=None, database=None, print_blob=True, suppress_health_check=list(HealthCheck)
)


def packed(kind: str, image: Image.Image, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, shape, dtype=np.uint8)


COLOUR, GREY, DEEP = (
    Image.fromarray(a) for a in (noise(24, 40, 3), noise(24, 40), noise(24, 40).astype(np.uint16) * 257)
)
FILES = {
    "a.png": packed("PNG", COLOUR),
    "palette.png": packed("PNG", COLOUR.quantize(16)),
    "deep.png": packed("PNG", DEEP),
    "a.jpg": packed("JPEG", COLOUR),
    "progressive.jpg": packed("JPEG", GREY, progressive=True),
    "several.jpg": packed("MPO", COLOUR, save_all=True, append_images=[COLOUR]),
    "a.tif": packed("TIFF", COLOUR),
    "deep.tif": packed("TIFF", DEEP),
    "lzw.tif": packed("TIFF", GREY, compression="tiff_lzw"),
    "jpeg.tif": packed("TIFF", COLOUR, compression="jpeg"),
    "a.bmp": packed("BMP", COLOUR),
    "palette.bmp": packed("BMP", COLOUR.quantize(16)),
    "a.webp": packed("WEBP", COLOUR),
    "lossless.webp": packed("WEBP", COLOUR, lossless=True),
}


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    """A damaged size may be any; what is decoded for nothing shall not be gigabytes."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1_000_000)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def outcome(reading: Callable, path: Path) -> Any:
    """Return what was read, or the refusal."""
    try:
        return reading(path)
    except ImageError as error:
        return error


@pytest.mark.parametrize("name", FILES)
def test_commands_read_a_damaged_image_or_say_in_one_line_why_not(tmp_path, name):
    path = tmp_path / name

    @CASES
    @given(SEEDS)
    def read(seed):
        path.write_bytes(damaged(FILES[name], seed))
        for reading in (read_size, verify_image, read_image):
            found = outcome(reading, path)
            if isinstance(found, ImageError):
                assert "\n" not in str(found)
                assert str(found).startswith(f"{path}: ")
            elif reading is read_image:
                assert (found.dtype, found.shape[2]) == (np.uint8, 3)

    read()


@pytest.mark.parametrize("name", FILES)
def test_server_reads_a_damaged_image_or_refuses_it(name):
    @CASES
    @given(SEEDS)
    def read(seed):
        opened = open_upload(Upload(name, damaged(FILES[name], seed)), 1_000_000)
        found = opened if isinstance(opened, Refused) else unpack(opened, 3)
        if isinstance(found, Refused):
            assert found.code in REFUSALS
            assert found.reason.endswith(".")
            assert "\n" not in found.reason
        else:
            assert found.dtype == np.uint8

    read()

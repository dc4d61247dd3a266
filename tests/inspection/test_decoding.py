"""Bytes become the pixels that the command line reads from the same file, whatever the format."""

import io

import numpy as np
import pytest
from PIL import Image

from utils.data.bit_depth import BitDepth
from utils.data.images import read_image
from utils.inference.inspected import Refused
from utils.inference.network import LARGEST_MULTIPLE
from utils.inspection.decoding import FORMATS, OpenedImage, open_upload, unpack
from utils.inspection.upload import REFUSALS, Upload
from utils.models.factory import MULTIPLES


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, shape, dtype=np.uint8)


IMAGES = {
    "colour.jpg": (Image.fromarray(noise(20, 30, 3)), {}),
    "grey.jpg": (Image.fromarray(noise(20, 30)), {}),
    "cmyk.jpg": (Image.fromarray(noise(20, 30, 4), "CMYK"), {}),
    "progressive.jpg": (Image.fromarray(noise(20, 30, 3)), {"progressive": True}),
    "colour.png": (Image.fromarray(noise(20, 30, 3)), {}),
    "alpha.png": (Image.fromarray(noise(20, 30, 4), "RGBA"), {}),
    "palette.png": (Image.fromarray(noise(20, 30, 3)).quantize(16), {}),
    "bits.png": (Image.fromarray(noise(20, 30) > 128), {}),
    "deep.png": (Image.fromarray(noise(20, 30).astype(np.uint16) * 257), {}),
    "colour.bmp": (Image.fromarray(noise(20, 30, 3)), {}),
    "plain.tif": (Image.fromarray(noise(20, 30, 3)), {}),
    "packed.tif": (Image.fromarray(noise(20, 30)), {"compression": "tiff_lzw"}),
    "deep.tif": (Image.fromarray(noise(20, 30).astype(np.uint16) * 257), {}),
    "wide.png": (Image.fromarray(noise(20, 30).astype(np.uint16) << 4), {}),
    "colour.webp": (Image.fromarray(noise(20, 30, 3)), {"lossless": True}),
    "lossy.webp": (Image.fromarray(noise(20, 30, 3)), {}),
    "alpha.webp": (Image.fromarray(noise(20, 30, 4), "RGBA"), {}),
    "float.tif": (Image.fromarray(noise(20, 30).astype(np.float32) / 255), {}),
}


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", IMAGES)
def test_bytes_become_what_the_command_line_reads(tmp_path, name, channels):
    image, options = IMAGES[name]
    image.save(tmp_path / name, **options)
    opened = open_upload(Upload(name, (tmp_path / name).read_bytes()), 1_000)
    assert opened.pixels == 600
    np.testing.assert_array_equal(unpack(opened, channels), read_image(tmp_path / name, channels))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("shape", [(20, 30, 3), (20, 30), (20, 30, 1)])
def test_pixels_become_what_their_png_would(tmp_path, shape, channels):
    pixels = noise(*shape)
    Image.fromarray(pixels.reshape(shape[:2] if shape[-1] == 1 else shape)).save(tmp_path / "a.png")
    got = unpack(open_upload(Upload("a", pixels), 1_000), channels)
    np.testing.assert_array_equal(got, read_image(tmp_path / "a.png", channels))


@pytest.mark.parametrize("kind", [kind for kind in Image.SAVE if kind not in (*FORMATS, "MPO")])
def test_no_other_format_is_opened(kind):
    Image.init()
    packed = io.BytesIO()
    try:
        Image.fromarray(noise(64, 64, 3)).save(packed, kind)
    except Exception:
        pytest.skip("PIL writes no colour images of this kind here")
    # An icon may hold a bitmap, and a stack of them a TIFF: what opens is opened as one of the known formats.
    opened = open_upload(Upload("a", packed.getvalue()), 10_000)
    if not isinstance(opened, Refused):
        assert isinstance(opened.image, Image.Image)
        assert opened.image.format in FORMATS


@pytest.mark.parametrize("size", [(1, 160), (160, 1), (1, 128), (128, 128), (127, 129)])
def test_thin_image_counts_as_what_the_network_makes_of_it(size):
    opened = open_upload(Upload("a", noise(*size)), 160 * LARGEST_MULTIPLE)
    assert (opened.pixels, opened.filled) == (size[0] * size[1], LARGEST_MULTIPLE * (128 if max(size) <= 128 else 256))
    if max(size) > LARGEST_MULTIPLE:
        refused = open_upload(Upload("a", noise(*size)), LARGEST_MULTIPLE * max(size) - 1)
        assert isinstance(refused, Refused)
        assert (refused.name, refused.code) == ("a", "too_many_pixels")
        assert refused.reason.startswith(f"The image has {size[1]} x {size[0]} (in the network ")
        assert "pixels, more than" in refused.reason


def test_no_architecture_fills_up_to_more():
    assert all(LARGEST_MULTIPLE % multiple == 0 for multiple in (32, *MULTIPLES.values()))


@pytest.mark.parametrize("array", [noise(8, 8, 4), noise(8), np.zeros((8, 8), np.float32), np.zeros((8, 8), bool)])
def test_other_arrays_are_refused(array):
    refused = open_upload(Upload("a", array), 1_000)
    assert isinstance(refused, Refused)
    assert (refused.name, refused.code) == ("a", "not_an_image")


@pytest.mark.parametrize("name", IMAGES)
def test_any_cut_of_a_file_is_an_image_or_a_refusal(tmp_path, name):
    """Nothing but a refusal may come out of bytes that are cut or changed anywhere."""
    image, options = IMAGES[name]
    packed = io.BytesIO()
    image.save(
        packed,
        name.rpartition(".")[2].replace("jpg", "jpeg").replace("tif", "tiff").replace("tifff", "tiff"),
        **options,
    )
    data = packed.getvalue()
    random = np.random.default_rng(1)
    for turn in range(60):
        spoilt = bytearray(data[: random.integers(1, len(data))] if turn % 2 else data)
        for place in random.integers(0, len(spoilt), turn % 7):
            spoilt[place] = random.integers(0, 256)
        code, reason = outcome(Upload(name, bytes(spoilt)))
        assert code in (None, *REFUSALS)
        assert reason.endswith(".")


def outcome(upload: Upload) -> tuple[str | None, str]:
    opened = open_upload(upload, 1_000_000)
    got = unpack(opened, 3) if isinstance(opened, OpenedImage) else opened
    return (got.code, got.reason) if isinstance(got, Refused) else (None, "An image.")


@pytest.mark.parametrize("options", [{}, {"lossless": True}, {"exif": b"Exif\0\0II*\0"}])
def test_a_webp_of_too_many_pixels_is_refused_before_it_is_opened(monkeypatch, options):
    packed = io.BytesIO()
    Image.new("RGB", (300, 40)).save(packed, "WEBP", **options)
    monkeypatch.setattr(Image, "open", lambda *_, **__: pytest.fail("opened"))
    refused = open_upload(Upload("a", packed.getvalue()), 11_999)
    assert isinstance(refused, Refused)
    assert refused.code == "too_many_pixels"
    assert "300 x 40" in refused.reason


def test_numbers_are_read_by_the_depth_of_the_training():
    packed = io.BytesIO()
    Image.fromarray(np.full((20, 30), 1000, np.uint16)).save(packed, "PNG")
    opened = [open_upload(Upload("a", packed.getvalue()), 1_000) for _ in range(3)]
    assert unpack(opened[0], 1, BitDepth(12)).max() == 1000 >> 4
    assert unpack(opened[1], 1).max() == 1000 >> 2
    refused = unpack(opened[2], 1, BitDepth(8))
    assert refused.code == "bit_depth"
    assert refused.reason.startswith("The image holds numbers up to 1000, more than the 8 bits")

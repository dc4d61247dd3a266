import errno
import io
import os
import struct
import sys
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from utils.data.bit_depth import BitDepth
from utils.data.images import (
    ImageError,
    measure_depth,
    pages_of,
    read_image,
    read_index_mask,
    read_size,
    verify_image,
)
from utils.data.listing import list_images

rng = np.random.default_rng(0)
COLOUR = rng.integers(0, 256, (40, 60, 3), dtype=np.uint8)


def save(path, array, **options):
    Image.fromarray(array).save(path, **options)
    return path


def test_colour_is_rgb_and_writable(tmp_path):
    image = read_image(save(tmp_path / "a.png", COLOUR))
    assert np.array_equal(image, COLOUR)
    assert image.flags.writeable
    assert image.flags.c_contiguous


def test_grey_is_repeated_or_kept(tmp_path):
    grey = COLOUR[..., 0]
    path = save(tmp_path / "a.png", grey)
    assert np.array_equal(read_image(path), np.repeat(grey[..., None], 3, axis=2))
    assert np.array_equal(read_image(path, channels=1), grey[..., None])


def test_colour_as_grey_has_one_channel(tmp_path):
    path = save(tmp_path / "a.png", np.full((4, 5, 3), (10, 10, 10), np.uint8))
    assert np.array_equal(read_image(path, channels=1), np.full((4, 5, 1), 10))


def test_16_bit_grey_keeps_its_range(tmp_path):
    path = save(tmp_path / "a.png", np.array([[0, 256, 65535]], np.uint16))
    assert read_image(path, channels=1)[..., 0].tolist() == [[0, 1, 255]]


def packed_tiff(samples, compression=1):
    """Write a TIFF of one strip that Pillow itself does not write: floating-point numbers of 64 bits."""
    data = zlib.compress(samples.tobytes()) if compression == 8 else samples.tobytes()
    tags = [(256, 3, samples.shape[1]), (257, 3, samples.shape[0]), (258, 3, 64), (259, 3, compression), (262, 3, 1)]
    tags += [(273, 4, 8), (277, 3, 1), (278, 3, samples.shape[0]), (279, 4, len(data)), (339, 3, 3)]
    start = 8 + len(data) + len(data) % 2
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    return (
        struct.pack("<2sHI", b"II", 42, start)
        + data.ljust(start - 8, b"\0")
        + struct.pack("<H", 10)
        + entries
        + bytes(4)
    )


CAMERA = rng.integers(20, 236, (40, 60, 3))  # what a camera of 8 bits would have seen
DEEP = {
    **{
        f"{bits} bits.{kind}": (CAMERA[..., 0] << bits - 8).astype(np.uint16)
        for bits in (10, 12, 14, 16)
        for kind in ("png", "tif")
    },
    "big end first.tif": (CAMERA[..., 0] << 4).astype(">u2"),
    "32 bits.tif": (CAMERA[..., 0] << 4).astype(np.int32),
    "8 of 32 bits.tif": CAMERA[..., 0].astype(np.int32),
    "float to 4095.tif": (CAMERA[..., 0] << 4).astype(np.float32),
    "float to 1.tif": (CAMERA[..., 0] / 255).astype(np.float32),
    "float to 255.tif": CAMERA[..., 0].astype(np.float32),
}


@pytest.mark.parametrize("name", DEEP)
def test_more_than_8_bits_become_the_grey_that_the_camera_saw(tmp_path, name):
    path = save(tmp_path / name, DEEP[name])
    assert np.array_equal(read_image(path, 1)[..., 0], CAMERA[..., 0])
    assert verify_image(path).levels.high == DEEP[name].max()


@pytest.mark.parametrize("kind", ["png", "tif"])
@pytest.mark.parametrize("alpha", [False, True])
def test_colours_of_12_bits_keep_their_low_bits(tmp_path, kind, alpha):
    deep = (CAMERA[..., ::-1] << 4).astype(np.uint16)
    cv2.imwrite(str(tmp_path / f"a.{kind}"), np.dstack([deep, deep[..., 0]]) if alpha else deep)
    assert np.array_equal(read_image(tmp_path / f"a.{kind}"), CAMERA)


@pytest.mark.parametrize("compression", [1, 8])
def test_floating_point_numbers_of_64_bits_are_read(tmp_path, compression):
    (tmp_path / "a.tif").write_bytes(packed_tiff(CAMERA[..., 0] / 255, compression))
    assert np.array_equal(read_image(tmp_path / "a.tif", 1)[..., 0], CAMERA[..., 0])


@pytest.mark.parametrize(
    ("samples", "reason"),
    [
        (np.array([[0.5, np.nan]], np.float32), r"not finite \(NaN or infinity\)"),
        (np.array([[0.5, np.inf]], np.float32), "not finite"),
        (np.array([[0.5, -0.5]], np.float32), "down to -0.5, expected 0 or more"),
        (np.array([[0, -1]], np.int32), "down to -1,"),
        (np.array([[0, 65536]], np.int32), "up to 65536, more than 16 bits"),
        (np.array([[0, 1e6]], np.float32), r"up to 1e\+06, more than 16 bits"),
    ],
)
def test_numbers_that_no_depth_fits_are_refused(tmp_path, samples, reason):
    path = save(tmp_path / "a.tif", samples)
    for read in (read_image, verify_image):
        with pytest.raises(ImageError, match=rf"a\.tif: holds numbers .*{reason}.*; \w+"):
            read(path)


def test_the_depth_of_a_folder_is_measured_on_its_deep_images(tmp_path):
    for number, level in enumerate([400, 3000, 200]):
        save(tmp_path / f"{number}.png", np.full((4, 6), level, np.uint16))
    save(tmp_path / "shallow.png", COLOUR)
    save(tmp_path / "f.tif", np.full((4, 6), 0.25, np.float32))
    (tmp_path / "damaged.tif").write_bytes(b"II*\0")
    paths = list_images(tmp_path)
    assert measure_depth(paths) == BitDepth(12, 1.0)
    assert measure_depth(paths, BitDepth(14)) == BitDepth(14, 1.0)
    assert measure_depth([tmp_path / "shallow.png"]) == BitDepth()
    assert read_image(tmp_path / "0.png", 1, BitDepth(12)).max() == 400 >> 4
    assert np.array_equal(read_image(tmp_path / "shallow.png", 3, BitDepth(12)), COLOUR)
    with pytest.raises(ImageError, match=r"1\.png: holds numbers up to 3000, more than the 10 bits .*-bit_depth 12"):
        read_image(tmp_path / "1.png", 1, BitDepth(10))


def test_pages_of_a_tiff_are_counted(tmp_path):
    pages = [Image.fromarray(COLOUR) for _ in range(3)]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    assert verify_image(tmp_path / "a.tif").pages == pages_of(tmp_path / "a.tif") == 3
    assert verify_image(save(tmp_path / "b.tif", COLOUR)).pages == 1


def test_a_line_scan_of_more_than_178_million_pixels_is_read(tmp_path, recwarn):
    Image.new("1", (16384, 11008)).save(tmp_path / "a.png")
    assert read_size(tmp_path / "a.png") == (11008, 16384)
    assert not recwarn.list


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_links_that_lead_nowhere_are_named(tmp_path):
    (tmp_path / "dead.png").symlink_to("gone.png")
    (tmp_path / "loop.png").symlink_to("loop.png")
    save(tmp_path / "a.png", COLOUR)
    (tmp_path / "good.png").symlink_to("a.png")
    os.mkfifo(tmp_path / "pipe.png")
    dead, loop = [path for path in list_images(tmp_path) if path.name not in ("a.png", "good.png")]
    for path, reason in ((dead, "a dead link to gone.png"), (loop, "a link that leads back to itself")):
        with pytest.raises(ImageError, match=f"{path.name}: {reason}; "):
            read_image(path)


@pytest.mark.parametrize("error", [TypeError("'float' object"), KeyError(5), struct.error("unpack"), RecursionError()])
def test_whatever_a_decoder_raises_is_a_damaged_image(tmp_path, monkeypatch, error):
    def broken(*_, **__):
        raise error

    (tmp_path / "a.tif").write_bytes(b"II*\0")
    monkeypatch.setattr(Image, "open", broken)
    with pytest.raises(ImageError, match=r"a\.tif: damaged image \(\S.*\); restore"):
        read_image(tmp_path / "a.tif")


def test_a_tiff_whose_offset_is_no_whole_number_is_a_damaged_image(tmp_path):
    content = bytearray(packed_tiff(CAMERA[..., 0] / 255))
    place = content.index(struct.pack("<HHI", 273, 4, 1))
    content[place : place + 8] = struct.pack("<HHI", 273, 11, 1)  # the strip's place as a floating-point number
    (tmp_path / "a.tif").write_bytes(content)
    with pytest.raises(ImageError, match=r"a\.tif: .*restore the file or remove it"):
        read_image(tmp_path / "a.tif")


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE])
def test_too_many_open_files_say_nothing_about_the_image(tmp_path, monkeypatch, number):
    def refuse(path):
        raise OSError(number, os.strerror(number), str(path))

    (tmp_path / "a.png").touch()
    monkeypatch.setattr(Image, "open", refuse)
    with pytest.raises(OSError, match="oo many open files") as caught:
        read_image(tmp_path / "a.png")
    assert caught.value.filename == str(tmp_path / "a.png")


def test_a_disk_that_fails_is_no_damaged_image(tmp_path, monkeypatch):
    def refuse(path):
        raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))

    (tmp_path / "a.png").touch()
    monkeypatch.setattr(Image, "open", refuse)
    with pytest.raises(ImageError, match=r"a\.png: cannot be read \(Input/output error\); check the disk"):
        read_image(tmp_path / "a.png")


def test_palette_and_alpha_become_rgb(tmp_path):
    Image.fromarray(COLOUR).convert("P").save(tmp_path / "p.png")
    Image.fromarray(COLOUR).convert("RGBA").save(tmp_path / "a.png")
    assert read_image(tmp_path / "p.png").shape == (40, 60, 3)
    assert np.array_equal(read_image(tmp_path / "a.png"), COLOUR)


def test_lab_colours_become_rgb_and_grey(tmp_path):
    Image.new("LAB", (4, 3), (128, 128, 128)).save(tmp_path / "a.tif")  # a medium grey: a and b are stored from 128
    assert np.abs(read_image(tmp_path / "a.tif").astype(int) - 119).max() <= 2
    assert np.abs(read_image(tmp_path / "a.tif", channels=1).astype(int) - 119).max() <= 2


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.bmp", "a.tif", "a.webp"])
def test_size_is_height_and_width(tmp_path, name):
    assert read_size(save(tmp_path / name, COLOUR)) == (40, 60)


@pytest.mark.parametrize("kind", ["jpeg", "png", "bmp", "tiff", "webp"])
@pytest.mark.parametrize("kept", [0.3, 0.6, 0.95])
def test_a_truncated_image_is_an_error(tmp_path, kind, kept):
    buffer = io.BytesIO()
    Image.fromarray(COLOUR).save(buffer, kind)
    content = buffer.getvalue()
    path = tmp_path / f"a.{kind}"
    path.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(ImageError, match=r"a\.\w+: .*; restore the file or remove it"):
        read_image(path)


@pytest.mark.parametrize("kind", ["jpeg", "png"])
def test_an_image_that_lacks_its_last_bytes_is_an_error(tmp_path, kind):
    buffer = io.BytesIO()
    Image.fromarray(COLOUR).save(buffer, kind)
    (tmp_path / "a.img").write_bytes(buffer.getvalue()[:-30])
    with pytest.raises(ImageError, match="truncated"):
        read_image(tmp_path / "a.img")


def test_a_flipped_bit_in_a_png_is_an_error(tmp_path):
    path = save(tmp_path / "a.png", COLOUR)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ImageError, match="damaged"):
        read_image(path)


@pytest.mark.parametrize(
    ("content", "reason"), [(b"", "empty file"), (b"hello", "not an image"), (None, "no such image")]
)
@pytest.mark.parametrize("read", [read_image, read_size, read_index_mask])
def test_no_image_is_a_named_error(tmp_path, content, reason, read):
    path = tmp_path / "a.jpg"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ImageError, match=f"a.jpg: {reason}"):
        read(path)


def test_an_index_mask_keeps_its_numbers(tmp_path):
    numbers = rng.integers(0, 4, (5, 6), dtype=np.uint8)
    grey = save(tmp_path / "grey.png", numbers)
    palette = Image.fromarray(numbers)
    palette.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0, 255])
    palette.save(tmp_path / "palette.png")
    assert np.array_equal(read_index_mask(grey), numbers)
    assert np.array_equal(read_index_mask(tmp_path / "palette.png"), numbers)


def test_a_colour_picture_is_no_index_mask(tmp_path):
    with pytest.raises(ImageError, match="mode RGB"):
        read_index_mask(save(tmp_path / "a.png", COLOUR))


def tiff_of_bits(bits: int, order: str = "<", big: bool = False) -> bytes:
    """A grey TIFF of 4x2 pixels with so many bits a sample, packed."""
    data = bytes(range(1, 1 + bits))
    known = {256: 4, 257: 2, 258: bits, 259: 1, 262: 1, 277: 1, 278: 2, 279: len(data)}
    size = 16 + 8 + 20 * 9 + 8 if big else 8 + 2 + 12 * 9 + 4
    entries = sorted({**known, 273: size}.items())
    mark = b"II" if order == "<" else b"MM"
    if big:
        tags = b"".join(struct.pack(f"{order}HHQQ", tag, 16, 1, value) for tag, value in entries)
        head = mark + struct.pack(f"{order}HHHQ", 43, 8, 0, 16) + struct.pack(f"{order}Q", 9)
        return head + tags + struct.pack(f"{order}Q", 0) + data
    tags = b"".join(struct.pack(f"{order}HHII", tag, 4, 1, value) for tag, value in entries)
    return mark + struct.pack(f"{order}HIH", 42, 8, 9) + tags + struct.pack(f"{order}I", 0) + data


@pytest.mark.parametrize(
    ("bits", "order", "big"), [(10, "<", False), (10, ">", False), (12, ">", False), (14, "<", True)]
)
def test_packed_bits_are_refused_with_the_way_out(tmp_path, bits, order, big):
    path = tmp_path / "a.tif"
    path.write_bytes(tiff_of_bits(bits, order, big))
    with pytest.raises(ImageError) as error:
        read_image(path)
    assert str(error.value) == (
        f"{path}: TIFF of {bits} bits a sample, packed, which cannot be read; let the camera write 16 bits (Mono16), or"
        " convert it: magick IN.tif -depth 16 OUT.tif"
    )


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_other_tiffs_that_cannot_be_read_are_told_to_be_saved_anew(tmp_path):
    path = tmp_path / "a.tif"
    for content in (tiff_of_bits(24), tiff_of_bits(12, ">")[:40], b"II*\0"):
        path.write_bytes(content)
        with pytest.raises(
            ImageError, match=r"a kind of TIFF that cannot be read; save it as 16-bit grey TIFF or as PNG"
        ):
            read_image(path)


def test_bits_that_can_be_read_are(tmp_path):
    (tmp_path / "a.tif").write_bytes(tiff_of_bits(12))
    assert read_image(tmp_path / "a.tif", 1, BitDepth(12)).shape == (2, 4, 1)

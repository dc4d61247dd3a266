import io
import os
import sys

import numpy as np
import pytest
from PIL import Image

from utils.data.images import ImageError, list_images, read_image, read_index_mask, read_size
from utils.errors import InputError

rng = np.random.default_rng(0)
COLOUR = rng.integers(0, 256, (40, 60, 3), dtype=np.uint8)


def save(path, array, **options):
    Image.fromarray(array).save(path, **options)
    return path


def test_images_are_listed_by_name_without_hidden_and_other_files(tmp_path):
    for name in ["b.PNG", "a.jpg", "c.tiff", "._a.jpg", ".hidden.png", "train.csv", "noext"]:
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "folder.jpg").mkdir()
    assert [path.name for path in list_images(tmp_path)] == ["a.jpg", "b.PNG", "c.tiff"]


@pytest.mark.parametrize(("make", "reason"), [(False, "no such folder"), (True, "expected a folder")])
def test_listing_no_folder_is_an_error(tmp_path, make, reason):
    path = tmp_path / "images"
    if make:
        path.write_text("")
    with pytest.raises(InputError, match=reason):
        list_images(path)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_a_name_that_is_not_utf8_is_an_error_of_one_line(tmp_path):
    save(tmp_path / "a.png", COLOUR).rename(tmp_path / os.fsdecode(b"L\xf6cher.png"))
    with pytest.raises(InputError, match=r"L\udcf6cher.png: the file's name is not UTF-8, .*; rename the file$"):
        list_images(tmp_path)


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

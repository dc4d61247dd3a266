"""Find and read image files; a file that its decoder cannot read to the end is an error, never a picture cut short.

Damage inside a JPEG that leaves its end marker in place shows as grey or shifted pixels: libjpeg only warns of it, and
neither Pillow nor OpenCV hands the warning on.
"""

import os
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from utils.errors import InputError

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"})

NOT_UTF8 = "the file's name is not UTF-8, tables cannot hold it; rename the file"


class ImageError(InputError):
    """An image file that cannot be used; ``reason`` is the message without the file's name."""

    def __init__(self, path: Path, reason: str, remedy: str) -> None:
        super().__init__(f"{path}: {reason}; {remedy}")
        self.reason = reason
        self.remedy = remedy


def list_images(folder: Path) -> list[Path]:
    """List the images of a folder, sorted by name; hidden files and other suffixes are left out.

    Args:
        folder: folder to list, not its subfolders.

    Raises:
        InputError: the folder does not exist or is no folder, or a name is not UTF-8, which no table could hold.
    """
    try:
        with os.scandir(folder) as entries:
            # The suffix decides before the file type: is_file() of a link costs a system call.
            names = sorted(e.name for e in entries if is_image_name(e.name) and e.is_file())
    except FileNotFoundError:
        raise InputError(f"{folder}: no such folder") from None
    except NotADirectoryError:
        raise InputError(f"{folder}: is a file, expected a folder of images") from None
    if not is_utf8("".join(names)):
        raise InputError(f"{folder / next(name for name in names if not is_utf8(name))}: {NOT_UTF8}")
    return [folder / name for name in names]


def is_image_name(name: str) -> bool:
    """Check whether a file name is that of an image."""
    return os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES and not name.startswith(".")  # noqa: PTH122 - 50,000 names


def is_utf8(name: str) -> bool:
    """Check whether a name is text; Python keeps the bytes of one in another encoding as half of a character."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def read_image(path: Path, channels: int = 3) -> np.ndarray:
    """Read a whole image, as stored (a rotation noted in EXIF is not applied, since masks refer to the stored pixels).

    Args:
        path: image file; grey, colour, palette, 16-bit grey.
        channels: 3 for RGB (grey is repeated), 1 for grey.

    Returns:
        (H, W, channels) uint8.

    Raises:
        ImageError: the file is missing, empty, truncated or not an image.
    """
    if channels not in (1, 3):
        raise ValueError(f"channels {channels}: expected 1 or 3")
    with _opened(path) as image:
        return to_pixels(image, channels)


def to_pixels(image: Image.Image, channels: int = 3) -> np.ndarray:
    """Return an opened image as ``read_image`` does: ``(H, W, channels)`` uint8, writable."""
    if image.mode.startswith(("I", "F")):
        pixels = _to_8_bit(np.asarray(image))
        return np.repeat(pixels[..., None], channels, axis=2)
    if image.mode == "LAB":  # Pillow knows its way to RGB alone
        image = image.convert("RGB")
    wanted = "RGB" if channels == 3 else "L"
    pixels = np.asarray(image if image.mode == wanted else image.convert(wanted))
    # PIL's buffer is read-only, but torch.from_numpy and in-place drawing want to write.
    return pixels.reshape(*pixels.shape[:2], channels).copy()


def read_index_mask(path: Path) -> np.ndarray:
    """Read an index mask: the stored numbers of a grey or palette image.

    Returns:
        (H, W) uint8; 0 is background, 1..C the classes.

    Raises:
        ImageError: the file cannot be read or is a colour picture.
    """
    with _opened(path) as image:
        if image.mode not in ("L", "P", "1"):
            raise ImageError(
                path, f"mode {image.mode}, expected 8-bit grey or palette", "write class numbers as pixel values"
            )
        return np.array(image, dtype=np.uint8)


def read_size(path: Path) -> tuple[int, int]:
    """Read (height, width) from the file's header, without decoding.

    Raises:
        ImageError: the file is missing, empty or not an image.
    """
    with _opened(path, load=False) as image:
        return image.height, image.width


def is_turned(path: Path) -> bool:
    """Check whether viewers show an image turned or mirrored, as its EXIF data ask.

    Raises:
        ImageError: as ``read_size``.
    """
    with _opened(path, load=False) as image:
        # What cameras write. Pillow turns TIFFs itself, and would unpack a whole PNG to look.
        camera = image.format in ("JPEG", "MPO")
        return camera and image.getexif().get(ExifTags.Base.Orientation, 1) in range(2, 9)


def verify_image(path: Path) -> tuple[int, int]:
    """Read a whole image and give its (height, width); the pixels are dropped.

    Raises:
        ImageError: as ``read_image``.
    """
    with _opened(path) as image:
        return image.height, image.width


def _opened(path: Path, load: bool = True) -> Image.Image:
    try:
        image = Image.open(path)
        if load:
            image.load()
        return image
    except FileNotFoundError:
        raise ImageError(path, "no such image", "restore the file or remove its rows") from None
    except IsADirectoryError:
        raise ImageError(path, "is a folder", "expected an image file") from None
    except UnidentifiedImageError:
        reason = "empty file" if path.stat().st_size == 0 else "not an image"
        raise ImageError(path, reason, "restore the file or remove it") from None
    except PermissionError:
        raise ImageError(path, "no permission to read", "change the file's permissions") from None
    except Image.DecompressionBombError:
        raise ImageError(path, "more than 178 million pixels", "cut the image into parts") from None
    except (OSError, SyntaxError, ValueError, EOFError) as error:  # what PIL's decoders raise for damaged files
        reason = "truncated image" if "truncated" in str(error) else f"damaged image ({error})"
        raise ImageError(path, reason, "restore the file or remove it") from None


def _to_8_bit(pixels: np.ndarray) -> np.ndarray:
    """Bring 16-bit, 32-bit and float grey to 0..255; 16-bit files use their full range by convention."""
    if pixels.dtype.kind == "f":
        pixels = pixels * 255 if pixels.size and pixels.max() <= 1 else pixels
        return np.clip(pixels, 0, 255).astype(np.uint8)
    return np.clip(pixels.astype(np.int64) >> 8, 0, 255).astype(np.uint8)

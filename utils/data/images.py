"""Read image files; a file that its decoder cannot read to the end is an error, never a picture cut short.

Damage inside a JPEG that leaves its end marker in place shows as grey or shifted pixels: libjpeg only warns of it, and
neither Pillow nor OpenCV hands the warning on.
"""

import contextlib
import errno
import io
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import cv2
import numpy as np
from PIL import ExifTags, Image, TiffImagePlugin, UnidentifiedImageError

from utils.data.bit_depth import UNKNOWN, BitDepth, Levels
from utils.data.packed import PackedImage
from utils.data.scans import MOST_SCANS, REMEDY, file_has_too_many_scans, has_too_many_scans
from utils.errors import InputError

WIDE_SUFFIXES = frozenset({".png", ".tif", ".tiff"})  # of formats that can hold more than 8 bits
SAMPLED = 256  # images that a bit depth is measured on where not all of them are read anyway

# Line scans have more pixels than Pillow takes for an attack; what strangers send is bounded by Serve.py's -max_pixels.
Image.MAX_IMAGE_PIXELS = None
# Pillow unpacks floating-point numbers of 64 bits, but knows no TIFF that has them.
TiffImagePlugin.OPEN_INFO[b"II", 1, (3,), 1, (64,), ()] = ("F", "F;64F")
# What Pillow remarks on damaged or unusual files is no help to users: it names neither the file nor a remedy.
warnings.filterwarnings("ignore", module=r"PIL\.")


class ImageError(InputError):
    """An image file that cannot be used; ``reason`` is the message without the file's name."""

    def __init__(self, path: Path, reason: str, remedy: str) -> None:
        super().__init__(f"{path}: {reason}; {remedy}")
        self.reason = reason
        self.remedy = remedy


@dataclass(frozen=True)
class ImageFacts:
    """What reading a whole image tells: height and width in pixels, its levels, and the number of pages of a TIFF."""

    height: int
    width: int
    levels: Levels
    pages: int = 1


def pages_of(path: Path) -> int:
    """Read the number of pages of a TIFF from its headers; 1 for other formats, and for what cannot be read."""
    if path.suffix.lower() not in (".tif", ".tiff"):
        return 1
    if isinstance(path, PackedImage):
        return int(path.column("pages"))
    with contextlib.suppress(ImageError), _opened(path, decoding=False) as image:
        return _pages(image)
    return 1


def read_image(path: Path, channels: int = 3, depth: BitDepth = UNKNOWN) -> np.ndarray:
    """Read a whole image, as stored (a rotation noted in EXIF is not applied, since masks refer to the stored pixels).

    Args:
        path: image file; grey, colour, palette, with 8 bits or more; of several pages the first.
        channels: 3 for RGB (grey is repeated), 1 for grey.
        depth: of the data set; what it leaves open is measured on this image.

    Returns:
        (H, W, channels) uint8.

    Raises:
        ImageError: the file is missing, empty, truncated, not an image, or holds numbers that do not fit the depth.
    """
    if channels not in (1, 3):
        raise ValueError(f"channels {channels}: expected 1 or 3")
    with _opened(path) as image:
        try:
            return to_pixels(image, channels, depth)
        except Unscalable as error:
            raise ImageError(path, error.reason, error.remedy) from None


def decode_image(path: Path, content: bytes, channels: int = 3, depth: BitDepth = UNKNOWN) -> np.ndarray:
    """Decode the bytes of an image file as ``read_image`` reads the file; ``path`` is for messages."""
    with _opened(path, content=content) as image:
        try:
            return to_pixels(image, channels, depth)
        except Unscalable as error:
            raise ImageError(path, error.reason, error.remedy) from None


class Unscalable(ValueError):
    """An image whose numbers do not fit the bit depth."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(f"{reason}; {remedy}")
        self.reason, self.remedy = reason, remedy


def to_pixels(image: Image.Image, channels: int = 3, depth: BitDepth = UNKNOWN) -> np.ndarray:
    """Decode an opened image as ``read_image`` does: ``(H, W, channels)`` uint8, writable.

    Raises:
        Unscalable: its numbers do not fit the depth.
        Exception: whatever the decoders raise for damaged files.
    """
    samples = _wide_samples(image)
    if samples is not None:
        if refusal := depth.refusal(Levels.of(samples)):
            raise Unscalable(*refusal)
        scaled = depth.to_8_bit(samples)
        if scaled.ndim == 2:
            return np.repeat(scaled[..., None], channels, axis=2)
        image = Image.fromarray(np.ascontiguousarray(scaled))
    if image.mode == "LAB":  # Pillow knows its way to RGB alone
        image = image.convert("RGB")
    if image.mode == "L" and channels == 3:  # Pillow's own way takes 4 bytes a pixel and a copy more
        return cv2.cvtColor(np.asarray(image), cv2.COLOR_GRAY2RGB)
    wanted = "RGB" if channels == 3 else "L"
    pixels = np.asarray(image if image.mode == wanted else image.convert(wanted))
    # PIL's buffer is read-only, but torch.from_numpy and in-place drawing want to write.
    return pixels.reshape(*pixels.shape[:2], channels).copy()


def measure_depth(paths: Sequence[Path], depth: BitDepth = UNKNOWN) -> BitDepth:
    """Measure what is not known of a bit depth on images with more than 8 bits.

    Args:
        paths: image files; of those with more than 8 bits up to ``SAMPLED`` are read, evenly spread. Files that cannot be
            read are left to whoever reads them all.
        depth: what is known.
    """
    if depth.known:
        return depth
    wide = []
    for path in paths:
        if path.suffix.lower() in WIDE_SUFFIXES:
            with contextlib.suppress(ImageError), _opened(path, decoding=False) as image:
                if _is_wide(image):
                    wide.append(path)
    found = []
    for place in np.unique(np.linspace(0, len(wide) - 1, min(SAMPLED, len(wide))).astype(int)):
        with contextlib.suppress(ImageError):
            found.append(verify_image(wide[place]).levels)
    return depth.measured(found)


def _is_wide(image: Image.Image) -> bool:
    """Check whether an opened image, not yet loaded, has samples of more than 8 bits."""
    return image.mode.startswith(("I", "F")) or _is_wide_colour(image)


def _is_wide_colour(image: Image.Image) -> bool:
    # Pillow has no mode for colours of 16 bits and drops their low byte; how it unpacks a file tells that it would.
    tiles = getattr(image, "tile", [])
    words = (str(part) for tile in tiles for part in (tile[3] if isinstance(tile[3], tuple) else (tile[3],)))
    return image.mode in ("RGB", "RGBA", "RGBX", "LA") and any(";16" in word for word in words)


def _wide_samples(image: Image.Image) -> np.ndarray | None:
    """Decode samples of more than 8 bits: ``(H, W)`` or ``(H, W, 3)`` RGB; None for others, which are loaded too."""
    if not _is_wide_colour(image):
        image.load()
        return np.asarray(image) if image.mode.startswith(("I", "F")) else None
    file: IO[bytes] = image.fp  # type: ignore[attr-defined]
    place = file.tell()
    file.seek(0)
    content = np.frombuffer(file.read(), dtype=np.uint8)
    file.seek(place)
    image.load()  # which finds damage that OpenCV does not tell of
    samples = cv2.imdecode(content, cv2.IMREAD_UNCHANGED)
    if samples is None or samples.shape[:2] != (image.height, image.width) or samples.dtype != np.uint16:
        raise Unscalable("holds colours of 16 bits in a form that cannot be read", "save it as PNG")
    return samples if samples.ndim == 2 else samples[..., 0] if samples.shape[2] < 3 else samples[..., 2::-1]


def read_index_mask(path: Path) -> np.ndarray:
    """Read an index mask: the stored numbers of a grey or palette image.

    Returns:
        (H, W) uint8; 0 is background, 1..C the classes.

    Raises:
        ImageError: the file cannot be read or is a colour picture.
    """
    with _opened(path) as image:
        image.load()
        return index_of_mask(path, image)


def index_of_mask(path: Path, image: Image.Image) -> np.ndarray:
    """Return the stored numbers of an opened mask as ``read_index_mask`` does; ``path`` is for the message."""
    if image.mode not in ("L", "P", "1"):
        raise ImageError(
            path, f"mode {image.mode}, expected 8-bit grey or palette", "write class numbers as pixel values"
        )
    return np.array(image, dtype=np.uint8)


def open_image(path: Path) -> Image.Image:
    """Open and decode a whole image file as it is stored.

    Raises:
        ImageError: as ``read_image``.
    """
    with _opened(path) as image:
        image.load()
        return image


def read_size(path: Path) -> tuple[int, int]:
    """Read (height, width) from the file's header, without decoding.

    Raises:
        ImageError: the file is missing, empty or not an image.
    """
    if isinstance(path, PackedImage):
        return path.column("height"), path.column("width")
    with _opened(path, decoding=False) as image:
        return image.height, image.width


def is_turned(path: Path) -> bool:
    """Check whether viewers show an image turned or mirrored, as its EXIF data ask.

    Raises:
        ImageError: as ``read_size``.
    """
    with _opened(path, decoding=False) as image:
        # What cameras write. Pillow turns TIFFs itself, and would unpack a whole PNG to look.
        camera = image.format in ("JPEG", "MPO")
        return camera and image.getexif().get(ExifTags.Base.Orientation, 1) in range(2, 9)


def verify_image(path: Path) -> ImageFacts:
    """Read a whole image and tell what it is; the pixels are dropped.

    Raises:
        ImageError: as ``read_image``, but for the depth of other images.
    """
    with _opened(path) as image:
        pages = _pages(image)
        try:
            samples = _wide_samples(image)
        except Unscalable as error:
            raise ImageError(path, error.reason, error.remedy) from None
        if samples is not None:
            levels = Levels.of(samples)
        else:
            ends = np.ravel(image.getextrema())
            levels = Levels("byte", int(ends.min()), int(ends.max()))
        if wrong := levels.wrong():
            raise ImageError(path, *wrong)
        return ImageFacts(image.height, image.width, levels, pages)


def _pages(image: Image.Image) -> int:
    """Return the number of pages of an opened TIFF; 1 for other formats, whose further frames are previews or films."""
    with contextlib.suppress(Exception):  # what is wrong behind the first page does not concern us
        return int(getattr(image, "n_frames", 1)) if image.format == "TIFF" else 1
    return 1


@contextlib.contextmanager
def _opened(path: Path, decoding: bool = True, content: bytes | None = None) -> Iterator[Image.Image]:
    """Open an image for a block that reads of it what it needs, and name the file in whatever goes wrong there.

    With ``decoding`` its pixels will be read, so that what takes minutes to decode is refused. ``content`` is the file where
    it was read already.
    """
    if content is None and isinstance(path, PackedImage):
        content = path.content()
    try:
        if decoding and (file_has_too_many_scans(path) if content is None else has_too_many_scans(content)):
            raise ImageError(path, f"JPEG of more than {MOST_SCANS} scans, which takes minutes to decode", REMEDY)
        with Image.open(path if content is None else io.BytesIO(content)) as image:
            yield image
    except ImageError:
        raise
    except UnidentifiedImageError:
        raise ImageError(path, *_unknown(path)) from None
    except MemoryError:
        raise ImageError(
            path, "needs more memory than there is", "cut the image into parts, or close other programs"
        ) from None
    except OSError as error:
        if error.errno is not None:  # the system's word, not a decoder's
            raise _not_opened(path, error) from None
        raise _damaged(path, error) from None
    except Exception as error:  # decoders that meet damaged bytes raise anything: TypeError, KeyError, struct.error ...
        raise _damaged(path, error) from None


def _unknown(path: Path) -> tuple[str, str]:
    """Return why a file was not taken for an image, and the remedy."""
    remedy = "restore the file or remove it"
    with path.open("rb") as file:
        start = file.read(16)
    if start[:4] not in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return "not an image" if start else "empty file", remedy
    bits = 0
    with contextlib.suppress(Exception), path.open("rb") as file:  # whatever damaged tags make of it
        big = start[2:4] in (b"+\0", b"\0+")
        tags = TiffImagePlugin.ImageFileDirectory_v2(file.read(16 if big else 8))
        file.seek(tags.next)
        tags.load(file)
        bits = int(np.max(tags[TiffImagePlugin.BITSPERSAMPLE]))
    if 8 < bits < 16:
        return (
            f"TIFF of {bits} bits a sample, packed, which cannot be read",
            "let the camera write 16 bits (Mono16), or convert it: magick IN.tif -depth 16 OUT.tif",
        )
    return "damaged, or a kind of TIFF that cannot be read", f"save it as 16-bit grey TIFF or as PNG, or {remedy}"


def _damaged(path: Path, error: Exception) -> ImageError:
    text = " ".join(str(error).split()) or type(error).__name__
    reason = "truncated image" if "truncated" in text else f"damaged image ({text})"
    return ImageError(path, reason, "restore the file or remove it")


def _not_opened(path: Path, error: OSError) -> OSError | ImageError:
    """Return what to raise for an error of the system: one of the program's own means says nothing about the image."""
    if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM):
        return OSError(error.errno, error.strerror, str(path))
    if error.errno == errno.ELOOP:
        return ImageError(path, "a link that leads back to itself", "link it to the image or remove it")
    if isinstance(error, FileNotFoundError):
        if path.is_symlink():
            return ImageError(path, f"a dead link to {path.readlink()}", "restore the image or remove the link")
        return ImageError(path, "no such image", "restore the file or remove its rows")
    if isinstance(error, IsADirectoryError):
        return ImageError(path, "is a folder", "expected an image file")
    if isinstance(error, PermissionError):
        return ImageError(path, "no permission to read", "change the file's permissions")
    return ImageError(path, f"cannot be read ({error.strerror})", "check the disk or network, or remove it")

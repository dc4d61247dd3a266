"""From what somebody sent to pixels, or to one sentence that says why not. The bytes may be anything."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from PIL import Image, UnidentifiedImageError

from utils.data.bit_depth import UNKNOWN, BitDepth
from utils.data.images import Unscalable, to_pixels
from utils.data.scans import MOST_SCANS, has_too_many_scans
from utils.inference.inspected import Refused
from utils.inference.network import LARGEST_MULTIPLE
from utils.inspection.limited_file import LimitedFile, TooMuchWork
from utils.inspection.upload import Upload

# What is opened, whatever the name says: decoders of a few well-known formats, not all that PIL has.
FORMATS = ("JPEG", "PNG", "BMP", "TIFF", "WEBP")
SHOWN = "JPEG, PNG, BMP, TIFF or WebP"
DAMAGED = "The image file is damaged; save it again."
TOO_SLOW = "The image takes too long to decode; save it again as a plain JPEG or PNG."
OUT_OF_MEMORY = "The server lacks the memory for this image; send a smaller one."


class OpenedImage(NamedTuple):
    """An image whose header was read and found acceptable; its pixels are still packed."""

    name: str
    image: Image.Image | np.ndarray
    height: int
    width: int

    @property
    def pixels(self) -> int:
        """Height times width."""
        return self.height * self.width

    @property
    def filled(self) -> int:
        """The most pixels that a network sees which takes the image at its own size."""
        height, width = (-(-side // LARGEST_MULTIPLE) * LARGEST_MULTIPLE for side in (self.height, self.width))
        return height * width


def open_upload(
    upload: Upload, most_pixels: int, is_wanted: Callable[[], bool] = lambda: True
) -> OpenedImage | Refused:
    """Look at the header only.

    Args:
        upload: what came in.
        most_pixels: largest height times width; a side under ``LARGEST_MULTIPLE`` counts as that.
        is_wanted: whether somebody still waits for the image; decoding ends when nobody does.

    Returns:
        The image, or why it is not inspected: empty, no image of a known format, too large, or too much work.
    """
    name, data = upload.name, upload.data
    if isinstance(data, np.ndarray):
        if data.dtype != np.uint8 or data.ndim not in (2, 3) or (data.ndim == 3 and data.shape[2] not in (1, 3)):
            return Refused(name, "The pixels are not 8-bit grey or RGB.", "not_an_image")
        return _of_right_size(OpenedImage(name, data, *data.shape[:2]), most_pixels)
    if not data:
        return Refused(name, "The file is empty (0 bytes); send it again.", "empty")
    # Pillow makes room for all pixels of a WebP when it opens one.
    size = _webp_size(data)
    if size is not None and size[0] * size[1] > most_pixels:
        return Refused(name, _too_large(f"{size[1]} x {size[0]}", most_pixels), "too_many_pixels")
    # Before any decoder sees it, and whatever it would call the file.
    if has_too_many_scans(data):
        reason = f"The JPEG has more than {MOST_SCANS} scans; save it again as a plain JPEG."
        return Refused(name, reason, "too_many_scans")
    try:
        image = Image.open(LimitedFile(data, is_wanted), formats=FORMATS)
    except TooMuchWork:
        return Refused(name, TOO_SLOW, "too_slow")
    except UnidentifiedImageError:
        return Refused(name, _not_an_image(data), "not_an_image")
    except Exception:  # a decoder that meets bytes made to harm it raises anything
        return Refused(name, DAMAGED, "damaged")
    return _of_right_size(OpenedImage(name, image, image.height, image.width), most_pixels)


def unpack(opened: OpenedImage, channels: int, depth: BitDepth = UNKNOWN) -> np.ndarray | Refused:
    """Decode to ``(H, W, channels)`` uint8, as ``utils.data.images.read_image`` does.

    Returns:
        The pixels, or why there are none: truncated, damaged, too much work, or numbers beyond the bit depth.
    """
    name, image = opened.name, opened.image
    if isinstance(image, np.ndarray):
        plain = image[..., 0] if image.ndim == 3 and image.shape[2] == 1 else image
        return to_pixels(Image.fromarray(plain), channels)
    try:
        with image:
            if isinstance(file := getattr(image, "fp", None), LimitedFile):
                file.begin_pixels(opened.pixels)
            image.load()
            return to_pixels(image, channels, depth)
    except Unscalable as error:
        return Refused(name, f"The image {error.reason}; {error.remedy}.", "bit_depth")
    except MemoryError:
        return Refused(name, OUT_OF_MEMORY, "out_of_memory")
    except TooMuchWork:
        return Refused(name, TOO_SLOW, "too_slow")
    except Exception as error:  # as above
        if "truncated" in str(error):
            return Refused(name, "The image file is cut off in the middle; send it again.", "truncated")
        return Refused(name, DAMAGED, "damaged")


def _of_right_size(opened: OpenedImage, most_pixels: int) -> OpenedImage | Refused:
    """Refuse an image that has no pixels or too many."""
    name, height, width = opened.name, opened.height, opened.width
    if not height or not width:
        return Refused(name, "The image has no pixels.", "damaged")
    if height * width > most_pixels:
        return Refused(name, _too_large(f"{width} x {height}", most_pixels), "too_many_pixels")
    # A line of pixels would have up to 128 times as many in the network; what is small both ways costs nothing.
    filled_height, filled_width = max(height, LARGEST_MULTIPLE), max(width, LARGEST_MULTIPLE)
    if max(height, width) > LARGEST_MULTIPLE and filled_height * filled_width > most_pixels:
        size = f"{width} x {height} (in the network {filled_width} x {filled_height})"
        return Refused(name, _too_large(size, most_pixels), "too_many_pixels")
    return opened


def _webp_size(data: bytes) -> tuple[int, int] | None:
    """Return the (height, width) that the header of a WebP names; None for other files.

    Source: https://developers.google.com/speed/webp/docs/riff_container, and RFC 6386 and RFC 9649 for the two codings.
    """
    if data[:4] != b"RIFF" or data[8:12] != b"WEBP" or len(data) < 30:
        return None
    kind, start = data[12:16], data[20:30]
    if kind == b"VP8X":
        return int.from_bytes(start[7:10], "little") + 1, int.from_bytes(start[4:7], "little") + 1
    if kind == b"VP8L":
        bits = int.from_bytes(start[1:5], "little")
        return (bits >> 14 & 0x3FFF) + 1, (bits & 0x3FFF) + 1
    return int.from_bytes(start[8:10], "little") & 0x3FFF, int.from_bytes(start[6:8], "little") & 0x3FFF


def _too_large(size: str, most_pixels: int) -> str:
    return (
        f"The image has {size} pixels, more than the {most_pixels / 1e6:g} million that are allowed; cut it into parts."
    )


def _not_an_image(data: bytes) -> str:
    kinds = {b"%PDF": "a PDF", b"PK\x03\x04": "a ZIP archive", b"<svg": "an SVG drawing", b"GIF8": "a GIF"}
    kind = next((name for start, name in kinds.items() if data.startswith(start)), None)
    return f"The file is {kind}; send {SHOWN}." if kind else f"The file is no image that is known here; send {SHOWN}."

"""From what somebody sent to pixels, or to one sentence that says why not. The bytes may be anything."""

import io
from typing import NamedTuple

import numpy as np
from PIL import Image, UnidentifiedImageError

from utils.data.images import to_pixels
from utils.inference.network import LARGEST_MULTIPLE
from utils.web.inspection import Refused, Upload

# What is opened, whatever the name says: decoders of a few well-known formats, not all that PIL has.
FORMATS = ("JPEG", "PNG", "BMP", "TIFF")
SHOWN = "JPEG, PNG, BMP or TIFF"
# A progressive JPEG has some ten scans; each goes over all of its pixels.
MOST_SCANS = 100
_START_OF_SCAN = b"\xff\xda"


class Refusal(Exception):
    """Why an image is not inspected; ``code`` is one of ``REFUSALS``."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code, self.reason = code, reason

    def of(self, name: str) -> Refused:
        """Return the answer for an image."""
        return Refused(name, self.reason, self.code)


class Opened(NamedTuple):
    """An image whose header was read and found acceptable; its pixels are still packed."""

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


def open_upload(upload: Upload, most_pixels: int) -> Opened:
    """Look at the header only.

    Args:
        upload: what came in.
        most_pixels: largest height times width; a side under ``LARGEST_MULTIPLE`` counts as that.

    Raises:
        Refusal: empty, no image of a known format, or too large.
    """
    if isinstance(upload.data, np.ndarray):
        array = upload.data
        if array.dtype != np.uint8 or array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3)):
            raise Refusal("not_an_image", "The pixels are not 8-bit grey or RGB.")
        height, width = array.shape[:2]
        _check_size(height, width, most_pixels)
        return Opened(array, height, width)
    if not upload.data:
        raise Refusal("empty", "The file is empty (0 bytes); send it again.")
    try:
        image = Image.open(io.BytesIO(upload.data), formats=FORMATS)
    except UnidentifiedImageError:
        raise Refusal("not_an_image", _not_an_image(upload.data)) from None
    except Image.DecompressionBombError:
        raise Refusal("too_many_pixels", _too_large("more than 178 million", most_pixels)) from None
    except Exception:  # a decoder that meets bytes made to harm it raises anything
        raise Refusal("damaged", "The image file is damaged; save it again.") from None
    _check_size(image.height, image.width, most_pixels)
    if image.format == "JPEG" and upload.data.count(_START_OF_SCAN) > MOST_SCANS:
        raise Refusal("too_many_scans", f"The JPEG has more than {MOST_SCANS} scans; save it again as a plain JPEG.")
    return Opened(image, image.height, image.width)


def unpack(opened: Opened, channels: int) -> np.ndarray:
    """Decode to ``(H, W, channels)`` uint8, as ``utils.data.images.read_image`` does.

    Raises:
        Refusal: truncated or damaged.
    """
    image = opened.image
    if isinstance(image, np.ndarray):
        plain = image[..., 0] if image.ndim == 3 and image.shape[2] == 1 else image
        return to_pixels(Image.fromarray(plain), channels)
    try:
        with image:
            image.load()
            return to_pixels(image, channels)
    except MemoryError:
        raise Refusal("out_of_memory", "The server lacks the memory for this image; send a smaller one.") from None
    except Exception as error:  # as above
        if "truncated" in str(error):
            raise Refusal("truncated", "The image file is cut off in the middle; send it again.") from None
        raise Refusal("damaged", "The image file is damaged; save it again.") from None


def _check_size(height: int, width: int, most_pixels: int) -> None:
    if not height or not width:
        raise Refusal("damaged", "The image has no pixels.")
    if height * width > most_pixels:
        raise Refusal("too_many_pixels", _too_large(f"{width} x {height}", most_pixels))
    # A line of pixels would have up to 128 times as many in the network; what is small both ways costs nothing.
    if (
        max(height, width) > LARGEST_MULTIPLE
        and max(height, LARGEST_MULTIPLE) * max(width, LARGEST_MULTIPLE) > most_pixels
    ):
        size = f"{width} x {height} (in the network {max(width, LARGEST_MULTIPLE)} x {max(height, LARGEST_MULTIPLE)})"
        raise Refusal("too_many_pixels", _too_large(size, most_pixels))


def _too_large(size: str, most_pixels: int) -> str:
    return (
        f"The image has {size} pixels, more than the {most_pixels / 1e6:g} million that are allowed; cut it into parts."
    )


def _not_an_image(data: bytes) -> str:
    kinds = {b"%PDF": "a PDF", b"PK\x03\x04": "a ZIP archive", b"<svg": "an SVG drawing", b"GIF8": "a GIF"}
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return f"The file is a WebP image; send {SHOWN}."
    kind = next((name for start, name in kinds.items() if data.startswith(start)), None)
    return f"The file is {kind}; send {SHOWN}." if kind else f"The file is no image that is known here; send {SHOWN}."

"""What comes in for each image, and why it may be refused."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Upload:
    """An image that somebody wants inspected.

    Attributes:
        name: what the answer calls it; it is never used as a path.
        data: the bytes of an image file, or pixels: ``(H, W, 3)`` RGB or ``(H, W)`` grey, uint8.
    """

    name: str
    data: bytes | np.ndarray


# Every code that a refusal may have, and the HTTP status of a request whose images are all refused.
REFUSALS = {
    "empty": 422,
    "not_an_image": 415,
    "truncated": 422,
    "damaged": 422,
    "bit_depth": 422,
    "too_many_pixels": 413,
    "too_many_scans": 413,
    "too_slow": 413,
    "out_of_memory": 413,
    "timeout": 408,
    "busy": 503,
    "closing": 503,
    "not_finite": 500,
    "failed": 500,
}

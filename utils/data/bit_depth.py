"""Which grey of a file with more than 8 bits is black and which is white, the same for all images of a data set.

Cameras of 10, 12 and 14 bits write their numbers into files of 16 bits, which do not say how many of the bits are used. The
images together tell it: the smallest of ``BITS`` that holds the largest number of any of them. Files of 8 bits stay as
they are, whatever the others hold.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np

BITS = (8, 10, 12, 14, 16)
WHITES = (1.0, *(float(2**bits - 1) for bits in BITS))  # what files of floating-point numbers commonly call white
SMALLEST_WHITE = 1e-6  # of floating-point numbers; what is darker stays black
FEW = 1000  # at most one number of so many may exceed the depth: hot pixels, reflections, marks of a camera
DARK = 16  # an image that uses less than this part of its white has lost 4 bits: 12 bits read as 16

# ``byte``: 8 bits or fewer; ``whole``: whole numbers of more bits; ``float``: floating-point numbers.
Kind = Literal["byte", "whole", "float"]


@dataclass(frozen=True)
class Levels:
    """The smallest and the largest number of an image file.

    Attributes:
        kind: of the numbers.
        low: smallest; NaN when any number is not finite.
        high: largest; NaN likewise.
        usual: of whole numbers, what all but one of ``FEW`` do not exceed; None: as ``high``.
    """

    kind: Kind
    low: float
    high: float
    usual: float | None = None

    @property
    def most(self) -> float:
        """The largest number, without the few of whole numbers that may exceed a depth."""
        return self.high if self.usual is None else self.usual

    @classmethod
    def of(cls, samples: np.ndarray) -> "Levels":
        """Measure the samples of an image."""
        kind: Kind = "byte" if samples.dtype == np.uint8 else "float" if samples.dtype.kind == "f" else "whole"
        if not samples.size:
            return cls(kind, 0.0, 0.0)
        low, high = float(samples.min()), float(samples.max())  # NaN where any number is NaN
        finite = math.isfinite(low) and math.isfinite(high)
        if not finite:
            return cls(kind, math.nan, math.nan)
        few = samples.size // FEW
        if kind != "whole" or not few:
            return cls(kind, low, high)
        place = samples.size - 1 - few
        usual = float(np.partition(samples, place, axis=None)[place])
        return cls(kind, low, high, usual if usual < high else None)

    def wrong(self) -> tuple[str, str] | None:
        """Return why no bit depth fits these levels, and the remedy; None when one does."""
        if math.isnan(self.low):
            return "holds numbers that are not finite (NaN or infinity)", "replace them, or remove the image"
        if self.low < 0:
            return f"holds numbers down to {self.low:g}, expected 0 or more", "add an offset to all images alike"
        if self.kind != "byte" and self.high > WHITES[-1]:
            return (
                f"holds numbers up to {self.high:g}, more than 16 bits (0 to {WHITES[-1]:g})",
                "divide all images alike by one number",
            )
        return None


@dataclass(frozen=True)
class BitDepth:
    """How numbers of more than 8 bits become 0..255; what is not known is measured, at last on each image by itself.

    Args:
        bits: of whole numbers, one of ``BITS``; None: not known.
        float_white: the floating-point number that becomes 255; None: not known.
    """

    bits: int | None = None
    float_white: float | None = None

    def checked(self) -> "BitDepth":
        """Return the depth as it is; ``ValueError`` when something else than this program wrote it."""
        if self.bits is not None and (type(self.bits) is not int or self.bits not in BITS):
            raise ValueError(f"bit_depth {self.bits}")
        white = self.float_white
        if white is not None and (type(white) not in (int, float) or not SMALLEST_WHITE <= white <= WHITES[-1]):
            raise ValueError(f"float_white {white}")
        return self

    @property
    def known(self) -> bool:
        """Whether nothing is left to measure."""
        return self.bits is not None and self.float_white is not None

    def overruled(self, asked: str) -> "BitDepth":
        """Return the depth with the bits of the flag ``-bit_depth``; ``auto`` changes nothing."""
        return self if asked == "auto" else BitDepth(int(asked), self.float_white)

    def measured(self, images: Iterable[Levels]) -> "BitDepth":
        """Return the depth with what was not known measured on images: none of a kind leaves that kind unknown."""
        largest: dict[str, float] = {}
        for levels in images:
            if levels.wrong() is None:
                largest[levels.kind] = max(largest.get(levels.kind, 0.0), levels.high)
        bits, white = self.bits, self.float_white
        if bits is None and "whole" in largest:
            bits = next(bits for bits in BITS if 2**bits > largest["whole"])
        if white is None and "float" in largest:
            white = _white_of(largest["float"])
        return BitDepth(bits, white)

    def refusal(self, levels: Levels) -> tuple[str, str] | None:
        """Return why an image cannot be brought to 0..255, and the remedy; None when it can.

        An image that exceeds the depth is refused, but for one of ``FEW`` whole numbers, which become white.
        Floating-point numbers may exceed white by a tenth, since corrected and interpolated images do.
        """
        if wrong := levels.wrong():
            return wrong
        if levels.kind == "whole" and self.bits is not None and levels.most >= 2**self.bits:
            fitting = next(bits for bits in BITS if 2**bits > levels.high)
            return (
                f"holds numbers up to {levels.high:g}, more than the {self.bits} bits that images are read by"
                f" (-bit_depth {fitting} holds them)",
                "give it if the camera has so many bits, or remove the image",
            )
        if levels.kind == "float" and self.float_white is not None and levels.high > 1.1 * self.float_white:
            return (
                f"holds numbers up to {levels.high:g}, more than the white {self.float_white:g} that images are read by",
                "scale all images alike, or remove the image",
            )
        return None

    def to_8_bit(self, samples: np.ndarray) -> np.ndarray:
        """Bring samples to 0..255, uint8 of the same shape; ``refusal`` of their levels must be None.

        Whole numbers lose their low bits, as in cameras that send 8 of their 12 bits.
        """
        if samples.dtype == np.uint8:
            return samples
        depth = self if self.known else self.measured([Levels.of(samples)])
        if samples.dtype.kind != "f":
            assert depth.bits is not None
            return np.minimum(samples >> (depth.bits - 8), 255).astype(np.uint8)
        white = depth.float_white
        assert white is not None
        if white in WHITES[1:]:  # whole numbers that were stored as floats get the same grey
            return np.clip(samples // ((white + 1) / 256), 0, 255).astype(np.uint8)
        return np.clip(np.rint(samples * (255 / white)), 0, 255).astype(np.uint8)

    def shown(self, levels: Levels) -> tuple[int, int]:
        """Return the smallest and the largest grey of 0..255 of an image with these levels, without the few above."""
        kinds = {"byte": np.uint8, "whole": np.int64, "float": np.float64}
        low, high = self.to_8_bit(np.array([levels.low, levels.most]).astype(kinds[levels.kind])).tolist()
        return low, high

    def text(self) -> str:
        """Return what is known in words; empty when nothing is."""
        words = [] if self.bits is None else [f"{self.bits} bits (0 to {2**self.bits - 1})"]
        if self.float_white is not None:
            words.append(f"floating-point numbers up to {self.float_white:g}")
        return ", ".join(words)


UNKNOWN = BitDepth()


def _white_of(largest: float) -> float:
    """Return the commonest white that holds a number, or the number itself where it is far below that one."""
    white = next(white for white in WHITES if largest <= white)
    return white if largest > white / DARK or not largest else max(largest, SMALLEST_WHITE)

"""Run-length code: ``start length`` pairs of a mask, counted from 1, down the columns first, then right."""

import re
from collections.abc import Sequence

import cv2
import numpy as np

from utils.errors import InputError

LARGEST = np.iinfo(np.int64).max // 4  # leaves room to add a start and a length
AT_ONCE = 4096  # codes that are validated together
MOST_DIGITS = 18  # of a number that certainly fits into 64 bits
BAND = 2**22  # pixels of a mask that are encoded at once
FEW = 100  # runs, up to which Python writes them sooner than numpy


class RleError(InputError, ValueError):
    """A malformed run-length code.

    Attributes:
        reason: what is wrong, without the place.
        pair: number of the offending pair, from 1; None when the code as a whole is wrong.
    """

    def __init__(self, reason: str, pair: int | None = None) -> None:
        super().__init__(reason if pair is None else f"pair {pair}: {reason}")
        self.reason = reason
        self.pair = pair


def parse(text: str, height: int | None = None, width: int | None = None) -> np.ndarray:
    """Read and validate a run-length code.

    Args:
        text: ``start length`` pairs separated by white space; an empty text has no pairs.
        height: image height in pixels; None leaves out the test against the image's end.
        width: image width in pixels; as height.

    Returns:
        (n, 2) int64: start (from 1) and length (1 or more) of each run, sorted, not overlapping.

    Raises:
        RleError: a number is not whole, the count is odd, a start or length is below 1, runs are unsorted, overlap or
            pass the end of the image.
    """
    words = text.split()
    try:
        numbers = list(map(int, words))
        if not text.isascii() or "_" in text:  # int() takes 1_000 and digits of other scripts
            raise ValueError
    except ValueError:
        words = re.findall(r"\S+", text, re.ASCII)  # split() parts at spaces of other scripts too, which no code has
        index = next(i for i, word in enumerate(words) if not _is_whole(word))
        raise RleError(f"{words[index][:20]!r} is not a whole number", index // 2 + 1) from None
    if len(numbers) % 2:
        raise RleError(f"{len(numbers)} numbers; start and length must come in pairs")
    if numbers and max(map(abs, numbers)) > LARGEST:
        index = next(i for i, number in enumerate(numbers) if abs(number) > LARGEST)
        raise RleError("the number is past the end of any image", index // 2 + 1)
    runs = np.array(numbers, dtype=np.int64).reshape(-1, 2)
    _validate(runs, None if height is None or width is None else height * width)
    return runs


def are_valid(codes: Sequence[str]) -> bool:
    """Check whether ``parse`` takes all of these codes, thousands at once; what is wrong with one ``parse`` says.

    Args:
        codes: of any images; ends of images are not known here.

    Returns:
        True only where all are well-formed. False for codes that ``parse`` takes and hardly anybody writes, too, as with
        signs or tabs.
    """
    return all(_are_valid(codes[first : first + AT_ONCE]) for first in range(0, len(codes), AT_ONCE))


def _are_valid(codes: Sequence[str]) -> bool:
    text = "\n".join([*codes, ""])
    if not text.isascii():
        return False
    if last_pixels([code.encode() for code in codes if code]) is not None:
        return True
    letters = np.frombuffer(text.encode("ascii"), np.uint8)
    ends_of_codes = np.flatnonzero(letters == ord("\n"))
    digit = (letters >= ord("0")) & (letters <= ord("9"))
    if len(ends_of_codes) != len(codes) or digit.sum() + (letters == ord(" ")).sum() + len(codes) != len(letters):
        return False
    edges = np.flatnonzero(np.diff(digit, prepend=False))  # the last letter is no digit, so they come in pairs
    firsts, ends = edges[::2], edges[1::2]
    if (ends - firsts > MOST_DIGITS).any():
        return False
    if not len(firsts):
        return True
    numbers = np.fromstring(text, np.int64, sep=" ")
    code = np.searchsorted(ends_of_codes, firsts)
    if len(numbers) != len(firsts) or (np.bincount(code, minlength=len(codes)) % 2).any():
        return False
    starts, lengths, code = numbers[::2], numbers[1::2], code[::2]
    joined = (starts[1:] < starts[:-1] + lengths[:-1]) & (code[1:] == code[:-1])
    return bool((starts >= 1).all() and (lengths >= 1).all() and not joined.any())


def last_pixels(codes: Sequence[bytes]) -> np.ndarray | None:
    """Validate well-formed codes some hundred at once, in a third of the time of ``are_valid``.

    Args:
        codes: none of them empty, without white space around them.

    Returns:
        (N,) int64, the last pixel of each, counted from 1. None where any is malformed, or written as hardly anybody does:
        numbers of nine digits, two spaces; ``parse`` says whether it is right.
    """
    if not codes:
        return np.zeros(0, np.int64)
    letters = b"0" * 8 + b"\n".join(codes) + b"\n"
    if letters.translate(None, b"0123456789 \n"):
        return None
    values = np.frombuffer(letters, np.uint8)
    parted = np.flatnonzero(values < ord("0"))  # at spaces and ends
    digits = np.diff(parted, prepend=7) - 1
    if digits.min() < 1 or digits.max() > 8:
        return None
    # The eight letters that end with a number, as one word; digits are then added pair by pair, as many parsers do it
    # (Lemire, "Quickly parsing eight digits", 2018).
    words = np.ndarray((len(letters) - 7,), "<u8", letters, strides=(1,))[parted - 8]
    words &= _DIGITS[digits]
    for mask, factor, bits in _PAIRS:
        words &= mask
        words *= factor
        words >>= bits
    numbers = words.view(np.int64)
    ends = np.flatnonzero(values[parted] == ord("\n")) + 1  # of codes among the numbers
    if len(ends) != len(codes) or (ends % 2).any():
        return None
    starts, behind = numbers[::2], numbers[::2] + numbers[1::2]
    joined = starts[1:] < behind[:-1]
    joined[ends[:-1] // 2 - 1] = False  # where another code begins
    if joined.any() or numbers.min() < 1:
        return None
    return np.asarray(behind[ends // 2 - 1] - 1)


def encode(mask: np.ndarray) -> str:
    """Write a mask as run-length code.

    Args:
        mask: (H, W) of any dtype, nonzero = defect.

    Returns:
        The pairs, separated by spaces; "" for an empty mask.
    """
    defect = mask if mask.dtype == np.bool_ else mask != 0
    height, width = mask.shape
    columns = max(1, BAND // max(height, 1))
    found, before = [], False
    for left in range(0, width, columns):
        # OpenCV turns a mask over in a tenth of numpy's time.
        band = cv2.transpose(defect[:, left : left + columns].view(np.uint8)).view(np.bool_)
        flat = np.empty(band.size + 1, dtype=np.bool_)
        flat[0], flat[1:] = before, band.ravel()
        found.append(np.flatnonzero(flat[1:] != flat[:-1]) + left * height)
        before = bool(flat[-1])
    if before:
        found.append(np.array([mask.size]))
    edges = np.concatenate(found) if found else np.zeros(0, np.int64)
    if mask.size < 2**31:
        edges = edges.astype(np.int32)  # half as long to divide
    return _write(edges[::2] + 1, edges[1::2] - edges[::2])


def encode_part(part: np.ndarray, x: int, y: int, height: int) -> str:
    """Write a mask that is empty outside of a box, in the time that the box takes.

    Args:
        part: ``(h, w)`` bool, the pixels of the box.
        x: column of its left pixels in the whole mask.
        y: row of its upper pixels in the whole mask.
        height: of the whole mask.

    Returns:
        What ``encode`` gives for the whole mask.
    """
    rows, columns = part.shape
    # A row of zeros below ends every run at its column's end.
    flat = np.zeros(columns * (rows + 1) + 1, dtype=bool)
    flat[1:].reshape(columns, rows + 1)[:, :rows] = part.T
    edges = np.flatnonzero(flat[1:] != flat[:-1])
    begins, lengths = edges[::2], edges[1::2] - edges[::2]
    starts = (x + begins // (rows + 1)) * height + y + begins % (rows + 1) + 1
    if rows == height and len(starts):  # runs go on from the bottom of a column to the top of the next
        first = np.concatenate([[True], starts[1:] != starts[:-1] + lengths[:-1]])
        lengths = np.add.reduceat(lengths, np.flatnonzero(first))
        starts = starts[first]
    return _write(starts, lengths)


def _write(starts: np.ndarray, lengths: np.ndarray) -> str:
    if starts.size <= FEW:
        return " ".join([f"{start} {length}" for start, length in zip(starts.tolist(), lengths.tolist(), strict=True)])
    words = [*_digits(starts), *_digits(lengths)]
    # All numbers at once: one by one, those of a mask of noise take 30 ms.
    return np.stack(words, axis=1).tobytes().translate(None, b"\0").decode("ascii").rstrip()


def decode(text: str, height: int, width: int) -> np.ndarray:
    """Draw a run-length code.

    Args:
        text: the pairs, see ``parse``.
        height: image height in pixels.
        width: image width in pixels.

    Returns:
        (H, W) uint8 of 0 and 1, contiguous.

    Raises:
        RleError: the code is malformed or does not fit the image.
    """
    runs = parse(text, height, width)
    flat = np.zeros(height * width, dtype=np.uint8)
    starts, lengths = runs[:, 0] - 1, runs[:, 1]
    ends = np.cumsum(lengths)
    # One index per defect pixel: the run's start plus the pixel's place within the run.
    total = int(ends[-1]) if len(ends) else 0
    flat[np.repeat(starts - ends + lengths, lengths) + np.arange(total)] = 1
    return np.ascontiguousarray(flat.reshape(width, height).T)


# Of a word of eight letters, little end first: the last 0..8 of them.
_DIGITS = np.array([0, *((2**64 - 1) >> 8 * (8 - count) << 8 * (8 - count) for count in range(1, 9))], np.uint64)
_PAIRS = tuple(
    (np.uint64(mask), np.uint64(factor), np.uint64(bits))
    for mask, factor, bits in (
        (0x0F0F0F0F0F0F0F0F, 10 * 2**8 + 1, 8),
        (0x00FF00FF00FF00FF, 100 * 2**16 + 1, 16),
        (0x0000FFFF0000FFFF, 10_000 * 2**32 + 1, 32),
    )
)


def _digit_table(end: str) -> np.ndarray:
    """Make (2000,) words of 4 bytes: 0..999 with the end behind, in the second thousand filled up with zeros."""
    plain = [f"{number or ''}{end}" for number in range(1000)]
    filled = [f"{number:03d}{end}" for number in range(1000)]
    return np.frombuffer("".join(text.rjust(4, "\0") for text in [*plain, *filled]).encode(), dtype=np.uint32)


_THOUSANDS, _LAST_THREE = _digit_table(""), _digit_table(" ")


def _digits(numbers: np.ndarray) -> list[np.ndarray]:
    """Write positive numbers as text with a space behind: words of 4 bytes, one array for each three digits, 0 bytes to drop."""
    words: list[np.ndarray] = []
    table = _LAST_THREE
    while numbers.any():
        higher = numbers // 1000
        words.append(table.take(numbers - 1000 * np.maximum(higher - 1, 0)))
        numbers, table = higher, _THOUSANDS
    return words[::-1]


def _is_whole(word: str) -> bool:
    return re.fullmatch(r"[+-]?\d{1,99}", word, re.ASCII) is not None


def _validate(runs: np.ndarray, pixels: int | None) -> None:
    """Raise for the first pair that is wrong."""
    starts, lengths = runs[:, 0], runs[:, 1]
    ends = starts + lengths  # first position after the run
    bad = (starts < 1) | (lengths < 1)
    bad[1:] |= starts[1:] < ends[:-1]
    if pixels is not None:
        bad |= ends > pixels + 1
    if not bad.any():
        return
    index = int(bad.argmax())
    start, length = int(starts[index]), int(lengths[index])
    if start < 1:
        raise RleError(f"start {start}, must be 1 or more", index + 1)
    if length < 1:
        raise RleError(f"length {length}, must be 1 or more", index + 1)
    if index and start < starts[index - 1]:
        raise RleError(f"start {start} is unsorted, comes after {starts[index - 1]}", index + 1)
    if index and start < ends[index - 1]:
        raise RleError(f"start {start} overlaps the run before it, which ends at {ends[index - 1] - 1}", index + 1)
    raise RleError(f"run ends at {start + length - 1}, past the image's {pixels} pixels", index + 1)

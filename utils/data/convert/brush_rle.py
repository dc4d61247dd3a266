"""The code that Label Studio keeps brush strokes in: runs of bytes, packed bit by bit (thi.ng's rle-pack).

32 bits say how many values there are, 5 how many bits each has (less one), 4 times 4 how many bits a length has (less one,
four kinds). Then come, until all values are there: one bit, whether a value is repeated; two bits, the kind of the length;
the length less one; and that value, or as many values as the length says. Values are bytes of R, G, B and alpha for each
pixel, row by row; alpha is the stroke. Source: https://github.com/thi-ng/umbrella/tree/develop/packages/rle-pack
"""

from collections.abc import Sequence

import numpy as np

CHANNELS = 4
HEAD = 32 + 5 + 4 * 4
SIZES = (3, 4, 8, 16)  # bits of a length, as Label Studio's own converter writes them
WORD = 8
FROM = 128  # value from which a pixel counts: brushes have soft edges


class BrushError(ValueError):
    """A code that cannot be read; the message is why."""


def decode_brush(code: Sequence[int], height: int, width: int) -> np.ndarray:
    """Draw a code.

    Args:
        code: its bytes, 0..255.
        height: of the image, pixels.
        width: of the image, pixels.

    Returns:
        (H, W) bool: pixels whose alpha is 128 or more.

    Raises:
        BrushError: not bytes, another number of values than the image has, or it ends early.
    """
    try:
        data = bytes(code)
    except (TypeError, ValueError):
        raise BrushError("is not a list of bytes") from None
    if len(data) * 8 < HEAD:
        raise BrushError("ends early")
    count = int.from_bytes(data[:4], "big")
    if count != height * width * CHANNELS:
        raise BrushError(f"has {count} values, but an image of {height}x{width} has {height * width * CHANNELS}")
    bits = int.from_bytes(data[4:7], "big")  # 24 bits, of which the head has 21
    word = (bits >> 19) + 1
    if word > 8:
        raise BrushError(f"has values of {word} bits")
    sizes = [((bits >> shift) & 15) + 1 for shift in (15, 11, 7, 3)]
    values = np.zeros(count, dtype=np.uint8)
    position, done, end = HEAD, 0, len(data) * 8
    unpacked = np.unpackbits(np.frombuffer(data, dtype=np.uint8))
    padded = data + bytes(8)
    weights = 1 << np.arange(word - 1, -1, -1)

    def read(first: int, size: int) -> int:
        place = first >> 3
        window = int.from_bytes(padded[place : place + 4], "big")  # 16 bits and 7 before them are in 32
        return (window >> (32 - (first & 7) - size)) & ((1 << size) - 1)

    while done < count:
        if position + 3 > end:
            raise BrushError("ends early")
        first = read(position, 3)
        size = sizes[first & 3]
        length = read(position + 3, size) + 1
        position += 3 + size
        repeated = first >> 2
        needed = word if repeated else word * length
        if position + needed > end:
            raise BrushError("ends early")
        if done + length > count:
            raise BrushError("has more values than its head says")
        if repeated:
            value = read(position, word)
            if value:
                values[done : done + length] = value
        else:
            values[done : done + length] = unpacked[position : position + needed].reshape(length, word) @ weights
        position += needed
        done += length
    alpha = values.reshape(height, width, CHANNELS)[..., 3]
    drawn: np.ndarray = alpha >= FROM
    return drawn


def encode_brush(mask: np.ndarray) -> list[int]:
    """Write a mask, (H, W) bool, as code: all four channels have 255 where it is.

    Returns:
        The bytes, 0..255, as Label Studio's own converter writes them.
    """
    flat = np.repeat(mask.ravel(), CHANNELS)
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    edges = np.concatenate([[0], changes, [flat.size]])
    lengths, on = np.diff(edges), flat[edges[:-1]]
    # Runs longer than the largest length are written in several parts, the rest last.
    largest = 1 << SIZES[-1]
    parts = (lengths + largest - 1) // largest
    part_lengths = np.full(int(parts.sum()), largest, dtype=np.int64)
    part_lengths[np.cumsum(parts) - 1] = lengths - (parts - 1) * largest
    value = np.where(np.repeat(on, parts), 255, 0)
    kind = np.searchsorted([1 << size for size in SIZES[:-1]], part_lengths)
    size = np.array(SIZES)[kind]
    token = (((4 | kind) << size) | (part_lengths - 1)) << WORD | value
    bits = 3 + size + WORD
    head = np.array([flat.size >> 16, flat.size & 0xFFFF, _head_of_sizes()], dtype=np.int64)
    tokens = np.concatenate([head, token]).astype(">u4")
    used = np.concatenate([[16, 16, 21], bits])
    planes = np.unpackbits(tokens.view(np.uint8)).reshape(-1, 32)
    stream = planes[np.arange(32) >= (32 - used)[:, None]]
    # One byte of zeros more where the last is full, as Label Studio's own converter does.
    stream = np.concatenate([stream, np.zeros(8 - stream.size % 8, dtype=np.uint8)])
    return np.packbits(stream).tolist()


def _head_of_sizes() -> int:
    number = WORD - 1
    for size in SIZES:
        number = number << 4 | size - 1
    return number

"""The code of Label Studio's brushes: what its converter writes is read, and the other way round."""

import numpy as np
import pytest

from utils.data.convert.brush_rle import BrushError, decode_brush, encode_brush


def mask_of(seed):
    """Make a mask by chance: of any density, of single pixels and of long runs."""
    random = np.random.default_rng(seed)
    small = random.random(random.integers(1, 20, 2)) < random.random()
    return np.kron(small, np.ones((1, 1 + seed % 4 * 13), bool))


# mask2rle(np.eye(2, dtype=np.uint8) * 255) of label_studio_sdk 2.1.2
EYE = [0, 0, 0, 16, 57, 27, 252, 127, 243, 128, 71, 254]


@pytest.mark.parametrize("seed", range(20))
def test_a_mask_is_the_same_after_writing_and_reading(seed):
    mask = mask_of(seed)
    assert np.array_equal(decode_brush(encode_brush(mask), *mask.shape), mask)


def test_label_studio_writes_and_reads_the_same():
    brush = pytest.importorskip("label_studio_sdk.converter.brush")
    for mask in map(mask_of, range(20)):
        check_by(brush, mask)


def check_by(brush, mask):
    assert encode_brush(mask) == brush.mask2rle(mask.astype(np.uint8) * 255)
    read = brush.decode_rle(encode_brush(mask)).reshape(*mask.shape, 4)
    assert np.array_equal(read[..., 3] > 0, mask)


def test_a_recorded_code_is_read():
    assert np.array_equal(decode_brush(EYE, 2, 2), np.eye(2, dtype=bool))
    assert encode_brush(np.eye(2, dtype=bool)) == EYE


def test_long_runs_are_written_in_parts():
    mask = np.zeros((300, 400), bool)
    mask[5:, 7:] = True
    assert np.array_equal(decode_brush(encode_brush(mask), 300, 400), mask)


def bits(text):
    """Make bytes of bits."""
    text = text.replace(" ", "")
    text += "0" * (-len(text) % 8)
    return [int(text[k : k + 8], 2) for k in range(0, len(text), 8)]


HEAD = f"{4:032b} 00111 0010 0011 0111 1111"


def test_values_that_are_not_repeated_stand_one_after_another():
    """The program itself writes such runs; its converter does not. Of soft strokes half and more counts."""
    for alpha, expected in ((128, True), (127, False)):
        code = bits(f"{HEAD} 0 00 011 {9:08b} {8:08b} {7:08b} {alpha:08b}")
        assert decode_brush(code, 1, 1).tolist() == [[expected]]


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ([], "ends early"),
        (["x"], "is not a list of bytes"),
        ([300], "is not a list of bytes"),
        ([0] * 7, "has 0 values, but an image of 1x1 has 4"),
        ([255] * 20, "has 4294967295 values"),
        (bits(f"{4:032b} 11111 0010 0011 0111 1111"), "has values of 32 bits"),
        (bits(HEAD), "ends early"),
        (bits(f"{HEAD} 1 00 111 11111111 000000"), "has more values than its head says"),
        (bits(f"{HEAD} 0 00 011 11111111"), "ends early"),
    ],
)
def test_a_code_that_is_none_is_refused(code, reason):
    with pytest.raises(BrushError, match=reason):
        decode_brush(code, 1, 1)

import math
import re

import numpy as np
import pytest

from utils.data.bit_depth import BitDepth, Levels


def whole(high, low=0):
    return Levels("whole", low, high)


def floating(high, low=0.0):
    return Levels("float", low, high)


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        ([], BitDepth()),
        ([Levels("byte", 0, 255)], BitDepth()),
        ([whole(0)], BitDepth(8)),
        ([whole(255)], BitDepth(8)),
        ([whole(256)], BitDepth(10)),
        ([whole(1024)], BitDepth(12)),
        ([whole(300), whole(4095), whole(20)], BitDepth(12)),
        ([whole(4096)], BitDepth(14)),
        ([whole(16384)], BitDepth(16)),
        ([whole(65535)], BitDepth(16)),
        ([whole(3000), whole(70_000), whole(4095, -5)], BitDepth(12)),  # what is refused anyway decides nothing
        ([floating(1.0)], BitDepth(None, 1.0)),
        ([floating(0.0)], BitDepth(None, 1.0)),
        ([floating(0.3), floating(0.9)], BitDepth(None, 1.0)),
        ([floating(1.02)], BitDepth(None, 1.02)),  # 255 would leave four grey levels
        ([floating(1e-20)], BitDepth(None, 1e-6)),
        ([floating(200.0)], BitDepth(None, 255.0)),
        ([floating(3760.0), floating(0.9)], BitDepth(None, 4095.0)),
        ([floating(math.nan, math.nan), floating(0.5)], BitDepth(None, 1.0)),
        ([whole(900), floating(0.9), Levels("byte", 0, 9)], BitDepth(10, 1.0)),
    ],
)
def test_the_smallest_depth_that_holds_all_images_is_measured(images, expected):
    assert BitDepth().measured(images) == expected


def test_what_is_known_is_not_measured_again():
    assert BitDepth(14).measured([whole(900), floating(0.5)]) == BitDepth(14, 1.0)
    assert BitDepth(14, 1.0).overruled("12") == BitDepth(12, 1.0)
    assert BitDepth(14, 1.0).overruled("auto") == BitDepth(14, 1.0)


@pytest.mark.parametrize(
    ("depth", "levels", "reason"),
    [
        (BitDepth(12), whole(4096), "up to 4096, more than the 12 bits .*-bit_depth 14"),
        (BitDepth(8), whole(3760), "-bit_depth 12"),
        (BitDepth(None, 1.0), floating(1.2), "up to 1.2, more than the white 1"),
        (BitDepth(), whole(10, -1), "down to -1"),
        (BitDepth(), floating(math.nan, math.nan), "NaN"),
        (BitDepth(12), whole(4095), None),
        (BitDepth(12), Levels("byte", 0, 255), None),
        (BitDepth(None, 1.0), floating(1.05), None),
        (BitDepth(12), floating(1e4), None),
    ],
)
def test_what_exceeds_the_depth_is_refused_rather_than_clipped(depth, levels, reason):
    refusal = depth.refusal(levels)
    assert (refusal is None) == (reason is None)
    if reason:
        assert refusal is not None
        assert re.search(reason, refusal[0])


@pytest.mark.parametrize(
    ("bright", "usual", "fits"), [(0, None, True), (1, 3000, True), (2, 3000, True), (3, None, False)]
)
def test_one_number_of_a_thousand_may_exceed_the_depth_and_becomes_white(bright, usual, fits):
    samples = np.full((40, 50), 3000, np.uint16)
    samples.flat[:bright] = 65535
    levels = Levels.of(samples)
    assert levels.usual == usual
    assert (BitDepth(12).refusal(levels) is None) == fits
    assert BitDepth().measured([levels]).bits == (16 if bright else 12)  # what is measured holds every number
    assert BitDepth(12).to_8_bit(samples).flat[: bright + 1].tolist() == [255] * bright + [3000 >> 4]


@pytest.mark.parametrize(
    ("depth", "samples", "expected"),
    [
        (BitDepth(12), np.array([0, 15, 16, 4095], np.uint16), [0, 0, 1, 255]),
        (BitDepth(16), np.array([0, 255, 256, 65535], ">u2"), [0, 0, 1, 255]),
        (BitDepth(8), np.array([0, 7, 255], np.int32), [0, 7, 255]),
        (BitDepth(12), np.array([0, 7, 255], np.uint8), [0, 7, 255]),  # files of 8 bits stay as they are
        (BitDepth(None, 1.0), np.array([0, 0.5, 1.0, 1.05]), [0, 128, 255, 255]),
        (BitDepth(None, 4095.0), np.array([0, 15.9, 16, 4095], np.float32), [0, 0, 1, 255]),
        (BitDepth(), np.array([0, 4095], np.uint16), [0, 255]),
    ],
)
def test_samples_become_8_bits(depth, samples, expected):
    got = depth.to_8_bit(samples)
    assert got.dtype == np.uint8
    assert got.tolist() == expected


@pytest.mark.parametrize(
    "values",
    [(9, None), (None, 1e-20), (11, None), (12.0, None), (None, 0.0), (None, math.nan), (True, None), ("12", None)],
)
def test_what_this_program_never_wrote_is_an_error(values):
    with pytest.raises(ValueError, match=r"bit_depth|float_white"):
        BitDepth(*values).checked()
    assert BitDepth(12, 1.0).checked() == BitDepth(12, 1.0)

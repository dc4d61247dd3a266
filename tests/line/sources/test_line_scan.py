"""Line scans: every line is shown once, in frames of one height."""

import numpy as np

from utils.line.sources.line_scan import LineBuffer


def test_no_line_is_lost_and_none_is_shown_twice():
    rng = np.random.default_rng(1)
    lines = np.arange(1000, dtype=np.uint16)[:, None].repeat(5, 1)
    buffer, frames, place = LineBuffer(64), [], 0
    while place < len(lines):
        step = int(rng.integers(1, 200))
        frames += buffer.add(lines[place : place + step])
        place += step
    assert all(len(frame) == 64 for frame in frames)
    assert len(frames) == 1000 // 64
    assert np.array_equal(np.concatenate(frames), lines[: len(frames) * 64])
    assert buffer.lines == 1000 % 64


def test_lines_of_another_width_or_kind_fit_when_the_rest_is_dropped():
    buffer, wider = LineBuffer(4), np.zeros((1, 6), np.uint8)
    buffer.add(np.zeros((3, 5), np.uint8))
    assert buffer.fits(np.zeros((1, 5), np.uint8))
    assert not buffer.fits(np.zeros((1, 5), np.uint16))
    assert not buffer.fits(wider)
    assert buffer.drop() == 3
    assert buffer.fits(wider)
    assert len(buffer.add(np.zeros((4, 6), np.uint8))) == 1

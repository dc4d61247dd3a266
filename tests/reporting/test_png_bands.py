"""PNG band by band: the picture comes back as it was, and a file cut short is an error."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image

from utils.reporting.png_bands import band_rows, write_png_bands


@pytest.mark.parametrize(("height", "width", "rows"), [(1, 1, 1), (10, 7, 3), (64, 300, 64), (65, 20, 64)])
def test_picture_comes_back(height, width, rows):
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    file = io.BytesIO()
    write_png_bands(file, height, width, (pixels[top : top + rows] for top in range(0, height, rows)))
    assert np.array_equal(np.asarray(Image.open(file)), pixels)
    assert np.array_equal(cv2.imdecode(np.frombuffer(file.getvalue(), np.uint8), cv2.IMREAD_COLOR_RGB), pixels)


def test_missing_rows_are_an_error():
    with pytest.raises(ValueError, match="2 rows of a picture of 3"):
        write_png_bands(io.BytesIO(), 3, 4, [np.zeros((2, 4, 3), np.uint8)])


def test_bands_are_small_however_wide_the_picture_is():
    assert [band_rows(width) for width in (1, 1024, 32768, 10**7)] == [64, 64, 32, 1]

"""Heat maps leave cold pixels alone, and the hotter a pixel the brighter its colour."""

import numpy as np
import pytest

from utils.reporting.heat_map import draw_heat_map


@pytest.mark.parametrize("channels", [1, 3])
def test_cold_pixels_stay_and_hot_ones_shine(channels):
    image = np.full((4, 6, channels), 60, np.uint8)
    probability = np.zeros((4, 6))
    probability[1, :3] = 0.3, 0.6, 1.0
    drawn = draw_heat_map(image, probability)
    assert drawn.shape == (4, 6, 3)
    assert (drawn[0] == 60).all()
    reds = drawn[1, :3, 0].astype(int)
    assert 60 < reds[0] < reds[1] < reds[2]
    assert (image == 60).all()

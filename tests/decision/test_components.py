"""The shape of each defect, also where one lies in another's box."""

import cv2
import numpy as np
import pytest

from utils.decision.components import defect_shapes
from utils.decision.masks import find_defects


@pytest.mark.parametrize("density", [0.02, 0.2, 0.4, 0.6, 0.95])
@pytest.mark.parametrize("seed", range(4))
def test_shapes_together_are_the_masks_and_each_is_connected(density, seed):
    random = np.random.default_rng(seed)
    masks = random.random((2, 37, 53)) < density
    kept, defects = find_defects(masks.copy(), np.ones((2, 37, 53), np.float32), "multilabel", (3, 0), (None, 40))
    drawn = np.zeros(masks.shape, int)
    for row, shape in zip(defects, defect_shapes(kept, defects), strict=True):
        assert shape.shape == (row["height"], row["width"])
        assert shape.sum() == row["area_px"]
        assert cv2.connectedComponents(shape.astype(np.uint8), connectivity=8)[0] == 2
        y, x = row["y"], row["x"]
        drawn[row["class_id"] - 1, y : y + row["height"], x : x + row["width"]] += shape
    np.testing.assert_array_equal(drawn, kept)


def test_frames_in_frames_are_told_apart():
    mask = np.zeros((1, 21, 21), bool)
    for ring in range(0, 10, 2):
        mask[0, ring : 21 - ring, ring : 21 - ring] = True
        mask[0, ring + 1 : 20 - ring, ring + 1 : 20 - ring] = False
    kept, defects = find_defects(mask.copy(), np.ones((1, 21, 21), np.float32), "multilabel", (0,))
    areas = sorted(int(shape.sum()) for shape in defect_shapes(kept, defects))
    assert areas == [4 * (20 - 2 * ring) for ring in range(8, -1, -2)]

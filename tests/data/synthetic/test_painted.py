"""Synthetic defects on a real image: where they are the image changes, elsewhere the steel stays as it was."""

import numpy as np
import pytest

from utils.data.synthetic import CLASS_NAMES
from utils.data.synthetic.painted import paint_defects


@pytest.mark.parametrize("class_id", range(1, len(CLASS_NAMES) + 1))
@pytest.mark.parametrize("channels", [1, 3])
def test_defects_are_where_the_mask_says(class_id, channels):
    steel = np.random.default_rng(0).normal(120, 5, (128, 160, channels)).clip(0, 255).astype(np.uint8)
    before = steel.copy()
    painted, mask = paint_defects(np.random.default_rng(class_id), steel, class_id, contrast=2.0)
    assert (painted.shape, painted.dtype, mask.shape) == (steel.shape, np.uint8, (128, 160))
    assert (steel == before).all()
    assert 0 < mask.sum() < 0.9 * mask.size
    changed = (painted != steel).any(2)
    assert changed[mask].mean() > 0.1
    assert 3 * changed[~mask].mean() < changed[mask].mean()
    again, same = paint_defects(np.random.default_rng(class_id), steel, class_id, contrast=2.0)
    assert (again == painted).all()
    assert (same == mask).all()


def test_small_images_are_painted_too():
    painted, mask = paint_defects(np.random.default_rng(1), np.full((24, 24, 3), 100, np.uint8), 3)
    assert painted.shape == (24, 24, 3)
    assert mask.shape == (24, 24)

"""Soft masks: levels are probabilities to 1/508, and come back from disk as they were."""

import numpy as np
import pytest

from utils.data.dataset import NOT_COUNTED
from utils.data.soft_masks import CERTAIN, read_soft_mask, to_levels, write_soft_mask
from utils.errors import InputError


def test_levels_are_probabilities_and_never_the_mark_of_pixels_that_do_not_count():
    probabilities = np.linspace(0, 1, 1001)
    levels = to_levels(probabilities)
    assert levels.dtype == np.uint8
    assert (levels.min(), levels.max()) == (0, CERTAIN)
    assert CERTAIN < NOT_COUNTED
    assert np.abs(levels / CERTAIN - probabilities).max() <= 0.5 / CERTAIN + 1e-9


@pytest.mark.parametrize("shape", [(1, 5, 7), (4, 33, 16)])
def test_a_soft_mask_is_read_as_it_was_written(tmp_path, shape):
    levels = np.random.default_rng(0).integers(0, CERTAIN + 1, shape).astype(np.uint8)
    path = tmp_path / "within/a.png"
    write_soft_mask(path, levels)
    assert np.array_equal(read_soft_mask(path, *shape[1:]), levels)


@pytest.mark.parametrize("case", ["missing", "cut", "of another image", "empty"])
def test_a_damaged_one_is_named(tmp_path, case):
    path = tmp_path / "a.png"
    if case != "missing":
        write_soft_mask(path, np.zeros((2, 8, 8), np.uint8))
    if case in ("cut", "empty"):
        path.write_bytes(path.read_bytes()[: 20 if case == "cut" else 0])
    size = (8, 9) if case == "of another image" else (8, 8)
    with pytest.raises(InputError, match=r"a\.png: missing or damaged; remove it"):
        read_soft_mask(path, *size)

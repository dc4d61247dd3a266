"""What is kept of an inspected image holds no memory of its batch."""

import numpy as np
import pytest
import torch

from utils.decision.decided_logits import DecidedLogits
from utils.decision.masks import DEFECT
from utils.inference.inspected import Inspected, Refused


def test_what_is_kept_has_logits_of_its_own_or_none():
    batch = torch.ones(4, 2, 6, 8)
    masks, image = np.zeros((2, 6, 8), np.bool_), np.zeros((6, 8, 3), np.uint8)
    inspected = Inspected("a.png", image, masks, np.zeros(0, DEFECT), None, (3, 3), batch[1])
    assert np.shares_memory(inspected.logits, batch.numpy())
    kept = inspected.kept(0.5, with_logits=True)
    np.testing.assert_array_equal(kept.logits, inspected.logits)
    assert not np.shares_memory(kept.logits, batch.numpy())
    assert (kept.name, kept.min_areas, kept.seconds) == ("a.png", (3, 3), 0.5)
    assert inspected.kept(0.5, with_logits=False).logits is None


def test_skipped_file_is_named_by_its_path():
    assert Refused("folder/a.png", "not an image").to_dict() == {"image": "folder/a.png", "reason": "not an image"}


@pytest.mark.parametrize(
    ("mask", "logits", "peak"),
    [
        pytest.param([0, 0, 0], torch.tensor([[[-2.0, 0.0, -9.0]]]), 0.5, id="clean: the likeliest pixel"),
        pytest.param([1, 0, 0], torch.tensor([[[1.0, 50.0, -9.0]]]), 0.7311, id="a pixel that does not count"),
        pytest.param([0, 0, 0], torch.full((1, 1, 3), -1e4), 0.0, id="no overflow"),
        pytest.param(
            [1, 0, 0], DecidedLogits((1, 3), np.array([0]), np.array([[1.0]], np.float32)), 0.7311, id="large image"
        ),
        pytest.param(
            [0, 0, 0],
            DecidedLogits((1, 3), np.zeros(0, np.int64), np.zeros((1, 0), np.float32)),
            0.0,
            id="large, clean",
        ),
        pytest.param([0, 0, 0], None, None, id="dropped"),
    ],
)
def test_an_anomaly_is_as_likely_as_its_likeliest_pixel_that_counts(mask, logits, peak):
    masks = np.array(mask, np.bool_).reshape(1, 1, 3)
    one = Inspected("a.png", np.zeros((1, 3, 3), np.uint8), masks, np.zeros(0, DEFECT), None, (0,), logits)
    assert one.peak == pytest.approx(peak, abs=1e-4)

"""What is kept of an inspected image holds no memory of its batch."""

import numpy as np
import torch

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

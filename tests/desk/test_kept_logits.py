"""Kept logits decide as whole ones do, to the bit, and take a fraction of the room."""

import numpy as np
import pytest

from utils.decision.decision import Decision
from utils.desk import kept_logits


def drawn(channels: int, seed: int = 0) -> np.ndarray:
    """Logits of a quiet image with some places where something is."""
    random = np.random.default_rng(seed)
    logits = random.normal(-9, 1, (channels, 64, 96)).astype(np.float32)
    if channels > 3:
        logits[0] += 12  # background
    for channel in range(1, channels):
        y, x = random.integers(0, 50, 2)
        logits[channel, y : y + 12, x : x + 14] = random.normal(4, 3, (12, 14))
    return logits


@pytest.mark.parametrize("task", ["multilabel", "multiclass"])
@pytest.mark.parametrize("threshold", [kept_logits.FLOOR, 0.3, 0.5, 0.97])
def test_decisions_are_those_of_whole_logits(task, threshold):
    logits = drawn(5 if task == "multiclass" else 3)
    packed = kept_logits.pack(logits, task)
    assert packed is not None
    assert len(packed) < logits.nbytes / 8
    classes = len(logits) - (task == "multiclass")
    decision = Decision.uniform(classes, threshold, 5, 0, min(threshold + 0.02, 1.0))
    masks, defects = decision.apply_and_find(logits, task)
    kept_masks, kept_defects = decision.apply_and_find(kept_logits.unpack(packed, task), task)
    np.testing.assert_array_equal(masks, kept_masks)
    assert defects.tobytes() == kept_defects.tobytes()
    assert masks.any()


def test_nothing_is_kept_where_something_is_seen_everywhere():
    assert kept_logits.pack(np.ones((2, 8, 8), np.float32), "multilabel") is None


def test_an_image_of_nothing_comes_back():
    packed = kept_logits.pack(np.full((2, 8, 8), -20, np.float32), "multilabel")
    assert packed is not None
    assert (kept_logits.unpack(packed, "multilabel") < -50).all()


@pytest.mark.parametrize("cut", [0, 10, 200])
def test_damage_is_said(cut):
    packed = kept_logits.pack(drawn(2), "multilabel")
    assert packed is not None
    with pytest.raises(ValueError, match="damaged"):
        kept_logits.unpack(packed[:cut], "multilabel")


def test_low_thresholds_need_the_network():
    assert kept_logits.serves((0.5, 0.02))
    assert not kept_logits.serves((0.5, 0.01))

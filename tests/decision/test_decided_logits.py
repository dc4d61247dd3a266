"""Logits of decided pixels alone: defects and masks are those that all logits give."""

import numpy as np
import pytest
import torch

from utils.decision.decided_logits import DecidedPieces, logits_at
from utils.decision.decision import Decision
from utils.decision.masks import index_mask

HEIGHT, WIDTH = 37, 90


def answer(task: str, seed: int) -> np.ndarray:
    """Draw logits of soft spots, as a network gives them: ``(K, H, W)`` float32."""
    noise = torch.randn(1, 3 + (task == "multiclass"), HEIGHT, WIDTH, generator=torch.Generator().manual_seed(seed))
    return (torch.nn.functional.avg_pool2d(noise, 5, 1, 2) * 12)[0].numpy()


def in_pieces(logits: np.ndarray, decided: np.ndarray):
    """Put the logits together from four pieces, the last first."""
    pieces = DecidedPieces((HEIGHT, WIDTH))
    for rows in (slice(20, HEIGHT), slice(0, 20)):
        for columns in (slice(33, WIDTH), slice(0, 33)):
            pieces.add(rows, columns, decided[:, rows, columns], logits[:, rows, columns])
    return pieces.together()


@pytest.mark.parametrize("task", ["multilabel", "multiclass"])
@pytest.mark.parametrize("high", [(), (0.0, 0.95, 0.8)])
def test_defects_are_those_that_all_logits_give(task, high):
    decision = Decision((0.5, 0.6, 0.4), (4, 9, 0), (None, 400, None), *([high] if high else []))
    for seed in range(5):
        logits = answer(task, seed)
        decided = decision.decide(torch.from_numpy(logits[None]), task)[0].numpy()
        kept = in_pieces(logits, decided)
        masks, defects = decision.find_defects(decided.copy(), logits, task)
        again, same = decision.find_defects(decided.copy(), kept, task)
        assert len(defects) > 3
        assert np.array_equal(masks, again)
        assert np.array_equal(defects, same)
        assert np.array_equal(index_mask(masks, logits, task), index_mask(masks, kept, task))


def test_only_decided_pixels_are_kept():
    logits = answer("multilabel", 1)
    decided = logits > 3
    kept = in_pieces(logits, decided)
    row, column = np.nonzero(decided.any(axis=0))
    assert 0 < kept.pixels.size == row.size < HEIGHT * WIDTH / 2
    assert np.array_equal(logits_at(kept, row, column), logits[:, row, column])
    assert (kept.pixels.dtype, kept.values.dtype) == (np.int64, np.float32)


def test_image_without_defects_keeps_nothing():
    kept = in_pieces(answer("multilabel", 2), np.zeros((3, HEIGHT, WIDTH), np.bool_))
    assert kept.pixels.size == 0
    assert kept.values.shape == (3, 0)

"""Probabilities from logits, also where exp overflows."""

import numpy as np
import pytest
import torch

from utils.decision.probabilities import class_probabilities


@pytest.mark.parametrize("task", ["multilabel", "binary", "multiclass"])
@pytest.mark.parametrize("scale", [1, 50, 1000])
def test_probabilities_are_those_of_torch(task, scale):
    logits = np.random.default_rng(0).normal(size=(3, 5, 7)).astype(np.float32) * scale
    wide = torch.from_numpy(logits).double()
    expected = wide.softmax(dim=0)[1:] if task == "multiclass" else wide.sigmoid()
    found = list(class_probabilities(logits, task))
    np.testing.assert_allclose(np.stack(found), expected.numpy(), rtol=1e-6, atol=1e-15)
    assert all(plane.dtype == np.float64 for plane in found)

"""Probabilities from logits, also where exp overflows."""

import numpy as np
import pytest
import torch

from utils.decision.probabilities import (
    class_probabilities,
    label_probabilities,
    mask_probabilities,
    pixel_probability,
)


@pytest.mark.parametrize("task", ["multilabel", "binary", "multiclass"])
@pytest.mark.parametrize("scale", [1, 50, 1000])
def test_probabilities_are_those_of_torch(task, scale):
    logits = np.random.default_rng(0).normal(size=(3, 5, 7)).astype(np.float32) * scale
    wide = torch.from_numpy(logits).double()
    expected = wide.softmax(dim=0)[1:] if task == "multiclass" else wide.sigmoid()
    found = list(class_probabilities(logits, task))
    np.testing.assert_allclose(np.stack(found), expected.numpy(), rtol=1e-6, atol=1e-15)
    assert all(plane.dtype == np.float64 for plane in found)


@pytest.mark.parametrize("task", ["multilabel", "binary", "multiclass"])
@pytest.mark.parametrize("scale", [1, 50, 1000])
def test_all_ways_to_probabilities_of_masks_agree(task, scale):
    logits = np.random.default_rng(1).normal(size=(3, 5, 7)).astype(np.float32) * scale
    planes = np.stack(list(class_probabilities(logits, task)))
    together = mask_probabilities(torch.from_numpy(logits)[None], task)[0]
    np.testing.assert_allclose(together.numpy(), planes, rtol=1e-5, atol=1e-7)
    for index, plane in enumerate(planes):
        pixels = logits.reshape(3, -1) if task == "multiclass" else logits[index].reshape(1, -1)
        found = pixel_probability(pixels, task, index)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, plane.ravel(), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_probabilities_of_whole_images_are_float32(dtype):
    found = label_probabilities(torch.tensor([[0.0, 2.0], [-100.0, 100.0]], dtype=dtype))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [[0.5, 1 / (1 + np.exp(-2))], [0, 1]], atol=1e-6)


def test_a_logit_that_is_not_finite_is_no_probability():
    found = label_probabilities(torch.tensor([[torch.nan, torch.inf, -torch.inf, 88.0, -88.0]]))
    np.testing.assert_array_equal(np.isnan(found), [[True, True, True, False, False]])

"""Flipped predictions: the mean of four, at the right places, and the decoder only where a gate says so."""

import numpy as np
import pytest
import torch

from utils.inference.network import Outputs, pass_gate
from utils.inference.tta import Flipped


class Directed:
    """A network that answers differently for every flip: masks are the image times a ramp; remembers its calls."""

    name, parallel = "directed", 3

    def __init__(self, labels: bool = True) -> None:
        self.labels = labels
        self.calls: list[tuple[int, int]] = []  # images, masks

    def __call__(self, images, gate=None):
        assert images.flags["C_CONTIGUOUS"]
        grey = torch.from_numpy(images[..., 0]).float()
        ramp = torch.arange(grey[0].numel()).view(1, *grey.shape[1:])
        masks = torch.stack([grey * ramp, -grey], dim=1)
        labels = torch.stack([(grey * ramp).mean((1, 2)) / 1000, grey[:, 0, 0]], dim=1) if self.labels else None
        answer = pass_gate(Outputs(masks, labels), gate)
        self.calls.append((len(images), 0 if answer.masks is None else len(answer.masks)))
        return answer


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (3, 4, 6, 3), dtype=np.uint8)


def expected(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    masks, labels = [], []
    for up_down in (False, True):
        for left_right in (False, True):
            turned = images
            turned = turned[:, ::-1] if up_down else turned
            turned = turned[:, :, ::-1] if left_right else turned
            answer = Directed()(np.ascontiguousarray(turned))
            back = answer.masks.numpy()
            back = back[:, :, ::-1] if up_down else back
            back = back[:, :, :, ::-1] if left_right else back
            masks.append(back)
            labels.append(answer.labels.numpy())
    return np.mean(masks, axis=0), np.mean(labels, axis=0)


def test_logits_are_the_mean_over_the_flips(images):
    network = Directed()
    flipped = Flipped(network)
    answer = flipped(images)
    masks, labels = expected(images)
    np.testing.assert_allclose(answer.masks.numpy(), masks, rtol=1e-5)
    np.testing.assert_allclose(answer.labels.numpy(), labels, rtol=1e-5)
    assert np.abs(answer.masks.numpy() - Directed()(images).masks.numpy()).max() > 1
    assert len(network.calls) == 4
    assert (flipped.name, flipped.parallel) == ("directed, 4 flips", 3)


def test_networks_without_labels(images):
    answer = Flipped(Directed(labels=False))(images)
    np.testing.assert_allclose(answer.masks.numpy(), expected(images)[0], rtol=1e-5)
    assert answer.labels is None


@pytest.mark.parametrize("chosen", [[False, True, True], [True, True, True], [False, False, False]])
def test_the_gate_sees_the_mean_and_only_what_passes_is_decoded(images, chosen):
    network, seen = Directed(), []

    def gate(labels):
        seen.append(labels.numpy())
        return torch.tensor(chosen)

    answer = Flipped(network)(images, gate)
    masks, labels = expected(images)
    assert len(seen) == 1
    np.testing.assert_allclose(seen[0], labels, rtol=1e-5)
    np.testing.assert_allclose(answer.labels.numpy(), labels, rtol=1e-5)
    if any(chosen):
        np.testing.assert_allclose(answer.masks.numpy(), masks[chosen], rtol=1e-5)
        assert network.calls == [(3, 0)] * 4 + [(sum(chosen), sum(chosen))] * 4
    else:
        assert answer.masks is None
        assert network.calls == [(3, 0)] * 4

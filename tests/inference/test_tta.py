"""Test-time augmentation: the mean of all views, at the right places, and the decoder only where a gate says so."""

import numpy as np
import pytest
import torch

from utils.errors import InputError
from utils.inference.network import Outputs, keep_chosen
from utils.inference.tta import HALVES, Augmented


class Directed:
    """A network that answers differently for every view: masks are the image times a ramp; remembers its calls."""

    name, parallel = "directed", 3

    def __init__(self, labels: bool = True) -> None:
        self.labels = labels
        self.calls: list[tuple[int, int]] = []  # images, masks

    def __call__(self, images, choose=None):
        assert images.flags["C_CONTIGUOUS"]
        grey = torch.from_numpy(images[..., 0]).float()
        ramp = torch.arange(grey[0].numel()).view(1, *grey.shape[1:])
        masks = torch.stack([grey * ramp, -grey], dim=1)
        labels = torch.stack([(grey * ramp).mean((1, 2)) / 1000, grey[:, 0, 0]], dim=1) if self.labels else None
        answer = keep_chosen(Outputs(masks, labels), choose)
        self.calls.append((len(images), 0 if answer.masks is None else len(answer.masks)))
        return answer


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (3, 4, 6, 3), dtype=np.uint8)


def views(tta: str) -> list[tuple[int, bool]]:
    """How often a view is turned by a quarter, and whether it is mirrored before."""
    return [(turns, mirrored) for turns in ((0, 2) if tta == "flips" else (0, 1, 2, 3)) for mirrored in (False, True)]


def expected(images: np.ndarray, tta: str = "flips") -> tuple[np.ndarray, np.ndarray]:
    masks, labels = [], []
    for turns, mirrored in views(tta):
        turned = np.rot90(images[:, :, ::-1] if mirrored else images, turns, axes=(1, 2))
        answer = Directed()(np.ascontiguousarray(turned))
        back = np.rot90(answer.masks.numpy(), -turns, axes=(2, 3))
        masks.append(back[..., ::-1] if mirrored else back)
        labels.append(answer.labels.numpy())
    return np.mean(masks, axis=0), np.mean(labels, axis=0)


@pytest.mark.parametrize(
    ("tta", "count", "name"), [("flips", 4, "directed, 4 flips"), ("d4", 8, "directed, 8 flips and quarter turns")]
)
def test_logits_are_the_mean_over_the_views(images, tta, count, name):
    images = images if tta == "flips" else np.ascontiguousarray(images[:, :, :4])
    network = Directed()
    augmented = Augmented(network, tta)
    answer = augmented(images)
    masks, labels = expected(images, tta)
    np.testing.assert_allclose(answer.masks.numpy(), masks, rtol=1e-5)
    np.testing.assert_allclose(answer.labels.numpy(), labels, rtol=1e-5)
    assert np.abs(answer.masks.numpy() - Directed()(images).masks.numpy()).max() > 1
    assert len(network.calls) == count
    assert (augmented.name, augmented.parallel) == (name, 3)


def test_strips_do_not_turn_by_quarters(images):
    network = Directed()
    with pytest.raises(InputError, match="-tta d4: quarter turns need square images, not 4x6; take -tta flips"):
        Augmented(network, "d4")(images)
    assert not network.calls


def test_networks_without_labels(images):
    answer = Augmented(Directed(labels=False), "flips")(images)
    np.testing.assert_allclose(answer.masks.numpy(), expected(images)[0], rtol=1e-5)
    assert answer.labels is None


@pytest.mark.parametrize("chosen", [[False, True, True], [True, True, True], [False, False, False]])
def test_the_gate_sees_the_mean_and_only_what_passes_is_decoded(images, chosen):
    network, seen = Directed(), []

    def gate(labels):
        seen.append(labels.numpy())
        return torch.tensor(chosen)

    answer = Augmented(network, "flips")(images, gate)
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


@pytest.mark.parametrize("tta", ["flips", "d4"])
def test_halves_are_the_turned_and_the_mirrored_views_and_their_mean_is_the_whole(images, tta):
    images = np.ascontiguousarray(images[:, :, :4])
    whole = Augmented(Directed(), tta)(images).masks
    networks = [Directed(), Directed()]
    parts = [Augmented(network, name)(images).masks for network, name in zip(networks, HALVES[tta], strict=True)]
    assert [len(network.calls) for network in networks] == [2, 2] if tta == "flips" else [4, 4]
    assert torch.allclose((parts[0] + parts[1]) / 2, whole, rtol=1e-4, atol=1e-2)
    # Turned views of an image without a mirror image are those of the image that is turned.
    turned = Augmented(Directed(), HALVES[tta][0])(np.ascontiguousarray(images[:, ::-1, ::-1])).masks
    assert torch.allclose(turned.flip(2, 3), parts[0], rtol=1e-4, atol=1e-2)

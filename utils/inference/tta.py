"""Test-time augmentation: a network that looks at an image and at its mirror images, and answers with the mean."""

import numpy as np
import torch

from utils.inference.network import Gate, Network, Outputs

# Steel has no up and no left: every flip of a strip is a strip. Axes of (H, W).
FLIPS: tuple[tuple[int, ...], ...] = ((), (0,), (1,), (0, 1))


class Flipped:
    """Runs a network on an image, on both mirror images and on the image turned by 180 degrees.

    Logits are averaged, not probabilities: thresholds are applied to logits, which spares a sigmoid of every pixel, and
    one flip that is sure weighs more than one that is undecided. At a threshold of 0.5 the two differ only where flips
    disagree.

    Args:
        network: what to run; four times as long.
    """

    def __init__(self, network: Network) -> None:
        self.network = network
        self.parallel = network.parallel

    @property
    def name(self) -> str:
        """Name of the network, and what is done with it."""
        return f"{self.network.name}, 4 flips"

    def __call__(self, images: np.ndarray, gate: Gate | None = None) -> Outputs:
        """Run on a batch, see ``Network``."""
        if gate is None:
            return self._mean(images, None)
        # The gate has to see the mean of the labels, and only then is it known what to decode: the images that pass
        # go through the encoder twice, which on a coil are few.
        labels = self._mean(images, _nothing).labels
        assert labels is not None, "only networks with labels have a gate"
        chosen = gate(labels)
        if not chosen.any():
            return Outputs(None, labels)
        passed = np.ascontiguousarray(images[chosen.cpu().numpy()])
        return Outputs(self._mean(passed, None).masks, labels)

    def _mean(self, images: np.ndarray, gate: Gate | None) -> Outputs:
        masks: torch.Tensor | None = None
        labels: torch.Tensor | None = None
        for axes in FLIPS:
            turned = np.ascontiguousarray(np.flip(images, tuple(axis + 1 for axis in axes))) if axes else images
            answer = self.network(turned, gate)
            if answer.masks is not None:
                back = answer.masks.flip([axis + 2 for axis in axes]) / len(FLIPS)
                masks = back if masks is None else masks + back
            if answer.labels is not None:
                part = answer.labels / len(FLIPS)
                labels = part if labels is None else labels + part
        return Outputs(masks, labels)


def _nothing(labels: torch.Tensor) -> torch.Tensor:
    return torch.zeros(len(labels), dtype=torch.bool, device=labels.device)

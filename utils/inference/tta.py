"""Test-time augmentation: a network that looks at an image from several sides, and answers with the mean."""

import numpy as np
import torch

from utils.errors import InputError
from utils.inference.network import ChooseImages, Network, Outputs

# Steel has no up and no left: every flip of a strip is a strip. Axes of (H, W).
FLIPS: tuple[tuple[int, ...], ...] = ((), (0,), (1,), (0, 1))
# What each kind looks at: whether rows become columns, then the axes of (H, W) that are flipped.
VIEWS: dict[str, tuple[tuple[bool, tuple[int, ...]], ...]] = {
    "flips": tuple((False, axes) for axes in FLIPS),
    "d4": tuple((transposed, axes) for transposed in (False, True) for axes in FLIPS),
}
WORDS = {"flips": "4 flips", "d4": "8 flips and quarter turns"}
# The same views in two halves, turned alone and mirrored: where a network is sure, it answers both alike.
HALVES: dict[str, tuple[str, str]] = {kind: (f"{kind} turned", f"{kind} mirrored") for kind in VIEWS}
_HALF = {
    name: tuple(view for view in VIEWS[kind] if (view[0] + len(view[1])) % 2 == odd)
    for kind, names in HALVES.items()
    for odd, name in enumerate(names)
}


class Augmented:
    """Runs a network on an image and on what the image looks like from other sides.

    Logits are averaged, not probabilities: thresholds are applied to logits, which spares a sigmoid of every pixel, and
    one view that is sure weighs more than one that is undecided. At a threshold of 0.5 the two differ only where views
    disagree.

    Args:
        network: what to run, once a view.
        tta: ``flips`` (the image, both mirror images and the image turned by 180 degrees) or ``d4`` (all eight
            symmetries of a square), or a name of ``HALVES``.
    """

    def __init__(self, network: Network, tta: str) -> None:
        self.network, self.tta = network, tta
        self.views = VIEWS[tta] if tta in VIEWS else _HALF[tta]
        self.parallel = network.parallel

    @property
    def name(self) -> str:
        """Name of the network, and what is done with it."""
        return f"{self.network.name}, {WORDS.get(self.tta, self.tta)}"

    def __call__(self, images: np.ndarray, choose: ChooseImages | None = None) -> Outputs:
        """Run on a batch, see ``Network``.

        Raises:
            InputError: images that are not square and were to be turned by quarters.
        """
        height, width = images.shape[1:3]
        if any(transposed for transposed, _ in self.views) and height != width:
            raise InputError(f"-tta d4: quarter turns need square images, not {height}x{width}; take -tta flips")
        if choose is None:
            return self._mean(images, None)
        # The gate has to see the mean of the labels, and only then is it known what to decode: the images that pass
        # go through the encoder twice, which on a coil are few.
        labels = self._mean(images, _nothing).labels
        assert labels is not None, "only networks with labels have a gate"
        chosen = choose(labels)
        if not chosen.any():
            return Outputs(None, labels)
        passed = np.ascontiguousarray(images[chosen.cpu().numpy()])
        return Outputs(self._mean(passed, None).masks, labels)

    def _mean(self, images: np.ndarray, choose: ChooseImages | None) -> Outputs:
        masks: torch.Tensor | None = None
        labels: torch.Tensor | None = None
        for transposed, axes in self.views:
            turned = images.swapaxes(1, 2) if transposed else images
            answer = self.network(np.ascontiguousarray(np.flip(turned, tuple(axis + 1 for axis in axes))), choose)
            if answer.masks is not None:
                back = answer.masks.flip([axis + 2 for axis in axes]) / len(self.views)
                back = back.transpose(2, 3) if transposed else back
                masks = back if masks is None else masks + back
            if answer.labels is not None:
                part = answer.labels / len(self.views)
                labels = part if labels is None else labels + part
        return Outputs(masks, labels)


def _nothing(labels: torch.Tensor) -> torch.Tensor:
    return torch.zeros(len(labels), dtype=torch.bool, device=labels.device)

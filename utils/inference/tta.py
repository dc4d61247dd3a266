"""Test-time augmentation: a network that looks at an image from several sides, and answers with the mean."""

import numpy as np
import torch

from utils.errors import InputError
from utils.inference.network import ChooseImages, Network, Outputs

# Steel has no up and no left: every flip of a strip is a strip. Axes of (H, W).
FLIPS: tuple[tuple[int, ...], ...] = ((), (0,), (1,), (0, 1))
# What each kind looks at: whether rows become columns, then the axes of (H, W) that are flipped.
View = tuple[bool, tuple[int, ...]]
VIEWS: dict[str, tuple[View, ...]] = {
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
        self.views = views_of(tta)
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
        require_square(self.tta, *images.shape[1:3])
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
        for view in self.views:
            answer = self.network(np.ascontiguousarray(turned(images, view)), choose)
            if answer.masks is not None:
                back = turned_back(answer.masks, view) / len(self.views)
                masks = back if masks is None else masks + back
            if answer.labels is not None:
                part = answer.labels / len(self.views)
                labels = part if labels is None else labels + part
        return Outputs(masks, labels)


def views_of(tta: str) -> tuple[View, ...]:
    """Return what a kind of test-time augmentation, or a half of one, looks at."""
    return VIEWS[tta] if tta in VIEWS else _HALF[tta]


def require_square(tta: str, height: int, width: int) -> None:
    """Check that images of this size can be turned as ``tta`` asks.

    Raises:
        InputError: images that are not square and were to be turned by quarters.
    """
    if height != width and any(transposed for transposed, _ in views_of(tta)):
        raise InputError(f"-tta d4: quarter turns need square images, not {height}x{width}; take -tta flips")


def turned(images: np.ndarray, view: View) -> np.ndarray:
    """Return ``(N, H, W, channels)`` images as a view sees them; not contiguous."""
    transposed, axes = view
    return np.flip(images.swapaxes(1, 2) if transposed else images, tuple(axis + 1 for axis in axes))


def turned_back(masks: torch.Tensor, view: View) -> torch.Tensor:
    """Bring ``(N, K, H, W)`` logits of a view back to how the images lie."""
    transposed, axes = view
    masks = masks.flip([axis + 2 for axis in axes])
    return masks.transpose(2, 3) if transposed else masks


def _nothing(labels: torch.Tensor) -> torch.Tensor:
    return torch.zeros(len(labels), dtype=torch.bool, device=labels.device)

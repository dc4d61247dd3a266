"""Whether a network may know images of this kind: brightness and texture against what its first layer saw in training.

Batch normalisation keeps mean and variance of each channel of the first convolution over the images trained on. An image whose
channels lie far from that looks like none of them, whatever the network says about it. Weights without such a layer tell nothing.
"""

import threading
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from utils.errors import InputError
from utils.weights.weights_file import WeightsFile, load

# Mean divergence of the channels from which an image is called unlike. Of photographs of the training's own plant the largest
# was 1.1, of another plant's strip 1.9 with a median of 0.2; of glowing plates, which are another trade, the least was 2.0.
UNLIKE = 1.95
MOST_SIDE = 1024  # pixels of a side that are looked at
TOLD = "brightness and texture are unlike the images that the network learnt from; its results may mean nothing"


@dataclass(frozen=True, eq=False)
class Familiarity:
    """What the first layer of a network saw in training.

    Attributes:
        weight: of the convolution, ``(channels out, channels in, h, w)``.
        mean: of its channels, over the images trained on.
        variance: likewise.
        image_mean: per channel of an image, 0..1, that is taken away before.
        image_std: likewise, that is divided by.
    """

    weight: torch.Tensor
    mean: torch.Tensor
    variance: torch.Tensor
    image_mean: torch.Tensor
    image_std: torch.Tensor

    @classmethod
    def of(cls, weights: WeightsFile) -> "Familiarity | None":
        """Read it from weights; None where they have no such layer."""
        state = weights.state_dict
        channels = len(weights.mean)
        first = next((v for v in state.values() if v.ndim == 4 and v.shape[1] == channels), None)
        if first is None:
            return None
        for name, mean in state.items():
            if name.endswith("running_mean") and mean.numel() == len(first):
                variance = state[name.removesuffix("mean") + "var"].float()
                if not bool((variance > 0).all()):
                    return None
                image = torch.tensor(weights.mean), torch.tensor(weights.std)
                return cls(first.float(), mean.float(), variance, *image)
        return None

    @torch.inference_mode()
    def divergence(self, image: np.ndarray) -> float:
        """Return how far an image is from those trained on, 0 (as their mean) and up.

        That is the mean over the channels of the Kullback-Leibler divergence of two normal distributions, the image's
        pixels from those trained on.

        Args:
            image: ``(H, W, channels)`` uint8.
        """
        pixels = torch.from_numpy(np.ascontiguousarray(image[:MOST_SIDE, :MOST_SIDE])).float() / 255
        shown = ((pixels - self.image_mean) / self.image_std).permute(2, 0, 1)[None]
        padding = self.weight.shape[-1] // 2
        seen = functional.conv2d(shown, self.weight, stride=2, padding=padding)[0].flatten(1)
        mean, variance = seen.mean(1), seen.var(1, correction=0)
        ratio = variance / self.variance
        apart = (mean - self.mean) ** 2 / self.variance
        return float(0.5 * (ratio + apart - 1 - torch.log(ratio + 1e-9)).mean())

    def unlike(self, image: np.ndarray) -> str | None:
        """Return what is to be told of an image; None where nothing is."""
        return TOLD if self.divergence(image) > UNLIKE else None


class Familiarities:
    """What weights know, by their file; each is read once."""

    def __init__(self) -> None:
        self._known: dict[Path, Familiarity | None] = {}
        self._lock = threading.Lock()

    def unlike(self, path: Path | None, image: np.ndarray) -> str | None:
        """Return what is to be told of an image; None where nothing is known or to be told.

        Args:
            path: of the weights; None where they are no file. A system file tells nothing.
            image: ``(H, W, channels)`` uint8.
        """
        if path is None or path.suffix != ".pth":
            return None
        with self._lock:
            if path not in self._known:
                try:
                    self._known[path] = Familiarity.of(load(path))
                except InputError:  # moved or changed meanwhile
                    self._known[path] = None
            known = self._known[path]
        return None if known is None else known.unlike(image)

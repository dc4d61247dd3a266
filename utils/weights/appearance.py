"""How the images look that a network learnt from, so that others can be told from them: it travels in the weights file.

Of a frame six numbers are taken: ``brightness``, the mean of its brighter half, so that the dark beside the strip does not count;
``contrast``, the logarithm of the standard deviation; ``sharpness``, the logarithm of how much neighbours differ, less that of how
much pixels differ that lie two apart, which neither brightness nor contrast changes; ``features``, how far the mean and variance of
the channels of the network's first convolution are from those of the training images (the logarithm of the squared Mahalanobis
distance); ``entropy``, how unsure the answer is, in bits; ``defects``, whether there is one.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch

PROPERTIES = ("brightness", "contrast", "sharpness", "features", "entropy", "defects")
VERSION = 1
MOST = 2000  # images that are measured of a data set
LEAST = 20  # images, below which nothing is known
_TILES, _SIDE, _STEP = 3, 96, 3  # of the image that the convolution is computed on: a thousandth of the network's work
_ROWS = 128  # lines that sharpness, brightness and contrast are measured on, from the middle


@dataclass(frozen=True, eq=False)
class Appearance:
    """How images look.

    Attributes:
        kernel: of the first convolution, on grey images: ``(channels, h, w)`` float32; from the network, not stored.
        mean: of each of ``PROPERTIES`` over the images; nan: not known.
        sd: standard deviation, likewise.
        count: images that were measured.
        centre: mean of the features, ``(2 channels,)``.
        covariance: of the features.
    """

    kernel: np.ndarray
    mean: np.ndarray
    sd: np.ndarray
    count: int
    centre: np.ndarray
    covariance: np.ndarray

    def __post_init__(self) -> None:
        object.__setattr__(self, "_inverse", _inverse(self.covariance))

    @property
    def knows_answers(self) -> bool:
        """Whether entropy and rate of defects are known, which take the answers of the network."""
        return bool(np.isfinite(self.mean[4:]).all())

    def properties(self, image: np.ndarray, entropy: float = np.nan, defective: float = np.nan) -> np.ndarray:
        """Compute the six numbers of an image.

        Args:
            image: ``(H, W, channels)`` uint8.
            entropy: of the answer, see ``entropy_of``; nan: unknown.
            defective: 1 or 0, whether it has a defect; nan: unknown.

        Returns:
            ``(6,)`` float64.
        """
        grey = to_grey(image)
        distance = float(self.distances(features(grey, self.kernel)[None])[0])
        return np.array([*plain(grey), distance, entropy, defective])

    def distances(self, found: np.ndarray) -> np.ndarray:
        """Compute the logarithm of the squared Mahalanobis distance of features ``(N, 2 channels)``, plus 1: ``(N,)``."""
        apart = found - self.centre
        return np.log1p(np.einsum("ij,jk,ik->i", apart, self._inverse, apart))  # type: ignore[attr-defined]

    def to_content(self) -> dict[str, Any]:
        """Return what a weights file holds: tensors and numbers."""
        return {
            "version": VERSION,
            "count": self.count,
            "mean": dict(zip(PROPERTIES, self.mean.tolist(), strict=True)),
            "sd": dict(zip(PROPERTIES, self.sd.tolist(), strict=True)),
            "centre": torch.from_numpy(self.centre.astype(np.float32)),
            "covariance": torch.from_numpy(self.covariance.astype(np.float32)),
        }


def from_content(content: Any, state: dict[str, torch.Tensor], mean: Sequence[float]) -> Appearance | None:
    """Read what ``to_content`` gave.

    Args:
        content: of the weights file; None: it has none.
        state: of the network, which has the convolution.
        mean: of the normalisation, one a channel.

    Raises:
        ValueError: something else; the message names the entry.
    """
    if content is None or (isinstance(content, dict) and content.get("version") != VERSION):
        return None
    kernel = first_kernel(state, len(mean))
    try:
        if kernel is None:
            raise ValueError("kernel")
        size = 2 * len(kernel)
        centre, covariance = (content[name].double().numpy() for name in ("centre", "covariance"))
        means, sds = (np.array([float(content[name][one]) for one in PROPERTIES]) for name in ("mean", "sd"))
        whole = np.isfinite(centre).all() and np.isfinite(covariance).all() and np.isfinite(means[:4]).all()
        if centre.shape != (size,) or covariance.shape != (size, size) or not whole or not (sds[:4] >= 0).all():
            raise ValueError("shape")
        return Appearance(kernel, means, sds, int(content["count"]), centre, covariance)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"appearance: {error}") from None


def first_kernel(state: dict[str, torch.Tensor], channels: int) -> np.ndarray | None:
    """Return the first convolution of a network on grey images, ``(channels out, h, w)``; None where it has none."""
    first = next((one for one in state.values() if one.ndim == 4 and one.shape[1] == channels), None)
    if first is None or first.shape[-1] != first.shape[-2] or not 2 <= first.shape[-1] <= 11:
        return None
    kernel: np.ndarray = first.float().sum(1).numpy()
    return kernel


def measure(
    images: Iterable[np.ndarray],
    kernel: np.ndarray,
    entropies: Sequence[float] | None = None,
    defective: Sequence[float] | None = None,
) -> Appearance | None:
    """Measure how images look; None where there are fewer than ``LEAST``.

    Args:
        images: ``(H, W, channels)`` uint8, one after the other.
        kernel: see ``first_kernel``.
        entropies: of the answers, in the same order; None: unknown.
        defective: likewise.
    """
    return summarised([described(image, kernel) for image in images], kernel, entropies, defective)


def described(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Return what ``summarised`` needs of an image: ``(3 + 2 channels,)`` float64."""
    grey = to_grey(image)
    return np.array([*plain(grey), *features(grey, kernel)])


def summarised(
    rows: Sequence[np.ndarray],
    kernel: np.ndarray,
    entropies: Sequence[float] | None = None,
    defective: Sequence[float] | None = None,
) -> Appearance | None:
    """Put together what ``described`` gave; see ``measure``."""
    if len(rows) < LEAST:
        return None
    table = np.stack(rows)
    found = table[:, 3:]
    unknown = np.full(len(PROPERTIES), np.nan)
    covariance = np.atleast_2d(np.cov(found.T))
    first = Appearance(kernel, unknown, unknown, len(rows), found.mean(0), covariance)
    columns = [*table[:, :3].T, first.distances(found)]
    mean, sd = unknown.copy(), unknown.copy()
    for place, values in enumerate([*columns, entropies, defective]):
        if values is not None and np.isfinite(values).all():
            mean[place], sd[place] = np.mean(values), np.std(values)
    return Appearance(kernel, mean, sd, len(rows), found.mean(0), covariance)


def to_grey(image: np.ndarray) -> np.ndarray:
    """Return the lines in the middle of an image, at most ``_ROWS``, as grey ``(h, W)`` uint8."""
    height = image.shape[0]
    rows = min(height, _ROWS)
    cut = image[(height - rows) // 2 : (height - rows) // 2 + rows]
    if cut.ndim == 2 or cut.shape[2] == 1:
        return np.ascontiguousarray(cut.reshape(cut.shape[:2]))
    return cv2.cvtColor(np.ascontiguousarray(cut), cv2.COLOR_RGB2GRAY)


def plain(grey: np.ndarray) -> tuple[float, float, float]:
    """Compute brightness, contrast and sharpness of a grey image, ``(H, W)`` uint8."""
    counts = np.bincount(grey[::2, ::2].ravel(), minlength=256)
    brighter = counts.copy()
    rest = counts.sum() // 2
    for level in range(256):  # leave out the darker half
        taken = min(rest, brighter[level])
        brighter[level] -= taken
        rest -= taken
        if not rest:
            break
    brightness = float(brighter @ np.arange(256)) / max(1, int(brighter.sum()))
    sd = float(cv2.meanStdDev(grey)[1][0, 0])
    if grey.shape[1] < 3:
        return brightness, float(np.log(sd + 1)), 0.0
    near = cv2.norm(grey[:, 1:], grey[:, :-1], cv2.NORM_L1) / (grey.size - grey.shape[0])
    far = cv2.norm(grey[:, 2:], grey[:, :-2], cv2.NORM_L1) / (grey.size - 2 * grey.shape[0])
    return brightness, float(np.log(sd + 1)), float(np.log((near + 0.05) / (far + 0.05)))


def features(grey: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Compute mean and logarithm of the variance of each channel of the first convolution: ``(2 channels,)``.

    Both follow from mean and covariance of the patches that the kernel sees, w m and w C w', so that the convolution itself need
    not be computed.

    Args:
        grey: ``(H, W)`` uint8.
        kernel: ``(channels, h, w)``.
    """
    side = kernel.shape[-1]
    height, width = (max(side, length) for length in grey.shape)
    if (height, width) != grey.shape:
        grey = cv2.copyMakeBorder(grey, 0, height - grey.shape[0], 0, width - grey.shape[1], cv2.BORDER_REPLICATE)
    high, wide = min(height, _SIDE), min(width, _SIDE)
    top = (height - high) // 2
    lefts = np.linspace(0, width - wide, _TILES).astype(int)
    tiles = np.stack([grey[top : top + high, left : left + wide] for left in lefts])
    seen = np.lib.stride_tricks.sliding_window_view(tiles, (side, side), axis=(1, 2))[:, ::_STEP, ::_STEP]
    patches = seen.reshape(-1, side * side).astype(np.float32) / 255
    centre = patches.mean(0)
    patches -= centre
    weights = kernel.reshape(len(kernel), -1)
    variance = np.einsum("ij,jk,ik->i", weights, patches.T @ patches / len(patches), weights)
    return np.concatenate([weights @ centre, np.log(np.maximum(variance, 0) + 1e-6)]).astype(np.float64)


def entropy_of(logits: np.ndarray | None, labels: np.ndarray | None = None, multiclass: bool = False) -> float:
    """Compute how unsure an answer is: mean binary entropy of "there is a defect", 0..1 bit, of every eighth pixel each way.

    Args:
        logits: ``(K, H, W)`` float32; None: a gate turned the image away.
        labels: ``(L,)`` probabilities of the image as a whole; None: there are none.
        multiclass: the first channel is the background.
    """
    if logits is None:
        if labels is None or not len(labels):
            return 0.0
        p = np.atleast_1d(np.max(labels))
    else:
        some = logits[:, ::8, ::8]
        if multiclass:
            rest = some[1:].max(0)
            some = (rest + np.log(np.exp(some[1:] - rest).sum(0)) - some[0])[None]
        p = 1 / (1 + np.exp(-np.clip(some.max(0), -30, 30)))
    p = np.clip(p, 1e-7, 1 - 1e-7)
    return float(-(p * np.log2(p) + (1 - p) * np.log2(1 - p)).mean())


def _inverse(covariance: np.ndarray) -> np.ndarray:
    """Return the inverse of a covariance that few images told: a part of its diagonal is added first."""
    diagonal = np.diag(covariance)
    return np.linalg.inv(covariance + np.diag(0.05 * diagonal + 1e-3 * max(float(diagonal.mean()), 1e-9)))

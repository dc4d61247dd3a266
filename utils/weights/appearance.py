"""How the images look that a network learnt from, so that others can be told from them: it travels in the weights file.

Of a frame six numbers are taken: ``brightness``, the mean of its brighter half, so that the dark beside the strip does not count;
``contrast``, the logarithm of the standard deviation; ``sharpness``, the logarithm of how much neighbours differ, less that of how
much pixels differ that lie two apart, which neither brightness nor contrast changes; ``features``, how far what a layer of the
encoder sees (``utils.models.trunk``) is from what it saw in the training images (the Mahalanobis distance); ``entropy``, how unsure
the answer is, in bits; ``defects``, whether there is one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch

PROPERTIES = ("brightness", "contrast", "sharpness", "features", "entropy", "defects")
VERSION = 2  # 1 had features of the first convolution, which hardly told other steel
MOST = 2000  # images that are measured of a data set
LEAST = 20  # images, below which nothing is known
_ROWS = 128  # lines that sharpness, brightness and contrast are measured on, from the middle


@dataclass(frozen=True, eq=False)
class Appearance:
    """How images look.

    Attributes:
        layer: of the network, whose channels are the features, see ``utils.models.trunk``; None: it has none that does.
        mean: of each of ``PROPERTIES`` over the images; nan: not known.
        sd: standard deviation, likewise.
        count: images that were measured.
        centre: mean of the features, ``(features,)``.
        covariance: of the features.
    """

    layer: str | None
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

    def properties(
        self, image: np.ndarray, features: np.ndarray | None, entropy: float = np.nan, defective: float = np.nan
    ) -> np.ndarray:
        """Compute the six numbers of an image.

        Args:
            image: ``(H, W, channels)`` uint8.
            features: of it, ``(features,)``; None: unknown.
            entropy: of the answer, see ``entropy_of``; nan: unknown.
            defective: 1 or 0, whether it has a defect; nan: unknown.

        Returns:
            ``(6,)`` float64.
        """
        distance = np.nan if features is None else float(np.sqrt(self.squares(features[None])[0]))
        return np.array([*plain(to_grey(image)), distance, entropy, defective])

    def squares(self, found: np.ndarray) -> np.ndarray:
        """Compute the squared Mahalanobis distance of features ``(N, features)``: ``(N,)``."""
        apart = found - self.centre
        squares: np.ndarray = np.einsum("ij,jk,ik->i", apart, self._inverse, apart)  # type: ignore[attr-defined]
        return np.maximum(squares, 0.0)

    def own_distances(self, found: np.ndarray) -> np.ndarray:
        """Compute the distance of each image that was measured from all the others: ``(N,)``.

        By leaving each out, since the centre and the covariance of few images fit these better than others. Of the covariance
        without the part that ``_inverse`` adds this is exact: the squares become n² (n - 2) d² / ((n - 1) ((n - 1)² - n d²)).

        Args:
            found: features of these images, ``(N, features)``.
        """
        squares, n = self.squares(found), float(len(found))
        rest = np.maximum((n - 1) ** 2 - n * squares, n - 1)
        return np.sqrt(n**2 * (n - 2) * squares / ((n - 1) * rest))

    def to_content(self) -> dict[str, Any]:
        """Return what a weights file holds: tensors and numbers."""
        return {
            "version": VERSION,
            "layer": self.layer,
            "count": self.count,
            "mean": dict(zip(PROPERTIES, self.mean.tolist(), strict=True)),
            "sd": dict(zip(PROPERTIES, self.sd.tolist(), strict=True)),
            "centre": torch.from_numpy(self.centre.astype(np.float32)),
            "covariance": torch.from_numpy(self.covariance.astype(np.float32)),
        }


def from_content(content: Any) -> Appearance | None:
    """Read what ``to_content`` gave.

    Args:
        content: of the weights file; None: it has none.

    Raises:
        ValueError: something else; the message names the entry.
    """
    if content is None or (isinstance(content, dict) and content.get("version") != VERSION):
        return None
    try:
        layer = content["layer"]
        centre, covariance = (content[name].double().numpy() for name in ("centre", "covariance"))
        means, sds = (np.array([float(content[name][one]) for one in PROPERTIES]) for name in ("mean", "sd"))
        whole = np.isfinite(centre).all() and np.isfinite(covariance).all() and np.isfinite(means[:3]).all()
        if centre.ndim != 1 or covariance.shape != centre.shape * 2 or not whole or not (sds[:3] >= 0).all():
            raise ValueError("shape")
        if layer is not None and (not isinstance(layer, str) or not len(centre) or not np.isfinite(means[3])):
            raise ValueError("layer")
        return Appearance(layer, means, sds, int(content["count"]), centre, covariance)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"appearance: {error}") from None


def described(image: np.ndarray, features: np.ndarray | None) -> np.ndarray:
    """Return what ``summarised`` needs of an image: ``(3 + features,)`` float64.

    Args:
        image: ``(H, W, channels)`` uint8.
        features: of it, see ``utils.models.trunk``; None: the network has no layer for them.
    """
    return np.array([*plain(to_grey(image)), *(() if features is None else features)])


def summarised(
    rows: Sequence[np.ndarray],
    layer: str | None,
    entropies: Sequence[float] | None = None,
    defective: Sequence[float] | None = None,
) -> Appearance | None:
    """Put together how images look; None where there are fewer than ``LEAST``.

    Args:
        rows: what ``described`` gave for each.
        layer: that the features are from; None: there are none.
        entropies: of the answers, in the same order; None: unknown.
        defective: likewise.
    """
    if len(rows) < LEAST:
        return None
    table = np.stack(rows)
    found = table[:, 3:]
    unknown = np.full(len(PROPERTIES), np.nan)
    covariance = np.cov(found.T).reshape(found.shape[1], found.shape[1]) if layer else np.zeros((0, 0))
    first = Appearance(layer, unknown, unknown, len(rows), found.mean(0), covariance)
    columns = [*table[:, :3].T, first.own_distances(found) if layer else None]
    mean, sd = unknown.copy(), unknown.copy()
    for place, values in enumerate([*columns, entropies, defective]):
        if values is not None and np.isfinite(values).all():
            mean[place], sd[place] = np.mean(values), np.std(values)
    return Appearance(layer, mean, sd, len(rows), found.mean(0), covariance)


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
    if not len(diagonal):
        return covariance
    return np.linalg.inv(covariance + np.diag(0.05 * diagonal + 1e-3 * max(float(diagonal.mean()), 1e-9)))

"""Features of clean steel: gathered from images, whitened, and summed up in a memory."""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import cv2
import numpy as np
import torch

from config import TrainConfig
from utils.data.checks import thread_count
from utils.data.dataset_folder import Dataset
from utils.models.segmenter import Segmenter
from utils.training.alarm_level import LEAST_AREA, alarm_level, regions

MOST_GATHERED = 60_000  # features that the axes and the memory are computed from
BATCH = 8  # images that the encoder sees at once
MOST_PIXELS = 1_000_000  # likewise
# Share of the largest variance that is added to each: axes along which clean steel hardly differs would decide alone.
FLOOR = 1e-3
ROUNDS = 20  # of k-means, at most
MOST_COMPONENTS = 256  # axes that are kept, those along which clean steel differs most

Size = tuple[int, int] | None
Change = Callable[[str, np.ndarray], np.ndarray]
Images = Iterator[tuple[list[str], torch.Tensor]]


def batches(
    dataset: Dataset,
    names: Sequence[str],
    channels: int,
    size: Size,
    most: int,
    threads: int,
    change: Change | None = None,
) -> Images:
    """Read images in threads, ahead of the network; those of equal size that follow each other come together.

    Args:
        dataset: the images.
        names: of those to read.
        channels: 1 or 3.
        size: (H, W) in pixels that images are resized to; None: their own.
        most: images of a batch.
        threads: that read.
        change: what becomes of an image, ``(H, W, channels)`` uint8 at its own size, by its name.

    Yields:
        Names, and ``(N, channels, H, W)`` uint8.
    """

    def read(name: str) -> np.ndarray:
        image = dataset.read(name, channels)
        image = image if change is None else change(name, image)
        if size is not None and image.shape[:2] != size:
            image = cv2.resize(image, (size[1], size[0]), interpolation=cv2.INTER_LINEAR).reshape(*size, -1)
        return image

    waiting: list[tuple[str, np.ndarray]] = []

    def together() -> tuple[list[str], torch.Tensor]:
        pixels = torch.from_numpy(np.stack([image for _, image in waiting]))
        return [name for name, _ in waiting], pixels.permute(0, 3, 1, 2)

    with ThreadPoolExecutor(threads) as pool:
        for start in range(0, len(names), 4 * most):
            some = names[start : start + 4 * most]
            for name, image in zip(some, pool.map(read, some), strict=True):
                pixels = image.shape[0] * image.shape[1]
                if waiting and (
                    image.shape != waiting[0][1].shape
                    or len(waiting) == most
                    or pixels * (len(waiting) + 1) > MOST_PIXELS
                ):
                    yield together()
                    waiting.clear()
                waiting.append((name, image))
    if waiting:
        yield together()


@torch.no_grad()
def gather(network: Segmenter, images: Images, count: int, rng: np.random.Generator) -> dict[str, torch.Tensor]:
    """Take some features of each image, by chance.

    Args:
        network: of task ``anomaly``.
        images: see ``batches``.
        count: number of images, which share ``MOST_GATHERED`` features.
        rng: source of chance.

    Returns:
        Name -> ``(n, C)`` float32.
    """
    each = max(16, MOST_GATHERED // count)
    found = {}
    for names, pixels in images:
        maps = _features(network, pixels).flatten(2).transpose(1, 2)
        for name, rows in zip(names, maps, strict=True):
            chosen = rng.permutation(len(rows))[:each]
            found[name] = rows[torch.from_numpy(chosen).to(rows.device)].cpu()
    return found


def _features(network: Segmenter, pixels: torch.Tensor) -> torch.Tensor:
    device = network.scale.device
    found: torch.Tensor = network.net.features(network.normalised(pixels.to(device)))  # type: ignore[operator]
    return found.float()


class Memory(NamedTuple):
    """What ``Network.remember`` of ``patchcore`` takes: the whitening's weights and bias, and the remembered vectors."""

    weights: torch.Tensor
    bias: torch.Tensor
    vectors: torch.Tensor


def make_memory(features: torch.Tensor, count: int, rng: np.random.Generator) -> Memory:
    """Make a memory of ``(n, C)`` float32 features: whiten them, and take the centres of ``count`` groups of them."""
    weights, bias = whitening(features)
    return Memory(weights, bias, centres(features @ weights.T + bias, count, rng))


def whitening(features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Compute what turns features to their principal axes and divides them by their spread.

    Args:
        features: ``(n, C)`` float32.

    Returns:
        ``(K, C)`` weights and ``(K,)`` bias, at most ``MOST_COMPONENTS``, of ``weights @ feature + bias``.
    """
    table = features.double()
    mean = table.mean(0)
    values, axes = torch.linalg.eigh(torch.cov(table.T))  # rising
    values, axes = values[-MOST_COMPONENTS:], axes[:, -MOST_COMPONENTS:]
    weights = axes.T / (values.clamp_min(0) + FLOOR * values.max().clamp_min(1e-12)).sqrt()[:, None]
    return weights.float(), -(weights @ mean).float()


def centres(features: torch.Tensor, count: int, rng: np.random.Generator) -> torch.Tensor:
    """Compute the means of groups of features that are alike (k-means, Lloyd, 1982).

    The nearest of many single features, as PatchCore has them, is near by chance; a mean is not.

    Args:
        features: ``(n, C)`` float32.
        count: of groups; 1: all are one.
        rng: source of chance, for the first centres.

    Returns:
        ``(count, C)`` float32.
    """
    if count == 1:
        return features.mean(0, keepdim=True)
    from sklearn.cluster import KMeans  # takes a second to import
    from sklearn.exceptions import ConvergenceWarning

    method = KMeans(count, n_init=1, max_iter=ROUNDS, random_state=int(rng.integers(2**31)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # copies are fewer looks than were asked for
        return torch.from_numpy(method.fit(features.numpy()).cluster_centers_).float()


@torch.no_grad()
def farthest(
    network: Segmenter, memories: Sequence[Memory], images: Images, memory_of: dict[str, int]
) -> dict[str, float]:
    """Compute how far the most unusual place of each image is from a memory that does not know the image.

    A place is as large as a region that gives an alarm, see ``alarm_level``.

    Args:
        network: of task ``anomaly``; it has the last memory then.
        memories: one a fold, of the images of the other folds.
        images: see ``batches``.
        memory_of: name -> place of its memory among them.

    Returns:
        Name -> distance.
    """
    found = {}
    for names, pixels in images:
        features = _features(network, pixels)
        for name, one in zip(names, features, strict=True):
            network.net.remember(*memories[memory_of[name]])  # type: ignore[operator]
            distances = network.net.distances(one[None])  # type: ignore[operator]
            found[name] = alarm_level(_seen(distances, pixels.shape[-2:])[0, 0].cpu().numpy())
    return found


@torch.no_grad()
def alarms(
    config: TrainConfig,
    dataset: Dataset,
    network: Segmenter,
    names: Sequence[str],
    change: Change | None = None,
    masks: Mapping[str, np.ndarray] | None = None,
) -> dict[str, bool]:
    """Return which images give an alarm: where a region that is no speck is above the threshold.

    Args:
        config: size, channels and threads.
        dataset: the images.
        network: of task ``anomaly``, with memory and threshold.
        names: of the images.
        change: see ``batches``.
        masks: where an alarm counts, ``(H, W)`` bool by name, at the images' own size; None: everywhere.
    """
    found = {}
    threads = thread_count(config.num_of_workers)
    for some, pixels in batches(dataset, names, config.channels, config.image_size, BATCH, threads, change):
        logits = network(pixels.to(network.scale.device))[:, 0].cpu().numpy()
        for name, one in zip(some, logits, strict=True):
            hot = regions(one >= 0, LEAST_AREA)
            if masks is not None:
                height, width = masks[name].shape
                whole = cv2.resize(hot.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)
                hot = (whole > 0) & masks[name]
            found[name] = bool(hot.any())
    return found


def _seen(distances: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
    """Return the distances of every pixel, as the network answers with them, without those of the padding."""
    height, width = (-(-side // 32) * 32 for side in size)
    whole = torch.nn.functional.interpolate(distances, size=(height, width), mode="bilinear", align_corners=False)
    return whole[..., : size[0], : size[1]]

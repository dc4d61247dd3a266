"""The one way from image files to decisions: decode -> batch -> network -> decide -> components -> whatever is wanted.

Images are read in threads ahead of the network; components are found and results are written in threads behind it.
Both queues are bounded, so memory does not grow with the number of images, and results come in the order of the paths.
"""

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
import torch

from utils.data.images import ImageError, read_image
from utils.inference.network import Network
from utils.inference.postprocess import DEFECT, decide, find_defects, limit_areas, resize_logits
from utils.models.spec import ModelSpec

T = TypeVar("T")


@dataclass(frozen=True)
class Decision:
    """How logits become masks.

    Attributes:
        thresholds: per scored class, probability 0..1 from which a pixel counts.
        min_areas: per scored class, smallest connected defect in pixels of the original image.
        max_areas: per scored class, largest connected defect in such pixels, None where there is no limit; left out:
            no limits.
    """

    thresholds: tuple[float, ...]
    min_areas: tuple[int, ...]
    max_areas: tuple[int | None, ...] = ()

    def __post_init__(self) -> None:
        if not self.max_areas:
            object.__setattr__(self, "max_areas", (None,) * len(self.thresholds))


@dataclass(frozen=True, eq=False)
class Inspected:
    """What is known about one image.

    Attributes:
        path: the file.
        image: ``(H, W, channels)`` uint8 at its own size.
        masks: ``(C, H, W)`` bool, C scored classes, without defects that are too small or too large.
        defects: table of dtype ``DEFECT``; empty when the pipeline was not asked to describe.
    """

    path: Path
    image: np.ndarray
    masks: np.ndarray
    defects: np.ndarray
    _logits: torch.Tensor = field(repr=False)

    @cached_property
    def logits(self) -> np.ndarray:
        """``(K, H, W)`` float32 at the image's own size."""
        return self._logits.cpu().numpy()


@dataclass(frozen=True)
class Skipped:
    """An image that could not be read, and why."""

    path: Path
    reason: str


@dataclass(frozen=True)
class _Loaded:
    path: Path
    image: np.ndarray  # at its own size
    pixels: np.ndarray  # at the network's


class InspectionPipeline:
    """Runs a network over images.

    Args:
        network: what runs it.
        spec: what it is.
        input_size: (H, W) in pixels that images are resized to before the network; none: their own size.
        decision: how logits become masks.
        batch_size: images per forward pass; only images of equal size that follow each other share one.
        describe: find each defect's box, area and probability, too.
        on_skip: is told at once of every image that cannot be read.
    """

    def __init__(
        self,
        network: Network,
        spec: ModelSpec,
        input_size: tuple[int, int] | None,
        decision: Decision,
        *,
        batch_size: int = 4,
        describe: bool = True,
        on_skip: Callable[[Skipped], None] = lambda skipped: None,
    ) -> None:
        self.network = network
        self.spec = spec
        self.input_size = input_size
        self.decision = decision
        self.batch_size = batch_size
        self.describe = describe
        self.on_skip = on_skip
        self.workers = min(os.cpu_count() or 1, 8)
        # Two batches ahead keep the network fed; the workers' own images come on top.
        self.window = 2 * batch_size + self.workers

    def run(self, paths: Sequence[Path], finish: Callable[[Inspected], T]) -> Iterator[tuple[Path, T]]:
        """Inspect images in order.

        Args:
            paths: image files.
            finish: what to make of each image; called in a worker thread, in no fixed order. It is the place to
                encode and write files.

        Yields:
            The path and what ``finish`` returned, in the order of ``paths``; images that cannot be read are left out.
        """
        with _Workers(self.workers) as readers, _Workers(self.workers) as finishers:
            pending: deque[tuple[Path, Future[T]]] = deque()
            for batch in self._batches(self._read(paths, readers)):
                for loaded, logits, decided in self._infer(batch):
                    job = finishers.submit(self._finish, loaded, logits, decided, finish)
                    pending.append((loaded.path, job))
                while pending and (len(pending) > self.window or pending[0][1].done()):
                    path, job = pending.popleft()
                    yield path, job.result()
            while pending:
                path, job = pending.popleft()
                yield path, job.result()

    def _read(self, paths: Sequence[Path], readers: "_Workers") -> Iterator[_Loaded]:
        """Read ahead in threads, as far as the window goes; give images in order."""
        rest = iter(paths)
        ahead = deque((path, readers.submit(self._load, path)) for path in islice(rest, self.window))
        while ahead:
            path, job = ahead.popleft()
            for following in islice(rest, 1):
                ahead.append((following, readers.submit(self._load, following)))
            try:
                yield job.result()
            except ImageError as error:
                self.on_skip(Skipped(path, error.reason))

    def _load(self, path: Path) -> _Loaded:
        image = read_image(path, channels=self.spec.channels)
        if self.input_size is None or image.shape[:2] == self.input_size:
            return _Loaded(path, image, image)
        height, width = self.input_size
        resized = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
        return _Loaded(path, image, resized.reshape(height, width, -1))  # OpenCV drops the axis of one channel

    def _batches(self, images: Iterator[_Loaded]) -> Iterator[list[_Loaded]]:
        """Group images of equal size that follow each other."""
        batch: list[_Loaded] = []
        for loaded in images:
            if batch and (len(batch) == self.batch_size or loaded.pixels.shape != batch[0].pixels.shape):
                yield batch
                batch = []
            batch.append(loaded)
        if batch:
            yield batch

    @torch.inference_mode()
    def _infer(self, batch: list[_Loaded]) -> Iterator[tuple[_Loaded, torch.Tensor, torch.Tensor]]:
        """Run the network and decide; on a GPU this only queues the work."""
        logits = self.network(np.stack([loaded.pixels for loaded in batch]))
        for index, loaded in enumerate(batch):
            own_size = resize_logits(logits[index : index + 1], *loaded.image.shape[:2])
            yield loaded, own_size[0], decide(own_size, self.spec.task, self.decision.thresholds)[0]

    @torch.inference_mode()
    def _finish(
        self, loaded: _Loaded, logits: torch.Tensor, decided: torch.Tensor, finish: Callable[[Inspected], T]
    ) -> T:
        areas, defects = (self.decision.min_areas, self.decision.max_areas), np.zeros(0, dtype=DEFECT)
        masks = decided.cpu().numpy()
        if masks.any():  # most images of a coil are clean: their logits need not leave the GPU
            if self.describe:
                masks, defects = find_defects(masks, logits.cpu().numpy(), self.spec.task, *areas)
            else:
                masks = limit_areas(torch.from_numpy(masks)[None], *areas)[0].numpy()
        return finish(Inspected(loaded.path, loaded.image, masks, defects, logits))


class _Workers(ThreadPoolExecutor):
    """Threads that drop what is still queued when the run ends early."""

    def __exit__(self, *error: object) -> None:
        self.shutdown(wait=True, cancel_futures=True)

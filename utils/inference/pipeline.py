"""The one way from image files to decisions: decode -> batch -> networks -> decide -> components -> whatever is wanted.

Images are read in threads ahead of the networks; components are found and results are written in threads behind them.
All queues are bounded, so memory does not grow with the number of images, and results come in the order of the paths.
"""

import contextlib
import math
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
import torch

from utils.data.bit_depth import UNKNOWN, BitDepth
from utils.data.images import ImageError, measure_depth, read_image, read_size
from utils.decision.decision import Decision
from utils.decision.masks import DEFECT, resize_logits
from utils.errors import InputError
from utils.inference.inspected import Inspected, Refused
from utils.inference.systems.system import Answer, Size, System
from utils.inference.tiles import is_large

T = TypeVar("T")

# Pixels of large images that wait at one place, at most, where a GPU answers. On a CPU one large image is finished before
# the next is read: a frame of 16 megapixels takes 0.3 GB with its answer, as much again to look for its defects, and the
# network takes far longer than both.
AHEAD = 2**26


@dataclass(frozen=True, eq=False)
class Loaded:
    """An image that is ready for the networks.

    Attributes:
        name: of the file, without its folder, or of an image that comes from elsewhere.
        image: ``(H, W, channels)`` uint8 at its own size.
        pixels: the same at each of the networks' sizes.
    """

    name: str
    image: np.ndarray
    pixels: dict[Size, np.ndarray]

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """Return what images of one batch have in common."""
        return [pixels.shape for pixels in self.pixels.values()]


@dataclass(frozen=True, eq=False)
class Judged:
    """What the networks say about an image; on a GPU it may still be under way.

    Attributes:
        loaded: the image.
        answer: of the system.
        logits: ``(K, H, W)`` float32 at the image's own size; None when a gate turned it away.
        decided: ``(C, H, W)`` bool, before areas are looked at; None likewise.
        finite: one bool, whether all of the network's logits are; None likewise.
    """

    loaded: Loaded
    answer: Answer
    logits: torch.Tensor | None
    decided: torch.Tensor | None
    finite: torch.Tensor | None = None

    @property
    def usable(self) -> bool:
        """Whether there is anything that can be decided by; waits for a GPU."""
        labels = self.answer.labels
        return (self.finite is None or bool(self.finite)) and (labels is None or bool(np.isfinite(labels).all()))


class NotFiniteError(InputError):
    """A network's answer about an image is no number (nan) or infinite, so nothing is known about the image."""

    reason = "the network's answer is not finite (nan or infinity)"

    def __init__(self, name: str) -> None:
        super().__init__(f"{name}: {self.reason}; try -precision f32 or -backend torch, else other weights")


class InspectionPipeline:
    """Runs a system of networks over images.

    ``run`` takes files. For images that come one by one from elsewhere its steps can be called by themselves, each from
    any thread: ``prepare``, ``judge`` (of images of equal ``shapes``, at most ``system.parallel`` calls at once), ``finish``.

    Args:
        system: one network or several that work together.
        decision: how logits become masks.
        batch_size: images per forward pass; only images of equal size that follow each other share one.
        describe: find each defect's box, area and probability, too.
        gates: whether networks may turn images away, see ``System.answer``.
        on_skip: is told at once of every image that cannot be read or judged.
        depth: how images with more than 8 bits become 0..255; ``run`` measures what it leaves open on its images.
    """

    def __init__(
        self,
        system: System,
        decision: Decision,
        *,
        batch_size: int = 4,
        describe: bool = True,
        gates: bool = True,
        on_skip: Callable[[Refused], None] = lambda refused: None,
        depth: BitDepth = UNKNOWN,
    ) -> None:
        self.system = system
        self.decision = decision
        self.batch_size = batch_size
        self.describe = describe
        self.gates = gates
        self.on_skip = on_skip
        self.depth = depth
        self.workers = min(os.cpu_count() or 1, 8)
        self._shape = (0, 0)  # height and width of the image that was read last
        self._on_gpu = False
        # A batch more than run at once, so that none of them waits; the workers' own images come on top.
        self.window = (system.parallel + 1) * batch_size + self.workers

    def run(self, paths: Sequence[Path], finish: Callable[[Path, Inspected], T]) -> Iterator[tuple[Path, T]]:
        """Inspect images in order.

        Args:
            paths: image files.
            finish: what to make of each file and what is known of it; called in a worker thread, in no fixed order. It
                is the place to encode and write files.

        Yields:
            The path and what ``finish`` returned, in the order of ``paths``; images that cannot be read, or that the
            networks have no finite answer for, are left out.
        """
        self.depth = measure_depth(paths, self.depth)
        with (
            _Workers(self.workers) as readers,
            _Workers(self.system.parallel) as runners,
            _Workers(self.workers) as finishers,
        ):
            running: deque[tuple[list[Path], Future[list[Judged]]]] = deque()
            pending: deque[tuple[Path, Future[T]]] = deque()

            def pass_on() -> None:
                files, job = running.popleft()
                for path, judged in zip(files, job.result(), strict=True):
                    pending.append((path, finishers.submit(self.finish, judged, partial(finish, path))))

            for batch in self._batches(self._read(paths, readers)):
                files, images = [path for path, _ in batch], [loaded for _, loaded in batch]
                running.append((files, runners.submit(self.judge, images)))
                if len(running) > (self.system.parallel if self._room() else 0):
                    pass_on()
                while pending and (len(pending) > self._room() or pending[0][1].done()):
                    yield from self._finished(*pending.popleft())
            while running or pending:
                if running:
                    pass_on()
                while pending and (not running or len(pending) > self._room() or pending[0][1].done()):
                    yield from self._finished(*pending.popleft())

    def _finished(self, path: Path, job: Future[T]) -> Iterator[tuple[Path, T]]:
        """Give what was made of an image; nothing where the networks have no answer, which is told like an unreadable file."""
        try:
            yield path, job.result()
        except NotFiniteError as error:
            self.on_skip(Refused(str(path), error.reason))

    def _read(self, paths: Sequence[Path], readers: "_Workers") -> Iterator[tuple[Path, Loaded]]:
        """Read ahead in threads, as far as the window goes; give images in order."""
        rest = iter(paths)
        ahead: deque[tuple[Path, Future[Loaded]]] = deque()
        with contextlib.suppress(ImageError, OSError):
            self._shape = read_size(paths[0]) if paths else (0, 0)
        while True:
            for path in islice(rest, max(self._room() + 1 - len(ahead), 0)):
                ahead.append((path, readers.submit(self._load, path)))
            if not ahead:
                return
            path, job = ahead.popleft()
            try:
                yield path, job.result()
            except ImageError as error:
                self.on_skip(Refused(str(path), error.reason))

    def _room(self) -> int:
        """Return how many images of the size that was read last may wait at one place; 0: one after the other."""
        if not is_large(*self._shape):
            return self.window
        return min(self.window, AHEAD // math.prod(self._shape)) if self._on_gpu else 0

    def _load(self, path: Path) -> Loaded:
        loaded = self.prepare(path.name, read_image(path, self.system.channels, self.depth))
        self._shape = loaded.image.shape[:2]
        return loaded

    def prepare(self, name: str, image: np.ndarray) -> Loaded:
        """Bring an image, ``(H, W, channels)`` uint8, to the networks' sizes."""
        return Loaded(name, image, {size: _resize(image, size) for size in self.system.sizes})

    def _batches(self, images: Iterator[tuple[Path, Loaded]]) -> Iterator[list[tuple[Path, Loaded]]]:
        """Group images of equal size that follow each other; a large one is alone."""
        batch: list[tuple[Path, Loaded]] = []
        for path, loaded in images:
            alone = is_large(*loaded.image.shape[:2])
            if batch and (alone or len(batch) == self.batch_size or loaded.shapes != batch[0][1].shapes):
                yield batch
                batch = []
            batch.append((path, loaded))
            if alone:
                yield batch
                batch = []
        if batch:
            yield batch

    @torch.inference_mode()
    def judge(self, batch: list[Loaded]) -> list[Judged]:
        """Run the networks and decide; on a GPU this only queues the work."""
        pixels = {size: np.stack([loaded.pixels[size] for loaded in batch]) for size in self.system.sizes}
        judged = []
        for loaded, answer in zip(batch, self.system.answer(pixels, gates=self.gates), strict=True):
            if answer.masks is None:
                judged.append(Judged(loaded, answer, None, None))
                continue
            self._on_gpu = answer.masks.device.type != "cpu"
            # An infinity or a nan anywhere is one in the sum. On a GPU nobody waits for it here.
            finite = answer.masks.sum().isfinite()
            logits = resize_logits(answer.masks[None], *loaded.image.shape[:2])
            decided = self.decision.decide(logits, self.system.task)
            judged.append(Judged(loaded, answer, logits[0], decided[0], finite))
        return judged

    @torch.inference_mode()
    def finish(self, judged: Judged, finish: Callable[[Inspected], T]) -> T:
        """Find the defects in what was decided, and give what ``finish`` makes of them.

        Raises:
            NotFiniteError: nothing can be decided by what the networks say.
        """
        if not judged.usable:
            raise NotFiniteError(judged.loaded.name)
        image, answer, logits = judged.loaded.image, judged.answer, judged.logits
        decision, task = self.decision.with_min_areas(answer.min_areas), self.system.task
        defects = np.zeros(0, dtype=DEFECT)
        if judged.decided is None or logits is None:
            masks = np.zeros((len(decision.thresholds), *image.shape[:2]), dtype=np.bool_)
        else:
            masks = judged.decided.cpu().numpy()
            if masks.any():  # most images of a coil are clean: their logits need not leave the GPU
                if self.describe:
                    masks, defects = decision.find_defects(masks, logits.cpu().numpy(), task)
                else:
                    masks = decision.filter_defects(torch.from_numpy(masks)[None], logits[None], task)[0].numpy()
        return finish(Inspected(judged.loaded.name, image, masks, defects, answer.labels, decision.min_areas, logits))


def _resize(image: np.ndarray, size: Size) -> np.ndarray:
    if size is None or image.shape[:2] == size:
        return image
    height, width = size
    resized = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
    return resized.reshape(height, width, -1)  # OpenCV drops the axis of one channel


class _Workers(ThreadPoolExecutor):
    """Threads that drop what is still queued when the run ends early."""

    def __exit__(self, *error: object) -> None:
        self.shutdown(wait=True, cancel_futures=True)

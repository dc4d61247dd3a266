"""The one way from image files to decisions: decode -> batch -> networks -> decide -> components -> whatever is wanted.

Images are read in threads ahead of the networks; components are found and results are written in threads behind them.
All queues are bounded, in images and in pixels, so memory does not grow with the number of images, and results come in the order of the paths.
"""

import contextlib
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
import torch

from utils.data.bit_depth import UNKNOWN, BitDepth
from utils.data.images import ImageError, measure_depth, read_image, read_size
from utils.data.listing import name_in
from utils.decision.decided_logits import DecidedLogits, DecidedPieces
from utils.decision.decision import Decision
from utils.decision.masks import DEFECT, resize_logits
from utils.errors import InputError
from utils.inference.inspected import Inspected, Refused
from utils.inference.network import LARGEST_MULTIPLE
from utils.inference.systems.single import SingleNetwork
from utils.inference.systems.system import Answer, Size, System

T = TypeVar("T")

# Pixels that networks see at once on a CPU, in all batches together; a megapixel takes some 300 MB in them. A single image
# may have more.
MOST_AT_ONCE = 4_000_000
# Pixels of the images that wait before the networks, and as many behind them; there one takes some 40 bytes, and a quarter of
# that where only the logits of defects are kept.
MOST_WAITING = 20_000_000


@dataclass(frozen=True, eq=False)
class Loaded:
    """An image that is ready for the networks.

    Attributes:
        name: of the file, relative to the folder of images, or of an image that comes from elsewhere.
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

    @property
    def own(self) -> int:
        """Return its pixels at its own size."""
        return self.image.shape[0] * self.image.shape[1]

    @property
    def seen(self) -> int:
        """Return the most pixels that one of the networks sees of it, filled up as far as any architecture asks."""
        sides = (-(-np.array(shape[:2]) // LARGEST_MULTIPLE) * LARGEST_MULTIPLE for shape in self.shapes)
        return max(int(height * width) for height, width in sides)


@dataclass(frozen=True, eq=False)
class Judged:
    """What the networks say about an image; on a GPU it may still be under way.

    Attributes:
        loaded: the image.
        answer: of the system.
        logits: ``(K, H, W)`` float32 at the image's own size; None when a gate turned it away; of a large image perhaps only
            those of the pixels that some class was decided for.
        decided: ``(C, H, W)`` bool, before areas are looked at; None likewise.
        finite: one bool, whether all of the network's logits are; None likewise.
    """

    loaded: Loaded
    answer: Answer
    logits: torch.Tensor | DecidedLogits | None
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
        batch_size: images per forward pass; only images of equal size that follow each other share one, and of large ones
            fewer, see ``at_once``.
        describe: find each defect's box, area and probability, too.
        gates: whether networks may turn images away, see ``System.answer``.
        on_skip: is told at once of every image that cannot be read or judged.
        depth: how images with more than 8 bits become 0..255; ``run`` measures what it leaves open on its images.
        at_once: pixels that the networks see at once in ``run``, but for a single image that has more; none: no bound.
        keep_logits: what ``finish`` gets has all logits. Without them large images take a third of the memory: each of their
            tiles is decided when it comes, and only the logits of defects stay.
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
        at_once: int | None = MOST_AT_ONCE,
        keep_logits: bool = True,
    ) -> None:
        self.system = system
        self.decision = decision
        self.batch_size = batch_size
        self.describe = describe
        self.gates = gates
        self.on_skip = on_skip
        self.depth = depth
        self.at_once = at_once
        self.keep_logits = keep_logits or not describe
        self.workers = min(os.cpu_count() or 1, 8)
        # A batch more than run at once, so that none of them waits; the workers' own images come on top.
        self.window = (system.parallel + 1) * batch_size + self.workers

    def run(
        self, paths: Sequence[Path], finish: Callable[[Path, Inspected], T], folder: Path | None = None
    ) -> Iterator[tuple[Path, T]]:
        """Inspect images in order.

        Args:
            paths: image files.
            finish: what to make of each file and what is known of it; called in a worker thread, in no fixed order. It
                is the place to encode and write files.
            folder: of images, which their names are relative to; none: a name is that of the file alone.

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
            running: deque[tuple[list[Path], int, Future[list[Judged]]]] = deque()
            pending: deque[tuple[Path, int, Future[T]]] = deque()

            def pass_on() -> None:
                files, _, job = running.popleft()
                for path, judged in zip(files, job.result(), strict=True):
                    size = judged.loaded.own // (4 if isinstance(judged.logits, DecidedLogits) else 1)
                    pending.append((path, size, finishers.submit(self.finish, judged, partial(finish, path))))

            def many_pending() -> bool:
                return len(pending) > self.window or sum(size for _, size, _ in pending) > MOST_WAITING

            for batch in self._batches(self._read(paths, folder, readers)):
                files, images = [path for path, _ in batch], [loaded for _, loaded in batch]
                seen = sum(loaded.seen for loaded in images)
                if self.at_once is not None and 2 * sum(loaded.own for loaded in images) > MOST_WAITING:
                    # A frame of 16 megapixels takes 0.3 GB with its logits, and as much again to look for defects.
                    # One of which little is kept may be drawn and written meanwhile.
                    while running:
                        pass_on()
                    while pending and 4 * sum(size for _, size, _ in pending) > MOST_WAITING:
                        yield from self._finished(*pending.popleft())
                while running and not self._fits(seen + sum(pixels for _, pixels, _ in running)):
                    pass_on()
                running.append((files, seen, runners.submit(self.judge, images)))
                if len(running) > self.system.parallel:
                    pass_on()
                while pending and (many_pending() or pending[0][2].done()):
                    yield from self._finished(*pending.popleft())
            while running or pending:
                if running:
                    pass_on()
                while pending and (not running or many_pending() or pending[0][2].done()):
                    yield from self._finished(*pending.popleft())

    def _fits(self, pixels: int) -> bool:
        """Check whether the networks may see so many pixels at once."""
        return self.at_once is None or pixels <= self.at_once

    def _finished(self, path: Path, size: int, job: Future[T]) -> Iterator[tuple[Path, T]]:
        """Give what was made of an image; nothing where the networks have no answer, which is told like an unreadable file."""
        try:
            yield path, job.result()
        except NotFiniteError as error:
            self.on_skip(Refused(str(path), error.reason))

    def _read(self, paths: Sequence[Path], folder: Path | None, readers: "_Workers") -> Iterator[tuple[Path, Loaded]]:
        """Read ahead in threads, as far as the window and the memory go; give images in order."""
        rest = ((path, _pixels_in(path)) for path in paths)
        ahead: deque[tuple[Path, int, Future[Loaded]]] = deque()
        following = next(rest, None)
        while ahead or following:
            while following and (
                not ahead
                or (len(ahead) < self.window and following[1] + sum(size for _, size, _ in ahead) <= MOST_WAITING)
            ):
                ahead.append((*following, readers.submit(self._load, following[0], folder)))
                following = next(rest, None)
            path, _, job = ahead.popleft()
            try:
                yield path, job.result()
            except ImageError as error:
                self.on_skip(Refused(str(path), error.reason))

    def _load(self, path: Path, folder: Path | None) -> Loaded:
        name = name_in(folder or path.parent, path)
        return self.prepare(name, read_image(path, self.system.channels, self.depth))

    def prepare(self, name: str, image: np.ndarray) -> Loaded:
        """Bring an image, ``(H, W, channels)`` uint8, to the networks' sizes."""
        return Loaded(name, image, {size: _resize(image, size) for size in self.system.sizes})

    def _batches(self, images: Iterator[tuple[Path, Loaded]]) -> Iterator[list[tuple[Path, Loaded]]]:
        """Group images of equal size that follow each other, as many as fit into memory."""
        batch: list[tuple[Path, Loaded]] = []
        for path, loaded in images:
            if batch and (
                len(batch) == self.batch_size
                or loaded.shapes != batch[0][1].shapes
                or not self._fits((len(batch) + 1) * loaded.seen)
                or sum(one.own for _, one in batch) + loaded.own > MOST_WAITING
            ):
                yield batch
                batch = []
            batch.append((path, loaded))
        if batch:
            yield batch

    @torch.inference_mode()
    def judge(self, batch: list[Loaded]) -> list[Judged]:
        """Run the networks and decide; on a GPU this only queues the work."""
        if len(batch) == 1 and not self.keep_logits and isinstance(self.system, SingleNetwork):
            pieces = self.system.pieces({size: batch[0].pixels[size][None] for size in self.system.sizes})
            if pieces is not None:
                return [self._judge_pieces(batch[0], pieces)]
        pixels = {size: np.stack([loaded.pixels[size] for loaded in batch]) for size in self.system.sizes}
        judged = []
        for loaded, answer in zip(batch, self.system.answer(pixels, gates=self.gates), strict=True):
            if answer.masks is None:
                judged.append(Judged(loaded, answer, None, None))
                continue
            # An infinity or a nan anywhere is one in the sum. On a GPU nobody waits for it here.
            finite = answer.masks.sum().isfinite()
            logits = resize_logits(answer.masks[None], *loaded.image.shape[:2])
            decided = self.decision.decide(logits, self.system.task)
            judged.append(Judged(loaded, answer, logits[0], decided[0], finite))
        return judged

    def _judge_pieces(self, loaded: Loaded, pieces: Iterator[tuple[slice, slice, torch.Tensor]]) -> Judged:
        """Decide each piece of a large image when it comes."""
        size = loaded.image.shape[0], loaded.image.shape[1]
        decided = np.zeros((len(self.decision.thresholds), *size), dtype=np.bool_)
        kept, finite = DecidedPieces(size), True
        for rows, columns, logits in pieces:
            finite = finite and bool(logits.sum().isfinite())
            found = self.decision.decide(logits, self.system.task)[0].cpu().numpy()
            decided[:, rows, columns] = found
            kept.add(rows, columns, found, logits[0].cpu().numpy())
        answer = Answer(None, None)
        return Judged(loaded, answer, kept.together(), torch.from_numpy(decided), torch.tensor(finite))

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
                if isinstance(logits, DecidedLogits):
                    masks, defects = decision.find_defects(masks, logits, task)
                elif self.describe:
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


def _pixels_in(path: Path) -> int:
    """Read how many pixels an image has; 0 where it cannot be read, which its reader tells."""
    with contextlib.suppress(ImageError, OSError):
        height, width = read_size(path)
        return height * width
    return 0


class _Workers(ThreadPoolExecutor):
    """Threads that drop what is still queued when the run ends early."""

    def __exit__(self, *error: object) -> None:
        self.shutdown(wait=True, cancel_futures=True)

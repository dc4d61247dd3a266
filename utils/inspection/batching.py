"""Images of many callers on their way through one pipeline, gathered into batches.

An image is accepted or turned away at once, since what is inside is bounded, in images and in pixels. Threads decode what was accepted,
threads that each take a batch run the networks, threads find defects; every image has a future of its own, so that no
answer can go to the wrong caller.
"""

import dataclasses
import logging
import math
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from utils.inference.inspected import Inspected, Refused
from utils.inference.pipeline import MOST_AT_ONCE, MOST_WAITING, InspectionPipeline, Judged, Loaded, NotFiniteError
from utils.inspection.decoding import OUT_OF_MEMORY, open_upload, unpack
from utils.inspection.failures import one_line
from utils.inspection.upload import Upload

NOT_FINITE = "The network has no finite answer for this image; whoever runs the server should try other weights."

log = logging.getLogger("steel.web")

# Makes of what is known of an image, and of the seconds since it was accepted, what its caller wants; called in a
# worker thread.
Make = Callable[[Inspected, float], Any]


class Busy(Exception):
    """There is no room for more images; ``retry_after`` is in seconds, a whole number from 1."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"The server is busy; try again in {retry_after} s.")
        self.retry_after = retry_after


class Closing(Exception):
    """The server is shutting down and accepts no more images."""

    def __init__(self) -> None:
        super().__init__("The server is shutting down; try again later.")


@dataclass(eq=False)
class _Job:
    upload: Upload
    make: Make
    future: "Future[Any]" = field(default_factory=Future)
    accepted: float = field(default_factory=time.monotonic)
    pixels: int = 0  # of the shared allowance that it holds
    loaded: Loaded | None = None
    decoded: float = 0.0  # when it was


class Batches:
    """Gathers images into batches and runs them.

    Args:
        pipeline: whose steps are run; its ``batch_size`` is the largest batch.
        room: images that may be inside at once, from acceptance to answer.
        most_pixels: of one image, larger ones are refused. Of smaller ones the networks see as many at once, in all batches
            together, but never less than ``MOST_AT_ONCE`` nor more than ``MOST_WAITING``; a larger one goes alone.
        wait: seconds that an image may wait for others to share its batch, while others are being decoded.
        on_batch: is told the size of every batch.
    """

    def __init__(
        self,
        pipeline: InspectionPipeline,
        *,
        room: int,
        most_pixels: int,
        wait: float,
        on_batch: Callable[[int], None] = lambda size: None,
    ) -> None:
        self.pipeline, self.room, self.most_pixels, self.wait, self.on_batch = (
            pipeline,
            room,
            most_pixels,
            wait,
            on_batch,
        )
        # Decoded images, their logits and masks lie in memory, some 40 bytes a pixel: one large frame, or many strips.
        self._allowance = 2 * min(most_pixels, MOST_WAITING)
        self._at_once = max(min(most_pixels, MOST_WAITING), MOST_AT_ONCE)
        self._own_size = None in pipeline.system.sizes
        self._changed = threading.Condition()
        self._ready: deque[_Job] = deque()
        self._inside = self._coming = self._pixels = self._idle = self._running = 0
        self._pace = 0.1  # seconds between two answers while there is work, a moving average
        self._last = 0.0
        self._closing = self._stopped = False
        self._decoders = ThreadPoolExecutor(pipeline.workers, "decode")
        self._finishers = ThreadPoolExecutor(pipeline.workers, "finish")
        self._runners = [threading.Thread(target=self._work, name=f"run_{n}") for n in range(pipeline.system.parallel)]
        for runner in self._runners:
            runner.daemon = True
            runner.start()

    @property
    def inside(self) -> int:
        """Images that were accepted and have no answer yet."""
        return self._inside

    def submit(self, uploads: Sequence[Upload], make: Make) -> "list[Future[Any]]":
        """Accept all of some images, or none.

        Args:
            uploads: the images.
            make: what to make of each.

        Returns:
            For each image the future of what ``make`` made of it, or of a ``Refused``. One that is cancelled before its
            turn is not run.

        Raises:
            Busy: they do not fit in beside those that are inside.
            Closing: ``close`` was called.
        """
        jobs = [_Job(upload, make) for upload in uploads]
        with self._changed:
            if self._closing:
                raise Closing
            if self._inside + len(jobs) > self.room:
                raise Busy(max(1, math.ceil((self._inside + len(jobs) - self.room) * self._pace)))
            self._inside += len(jobs)
            self._coming += len(jobs)
        for job in jobs:
            self._decoders.submit(self._decode, job)
        return [job.future for job in jobs]

    def wait_for_room(self, count: int, timeout: float | None) -> bool:
        """Wait until ``count`` images fit in; False when the time is up, or when it closes before."""
        with self._changed:
            fits = self._changed.wait_for(lambda: self._closing or self._inside + count <= self.room, timeout)
            return fits and not self._closing

    def close(self, timeout: float | None = None) -> bool:
        """Accept no more, finish what is inside, end the threads; False when that took longer than ``timeout`` seconds."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
            done = self._changed.wait_for(lambda: self._inside == 0, timeout)
            self._stopped = True
            self._changed.notify_all()
        self._decoders.shutdown(wait=done, cancel_futures=True)
        for runner in self._runners if done else ():
            runner.join()
        self._finishers.shutdown(wait=done, cancel_futures=True)
        return done

    def _decode(self, job: _Job) -> None:
        """Bring an image to the networks' sizes, or refuse it; runs in a thread."""
        ready = False
        try:
            if not job.future.cancelled():
                refused = self._load(job)
                ready = refused is None
                if refused is not None:
                    _answer(job, refused)
        except Exception as error:
            _answer(job, _failed(job, error))
        job.decoded = time.monotonic()
        with self._changed:
            self._coming -= 1
            if ready:
                self._ready.append(job)
            self._changed.notify_all()
        if not ready:
            self._leave(job)

    def _load(self, job: _Job) -> Refused | None:
        """Decode an image as soon as there is room for its pixels; returns why there is none."""
        opened = open_upload(job.upload, self.most_pixels, lambda: not job.future.cancelled())
        if isinstance(opened, Refused):
            return opened
        self._take(job, opened.filled if self._own_size else opened.pixels)
        image = unpack(opened, self.pipeline.system.channels, self.pipeline.depth)
        if isinstance(image, Refused):
            return image
        job.loaded = self.pipeline.prepare(job.upload.name, image)
        return None

    def _take(self, job: _Job, pixels: int) -> None:
        """Wait until there is room for these pixels; an image that is alone always gets in."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._stopped or not self._pixels or self._pixels + pixels <= self._allowance
            )
            self._pixels += pixels
            job.pixels = pixels

    def _work(self) -> None:
        """Run one batch after the other; the body of a runner."""
        while (batch := self._gather()) is not None:
            jobs = [job for job in batch if job.future.set_running_or_notify_cancel()]
            for job in batch:
                if job not in jobs:
                    self._leave(job)
            if jobs:
                self._run(jobs)
            with self._changed:
                self._running -= sum(_loaded(job).seen for job in batch)
                self._changed.notify_all()

    def _fits(self, pixels: int) -> bool:
        """Check whether the networks may see so many pixels more; an image that is alone always fits."""
        return not self._running or self._running + pixels <= self._at_once

    def _gather(self) -> list[_Job] | None:
        """Take the image that came first and others of its sizes; None when there will be no more.

        What is there is shared among the runners that have nothing to do: one that takes all lets the others be idle.
        """
        with self._changed:
            self._idle += 1
            self._changed.wait_for(lambda: self._stopped or (self._ready and self._fits(_loaded(self._ready[0]).seen)))
            if not self._ready:
                return None
            batch = [self._ready.popleft()]
            shapes, pixels = _loaded(batch[0]).shapes, _loaded(batch[0]).seen
            self._running += pixels
            until = time.monotonic() + self.wait
            while True:
                wanted = min(self.pipeline.batch_size, -(-(len(batch) + len(self._ready) + self._coming) // self._idle))
                for job in list(self._ready):
                    if len(batch) < wanted and _loaded(job).shapes == shapes and self._fits(pixels):
                        self._ready.remove(job)
                        self._running += pixels
                        batch.append(job)
                left = until - time.monotonic()
                if len(batch) >= wanted or not self._coming or left <= 0 or not self._fits(pixels):
                    self._idle -= 1
                    return batch
                self._changed.wait(left)

    def _run(self, jobs: list[_Job]) -> None:
        """Run the networks on a batch; when that fails, on its images one by one, so that one cannot spoil the others."""
        try:
            judged = self.pipeline.judge([_loaded(job) for job in jobs])
        except Exception as error:
            if len(jobs) > 1:
                for job in jobs:
                    self._run([job])
                return
            _answer(jobs[0], _failed(jobs[0], error))
            self._leave(jobs[0])
            return
        self.on_batch(len(jobs))
        for job, one in zip(jobs, judged, strict=True):
            try:
                self._finishers.submit(self._finish, job, one)
            except RuntimeError:  # ``close`` has given up waiting
                _answer(job, Refused(job.upload.name, str(Closing()), "closing"))
                self._leave(job)

    def _finish(self, job: _Job, judged: Judged) -> None:
        """Find the defects of an image and give its answer; runs in a thread."""
        try:
            told = time.monotonic()

            def make(result: Inspected) -> Any:
                stages = {"decode": job.decoded - job.accepted, "network": told - job.decoded}
                stages["decide"] = time.monotonic() - told
                return job.make(dataclasses.replace(result, stages=stages), told - job.accepted)

            _answer(job, self.pipeline.finish(judged, make))
        except NotFiniteError as error:
            log.error("%s", error)
            _answer(job, Refused(job.upload.name, NOT_FINITE, "not_finite"))
        except Exception as error:
            _answer(job, _failed(job, error))
        self._leave(job)

    def _leave(self, job: _Job) -> None:
        """Make room for another image."""
        with self._changed:
            now = time.monotonic()
            # Since the last answer or since its own acceptance: idle time says nothing about the pace.
            self._pace += 0.1 * (now - max(self._last, job.accepted) - self._pace)
            self._last = now
            self._inside -= 1
            self._pixels -= job.pixels
            self._changed.notify_all()


def _loaded(job: _Job) -> Loaded:
    assert job.loaded is not None, "only decoded images are gathered"
    return job.loaded


def _answer(job: _Job, answer: Any) -> None:
    if not job.future.cancelled():
        try:
            job.future.set_result(answer)
        except Exception:  # cancelled in this very moment: nobody waits for it
            log.debug("answer for nobody")


def _failed(job: _Job, error: Exception) -> Refused:
    """Answer for an image that could not be judged; what exactly happened is for the log alone."""
    text = str(error).lower()
    if isinstance(error, MemoryError) or "alloc" in text or "memory" in text:
        log.warning("no memory for an image: %s", error)
        return Refused(job.upload.name, OUT_OF_MEMORY, "out_of_memory")
    number = uuid.uuid4().hex[:12]
    log.error("error %s while inspecting an image: %s", number, one_line(error))
    return Refused(job.upload.name, f"The server made an error, {number} in its log.", "failed")

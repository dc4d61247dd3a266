"""One loaded weights file or system, which any number of callers may ask at once.

inspector = Inspector.open(ServeConfig(weights_dir=Path("weights")))
inspected, = inspector.inspect([Upload("strip.jpg", data)])
inspector.close()
"""

import dataclasses
import time
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future
from pathlib import Path
from typing import Any

import numpy as np

from config import PredictConfig, ServeConfig
from utils.errors import InputError
from utils.inference.chosen import Chosen, choose_weights
from utils.inference.inspected import Inspected, Refused
from utils.inference.opening import open_pipeline
from utils.inference.pipeline import InspectionPipeline
from utils.inference.tiles import is_large
from utils.inspection.about import About
from utils.inspection.batching import Batches, Busy, Closing
from utils.inspection.decoding import open_upload, unpack
from utils.inspection.upload import Upload

STRIP = (256, 1600)  # height and width of the competition's images
LATE = "The inspection took too long; send fewer or smaller images."


class Inspector:
    """One loaded weights file or system; thread-safe; images of all callers share batches.

    Args:
        pipeline: that runs it.
        about: what it is.
        room: images that may be inside at once; more are turned away.
        most_pixels: height times width of the largest image that is not refused.
        wait: seconds that an image may wait for others of its batch.
        on_batch: is told the size of every batch.
    """

    def __init__(
        self,
        pipeline: InspectionPipeline,
        about: About,
        *,
        room: int = ServeConfig.queue,
        most_pixels: int = ServeConfig.max_pixels,
        wait: float = ServeConfig.wait_ms / 1e3,
        on_batch: Callable[[int], None] = lambda size: None,
    ) -> None:
        self._pipeline, self._about = pipeline, about
        self.path: Path | None = None  # of the weights, where they are a file
        self._batches = Batches(pipeline, room=room, most_pixels=most_pixels, wait=wait, on_batch=on_batch)

    @classmethod
    def open(
        cls, config: ServeConfig, on_batch: Callable[[int], None] = lambda size: None, chosen: Chosen | None = None
    ) -> "Inspector":
        """Load the weights that the flags of ``Serve.py`` name, as ``Predict_masks.py`` does by flags of the same names.

        Args:
            config: the flags.
            on_batch: is told the size of every batch.
            chosen: what these flags choose, where that is read already: the file may be another one by now.

        Raises:
            InputError: no such weights, or the machine cannot run them as asked.
        """
        flags = as_prediction(config)
        chosen = chosen or choose_weights(flags)
        pipeline = open_pipeline(chosen, flags, [], describe=True, images=None, meanwhile=True)
        inspector = cls(
            pipeline,
            About.of(chosen),
            room=config.queue,
            most_pixels=config.max_pixels,
            wait=config.wait_ms / 1e3,
            on_batch=on_batch,
        )
        inspector.path = chosen.path
        return inspector

    @property
    def about(self) -> About:
        """What is loaded, and what runs it."""
        return dataclasses.replace(self._about, backend=self._pipeline.system.name)

    def decode(self, image: Upload) -> np.ndarray | Refused:
        """Decode an image as the networks see it: ``(H, W, channels)`` uint8, or say why not."""
        opened = open_upload(image, self._batches.most_pixels)
        if isinstance(opened, Refused):
            return opened
        return unpack(opened, self._pipeline.system.channels, self._pipeline.depth)

    def pixels(self, images: Sequence[Upload]) -> int:
        """Read the headers of images; return how many pixels all those have together that are seen in tiles."""
        opened = (open_upload(image, self._batches.most_pixels) for image in images)
        sizes = ((one.height, one.width) for one in opened if not isinstance(one, Refused))
        return sum(height * width for height, width in sizes if is_large(height, width))

    def look(self, image: Upload) -> Refused | None:
        """Read the header of an image alone; return why it would be refused, if that shows there."""
        opened = open_upload(image, self._batches.most_pixels)
        return opened if isinstance(opened, Refused) else None

    @property
    def inside(self) -> int:
        """Images that were accepted and have no answer yet."""
        return self._batches.inside

    @property
    def room(self) -> int:
        """Images that may be inside at once."""
        return self._batches.room

    @property
    def batch_size(self) -> int:
        """Images that the network sees together."""
        return self._pipeline.batch_size

    def wait_for_room(self, count: int, timeout: float | None) -> bool:
        """Wait until ``count`` images fit in; False when the time is up, or when it closes before."""
        return self._batches.wait_for_room(count, timeout)

    def submit(
        self,
        images: Sequence[Upload],
        finish: Callable[[Inspected], Any] | None = None,
        keep_logits: bool = False,
    ) -> "list[Future[Any]]":
        """Accept all of some images, or none, and return at once.

        Args:
            images: to inspect.
            finish: what to make of each inspected image, whose logits are there; called in a worker thread. None: the
                image as it may be kept for long.
            keep_logits: without ``finish``: keep what ``redecide`` needs.

        Returns:
            For each image, in their order, the future of what ``finish`` made of it, or of a ``Refused``; it
            never raises. One that is cancelled before its turn is not run.

        Raises:
            Busy: they do not fit in beside those that are inside.
            Closing: ``close`` was called.
        """

        def make(result: Inspected, seconds: float) -> Any:
            if finish is None:
                return result.kept(seconds, keep_logits)
            return finish(dataclasses.replace(result, seconds=seconds))

        return self._batches.submit(images, make)

    def inspect(
        self, images: Sequence[Upload], keep_logits: bool = False, timeout: float | None = None
    ) -> list[Inspected | Refused]:
        """Inspect images and wait for all of them.

        Where ``submit`` would turn them away this waits for room, and it never fills more than half of it.

        Args:
            images: any number.
            keep_logits: keep what ``redecide`` needs: 4 bytes a pixel and class.
            timeout: seconds, after which those that are not done are refused with the code ``timeout``; None: no limit.

        Returns:
            What is known of each image, or why it was refused, in their order.
        """
        until = None if timeout is None else time.monotonic() + timeout

        def left() -> float | None:
            return None if until is None else max(0.0, until - time.monotonic())

        portion = max(1, self._batches.room // 2)
        futures: list[Future[Any] | Refused] = []
        for number, image in enumerate(images):
            if number >= portion:
                _wait(futures[number - portion], left())
            futures.append(self._enter(image, keep_logits, left))
        answers: list[Inspected | Refused] = []
        for image, future in zip(images, futures, strict=True):
            answer = _wait(future, left())
            answers.append(Refused(image.name, LATE, "timeout") if answer is None else answer)
        return answers

    def warm_up(self) -> None:
        """Inspect an image, so that what is only done once is done: choosing a backend, compiling for a size."""
        images = [np.full(STRIP, 128, np.uint8)]
        if "auto" in self._pipeline.system.name.replace(",", " ").split():
            # Backends are still to be measured, and their masks compared: that needs something to see.
            from utils.data.synthetic.strip import make_strip

            images = [make_strip(np.random.default_rng(seed), STRIP, (1, 3), contrast=2.0).image for seed in range(4)]
        for answer in self.inspect([Upload("warm-up", image) for image in images]):
            if isinstance(answer, Refused):
                raise InputError(
                    f"the first image could not be inspected: {answer.reason.rstrip('.')}; take another -backend"
                )

    def close(self, timeout: float | None = None) -> bool:
        """Accept no more and finish what was accepted; False when that took longer than ``timeout`` seconds."""
        return self._batches.close(timeout)

    def __enter__(self) -> "Inspector":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _enter(self, image: Upload, keep_logits: bool, left: Callable[[], float | None]) -> "Future[Any] | Refused":
        """Submit one image as soon as there is room."""
        while True:
            try:
                return self.submit([image], keep_logits=keep_logits)[0]
            except Closing as closing:
                return Refused(image.name, str(closing), "closing")
            except Busy as busy:
                if left() == 0:
                    return Refused(image.name, str(busy), "busy")
                self._batches.wait_for_room(1, left())


def _wait(future: "Future[Any] | Refused", seconds: float | None) -> Any:
    """Return the answer of a future; None, and the future cancelled, when the time is up."""
    if isinstance(future, Refused):
        return future
    try:
        return future.result(seconds)
    except (TimeoutError, CancelledError):
        future.cancel()
        return None


def as_prediction(config: ServeConfig) -> PredictConfig:
    """Return the flags that choose and run weights, which both commands have by the same names."""
    own = {"dir", "save"}  # these mean something else there
    names = {field.name for field in dataclasses.fields(PredictConfig)} - own
    return PredictConfig(**{name: value for name, value in vars(config).items() if name in names})

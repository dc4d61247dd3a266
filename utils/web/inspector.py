"""One loaded weights file or system, which any number of callers may ask at once.

inspector = Inspector.open(Path("weights"), None)
inspection, = inspector.inspect([Upload("strip.jpg", data)])
inspector.close()
"""

import dataclasses
import time
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from config import PredictConfig, ServeConfig
from utils.decision.decision import Decision
from utils.decision.gate import Gate
from utils.errors import InputError
from utils.inference.chosen import Chosen, choose_weights
from utils.inference.opening import open_pipeline
from utils.inference.pipeline import Inspected, InspectionPipeline
from utils.inference.systems.system import Answer
from utils.web.batching import Batches, Busy, Closing
from utils.web.inspection import REFUSALS, Inspection, Refused, Upload, redecide, verdict_of
from utils.weights.index import INDEX, bare, read_index
from utils.weights.system_file import SystemFile

__all__ = ["REFUSALS", "About", "Busy", "Closing", "Inspection", "Inspector", "Refused", "Upload", "redecide"]

STRIP = (256, 1600)  # height and width of the competition's images


@dataclass(frozen=True)
class About:
    """What is loaded.

    Attributes:
        name: of the weights or system, without the digits of the sha256.
        file: the file's name.
        kind: ``network`` or ``system``.
        class_names: of the masks; () for a classifier of whole images.
        decision: how logits become masks.
        label_names: of the probabilities of the whole image; () when no network judges it.
        label_thresholds: per label, probability 0..1 from which an image has it.
        first_class: number of the first class in tables; another than 1 for a network of one class.
        task: of the masks.
        card: what its card says, markdown; None without one.
        scores: as the index or the file has them: by the data they were measured on, or plain.
        backend: what runs it, for people; "auto" before the first image where that is still to be measured.
        summary: what ``summary.json`` of a prediction says about it, plain words and numbers.
    """

    name: str
    file: str
    kind: str
    class_names: tuple[str, ...]
    decision: Decision
    label_names: tuple[str, ...]
    label_thresholds: tuple[float, ...]
    first_class: int
    task: str
    card: str | None
    scores: dict[str, Any]
    backend: str
    summary: dict[str, Any]


def settings_of(config: ServeConfig) -> dict[str, Any]:
    """Return what ``Inspector.open`` is told by the flags of ``Serve.py``, for whichever weights it opens."""
    return {
        "backend": config.backend,
        "precision": config.precision,
        "device": config.device,
        "threads": config.threads,
        "batch_size": config.batch_size,
        "tta": config.tta,
        "threshold": config.threshold,
        "high_threshold": config.high_threshold,
        "min_area": config.min_area,
        "max_area": config.max_area,
        "room": config.queue,
        "most_pixels": config.max_pixels,
        "wait": config.wait_ms / 1e3,
    }


class Inspector:
    """One loaded weights file or system; thread-safe; images of all callers share batches.

    Args:
        pipeline: that runs it.
        about: what it is.
        gate: of a system.
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
        gate: Gate | None = None,
        room: int = ServeConfig.queue,
        most_pixels: int = ServeConfig.max_pixels,
        wait: float = ServeConfig.wait_ms / 1e3,
        on_batch: Callable[[int], None] = lambda size: None,
    ) -> None:
        self._pipeline, self._about, self._gate = pipeline, about, gate
        self._batches = Batches(pipeline, room=room, most_pixels=most_pixels, wait=wait, on_batch=on_batch)

    @classmethod
    def open(
        cls,
        weights_dir: Path,
        weights: str | None = None,
        *,
        backend: str = "auto",
        precision: str = "auto",
        device: str = "auto",
        threads: int = 0,
        batch_size: int = 4,
        tta: str = "stored",
        threshold: float | None = None,
        high_threshold: float | None = None,
        min_area: int | None = None,
        max_area: int | None = None,
        **settings: Any,
    ) -> "Inspector":
        """Load what the flags of ``Predict_masks.py`` of the same names would.

        Args:
            weights_dir: folder of weights files, a weights file or a system file.
            weights: which one of a folder; None: its default.
            backend: what runs the network.
            precision: of its numbers.
            device: ``auto``, ``cpu`` or ``cuda``.
            threads: CPU threads; 0: all cores.
            batch_size: most images of a batch.
            tta: ``stored``, ``none`` or ``flips``.
            threshold: probability from which a pixel counts; None: the file's.
            high_threshold: probability that a connected defect must reach somewhere, 0: not asked; None: the file's.
            min_area: smallest connected defect in pixels; None: the file's.
            max_area: largest connected defect in pixels, 0: no limit; None: the file's.
            **settings: ``room``, ``most_pixels``, ``wait`` and ``on_batch`` of the class.

        Raises:
            InputError: no such weights, or the machine cannot run them as asked.
        """
        config = PredictConfig(
            weights_dir=weights_dir,
            weights=weights,
            backend=backend,  # type: ignore[arg-type]
            precision=precision,  # type: ignore[arg-type]
            device=device,  # type: ignore[arg-type]
            threads=threads,
            batch_size=batch_size,
            tta=tta,  # type: ignore[arg-type]
            threshold=threshold,
            high_threshold=high_threshold,
            min_area=min_area,
            max_area=max_area,
        )
        chosen = choose_weights(config)
        pipeline = open_pipeline(chosen, config, [], describe=True, images=None)
        gate = chosen.weights.gate if isinstance(chosen.weights, SystemFile) else None
        return cls(pipeline, _about(chosen), gate=gate, **settings)

    @property
    def about(self) -> About:
        """What is loaded, and what runs it."""
        return dataclasses.replace(self._about, backend=self._pipeline.system.name)

    @property
    def inside(self) -> int:
        """Images that were accepted and have no answer yet."""
        return self._batches.inside

    @property
    def room(self) -> int:
        """Images that may be inside at once."""
        return self._batches.room

    @property
    def most_pixels(self) -> int:
        """Height times width of the largest image that is not refused."""
        return self._batches.most_pixels

    def submit(
        self,
        images: Sequence[Upload],
        finish: Callable[[Inspection], Any] = lambda inspection: inspection,
        keep_logits: bool = False,
    ) -> "list[Future[Any]]":
        """Accept all of some images, or none, and return at once.

        Args:
            images: to inspect.
            finish: what to make of each inspection; called in a worker thread.
            keep_logits: keep what ``redecide`` needs.

        Returns:
            For each image, in their order, the future of what ``finish`` made of its inspection, or of a ``Refused``; it
            never raises. One that is cancelled before its turn is not run.

        Raises:
            Busy: they do not fit in beside those that are inside.
            Closing: ``close`` was called.
        """

        def make(name: str, result: Inspected, answer: Answer, seconds: float) -> Any:
            return finish(self._inspection(name, result, answer, seconds, keep_logits))

        return self._batches.submit(images, make)

    def inspect(
        self, images: Sequence[Upload], keep_logits: bool = False, timeout: float | None = None
    ) -> list[Inspection | Refused]:
        """Inspect images and wait for all of them.

        Where ``submit`` would turn them away this waits for room, and it never fills more than half of it.

        Args:
            images: any number.
            keep_logits: keep what ``redecide`` needs: 4 bytes a pixel and class.
            timeout: seconds, after which those that are not done are refused with the code ``timeout``; None: no limit.

        Returns:
            An inspection or a refusal for each image, in their order.
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
        late = "The inspection took too long; send fewer or smaller images."
        answers: list[Inspection | Refused] = []
        for image, future in zip(images, futures, strict=True):
            answer = _wait(future, left())
            answers.append(Refused(image.name, late, "timeout") if answer is None else answer)
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

    def _inspection(
        self, name: str, result: Inspected, answer: Answer, seconds: float, keep_logits: bool
    ) -> Inspection:
        about = self._about
        labels: tuple[str, ...] = ()
        if not about.class_names and result.labels is not None:
            has = result.labels >= np.asarray(about.label_thresholds)
            labels = tuple(label for label, there in zip(about.label_names, has, strict=True) if there)
        verdict, classes = verdict_of(result.defects, about.class_names, labels)
        logits = None
        if keep_logits and result.logits is not None:
            logits = np.array(result.logits, dtype=np.float32)  # a copy: a view would keep the whole batch
        return Inspection(
            name=name,
            image=result.image,
            masks=result.masks,
            defects=result.defects,
            labels=result.labels,
            logits=logits,
            seconds=seconds,
            verdict=verdict,
            classes=classes,
            class_names=about.class_names,
            task=about.task,
            gate=self._gate,
            gate_areas=answer.min_areas,
        )


def _wait(future: "Future[Any] | Refused", seconds: float | None) -> Any:
    """Return the answer of a future; None, and the future cancelled, when the time is up."""
    if isinstance(future, Refused):
        return future
    try:
        return future.result(seconds)
    except (TimeoutError, CancelledError):
        future.cancel()
        return None


def _about(chosen: Chosen) -> About:
    weights, path = chosen.weights, chosen.path
    name = bare(path.name.removesuffix(".pth").removesuffix(".system.json"))
    card = path.with_name(f"{name}.md")
    index = path.with_name(INDEX)
    entry = read_index(index).find(path.name) if index.is_file() else None
    return About(
        name=name,
        file=path.name,
        kind="system" if isinstance(weights, SystemFile) else "network",
        class_names=weights.spec.scored_names,
        decision=chosen.decision,
        label_names=chosen.label_names,
        label_thresholds=chosen.label_thresholds,
        first_class=weights.spec.first_class,
        task=weights.spec.task,
        card=card.read_text("utf-8") if card.is_file() else None,
        scores=entry.scores if entry else weights.metrics,
        backend="auto",
        summary=chosen.to_dict(),
    )

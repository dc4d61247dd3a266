"""A line without a network: an inspector that finds what is bright, and events to send."""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import cv2
import numpy as np
import pytest

from utils.decision.decision import Decision
from utils.decision.masks import DEFECT
from utils.inference.inspected import Inspected, Refused
from utils.inspection.about import About
from utils.inspection.batching import Busy, Closing
from utils.inspection.decoding import open_upload, unpack
from utils.inspection.upload import Upload
from utils.line.event import FrameEvent, LineDefect, event_id, utc

ABOUT = About(
    name="bright",
    file="bright.pth",
    kind="network",
    class_names=("scratch", "pit"),
    decision=Decision((0.5, 0.5), (0, 0)),
    label_names=(),
    label_thresholds=(),
    first_class=1,
    task="multilabel",
    card=None,
    scores={},
    backend="none",
)


class BrightInspector:
    """Decodes for true, and finds a scratch where the image is bright; ``seconds`` an image."""

    def __init__(self, seconds: float = 0.0, room: int = 8) -> None:
        self.about, self.room, self.seconds = ABOUT, room, seconds
        self.fail: Callable[[str], bool] = lambda name: False
        self._pool = ThreadPoolExecutor(2)
        self._changed = threading.Condition()
        self._inside = 0
        self.closed = False

    def wait_for_room(self, count: int, timeout: float | None) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: self._inside + count <= self.room, timeout)

    def submit(self, images: Sequence[Upload], finish: Callable) -> list[Future]:
        if self.closed:
            raise Closing
        with self._changed:
            if self._inside + len(images) > self.room:
                raise Busy(1)
            self._inside += len(images)
        return [self._pool.submit(self._one, image, finish) for image in images]

    def _one(self, image: Upload, finish: Callable) -> object:
        try:
            time.sleep(self.seconds)
            if self.fail(image.name):
                return Refused(image.name, "the network failed", "failed")
            opened = open_upload(image, 10**7)
            pixels = opened if isinstance(opened, Refused) else unpack(opened, 1)
            if isinstance(pixels, Refused):
                return pixels
            height, width = pixels.shape[:2]
            defects = np.zeros(int(pixels.mean() > 128), DEFECT)
            for row in defects:
                row["class_id"], row["area_px"], row["mean_probability"] = 1, 40, 0.9
                row["x"], row["y"], row["width"], row["height"] = 2, 3, 10, 4
            masks = np.zeros((2, height, width), bool)
            return finish(Inspected(image.name, pixels, masks, defects, None, (0, 0), None, stages={"network": 0.001}))
        finally:
            with self._changed:
                self._inside -= 1
                self._changed.notify_all()


def jpeg(level: int = 40, size: tuple[int, int] = (32, 48), seed: int = 0) -> bytes:
    """Return a grey JPEG with some texture."""
    noise = np.random.default_rng(seed).integers(-8, 8, size)
    return cv2.imencode(".jpg", np.clip(level + noise, 0, 255).astype(np.uint8))[1].tobytes()


def frame_event(number: int = 0, verdict: str = "OK", **more: object) -> FrameEvent:
    """Return an event of a frame."""
    defects = () if verdict != "NG" else (LineDefect("scratch", 40, (2, 3, 10, 4), 0.9),)
    reason = {"OK": None, "NG": "any defect", "NO_VERDICT": "stale"}[verdict]
    values = {
        "id": event_id("test", str(number)),
        "time": utc(1.7e9 + number),
        "source": "test",
        "frame": f"{number}.jpg",
    }
    return FrameEvent(**{**values, "verdict": verdict, "reason": reason, "defects": defects, **more})


@pytest.fixture
def inspector():
    """Return an inspector that needs no network."""
    return BrightInspector()


def eventually(holds: Callable[[], object], seconds: float = 60.0) -> bool:
    """Wait until something holds; False when it does not within so many seconds: many, on a busy machine."""
    until = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > until:
            return False
        time.sleep(0.01)
    return True

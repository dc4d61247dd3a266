"""One frame on its way from a source to its event."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from utils.line.event import FrameEvent


@dataclass(eq=False)
class Frame:
    """A frame as it comes from a source.

    Attributes:
        key: what it is at its source; the same frame has the same key in every run.
        name: for people.
        data: bytes of an image file, or ``(H, W)`` grey or ``(H, W, 3)`` RGB uint8; None: nothing usable came.
        problem: why nothing can be known about it; None: nothing speaks against it.
        taken: when it was taken or came, seconds since 1970.
        complete: when it was whole here, by ``time.monotonic``.
        camera: its name.
        side: of the strip.
        position_m: of its beginning on the strip, metres.
        coil_id: of its coil, where the source knows it; None: the coil on the line.
        patient: it can wait at its source for as long as it takes, as a file in a folder.
        settled: called when its event is on disk, in the order of the frames.
    """

    key: str
    name: str
    data: bytes | np.ndarray | None
    problem: str | None = None
    taken: float = field(default_factory=time.time)
    complete: float = field(default_factory=time.monotonic)
    camera: str | None = None
    side: str | None = None
    position_m: float | None = None
    coil_id: str | None = None
    patient: bool = False
    settled: Callable[[FrameEvent], None] | None = None

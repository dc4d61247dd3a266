"""What a source of frames has to be, and what all of them are given."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from utils.line.address import Address
from utils.line.frame import Frame
from utils.line.sources.positions import Positions

# Settings that every source understands beside its own.
SHARED = ("camera", "side", "speed", "mm_per_count")

Take = Callable[[Frame], None]


class SourceError(Exception):
    """The source gives no frames now; one line for people. It is opened again later."""


class Source(Protocol):
    """Gives frames; runs in a thread of its own.

    Attributes:
        name: its address without settings, from which the ids of its events are made.
        ends: it has a last frame, as a video file.
        positions: says where its frames lie.
    """

    name: str
    ends: bool
    positions: Positions

    @property
    def ready(self) -> bool:
        """Whether it is open, so that frames may come at any moment; False again before ``run`` ends."""

    @property
    def lost(self) -> int:
        """Frames that were sent, as far as the source knows, and did not arrive whole."""

    def run(self, take: Take, stop: threading.Event) -> None:
        """Give frames until ``stop`` is set, or until there is no more.

        Args:
            take: is given each frame; of a patient frame it returns when there is room.
            stop: it looks at it at least twice a second.

        Raises:
            SourceError: it gives no frames now.
        """


@dataclass(frozen=True)
class SourceOptions:
    """What the service gives every source.

    Attributes:
        knows: whether there is an event of an id already.
        most_pixels: of a frame.
        most_bytes: of a frame's file.
    """

    knows: Callable[[str], bool] = lambda event_id: False
    most_pixels: int = 32_000_000
    most_bytes: int = 128_000_000


def labels_of(address: Address) -> tuple[str | None, str | None]:
    """Return camera and side that an address gives its frames."""
    return address.query.get("camera"), address.query.get("side")

"""``push://``: programs send frames to the service's own address (``-http``); the answer comes when the event is on disk."""

import threading
from concurrent.futures import Future

from utils.line.address import Address
from utils.line.event import FrameEvent, event_id
from utils.line.frame import Frame
from utils.line.sources.positions import Positions
from utils.line.sources.source import SHARED, SourceOptions, Take, labels_of


class NotTaking(Exception):
    """The service takes no frames now."""


class PushSource:
    """Hands on what the HTTP routes are given."""

    ends = False
    name = "push://"

    def __init__(self, address: Address, options: SourceOptions) -> None:
        address.only(*SHARED)
        self.positions = Positions(address)
        self._camera, self._side = labels_of(address)
        self._take: Take | None = None

    @property
    def ready(self) -> bool:
        """Whether frames are taken now."""
        return self._take is not None

    @property
    def lost(self) -> int:
        """What did not arrive whole was refused to its sender."""
        return 0

    def run(self, take: Take, stop: threading.Event) -> None:
        """Take what is pushed until it is told to stop."""
        self._take = take
        stop.wait()
        self._take = None

    def push(self, frame: Frame) -> "Future[FrameEvent]":
        """Take a frame.

        Returns:
            The future of its event, when that is on disk. A frame that was pushed before gives its event anew to no sink: the
            spool knows its id.

        Raises:
            NotTaking: the service has not begun, or is stopping.
        """
        if self._take is None:
            raise NotTaking
        answer: Future[FrameEvent] = Future()
        frame.camera = frame.camera or self._camera
        frame.side = frame.side or self._side
        if frame.position_m is None:
            frame.position_m = self.positions.of(frame.name)
        frame.settled = answer.set_result
        self._take(frame)
        return answer

    def id_of(self, key: str) -> str:
        """Return the id of the event of a frame."""
        return event_id(self.name, key)

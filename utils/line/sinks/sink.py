"""What a receiver of events has to be, and what it is given.

A module of this package has a function ``make(address, options) -> Sink``. It imports its library inside through
``utils.device.optional`` or the like, and raises ``InputError`` for an address that makes no sense or a library that is
missing, before the service starts.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol

from utils.line.address import Address as Address  # what ``make`` is given
from utils.line.event import Event
from utils.line.orders import Order
from utils.line.state import LineState


class SinkError(Exception):
    """The receiver does not take events now; one line for people. They stay in the spool and are sent again later."""


class Portion(NamedTuple):
    """How many events a sink takes at once.

    Attributes:
        seconds: that events may wait in the spool for others; 0: none waits.
        most: events.
    """

    seconds: float
    most: int


AT_ONCE = Portion(0.0, 256)


class Sink(Protocol):
    """A receiver of events; only one thread ever calls it.

    ``send`` has to be done, or raise ``SinkError``, within ``SinkOptions.timeout`` seconds: a heartbeat waits behind it. An
    event of a kind that it does not know it leaves out. When ``send`` returns, the receiver has all of the events, on disk
    or acknowledged by its protocol: they are not sent again. When it raises, any of them may have arrived, and all are
    sent again.

    Attributes:
        name: its address without settings: the spool keeps its place by it.
        gather: what one call of ``send`` is given.
    """

    name: str
    gather: Portion

    def open(self) -> None:
        """Connect, or listen; called again after an error, so it closes what is half open.

        Raises:
            SinkError: not now.
        """

    def send(self, events: Sequence[tuple[int, Event]]) -> None:
        """Hand over events in the order of the spool, each with its place there.

        Raises:
            SinkError: not now.
        """

    def heartbeat(self, state: LineState) -> None:
        """Tell the receiver how the service is; called about every ``SinkOptions.heartbeat`` seconds, also without events.

        Raises:
            SinkError: not now.
        """

    def close(self) -> None:
        """Say goodbye and let go of the connection; never raises, and is done within ``SinkOptions.timeout``."""


@dataclass(frozen=True)
class SinkOptions:
    """What the service gives every sink.

    Attributes:
        line: name of the line, for topics and node names.
        pictures: folder with the pictures of frames, ``ID.jpg``, that wait for a sink of pictures.
        state: of the service, now.
        order: passes on what the receiver asks for; raises ``OrderError`` where it makes no sense.
        timeout: seconds that a call may take.
        heartbeat: seconds between heartbeats.
        classes: names of the classes of the weights, in order.
    """

    line: str = "line"
    pictures: Path = Path("pictures")
    state: Callable[[], LineState] = LineState
    order: Callable[[Order], None] = lambda order: None
    timeout: float = 10.0
    heartbeat: float = 1.0
    classes: tuple[str, ...] = field(default=())

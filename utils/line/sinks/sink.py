"""What a receiver of events has to be, and what it is given.

A module of this package has a function ``make(address, options) -> Sink``. It imports its library inside through
``utils.device.optional`` or the like, and raises ``InputError`` for an address that makes no sense or a library that is
missing, before the service starts.
"""

import urllib.parse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from utils.errors import InputError
from utils.line.event import Event
from utils.line.orders import Order
from utils.line.state import LineState


class SinkError(Exception):
    """The receiver does not take events now; one line for people. They stay in the spool and are sent again later."""


class Sink(Protocol):
    """A receiver of events; only one thread ever calls it.

    ``send`` has to be done, or raise ``SinkError``, within ``SinkOptions.timeout`` seconds: a heartbeat waits behind it. An
    event of a kind that it does not know it leaves out. When ``send`` returns, the receiver has all of the events, on disk
    or acknowledged by its protocol: they are not sent again. When it raises, any of them may have arrived, and all are
    sent again.
    """

    name: str

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
class Address:
    """An address of a sink or a source, taken apart.

    Attributes:
        scheme: before ``://``, small letters.
        host: or camera, bus address; may be empty.
        port: None: the usual one.
        path: after the host, with its slash; of a folder as it was given, relative or absolute.
        user: before ``@``; None: none. A password there is refused: lists of processes show it.
        query: what follows ``?``.
        text: all of it but the query: the name by which the spool keeps a sink's place.
    """

    scheme: str
    host: str
    port: int | None
    path: str
    user: str | None
    query: dict[str, str]
    text: str

    @classmethod
    def parse(cls, text: str, flag: str) -> "Address":
        """Take an address apart.

        Raises:
            InputError: it is none, or has a password in it; names the flag.
        """
        scheme, mark, rest = text.partition("://")
        if not mark or not scheme:
            raise InputError(f"{flag} {text}: expected SCHEME://PLACE, as folder://inbox or mqtt://127.0.0.1:1883/line")
        place, _, query = rest.partition("?")
        found = urllib.parse.urlsplit(f"x://{place}")
        try:
            port, password = found.port, found.password
            values = dict(urllib.parse.parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query)))
        except ValueError as error:
            raise InputError(f"{flag} {text}: {error}") from None
        shown = f"{scheme.lower()}://{place}"
        if password is not None:
            raise InputError(f"{flag} {scheme}://...: no password in an address; put it into a file or the environment")
        return cls(scheme.lower(), found.hostname or "", port, place, found.username, values, shown)

    @property
    def folder(self) -> Path:
        """Return the folder that ``csv://FOLDER`` and the like name."""
        return Path(urllib.parse.unquote(self.path)).expanduser()

    @property
    def url_path(self) -> str:
        """Return what follows the host, with its slash; empty: nothing does."""
        return urllib.parse.urlsplit(f"x://{self.path}").path

    def only(self, flag: str, *known: str) -> None:
        """Check that the query has no other names than these.

        Raises:
            InputError: it has one.
        """
        for name in self.query:
            if name not in known:
                listed = f"this one has {', '.join(known)}" if known else "this one has none"
                raise InputError(f"{flag} {self.text}: no setting {name}; {listed}")

    def number(self, flag: str, name: str, default: float, low: float, high: float) -> float:
        """Return a number of the query.

        Raises:
            InputError: it is none, or not within ``low`` and ``high``.
        """
        text = self.query.get(name)
        if text is None:
            return default
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not low <= value <= high:
            raise InputError(f"{flag} {self.text}: {name}={text}; expected a number from {low:g} to {high:g}")
        return value


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

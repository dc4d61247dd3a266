"""``images://FOLDER?gb=20``: a picture of every NG frame, in a folder a day, the oldest removed beyond so many GB."""

import contextlib
import re
from collections.abc import Sequence
from pathlib import Path

from utils.files import replacing
from utils.line.address import Address
from utils.line.event import Event, FrameEvent
from utils.line.pictures import Waiting
from utils.line.sinks.sink import AT_ONCE, SinkError, SinkOptions
from utils.line.state import LineState


class PictureSink:
    """Moves pictures out of where they wait.

    Args:
        folder: of the days.
        most: bytes of all pictures.
        waiting: where they are.
        name: of the sink.
    """

    gather = AT_ONCE

    def __init__(self, folder: Path, most: float, waiting: Waiting, name: str) -> None:
        self.name = name
        self._folder, self._most, self._waiting = folder, most, waiting
        self._size = 0.0
        self.removed = 0

    def open(self) -> None:
        """Make the folder and measure what is in it."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._size = sum(path.stat().st_size for path in self._folder.rglob("*.jpg"))
            self._keep_within(0)
        except OSError as error:
            raise SinkError(f"{self._folder}: {error.strerror}") from None

    def send(self, events: Sequence[tuple[int, Event]]) -> None:
        """Write the pictures of NG frames."""
        written = []
        for _, event in events:
            if not isinstance(event, FrameEvent) or event.verdict != "NG":
                continue
            picture = self._waiting.get(event.id)
            if picture is None:  # written before a kill, or its disk was full
                continue
            try:
                self._keep_within(len(picture))
                path = self._folder / event.time[:10] / f"{_plain(event.time)}-{event.seq}-{event.id[:8]}.jpg"
                with replacing(path) as temporary:
                    temporary.write_bytes(picture)
            except OSError as error:
                raise SinkError(f"{self._folder}: {error.strerror or error}") from None
            self._size += len(picture)
            written.append(event.id)
        for name in written:
            self._waiting.remove(name)

    def heartbeat(self, state: LineState) -> None:
        """Nobody watches a folder."""

    def close(self) -> None:
        """Nothing is open."""

    def _keep_within(self, more: int) -> None:
        """Remove the oldest pictures until there is room."""
        if self._size + more <= self._most:
            return
        for day in sorted(path for path in self._folder.iterdir() if path.is_dir()):
            for path in sorted(day.glob("*.jpg")):
                if self._size + more <= 0.95 * self._most:
                    return
                self._size -= path.stat().st_size
                path.unlink(missing_ok=True)
                self.removed += 1
            with contextlib.suppress(OSError):  # not ours, what else lies there
                day.rmdir()


def _plain(time: str) -> str:
    return re.sub(r"[^0-9T]", "", time)


def make(address: Address, options: SinkOptions) -> PictureSink:
    """Return the sink of an address."""
    address.only("gb")
    most = address.number("gb", 20.0, 0.001, 1e6) * 1e9
    return PictureSink(address.folder, most, Waiting(options.pictures), f"images://{address.folder.resolve()}")

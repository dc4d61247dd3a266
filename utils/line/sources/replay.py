"""``replay://FOLDER?rate=47``: a line simulated out of a folder of images, by the true clock.

It never waits for the service: what does not fit in is shed and counted, as it would be on the line.
"""

import threading
import time

from utils.data.listing import list_images
from utils.line.address import Address
from utils.line.frame import Frame
from utils.line.sources.positions import Positions
from utils.line.sources.source import SHARED, SourceOptions, Take, labels_of


class ReplaySource:
    """Gives the images of a folder, in the order of their names, ``rate`` a second; ``loop=1`` again and again."""

    ends = True

    def __init__(self, address: Address, options: SourceOptions) -> None:
        address.only("rate", "loop", "seconds", *SHARED)
        self.folder = address.folder
        if not self.folder.is_dir():
            raise address.error("no such folder; correct the path")
        self._paths = list_images(self.folder)
        if not self._paths:
            raise address.error("no images in this folder")
        self._rate = address.number("rate", 10.0, 0.01, 10_000)
        self._loop = address.query.get("loop", "0") in ("1", "true", "yes")
        self._seconds = address.number("seconds", 0.0, 0.0, 1e7)
        self.positions = Positions(address, self.folder)
        self._camera, self._side = labels_of(address)
        # Every run is a line of its own: else the spool would know all of its frames.
        self._run = f"{time.time_ns():x}"
        self.name = f"replay://{self.folder.resolve()}"
        self.ready = False

    @property
    def lost(self) -> int:
        """Nothing is lost on the way."""
        return 0

    def run(self, take: Take, stop: threading.Event) -> None:
        """Give each frame at its time."""
        self.ready = True
        try:
            self._give(take, stop)
        finally:
            self.ready = False

    def _give(self, take: Take, stop: threading.Event) -> None:
        begin = time.monotonic()
        most = len(self._paths) if not self._loop else 2**62
        if self._seconds:
            most = min(most, round(self._seconds * self._rate))
        for number in range(most):
            path = self._paths[number % len(self._paths)]
            name = path.relative_to(self.folder).as_posix()
            data, problem = None, None
            try:
                data = path.read_bytes()
            except OSError as error:
                problem = f"the file cannot be read: {error.strerror}"
            due = begin + number / self._rate
            while (left := due - time.monotonic()) > 0 and not stop.wait(min(left, 0.5)):
                pass
            if stop.is_set():
                return
            take(
                Frame(
                    f"{self._run}/{number}",
                    name,
                    data,
                    problem,
                    complete=due,
                    camera=self._camera,
                    side=self._side,
                    position_m=self.positions.of(name),
                )
            )

"""Pictures of NG frames that wait in a folder until a sink has put them where they belong."""

import logging
import re
from pathlib import Path

from utils.files import replacing

_NAME = re.compile(r"[0-9a-f]{1,64}")

log = logging.getLogger("steel.line")


class Waiting:
    """The pictures, by the ids of their events.

    Args:
        folder: of this service alone.
        most: bytes; the oldest go first.

    Attributes:
        failed: pictures that were lost, as the disk did not take them, or there were too many.
    """

    def __init__(self, folder: Path, most: int = 2_000_000_000) -> None:
        self.folder, self._most = folder, most
        folder.mkdir(parents=True, exist_ok=True)
        self.failed = 0
        self._size = sum(path.stat().st_size for path in folder.glob("*.jpg"))

    def put(self, event_id: str, picture: bytes) -> None:
        """Keep a picture; a disk that does not take it is counted, since the event matters more."""
        try:
            with replacing(self._path(event_id)) as temporary:
                temporary.write_bytes(picture)
            self._size += len(picture)
            if self._size > self._most:
                self.tidy()
        except OSError as error:
            self.failed += 1
            if self.failed == 1:
                log.error("a picture could not be kept: %s", error)

    def get(self, event_id: str) -> bytes | None:
        """Return a picture; None where there is none."""
        try:
            return self._path(event_id).read_bytes()
        except OSError:
            return None

    def remove(self, event_id: str) -> None:
        """Let go of a picture."""
        try:
            path = self._path(event_id)
            size = path.stat().st_size
            path.unlink()
            self._size -= size
        except OSError:
            return

    def tidy(self) -> None:
        """Remove the oldest pictures until nine tenths of the room are enough; raises nothing."""
        try:
            found = sorted((path.stat().st_mtime_ns, path.stat().st_size, path) for path in self.folder.glob("*.jpg"))
            self._size = sum(size for _, size, _ in found)
            for _, size, path in found:
                if self._size <= 0.9 * self._most:
                    return
                path.unlink(missing_ok=True)
                self._size -= size
                self.failed += 1
        except OSError as error:
            log.error("pictures: %s", error)

    def _path(self, event_id: str) -> Path:
        if not _NAME.fullmatch(event_id):
            raise ValueError(event_id)
        return self.folder / f"{event_id}.jpg"

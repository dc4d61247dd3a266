"""What has changed in a visit since a browser last asked; only the newest state of each image is told."""

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field

MOST_VISITS = 256  # whose changes are remembered; the pages of others load all anew
MOST_REMEMBERED = 2000  # changed images of a visit; who was away for more loads all anew


@dataclass
class Changes:
    """What is new in a visit.

    Attributes:
        version: up to which this is told.
        visit: whether its counts or settings changed.
        images: keys of changed images.
        reviews: keys of images whose review changed.
        removed: keys of images that are gone.
        lost: so much has changed that all has to be loaded again.
    """

    version: int
    visit: bool
    images: list[int]
    reviews: list[int]
    removed: list[int]
    lost: bool


@dataclass
class _Of:
    version: int
    since: int  # nothing before is remembered
    visit: int = 0
    changed: OrderedDict[tuple[str, int], int] = field(default_factory=OrderedDict)


class News:
    """Counts the changes of all visits. Versions are milliseconds, so they also grow over a restart."""

    def __init__(self) -> None:
        self._of: OrderedDict[str, _Of] = OrderedDict()
        self._last = 0  # the newest version of all
        self._lock = threading.Lock()

    def tell(self, visit: str, image: int | None = None, kind: str = "image") -> int:
        """Note a change of a visit, or of one image in it; returns the new version.

        Args:
            visit: which.
            image: key of the image; None: the visit alone.
            kind: ``image``, ``review`` or ``removed``.
        """
        with self._lock:
            known = self._known(visit)
            known.version = max(known.version + 1, int(time.time() * 1000))
            known.visit = known.version
            self._last = max(self._last, known.version)
            if image is not None:
                known.changed[kind, image] = known.version
                known.changed.move_to_end((kind, image))
                while len(known.changed) > MOST_REMEMBERED:
                    known.since = known.changed.popitem(last=False)[1]
            return known.version

    def version(self, visit: str) -> int:
        """Return the version of a visit."""
        with self._lock:
            return self._known(visit).version

    def after(self, visit: str, version: int) -> Changes:
        """Return what has changed after a version."""
        with self._lock:
            known = self._known(visit)
            new = [one for one, when in known.changed.items() if when > version]
            by_kind = {kind: [key for k, key in new if k == kind] for kind in ("image", "review", "removed")}
            return Changes(
                known.version,
                known.visit > version,
                by_kind["image"],
                by_kind["review"],
                by_kind["removed"],
                version < known.since,
            )

    def forget(self, visit: str) -> None:
        """Drop a visit."""
        with self._lock:
            self._of.pop(visit, None)

    def _known(self, visit: str) -> _Of:
        if visit not in self._of:
            now = max(int(time.time() * 1000), self._last + 1)  # after all that was told of it before it was dropped
            self._of[visit] = _Of(now, now)
            while len(self._of) > MOST_VISITS:
                self._of.popitem(last=False)
        self._of.move_to_end(visit)
        return self._of[visit]

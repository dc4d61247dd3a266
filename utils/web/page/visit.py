"""What the page knows of a visitor, in memory alone: the images looked at, the thresholds chosen, what is shown.

What takes room (pixels, masks and logits of an image) lies in a cache of limited size; what has to go is made again from the
image's bytes when it is wanted.
"""

import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from utils.desk.sources import Source, Uploaded
from utils.inference.inspected import Inspected, Refused
from utils.inspection.about import About

MOST_VISITS = 64  # of them the one that was used last longest ago is forgotten
MOST_IMAGES = 200  # of a visit; the first ones go
MOST_UPLOADED = 256 * 2**20  # bytes of the uploads of a visit; the first ones go
MOST_KEPT = 768 * 2**20  # bytes of pixels, masks and logits of all visits together
GRACE = 300.0  # seconds that a visit outlives its page, since a connection may break and come back
MOST_REFUSED = 20  # refusals that stay in sight


@dataclass(frozen=True, eq=False)
class Finding:
    """What was found in an image, without its pixels.

    Attributes:
        size: height and width in pixels.
        verdict: ``clean`` or ``defective``.
        classes: names of the classes found.
        defects: table of dtype ``DEFECT``.
        labels: probabilities of the whole image; None when no network judges it.
        seconds: that the inspection took.
        thresholds: that the decision was made with.
    """

    size: tuple[int, int]
    verdict: str
    classes: tuple[str, ...]
    defects: np.ndarray
    labels: np.ndarray | None
    seconds: float
    thresholds: tuple[float, ...]

    @classmethod
    def of(cls, about: About, inspected: Inspected, thresholds: tuple[float, ...]) -> "Finding":
        """Note what was found in an image."""
        height, width = inspected.image.shape[:2]
        return cls(
            (height, width),
            about.verdict(inspected),
            about.found(inspected),
            inspected.defects,
            inspected.labels,
            inspected.seconds,
            thresholds,
        )


@dataclass(eq=False)
class Seen:
    """An image of a visit.

    Attributes:
        key: by which the browser names it.
        name: of the file; no other image of the visit has it.
        source: what gives its bytes and labels.
        finding: None until it is inspected.
        thumb: a small JPEG, from then on.
        truth_told: the file of the weights, and what the browser is told of the labels beside their classes.
    """

    key: str
    name: str
    source: Source
    finding: Finding | None = None
    thumb: bytes = b""
    truth_told: tuple[str, dict[str, Any] | None] | None = None


@dataclass(frozen=True)
class Run:
    """How fast the last inspection was."""

    images: int
    seconds: float

    def __str__(self) -> str:
        count = f"{self.images} image{'' if self.images == 1 else 's'}"
        return f"{count} in {self.seconds:.2f} s, {self.images / max(self.seconds, 1e-6):.1f} images/s"


@dataclass(eq=False)
class Visit:
    """A visitor's images and settings; whoever changes it holds ``lock``.

    Attributes:
        token: what its pictures and downloads are found by; nobody can guess it.
        weights: name of the weights in use.
        thresholds: per class, chosen by the visitor.
        images: by key, in the order that they came.
        shown: key of the image in sight.
        refused: the last images that could not be inspected.
        run: the last inspection.
        part, words, position: where in the folder the visitor is.
        version: counts the changes, so that a browser can tell old news from new.
        left: whether its page was closed.
        leavings: how often it was.
    """

    token: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    weights: str = ""
    thresholds: tuple[float, ...] = ()
    images: OrderedDict[str, Seen] = field(default_factory=OrderedDict)
    shown: str | None = None
    refused: list[Refused] = field(default_factory=list)
    run: Run | None = None
    part: int = 0
    words: str = ""
    position: int = 0
    version: int = 0
    left: bool = False
    leavings: int = 0
    lock: threading.RLock = field(default_factory=threading.RLock, repr=False)
    _number: int = 0

    def add(self, source: Source) -> Seen:
        """Take an image in; one of the same name and content is not taken twice, another of that name gets a number."""
        names = {seen.name: seen for seen in self.images.values()}
        name, number = source.name, 1
        while name in names:
            if _same(names[name].source, source):
                return names[name]
            number += 1
            stem, dot, suffix = source.name.rpartition(".")
            name = f"{stem} ({number}).{suffix}" if dot else f"{suffix} ({number})"
        self._number += 1
        seen = Seen(str(self._number), name, source)
        self.images[seen.key] = seen
        self._make_room()
        return seen

    def remove(self, key: str) -> None:
        """Forget an image."""
        self.images.pop(key, None)
        if self.shown == key:
            self.shown = next(reversed(self.images), None)

    def refuse(self, refused: Refused) -> None:
        """Note an image that could not be inspected."""
        self.refused = [*self.refused, refused][-MOST_REFUSED:]

    def _make_room(self) -> None:
        def uploaded() -> int:
            sources = (seen.source for seen in self.images.values())
            return sum(len(source.content) for source in sources if isinstance(source, Uploaded))

        while len(self.images) > MOST_IMAGES:
            self.remove(next(iter(self.images)))
        while len(self.images) > 1 and uploaded() > MOST_UPLOADED:
            oldest = next(key for key, seen in self.images.items() if isinstance(seen.source, Uploaded))
            self.remove(oldest)


class Visits:
    """The visits by the session of the browser's page; the oldest are forgotten when there are many.

    Args:
        begin: makes a new visit.
        ended: is told of every visit that is forgotten.
    """

    def __init__(self, begin: Callable[[], Visit] = Visit, ended: Callable[[Visit], None] = lambda visit: None) -> None:
        self._begin, self._ended = begin, ended
        self._by_session: OrderedDict[str, Visit] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, session: str) -> Visit:
        """Return the visit of a session, a new one if there is none."""
        gone: list[Visit] = []
        with self._lock:
            visit = self._by_session.get(session) or self._begin()
            self._by_session[session] = visit
            self._by_session.move_to_end(session)
            visit.left = False
            while len(self._by_session) > MOST_VISITS:
                gone.append(self._by_session.popitem(last=False)[1])
        for one in gone:
            self._ended(one)
        return visit

    def leave(self, session: str, grace: float = GRACE) -> None:
        """Forget a visit whose page was closed, unless it comes back within ``grace`` seconds."""
        with self._lock:
            visit = self._by_session.get(session)
            if visit is None:
                return
            visit.left = True
            visit.leavings += 1
            this = visit.leavings

        def forget() -> None:
            with self._lock:
                # Who came back and left again has a later timer.
                gone = visit.left and visit.leavings == this and self._by_session.get(session) is visit
                if gone:
                    del self._by_session[session]
            if gone:
                self._ended(visit)

        timer = threading.Timer(grace, forget)
        timer.daemon = True
        timer.start()

    def find(self, token: str) -> Visit | None:
        """Return the visit that a token belongs to."""
        wanted = token.encode("utf-8", "replace")
        return next((visit for visit in self.all() if secrets.compare_digest(visit.token.encode(), wanted)), None)

    def all(self) -> list[Visit]:
        """Return the visits that are remembered."""
        with self._lock:
            return list(self._by_session.values())

    def clear(self) -> None:
        """Forget all."""
        with self._lock:
            self._by_session.clear()


class InspectedCache:
    """Inspected images with their pixels and logits, as many as fit; those not used for longest go first.

    Args:
        room: bytes.
    """

    def __init__(self, room: int = MOST_KEPT) -> None:
        self.room = room
        self._kept: OrderedDict[tuple[str, str], tuple[Inspected, int]] = OrderedDict()
        self._lock = threading.Lock()
        self._bytes = 0

    def put(self, visit: Visit, key: str, inspected: Inspected) -> None:
        """Keep what is known of an image in place of what was known before."""
        arrays = (inspected.image, inspected.masks, inspected.logits)
        size = sum(array.nbytes for array in arrays if array is not None)
        with self._lock:
            self._drop((visit.token, key))
            self._kept[visit.token, key] = inspected, size
            self._bytes += size
            while self._bytes > self.room and len(self._kept) > 1:
                self._drop(next(iter(self._kept)))

    def get(self, visit: Visit, key: str) -> Inspected | None:
        """Return what is known of an image; None when it had to go."""
        with self._lock:
            found = self._kept.get((visit.token, key))
            if found is None:
                return None
            self._kept.move_to_end((visit.token, key))
            return found[0]

    def forget(self, visit: Visit, key: str | None = None) -> None:
        """Drop an image of a visit, or all of them."""
        with self._lock:
            for kept in [kept for kept in self._kept if kept[0] == visit.token and key in (None, kept[1])]:
                self._drop(kept)

    def _drop(self, kept: tuple[str, str]) -> None:
        gone = self._kept.pop(kept, None)
        self._bytes -= gone[1] if gone else 0


def _same(old: Source, new: Source) -> bool:
    if isinstance(old, Uploaded) and isinstance(new, Uploaded):
        return old.content == new.content
    return type(old) is type(new) and not isinstance(old, Uploaded) and vars(old).get("part") is vars(new).get("part")


def now() -> float:
    """Return the time that runs are measured with, seconds."""
    return time.perf_counter()

"""The work of all visits: what waits goes through the network, a few images of each visit in turn; what was decided by
other settings is decided anew. Nothing of it lies in memory but what is under way: the queue is the database.
"""

import dataclasses
import functools
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import numpy as np

from utils.desk import kept_logits
from utils.desk.database import CannotKeep
from utils.desk.findings import Finding
from utils.desk.image_files import LOGITS, ImageFiles
from utils.desk.image_table import ImageTable, Job
from utils.desk.news import News
from utils.desk.visits import Visit, VisitTable
from utils.errors import InputError
from utils.inference.inspected import Inspected, Refused
from utils.inspection.about import About
from utils.inspection.batching import Busy, Closing
from utils.inspection.choosing import Inspectors
from utils.inspection.failures import one_line
from utils.inspection.inspector import Inspector
from utils.inspection.redeciding import redecide
from utils.inspection.upload import Upload

log = logging.getLogger("steel.web")

RATE_SECONDS = 10.0  # over which the rate is a mean
PAUSE_SECONDS = 1.0  # between two looks when nobody calls
REST_SECONDS = 5.0  # after an answer that could not be kept, as on a full disk
CLOSING_SECONDS = 10.0  # that are waited for a network that hangs
# Answers that say nothing about the image: it waits on.
_AGAIN = ("busy", "closing", "timeout")


class Work:
    """Inspects in the background.

    Args:
        inspectors: of all weights.
        visits: the visits.
        images: their images.
        files: the images' files.
        news: is told of what changes.
        unlike: says of an inspected image why the network may not know such images; None: it does.
        told: is told of every image that the network has seen, and of every refusal.
    """

    def __init__(
        self,
        inspectors: Inspectors,
        visits: VisitTable,
        images: ImageTable,
        files: ImageFiles,
        news: News,
        unlike: Callable[[About, Inspected], str | None],
        told: Callable[[About, Inspected | Refused], None],
    ) -> None:
        self.inspectors, self.visits, self.images, self.files, self.news = inspectors, visits, images, files, news
        self.unlike, self.told = unlike, told
        self._changed = threading.Condition()
        self._wanted: deque[str] = deque()  # visits with work, the next one first
        self._under_way: dict[tuple[str, int], Future[Any]] = {}
        self._done: dict[str, deque[float]] = {}
        self._closing = False
        self._rests_until = 0.0  # of time.monotonic
        self._thread = threading.Thread(target=self._run, name="desk", daemon=True)

    def start(self, visits: list[str]) -> None:
        """Begin, with the visits that had work when the server stopped."""
        self._wanted.extend(visits)
        self._thread.start()

    def close(self) -> None:
        """Begin nothing more, and wait for images that the network has begun: nothing is written to the folder afterwards."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        until = time.monotonic() + CLOSING_SECONDS
        if self._thread.is_alive():
            self._thread.join(CLOSING_SECONDS)
        with self._changed:
            futures = list(self._under_way.values())
        for future in futures:
            future.cancel()
        with self._changed:
            self._changed.wait_for(lambda: not self._under_way, until - time.monotonic())

    def wake(self, visit: str) -> None:
        """Say that a visit has work."""
        with self._changed:
            if visit not in self._wanted:
                self._wanted.append(visit)
            self._changed.notify_all()

    def drop(self, visit: str) -> None:
        """Take what waits of a visit out of the queue of the network."""
        with self._changed:
            for (owner, _), future in list(self._under_way.items()):
                if owner == visit:
                    future.cancel()
            self._done.pop(visit, None)

    def rate(self, visit: str) -> float:
        """Return the images a second of the last seconds."""
        times = self._done.get(visit)
        if not times:
            return 0.0
        now = time.monotonic()
        recent = [when for when in list(times) if when > now - RATE_SECONDS]
        if len(recent) < 2:  # the first one says when the counting began
            return 0.0
        return round((len(recent) - 1) / max(now - recent[0], 0.1), 2)

    def is_running(self, visit: str) -> bool:
        """Check whether images of a visit are under way or wait for their turn."""
        with self._changed:
            return visit in self._wanted or any(owner == visit for owner, _ in self._under_way)

    def inspector(self, visit: Visit) -> Inspector | None:
        """Return what inspects a visit's images; None when its weights are not there any more, or others by their name."""
        if self.inspectors.file_of(visit.about.name) != visit.about.file:
            return None
        found = self.inspectors.get(visit.about.name)
        return found if found.about.is_of(visit.about) else None

    def decide_anew(self, visit: Visit, job: Job) -> bool:
        """Decide about an image by the settings of now, from kept logits.

        Returns:
            False when the network has to be run for that.
        """
        finding, _ = self.images.finding(visit.id, job.key)
        if finding is None:
            return False
        if not visit.about.class_names:  # no pixels to decide about: other settings are other weights
            return False
        if not kept_logits.serves(visit.decision.thresholds):
            return False
        packed = self.files.kept(LOGITS, logits_name(job.sha256, visit.about))
        inspector = self.inspector(visit)
        if packed is None or inspector is None:
            return False
        try:
            logits = kept_logits.unpack(packed, visit.about.task) if packed else None
        except ValueError as error:
            log.warning("%s of image %s", error, job.sha256)
            return False
        about = dataclasses.replace(inspector.about, decision=visit.decision)
        before = finding.inspected(job.name, _blank(finding), logits)
        anew = redecide(before, visit.decision, task=about.task, gate=about.gate)
        row = self.images.row(visit.id, job.key)
        decided = Finding.of(about, anew, visit.decision)
        if self.images.found(visit.id, job.key, decided, visit.settings, row["unlike"] if row else None):
            self.news.tell(visit.id, job.key)
        return True

    def _run(self) -> None:
        """Give each visit with work its turn; the body of the thread."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closing or self._wanted, PAUSE_SECONDS)
                rest = self._rests_until - time.monotonic()
                if rest > 0:
                    self._changed.wait_for(lambda: self._closing, rest)
                if self._closing:
                    return
                if not self._wanted:
                    continue
                identity = self._wanted.popleft()
            try:
                more = self._turn(identity)
            except CannotKeep as error:
                log.error("%s", error)
                self._rests_until, more = time.monotonic() + REST_SECONDS, True
            except Exception as error:
                log.error("error at the work of a visit: %s", one_line(error))
                more = False
            with self._changed:
                if more and identity not in self._wanted:
                    self._wanted.append(identity)

    def _turn(self, identity: str) -> bool:
        """Bring some images of a visit on their way; returns whether it may have more work."""
        visit = self.visits.find(identity)
        if visit is None or visit.stopped:
            return False
        try:
            inspector = self.inspector(visit)
        except InputError as error:
            self._stop(visit, str(error))
            return False
        if inspector is None:
            self._stop(visit, "its weights are not there any more")
            return False
        room = max(1, inspector.room // 2)
        if not self._wait_for_room(room):
            return True
        with self._changed:
            busy = {key for owner, key in self._under_way if owner == identity}
            free = min(room - len(self._under_way), inspector.batch_size)
        jobs = self.images.waiting(identity, max(1, free), busy)
        if not jobs:
            jobs = self.images.behind(identity, visit.settings, max(1, free), busy)
        for job in jobs:
            if self._closing:
                return False
            if job.status == "done" and self.decide_anew(visit, job):
                continue
            self._submit(visit, inspector, job)
        return bool(jobs)

    def _wait_for_room(self, room: int) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: self._closing or len(self._under_way) < room, PAUSE_SECONDS)

    def _stop(self, visit: Visit, reason: str) -> None:
        log.warning("a visit has stopped: %s", reason)
        self.visits.change(dataclasses.replace(visit, stopped=True))
        self.news.tell(visit.id)

    def _submit(self, visit: Visit, inspector: Inspector, job: Job) -> None:
        try:
            upload = Upload(job.name, self.files.read(job.sha256))
        except InputError as error:
            self._refuse(visit, inspector.about, job, Refused(job.name, str(error), "damaged"))
            return
        finish = functools.partial(self._finish, visit, inspector, job)
        while True:
            try:
                (future,) = inspector.submit([upload], finish)
                break
            except Busy:
                if self._closing:
                    return
                inspector.wait_for_room(1, PAUSE_SECONDS)
            except Closing:  # somebody else's choice of weights closed it; it opens again at the next turn
                self.wake(visit.id)
                return
        with self._changed:
            self._under_way[visit.id, job.key] = future
        future.add_done_callback(functools.partial(self._end, visit, inspector.about, job))

    def _finish(self, visit: Visit, inspector: Inspector, job: Job, inspected: Inspected) -> tuple[Finding, str | None]:
        """Make what is kept of an inspected image; runs in a worker thread."""
        about = inspector.about
        self.told(about, inspected)
        if about.class_names:
            packed = b"" if inspected.logits is None else kept_logits.pack(inspected.logits, about.task)
            if packed is not None:
                self.files.keep(LOGITS, logits_name(job.sha256, about), packed)
        unlike = self.unlike(about, inspected)
        if visit.decision != about.decision:
            inspected = redecide(inspected, visit.decision, task=about.task, gate=about.gate)
        return Finding.of(dataclasses.replace(about, decision=visit.decision), inspected, visit.decision), unlike

    def _end(self, visit: Visit, about: About, job: Job, future: "Future[Any]") -> None:
        """Note the answer about an image; runs in the thread that gives it."""
        try:
            if not future.cancelled():
                answer = future.result()
                if isinstance(answer, Refused):
                    if answer.code not in _AGAIN:
                        self._refuse(visit, about, job, answer)
                elif self._is_wanted(visit):
                    finding, unlike = answer
                    self._count(visit.id)
                    if self.images.found(visit.id, job.key, finding, visit.settings, unlike):
                        self.news.tell(visit.id, job.key)
        except Exception as error:
            self._rests_until = time.monotonic() + REST_SECONDS  # or it is inspected over and over on a full disk
            if not self._closing:
                log.error("error at the answer about an image: %s", one_line(error))
        finally:
            with self._changed:
                self._under_way.pop((visit.id, job.key), None)
                if visit.id not in self._wanted:
                    self._wanted.append(visit.id)
                self._changed.notify_all()

    def _count(self, visit: str) -> None:
        """Count an image of a visit, and forget visits that none has come of for so long that they have no rate."""
        now = time.monotonic()
        with self._changed:
            for old in [name for name, times in self._done.items() if times[-1] < now - RATE_SECONDS]:
                del self._done[old]
            self._done.setdefault(visit, deque(maxlen=500)).append(now)

    def _is_wanted(self, visit: Visit) -> bool:
        """Check whether a visit still uses the weights that it did; thresholds are set right later."""
        now = self.visits.find(visit.id)
        return now is not None and now.about.is_of(visit.about)

    def _refuse(self, visit: Visit, about: About, job: Job, refused: Refused) -> None:
        self.told(about, refused)
        self.images.refuse(visit.id, job.key, refused, visit.settings)
        self.news.tell(visit.id, job.key)


def logits_name(sha256: str, about: About) -> str:
    """Return the name of the file of an image's logits by some weights."""
    return f"{sha256}-{about.file.removesuffix('.pth').removesuffix('.system.json')[-40:]}-{about.sha8}.npz"


def _blank(finding: Finding) -> np.ndarray:
    """Return pixels of the right size for a decision, which does not look at them."""
    return np.broadcast_to(np.zeros(1, np.uint8), (finding.height, finding.width, 1))

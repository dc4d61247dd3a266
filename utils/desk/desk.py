"""The desk as a whole: what routes ask for, in plain values; every method may be called from any thread."""

import dataclasses
import shutil
import tempfile
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from config import VERSION
from utils.data.synthetic import CLASS_NAMES
from utils.desk import pictures
from utils.desk.database import Database
from utils.desk.familiarity import Familiarities
from utils.desk.image_files import ImageFiles
from utils.desk.image_table import SAMPLE, ImageTable
from utils.desk.naming import Naming
from utils.desk.news import News
from utils.desk.reviews import Reviews
from utils.desk.sources import Part, SampleStrip, draw_samples
from utils.desk.visits import Visit, VisitTable, check_decision, check_meta, check_title
from utils.desk.work import Work
from utils.errors import InputError
from utils.inference.inspected import Inspected, Refused
from utils.inspection.about import About
from utils.inspection.choosing import Inspectors
from utils.reporting.overlays import class_label

MOST_VISITS = 64  # that a desk without -save remembers
MOST_ROWS = 500  # defects of an image that are listed; a network that sees noise finds thousands


class NotHere(Exception):
    """There is no such visit or image; the text is for whoever asked.

    Args:
        message: one plain sentence.
        code: one word for programs.
    """

    def __init__(self, message: str, code: str = "not_found") -> None:
        super().__init__(message)
        self.code = code


class Desk:
    """Visits, their images and reviews.

    Args:
        inspectors: of all weights that can be chosen.
        folder: of ``-save``; None: a temporary one, which goes with the desk.
        parts: of the folder of ``-dir``.
        most_bytes: of one file.
        told: is told of every image that was inspected, and of every refusal.
        further: classes that people may give to a defect, beside those of the weights.

    Raises:
        InputError: another process uses the folder.
    """

    def __init__(
        self,
        inspectors: Inspectors,
        folder: Path | None,
        parts: Sequence[Part] = (),
        most_bytes: int = 64 * 10**6,
        told: Callable[[About, Inspected | Refused], None] = lambda about, answer: None,
        further: Sequence[str] = (),
    ) -> None:
        self.inspectors, self.parts, self.most_bytes = inspectors, list(parts), most_bytes
        self.kept, self._further = folder is not None, tuple(further)
        # A network that hangs longer than the desk waits when it closes may write once more.
        self._temporary = (
            tempfile.TemporaryDirectory(prefix="steel-desk-", ignore_cleanup_errors=True) if folder is None else None
        )
        place = folder if folder is not None else Path(self._temporary.name)  # type: ignore[union-attr]
        self.database = Database(place)
        self.files = ImageFiles(place)
        self.news = News()
        self.visits, self.images = VisitTable(self.database), ImageTable(self.database)
        self.reviews = Reviews(self.database)
        self.decoded = pictures.DecodedImages()
        self.placing = threading.Lock()  # or the file of an image goes while another visit takes the image in
        self._samples: list[SampleStrip] | None = None
        familiar = Familiarities()

        def unlike(about: About, inspected: Inspected) -> str | None:
            return familiar.unlike(inspectors.path_of(about.name), inspected.image)

        self.work = Work(inspectors, self.visits, self.images, self.files, self.news, unlike, told)

    def start(self) -> None:
        """Go on with what waited when the server stopped; visits that nobody has put an image into are forgotten."""
        self.visits.forget_empty()
        self.reviews.complete()
        rows = self.database.rows(
            "SELECT DISTINCT visit FROM images JOIN visits ON visits.id = images.visit WHERE images.status = 'waiting'"
            " OR (images.status = 'done' AND images.settings != visits.settings)"
        )
        self.work.start([row["visit"] for row in rows])

    def close(self) -> None:
        """End: what waits goes on with the next server, where visits are kept."""
        self.work.close()
        self.inspectors.close()
        self.database.close()
        if self._temporary is not None:
            self._temporary.cleanup()

    def facts(self) -> dict[str, Any]:
        """Return what a page has to know before there is a visit."""
        known = self.inspectors.served.about
        return {
            "version": VERSION,
            "weights": [
                {"name": name, **({"card": known.card, "scores": known.scores} if name == known.name else {})}
                for name in self.inspectors.names
            ],
            "kept": self.kept,
            "most_bytes": self.most_bytes,
            "folder": sum(len(part.names) for part in self.parts),
            "samples": set(CLASS_NAMES) <= set(known.class_names),
        }

    def begin(self, sent: dict[str, Any]) -> dict[str, Any]:
        """Make a visit.

        Args:
            sent: ``title``, ``weights``, ``meta``, each may be left out.

        Raises:
            InputError: something else was sent.
        """
        only(sent, {"title", "weights", "meta"})
        name = sent.get("weights") or self.inspectors.default
        about = self.about(name)
        visit = self.visits.begin(about, check_title(sent.get("title") or ""), check_meta(sent.get("meta") or {}))
        if not self.kept:
            for old in self.visits.oldest(MOST_VISITS):
                self.forget(old)
        return self.describe(visit)

    def visit(self, identity: str) -> Visit:
        """Return a visit; raises ``NotHere``."""
        visit = self.visits.find(identity)
        if visit is None:
            raise NotHere("There is no such visit; it may have ended.", "no_visit")
        return visit

    def naming(self, visit: Visit) -> Naming:
        """Return the classes that people may give to a defect of a visit."""
        return Naming.of(visit.about, self._further)

    def describe(self, visit: Visit) -> dict[str, Any]:
        """Return a visit as a browser gets it."""
        version = self.news.version(visit.id)  # first: what changes while this is read is told again rather than never
        counts = self.images.counts(visit.id, visit.settings)
        about = visit.about
        running = self.work.is_running(visit.id) and (counts["waiting"] or counts["behind"])
        return {
            "id": visit.id,
            "title": visit.title,
            "created": visit.created,
            "kept": self.kept,
            "weights": about.name,
            "weights_file": about.file,
            "weights_here": self.inspectors.has(about),
            "weights_choices": self.inspectors.names,
            "compare": visit.compare,
            "backend": self.inspectors.served.about.backend if about.name == self.inspectors.default else about.backend,
            "settings": visit.settings,
            "classes": [
                {
                    "id": class_id,
                    "name": class_label(name, index),
                    "colour": pictures.css_colour(index),
                    **dataclasses.asdict(one),
                    "own": dataclasses.asdict(own),
                }
                for index, (class_id, name, one, own) in enumerate(
                    zip(
                        about.class_ids,
                        about.class_names,
                        visit.decision.per_class,
                        about.decision.per_class,
                        strict=True,
                    )
                )
            ],
            "names": self.naming(visit).shown(),
            "labels": [
                {"name": class_label(name, index), "threshold": threshold}
                for index, (name, threshold) in enumerate(zip(about.label_names, about.label_thresholds, strict=True))
            ],
            "meta": visit.meta,
            "counts": counts,
            "rate": self.work.rate(visit.id),
            "state": "stopped" if visit.stopped else "running" if running else "idle",
            "version": version,
            "unlike": self._unlike_of(visit),
            "folder": sum(len(part.names) for part in self.parts),
        }

    def change(self, identity: str, sent: dict[str, Any]) -> dict[str, Any]:
        """Change a visit; its images are decided anew in the background.

        Raises:
            InputError: something else was sent.
            NotHere: no such visit.
        """
        only(sent, {"title", "weights", "compare", "decision", "meta"})
        visit = self.visit(identity)
        if "title" in sent:
            visit = dataclasses.replace(visit, title=check_title(sent["title"]))
        if "meta" in sent:
            visit = dataclasses.replace(visit, meta=check_meta(sent["meta"]))
        about = visit.about if sent.get("weights") is None else self.about(sent["weights"])
        if about.name != visit.about.name or not about.is_of(visit.about):
            visit = dataclasses.replace(visit, about=about, decision=about.decision)
            self.work.drop(identity)
            self.images.restart(identity)
        if "compare" in sent:
            compare = sent["compare"]
            visit = dataclasses.replace(visit, compare=None if compare is None else self.about(compare).name)
        if "decision" in sent:
            decision = sent["decision"]
            chosen = visit.about.decision if decision is None else check_decision(decision, visit.about)
            visit = dataclasses.replace(visit, decision=chosen)
        visit = self.visits.change(visit)
        self.news.tell(identity)
        self.work.wake(identity)
        return self.describe(visit)

    def forget(self, identity: str) -> None:
        """Remove a visit, and the images that no other one has."""
        self.visit(identity)
        shutil.rmtree(self.files.folder / "weights" / identity, ignore_errors=True)
        self.work.drop(identity)
        for sha256 in self.visits.forget(identity):
            self.forget_image(sha256)
        self.news.forget(identity)

    def stop(self, identity: str, stopped: bool) -> dict[str, Any]:
        """Stop what waits of a visit, or let it go on."""
        visit = self.visits.change(dataclasses.replace(self.visit(identity), stopped=stopped))
        if stopped:
            self.work.drop(identity)
        else:
            self.work.wake(identity)
        self.news.tell(identity)
        return self.describe(visit)

    @property
    def samples(self) -> list[SampleStrip]:
        """The drawn strips."""
        if self._samples is None:
            self._samples = draw_samples()
        return self._samples

    def forget_image(self, sha256: str) -> None:
        """Remove a file that no visit has any more; one that was reviewed stays, where visits are kept."""
        with self.placing:
            if self.database.row("SELECT 1 FROM images WHERE sha256 = ?", (sha256,)):
                return
            if self.kept and self.database.row("SELECT 1 FROM reviews WHERE sha256 = ?", (sha256,)):
                return
            self.files.forget(sha256)

    def row(self, identity: str, key: int) -> dict[str, Any]:
        """Return what a list shows of an image; raises ``NotHere``."""
        row = self.images.row(identity, key)
        if row is None:
            raise NotHere("There is no such image in this visit.")
        return row

    def about(self, name: Any) -> About:
        """Return what some weights are; raises ``InputError`` for a name that is not in the list."""
        if name not in self.inspectors.names:
            raise InputError(f"weights: {str(name)[:80]!r} is not in the list; choose from it")
        return self.inspectors.get(name).about

    def _unlike_of(self, visit: Visit) -> str | None:
        row = self.database.row(
            f"SELECT unlike, COUNT(*) AS count FROM images WHERE visit = ? AND source != '{SAMPLE}' AND unlike IS NOT NULL"
            " GROUP BY 1 ORDER BY 2 DESC LIMIT 1",
            (visit.id,),
        )
        return None if row is None else f"{row['count']} of the images: {row['unlike']}"


def only(sent: Any, known: set[str]) -> None:
    """Raise ``InputError`` where JSON is no object, or has other fields than these."""
    if not isinstance(sent, dict):
        raise InputError("expected an object of JSON")
    if unknown := sorted(set(sent) - known):
        raise InputError(f"{unknown[0][:40]!r} is unknown; known are {', '.join(sorted(known))}")

"""The desk as a whole: what routes ask for, in plain values; every method may be called from any thread."""

import dataclasses
import datetime
import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from config import VERSION
from utils.data.rle import encode_part
from utils.decision.probabilities import pixel_probability
from utils.desk import archives, downloads, kept_logits, pictures
from utils.desk.database import Database
from utils.desk.findings import Finding
from utils.desk.image_files import LOGITS, ImageFiles
from utils.desk.image_table import FOLDER, SAMPLE, SORTS, UPLOAD, Filter, ImageTable, Job
from utils.desk.news import News
from utils.desk.review import Base, check_who
from utils.desk.reviews import Reviews
from utils.desk.sources import Part, SampleStrip, Truth, draw_samples
from utils.desk.visits import Meta, Visit, VisitTable, check_decision, check_meta, check_title
from utils.desk.work import Work, logits_name
from utils.errors import InputError
from utils.inference.inspected import Inspected, Refused
from utils.inspection.about import About
from utils.inspection.choosing import Inspectors
from utils.inspection.upload import Upload
from utils.reporting.overlays import class_label

MOST_VISITS = 64  # that a desk without -save remembers
MOST_ROWS = 500  # defects of an image that are listed; a network that sees noise finds thousands
LONGEST_NAME = 255  # letters


class NotHere(Exception):
    """There is no such visit or image; the text is for whoever asked."""


class Desk:
    """Visits, their images and reviews.

    Args:
        inspectors: of all weights that can be chosen.
        folder: of ``-save``; None: a temporary one, which goes with the desk.
        parts: of the folder of ``-dir``.
        most_bytes: of one file.
        told: is told of every image that was inspected, and of every refusal.

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
    ) -> None:
        self.inspectors, self.parts, self.most_bytes = inspectors, list(parts), most_bytes
        self.kept = folder is not None
        self._temporary = tempfile.TemporaryDirectory(prefix="steel-desk-") if folder is None else None
        place = folder if folder is not None else Path(self._temporary.name)  # type: ignore[union-attr]
        self.database = Database(place)
        self.files = ImageFiles(place)
        self.news = News()
        self.visits, self.images = VisitTable(self.database), ImageTable(self.database)
        self.reviews = Reviews(self.database)
        self.decoded = pictures.DecodedImages()
        self._samples: list[SampleStrip] | None = None
        self.work = Work(inspectors, self.visits, self.images, self.files, self.news, _unlike, told)

    def start(self) -> None:
        """Go on with what waited when the server stopped."""
        rows = self.database.rows("SELECT DISTINCT visit FROM images WHERE status = 'waiting'")
        self.work.start([row["visit"] for row in rows])

    def close(self) -> None:
        """End: what waits goes on with the next server, where visits are kept."""
        self.work.close()
        self.inspectors.close()
        self.database.close()
        if self._temporary is not None:
            self._temporary.cleanup()

    def about(self) -> dict[str, Any]:
        """Return what a page has to know before there is a visit."""
        known = self.inspectors.served.about
        return {
            "version": VERSION,
            "weights": [
                {"name": name, **({"card": known.card, "scores": known.scores} if name == known.name else {})}
                for name in self.inspectors.names
            ],
            "kept": self.kept,
            "folder": sum(len(part.names) for part in self.parts),
        }

    # Visits

    def begin(self, sent: dict[str, Any]) -> dict[str, Any]:
        """Make a visit.

        Args:
            sent: ``title``, ``weights``, ``meta``, each may be left out.

        Raises:
            InputError: something else was sent.
        """
        _only(sent, {"title", "weights", "meta"})
        name = sent.get("weights") or self.inspectors.default
        about = self._about(name)
        visit = self.visits.begin(about, check_title(sent.get("title") or ""), check_meta(sent.get("meta") or {}))
        if not self.kept:
            for old in self.visits.oldest(MOST_VISITS):
                self.forget(old)
        return self.describe(visit)

    def visit(self, identity: str) -> Visit:
        """Return a visit; raises ``NotHere``."""
        visit = self.visits.find(identity)
        if visit is None:
            raise NotHere("There is no such visit; it may have ended.")
        return visit

    def describe(self, visit: Visit) -> dict[str, Any]:
        """Return a visit as a browser gets it."""
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
            "weights_here": self.inspectors.file_of(about.name) == about.file,
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
            "labels": [
                {"name": class_label(name, index), "threshold": threshold}
                for index, (name, threshold) in enumerate(zip(about.label_names, about.label_thresholds, strict=True))
            ],
            "meta": visit.meta,
            "counts": counts,
            "rate": self.work.rate(visit.id),
            "state": "stopped" if visit.stopped else "running" if running else "idle",
            "version": self.news.version(visit.id),
            "unlike": self._unlike_of(visit),
            "folder": sum(len(part.names) for part in self.parts),
        }

    def change(self, identity: str, sent: dict[str, Any]) -> dict[str, Any]:
        """Change a visit; its images are decided anew in the background.

        Raises:
            InputError: something else was sent.
            NotHere: no such visit.
        """
        _only(sent, {"title", "weights", "compare", "decision", "meta"})
        visit = self.visit(identity)
        if "title" in sent:
            visit = dataclasses.replace(visit, title=check_title(sent["title"]))
        if "meta" in sent:
            visit = dataclasses.replace(visit, meta=check_meta(sent["meta"]))
        if sent.get("weights") is not None and sent["weights"] != visit.about.name:
            about = self._about(sent["weights"])
            visit = dataclasses.replace(visit, about=about, decision=about.decision)
            self.work.drop(identity)
            self.images.restart(identity)
        if "compare" in sent:
            compare = sent["compare"]
            visit = dataclasses.replace(visit, compare=None if compare is None else self._about(compare).name)
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
        self.work.drop(identity)
        for sha256 in self.visits.forget(identity):
            self._forget_image(sha256)
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

    def list_visits(
        self,
        words: str = "",
        day: str = "",
        coil: str = "",
        found: str = "",
        verdict: str = "",
        limit: int = 50,
        offset: int = 0,
    ) -> dict[str, Any]:
        """List visits that have images, the newest first.

        Args:
            words: part of the title or of an image's name.
            day: ``YYYY-MM-DD``, in the server's time.
            coil: ``coil_id`` of the visit or of an image.
            found: name of a class that was found.
            verdict: ``clean``, ``defective`` or ``refused``.
            limit: visits in the answer.
            offset: of the first one.

        Raises:
            InputError: a day that is none.
        """
        parts, values = ["1"], list[Any]()
        if words:
            parts.append(
                "(instr(lower(v.title), lower(?)) > 0 OR EXISTS (SELECT 1 FROM images i WHERE i.visit = v.id AND"
                " instr(lower(i.name), lower(?)) > 0))"
            )
            values += [words, words]
        if day:
            try:
                begin = datetime.datetime.fromisoformat(day).replace(hour=0, minute=0, second=0, microsecond=0)
            except ValueError:
                raise InputError("day: expected YYYY-MM-DD") from None
            parts.append("v.created >= ? AND v.created < ?")
            values += [begin.timestamp(), (begin + datetime.timedelta(days=1)).timestamp()]
        if coil:
            parts.append(
                "(json_extract(v.meta, '$.coil_id') = ? OR EXISTS (SELECT 1 FROM images i WHERE i.visit = v.id AND"
                " json_extract(i.meta, '$.coil_id') = ?))"
            )
            values += [coil, coil]
        if found:
            parts.append(
                "EXISTS (SELECT 1 FROM images i, json_each(i.found) WHERE i.visit = v.id AND json_each.value = ?)"
            )
            values.append(found)
        if verdict == "refused":
            parts.append("EXISTS (SELECT 1 FROM images i WHERE i.visit = v.id AND i.status = 'refused')")
        elif verdict:
            parts.append("EXISTS (SELECT 1 FROM images i WHERE i.visit = v.id AND i.verdict = ?)")
            values.append(verdict)
        where = " AND ".join(parts)
        total = self.database.number(f"SELECT COUNT(*) FROM visits v WHERE {where}", values)
        rows = self.database.rows(
            f"SELECT v.id, v.title, v.created, v.meta, v.about, v.settings FROM visits v WHERE {where}"
            " ORDER BY v.created DESC LIMIT ? OFFSET ?",
            [*values, limit, offset],
        )
        visits = [
            {
                "id": row["id"],
                "title": row["title"],
                "created": row["created"],
                "meta": json.loads(row["meta"]),
                "weights": json.loads(row["about"])["name"],
                "counts": self.images.counts(row["id"], row["settings"]),
                "found": self._classes_of(row["id"]),
            }
            for row in rows
        ]
        return {"visits": visits, "total": total, "kept": self.kept}

    def _classes_of(self, identity: str) -> dict[str, int]:
        rows = self.database.rows(
            "SELECT json_each.value AS name, COUNT(*) AS count FROM images i, json_each(i.found)"
            f" WHERE i.visit = ? AND i.source != '{SAMPLE}' GROUP BY 1 ORDER BY 2 DESC",
            (identity,),
        )
        return {row["name"]: row["count"] for row in rows}

    # Images

    def add(self, identity: str, name: str, data: bytes, meta: Meta | None = None) -> dict[str, Any]:
        """Take a file in: an image, or a zip of images.

        Args:
            identity: of the visit.
            name: of the file, with the folders that it was dropped in.
            data: its bytes.
            meta: context of its own.

        Returns:
            ``added`` and ``refused``.

        Raises:
            InputError: the meta is none.
            NotHere: no such visit.
        """
        visit = self.visit(identity)
        checked = check_meta({**visit.meta, **(meta or {})})
        added: list[dict[str, str]] = []
        refused: list[dict[str, str]] = []

        def take(one: str, content: bytes) -> None:
            shown = plain_path(one) or "image"
            looked = self.inspectors.served.look(Upload(shown, content))
            if looked is not None:
                refused.append({"name": shown, "reason": looked.reason})
                return
            try:
                key, called, _ = self._add(visit, shown, content, UPLOAD, checked)
            except InputError as error:
                refused.append({"name": shown, "reason": str(error)})
                return
            added.append({"key": str(key), "name": called})

        if archives.is_zip(data):
            try:
                for one, content in archives.unpack(data, self.most_bytes):
                    if isinstance(content, str):
                        refused.append({"name": plain_path(one) or "file", "reason": content})
                    else:
                        take(one, content)
            except InputError as error:
                refused.append({"name": plain_path(name) or "archive", "reason": str(error)})
        else:
            take(name, data)
        if added:
            self.work.wake(identity)
            self.news.tell(identity)
        return {"added": added, "refused": refused}

    def add_folder(self, identity: str, words: str = "", names: Sequence[str] | None = None) -> int:
        """Take images of the folder of ``-dir`` in; returns how many are new.

        Args:
            identity: of the visit.
            words: part of their names.
            names: those of the list; None: all that match.
        """
        visit, count = self.visit(identity), 0
        wanted = None if names is None else set(names)
        for part in self.parts:
            for name in part.matching(words):
                full = self._in_folder(part, name)
                if wanted is not None and full not in wanted:
                    continue
                try:
                    data = (part.folder / name).read_bytes()
                    _, _, new = self._add(visit, full, data, FOLDER, visit.meta)
                except (OSError, InputError):
                    continue
                count += new
                if count % 50 == 1:
                    self.work.wake(identity)
                    self.news.tell(identity)
        self.work.wake(identity)
        self.news.tell(identity)
        return count

    def folder(self, words: str, offset: int, limit: int) -> dict[str, Any]:
        """List the images of the folder of ``-dir`` by name."""
        names = [self._in_folder(part, name) for part in self.parts for name in part.matching(words)]
        return {"total": len(names), "names": names[offset : offset + limit]}

    def _in_folder(self, part: Part, name: str) -> str:
        return name if len(self.parts) == 1 else f"{part.title}/{name}"

    def add_samples(self, identity: str) -> int:
        """Take the drawn strips in."""
        visit = self.visit(identity)
        for sample in self._draw():
            self._add(visit, sample.name, sample.content, SAMPLE, {})
        self.work.wake(identity)
        self.news.tell(identity)
        return len(self._draw())

    def _draw(self) -> list[SampleStrip]:
        if self._samples is None:
            self._samples = draw_samples()
        return self._samples

    def _add(self, visit: Visit, name: str, data: bytes, source: str, meta: Meta) -> tuple[int, str, bool]:
        sha256 = self.files.add(data)
        key, called, new = self.images.add(visit.id, name, sha256, source, len(data), meta)
        if new:
            self.news.tell(visit.id, key)
        return key, called, new

    def remove(self, identity: str, key: int) -> None:
        """Remove an image from a visit."""
        self._row(identity, key)
        if (sha256 := self.images.remove(identity, key)) is not None:
            self._forget_image(sha256)
        self.news.tell(identity, key, "removed")

    def _forget_image(self, sha256: str) -> None:
        """Remove a file that no visit has any more; one that was reviewed stays, where visits are kept."""
        if self.kept and self.database.row("SELECT 1 FROM reviews WHERE sha256 = ?", (sha256,)):
            return
        self.files.forget(sha256)

    def list_images(
        self, identity: str, wanted: Filter, sort: str, limit: int, offset: int, key: int | None = None
    ) -> dict[str, Any]:
        """List images of a visit.

        Args:
            identity: of the visit.
            wanted: which images.
            sort: one of ``SORTS``.
            limit: images in the answer.
            offset: of the first one.
            key: of an image whose place in the list is wanted.

        Raises:
            InputError: no such order.
        """
        self.visit(identity)
        if sort not in SORTS:
            raise InputError(f"sort: expected one of {', '.join(SORTS)}")
        total, rows = self.images.listed(identity, wanted, sort, limit, offset)
        place = {} if key is None else {"place": self.images.place(identity, wanted, sort, key)}
        return {"total": total, "images": rows, **place}

    def rows(self, identity: str, keys: list[int]) -> list[dict[str, Any]]:
        """Return what a list shows of some images."""
        return self.images.rows(identity, keys)

    def _row(self, identity: str, key: int) -> dict[str, Any]:
        row = self.images.row(identity, key)
        if row is None:
            raise NotHere("There is no such image in this visit.")
        return row

    def image(self, identity: str, key: int, compare: bool = False) -> dict[str, Any]:
        """Return everything about an image, decided by the settings of now.

        Args:
            identity: of the visit.
            key: of the image.
            compare: as the second weights see it.
        """
        visit, row = self.visit(identity), self._row(identity, key)
        finding = self.compared(visit, row) if compare else self.current(visit, row)
        about = self._about(visit.compare) if compare and visit.compare else visit.about
        if finding is None:
            return {**row, "defects": [], "more": 0, "labels": None, "doubt": None, "truth": None, "review": None}
        # The decision may have been made anew just now.
        row = {**(row if compare else self._row(identity, key))}
        labels = None
        if finding.labels is not None:
            labels = {name: round(float(p), 4) for name, p in zip(about.label_names, finding.labels, strict=True)}
        return {
            **row,
            "verdict": finding.verdict,
            "found": list(finding.found),
            "width": finding.width,
            "height": finding.height,
            "area": finding.area,
            "probability": finding.probability,
            "weights": about.name,
            **_defects(finding, about),
            "labels": labels,
            "doubt": about.doubt(finding.labels, finding.found),
            "truth": None if compare else self._truth(row, finding, about),
            "review": self.reviews.describe(row["sha256"]),
        }

    def current(self, visit: Visit, row: dict[str, Any]) -> Finding | None:
        """Return what was found in an image by the settings of now, or by the last ones where the network must run."""
        if row["status"] == "done" and row["settings"] != visit.settings:
            self.work.decide_anew(visit, Job(visit.id, int(row["key"]), row["name"], row["sha256"], "done"))
        return self.images.finding(visit.id, int(row["key"]))[0]

    def compared(self, visit: Visit, row: dict[str, Any]) -> Finding | None:
        """Return what the second weights find in an image, by their own thresholds."""
        if visit.compare is None:
            raise InputError("compare: no second weights are chosen")
        inspector = self.inspectors.get(visit.compare)
        (answer,) = inspector.inspect([Upload(row["name"], self.files.read(row["sha256"]))], keep_logits=True)
        if isinstance(answer, Refused):
            raise InputError(answer.reason)
        return Finding.of(inspector.about, answer, inspector.about.decision)

    def _truth(self, row: dict[str, Any], finding: Finding, about: About) -> dict[str, Any] | None:
        truth = self.truth(row, finding.height, finding.width)
        if truth is None:
            return None
        if truth.masks is None:
            return {"note": truth.note, "classes": [], "outlines": []}
        known = {name: index for index, name in enumerate(about.class_names)}
        classes = [
            {
                "name": class_label(name, index),
                "colour": pictures.css_colour(known.get(name, len(known) + index)),
                "id": about.first_class + known[name] if name in known else None,
            }
            for index, name in enumerate(truth.class_names)
        ]
        note = "" if truth.masks.any() else "ground truth: no defect"
        return {"note": note, "classes": classes, "outlines": [pictures.outline(mask, 0, 0) for mask in truth.masks]}

    def truth(self, row: dict[str, Any], height: int, width: int) -> Truth | None:
        """Return the labels of an image; None where there are none."""
        if row["sample"]:
            sample = next((one for one in self._draw() if one.name == row["name"]), None)
            return sample.truth(height, width) if sample else None
        for part in self.parts:
            name = row["name"] if len(self.parts) == 1 else row["name"].removeprefix(f"{part.title}/")
            if name in part and (len(self.parts) == 1 or name != row["name"]) and self._is_of_folder(row):
                return part.truth(name, height, width)
        return None

    def _is_of_folder(self, row: dict[str, Any]) -> bool:
        found = self.database.row(
            "SELECT 1 FROM images WHERE sha256 = ? AND name = ? AND source = ?", (row["sha256"], row["name"], FOLDER)
        )
        return found is not None

    # Pictures

    def pixels(self, visit: Visit, row: dict[str, Any]) -> np.ndarray:
        """Return an image as the networks see it, ``(H, W, channels)`` uint8.

        Raises:
            NotHere: it cannot be decoded.
        """

        def decode() -> np.ndarray:
            inspector = self.work.inspector(visit) or self.inspectors.served
            image = inspector.decode(Upload(row["name"], self.files.read(row["sha256"])))
            if isinstance(image, Refused):
                raise NotHere(image.reason)
            return image

        return self.decoded.get(f"{row['sha256']} {visit.about.file}", decode)

    def thumb(self, identity: str, key: int) -> bytes:
        """Return a small JPEG of an image with the outlines of its defects."""
        visit, row = self.visit(identity), self._row(identity, key)
        image = self.pixels(visit, row)
        finding, _ = self.images.finding(identity, key)
        masks = finding.masks() if finding else np.zeros((0, *image.shape[:2]), np.bool_)
        return pictures.thumbnail(image, masks)

    def picture(self, identity: str, key: int) -> bytes:
        """Return the whole image as a JPEG."""
        return pictures.picture(self.pixels(self.visit(identity), self._row(identity, key)))

    def deep_zoom(self, identity: str, key: int) -> str:
        """Return the description of an image's tiles."""
        height, width = self.pixels(self.visit(identity), self._row(identity, key)).shape[:2]
        return pictures.deep_zoom(height, width)

    def tile(self, identity: str, key: int, level: int, column: int, row: int) -> bytes:
        """Return a tile of an image."""
        made = pictures.tile(self.pixels(self.visit(identity), self._row(identity, key)), level, column, row)
        if made is None:
            raise NotHere("There is no such tile.")
        return made

    def whole(self, visit: Visit, row: dict[str, Any]) -> Inspected | None:
        """Return an image as the pipeline gave it, decided by the settings of now; None where nothing is known."""
        finding = self.current(visit, row)
        if finding is None:
            return None
        logits = None
        if sum(bool(code) for code in finding.codes) > 1:
            logits = self.logits(visit, row)
        return finding.inspected(row["name"], self.pixels(visit, row), logits)

    def logits(self, visit: Visit, row: dict[str, Any], exact: bool = False) -> np.ndarray | None:
        """Return the logits of an image, ``(K, H, W)`` float32: kept ones, or by the network; None behind a gate.

        Args:
            visit: whose weights.
            row: of the image.
            exact: those of unlikely pixels, too.

        Raises:
            NotHere: the weights are not there any more, or the image cannot be inspected.
        """
        packed = None if exact else self.files.kept(LOGITS, logits_name(row["sha256"], visit.about))
        if packed is not None:
            try:
                return kept_logits.unpack(packed, visit.about.task) if packed else None
            except ValueError:
                pass  # made again
        inspector = self.work.inspector(visit)
        if inspector is None:
            raise NotHere("The weights of this visit are not there any more.")
        upload = Upload(row["name"], self.files.read(row["sha256"]))
        (answer,) = inspector.inspect([upload], keep_logits=True)
        if isinstance(answer, Refused):
            raise NotHere(answer.reason)
        return answer.logits

    def probability(self, identity: str, key: int, class_id: int, box: tuple[int, int, int, int]) -> bytes:
        """Return the probabilities of a class within a box (x, y, width, height) as a grey PNG; 255 is 1."""
        visit, row = self.visit(identity), self._row(identity, key)
        about = visit.about
        if class_id not in about.class_ids:
            raise InputError(f"class_id: expected one of {', '.join(map(str, about.class_ids))}")
        logits = self.logits(visit, row)
        if logits is None:
            raise NotHere("The network has not looked at the pixels of this image, which its gate found clean.")
        x, y, width, height = box
        part = logits[:, y : y + height, x : x + width]
        if not part.size:
            raise InputError("The box lies outside of the image.")
        index = class_id - about.first_class
        channels = part if about.task == "multiclass" else part[index : index + 1]
        flat = pixel_probability(channels.reshape(len(channels), -1), about.task, index)
        return pictures.probability_map(flat.reshape(part.shape[1:]))

    def overlay(self, identity: str, key: int) -> bytes:
        """Return an image with its defects drawn, as ``Predict_masks.py`` does."""
        visit, row = self.visit(identity), self._row(identity, key)
        return self._overlay(visit, row)

    def mask(self, identity: str, key: int) -> bytes:
        """Return an image's index mask, as ``Predict_masks.py`` does."""
        visit, row = self.visit(identity), self._row(identity, key)
        return self._mask(visit, row)

    def _overlay(self, visit: Visit, row: dict[str, Any]) -> bytes:
        inspected = self.whole(visit, row)
        if inspected is None:
            raise NotHere("This image has not been inspected.")
        truth = self.truth(row, *inspected.image.shape[:2])
        labels = truth.of_network(visit.about.class_names, visit.about.task) if truth else None
        return downloads.overlay_png(inspected, visit.about, labels)

    def _mask(self, visit: Visit, row: dict[str, Any]) -> bytes:
        inspected = self.whole(visit, row)
        if inspected is None:
            raise NotHere("This image has not been inspected.")
        return downloads.mask_png(inspected, visit.about)

    # Downloads

    def download(self, identity: str, name: str) -> Iterator[bytes]:
        """Return a download in pieces; sample strips are in none.

        Raises:
            NotHere: no such download.
        """
        visit = self.visit(identity)
        if name in downloads.TABLES:
            if name == "labels.csv" and not visit.about.label_names:
                raise NotHere("These weights judge no whole images.")
            return downloads.table(name, visit.about, self._findings(visit))
        if name in downloads.ZIPS:
            make = self._overlay if name == "overlays.zip" else self._mask
            rows = self._done(visit)
            names = [row["name"] for row in rows]
            return downloads.zipped(name, names, ((row["name"], make(visit, row)) for row in rows))
        raise NotHere("There is no such download.")

    def _done(self, visit: Visit) -> list[dict[str, Any]]:
        wanted = Filter(samples=False)
        _, rows = self.images.listed(visit.id, wanted, "old", -1, 0)
        return [row for row in rows if row["status"] == "done"]

    def _findings(self, visit: Visit) -> Iterator[tuple[str, Finding]]:
        for key in self.images.keys(visit.id):
            row = self.images.row(visit.id, key)
            if row is not None and row["status"] == "done":
                finding = self.current(visit, row)
                if finding is not None:
                    yield row["name"], finding

    # Reviews

    def review(self, identity: str, key: int, sent: dict[str, Any]) -> dict[str, Any]:
        """Take actions of a reviewer in; returns the review after them.

        Raises:
            InputError: they are no such.
        """
        _only(sent, {"who", "actions"})
        visit, row = self.visit(identity), self._row(identity, key)

        def propose() -> Base:
            finding = self.current(visit, row)
            if finding is None:
                raise InputError("This image has not been inspected yet.")
            about = visit.about
            return Base.of(finding, about.class_names, about.first_class, about.file, visit.settings)

        who = check_who(sent.get("who"))
        answer, new = self.reviews.act(row["sha256"], identity, who, sent.get("actions"), propose)
        if new:
            for other, place in self.images.with_hash(row["sha256"]):
                self.news.tell(other, place, "review")
                self.news.tell(other, place)
        return answer

    def next(self, identity: str, queue: str, after: int | None) -> dict[str, Any]:
        """Return the next image of a queue that nobody has reviewed.

        Args:
            identity: of the visit.
            queue: ``uncertain``, ``new``, ``random`` or ``ng``.
            after: key of the image in sight, which is not given again.
        """
        self.visit(identity)
        orders = {
            "uncertain": "i.uncertainty DESC, i.key",
            "new": "i.key",
            "random": "random()",
            "ng": "i.probability DESC, i.key",
        }
        if queue not in orders:
            raise InputError(f"queue: expected one of {', '.join(orders)}")
        where = (
            "FROM images i LEFT JOIN reviews r ON r.sha256 = i.sha256 WHERE i.visit = ? AND i.status = 'done'"
            f" AND i.source != '{SAMPLE}' AND (r.state IS NULL OR r.state = 'open')"
        )
        where += " AND i.verdict = 'defective'" if queue == "ng" else ""
        left = self.database.number(f"SELECT COUNT(*) {where}", (identity,))
        row = self.database.row(
            f"SELECT i.key {where} AND i.key != ? ORDER BY {orders[queue]} LIMIT 1", (identity, after or 0)
        )
        return {"key": None if row is None else str(row["key"]), "left": left}

    # What the above need

    def _about(self, name: Any) -> About:
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


def plain_path(name: str) -> str:
    """Return a file's name with its folders as text that can be shown; it is never used as a path on the disk."""
    parts = []
    for part in name.replace("\\", "/").split("/"):
        shown = "".join(letter for letter in part if letter.isprintable()).strip()
        if shown not in ("", ".", ".."):
            parts.append(shown)
    return "/".join(parts)[-LONGEST_NAME:].strip("/")


def _only(sent: Any, known: set[str]) -> None:
    if not isinstance(sent, dict):
        raise InputError("expected an object of JSON")
    if unknown := sorted(set(sent) - known):
        raise InputError(f"{unknown[0][:40]!r} is unknown; known are {', '.join(sorted(known))}")


def _unlike(about: About, inspected: Inspected) -> str | None:
    return None


def _defects(finding: Finding, about: About) -> dict[str, Any]:
    """Return the defects of an image as a browser gets them."""
    rows, shapes = finding.defects, finding.shapes() if len(finding.defects) else []
    numbers: Sequence[int] = range(len(rows))
    if len(rows) > MOST_ROWS:  # the largest, in the order of the table
        numbers = sorted(np.argsort(-rows["area_px"], kind="stable")[:MOST_ROWS].tolist())
    listed = []
    for number in numbers:
        mask, area, x, y, width, height, probability = rows[number].item()
        listed.append(
            {
                "number": number + 1,
                "class_id": about.first_class + mask - 1,
                "name": class_label(about.class_names[mask - 1], mask - 1),
                "area_px": area,
                "box": {"x": x, "y": y, "width": width, "height": height},
                "mean_probability": round(probability, 4),
                "rle": encode_part(shapes[number], x, y, finding.height),
                "outline": pictures.outline(shapes[number], x, y),
            }
        )
    return {"defects": listed, "more": len(rows) - len(listed)}

"""Lists of visits and images, filtered and sorted in the database, and the next image to review."""

import datetime
import json
import threading
import time
from typing import Any

from utils.desk.desk import Desk, only
from utils.desk.image_table import FOUND, FROM, SAMPLE, SORTS, VERDICT, Filter
from utils.errors import InputError

HELD_SECONDS = 600.0  # an image that a page was given is nobody else's for so long, unless that page goes on
MOST_HELD, LONGEST_PAGE = 100, 40  # pages of a visit; letters of the word for one


class Listing:
    """Lists what a desk has."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        # Of a visit: page -> key of the image that it was given, and when.
        self._held: dict[str, dict[str, tuple[int, float]]] = {}
        self._giving = threading.Lock()

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
            found: name of a class that an image shows after its review, else that the network found.
            verdict: ``clean``, ``defective`` (after the review, else by the network) or ``refused``.
            limit: visits in the answer.
            offset: of the first one.

        Raises:
            InputError: a day that is none.
        """
        parts = ["EXISTS (SELECT 1 FROM images i WHERE i.visit = v.id)"]
        values: list[Any] = []
        if words:
            parts.append(
                "(instr(lower(v.title), lower(?)) > 0 OR EXISTS (SELECT 1 FROM images i WHERE i.visit = v.id AND"
                " instr(lower(i.name), lower(?)) > 0))"
            )
            values += [words, words]
        if day:
            try:
                begin = datetime.datetime.fromisoformat(day).replace(hour=0, minute=0, second=0, microsecond=0)
                times = [begin.timestamp(), (begin + datetime.timedelta(days=1)).timestamp()]
            except (ValueError, OverflowError, OSError):  # the last two: a day before or after all that clocks know
                raise InputError("day: expected YYYY-MM-DD") from None
            parts.append("v.created >= ? AND v.created < ?")
            values += times
        if coil:
            parts.append(
                "(json_extract(v.meta, '$.coil_id') = ? OR EXISTS (SELECT 1 FROM images i WHERE i.visit = v.id AND"
                " json_extract(i.meta, '$.coil_id') = ?))"
            )
            values += [coil, coil]
        if found:
            parts.append(f"EXISTS (SELECT 1 {FROM}, json_each({FOUND}) WHERE i.visit = v.id AND json_each.value = ?)")
            values.append(found)
        if verdict == "refused":
            parts.append("EXISTS (SELECT 1 FROM images i WHERE i.visit = v.id AND i.status = 'refused')")
        elif verdict:
            parts.append(f"EXISTS (SELECT 1 {FROM} WHERE i.visit = v.id AND {VERDICT} = ?)")
            values.append(verdict)
        where = " AND ".join(parts)
        total = self.desk.database.number(f"SELECT COUNT(*) FROM visits v WHERE {where}", values)
        rows = self.desk.database.rows(
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
                "counts": self.desk.images.counts(row["id"], row["settings"]),
                "found": self._classes_of(row["id"]),
            }
            for row in rows
        ]
        return {"visits": visits, "total": total, "kept": self.desk.kept}

    def _classes_of(self, identity: str) -> dict[str, int]:
        rows = self.desk.database.rows(
            f"SELECT json_each.value AS name, COUNT(*) AS count {FROM}, json_each({FOUND})"
            f" WHERE i.visit = ? AND i.source != '{SAMPLE}' GROUP BY 1 ORDER BY 2 DESC",
            (identity,),
        )
        return {row["name"]: row["count"] for row in rows}

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
        self.desk.visit(identity)
        if sort not in SORTS:
            raise InputError(f"sort: expected one of {', '.join(SORTS)}")
        total, rows = self.desk.images.listed(identity, wanted, sort, limit, offset)
        place = {} if key is None else {"place": self.desk.images.place(identity, wanted, sort, key)}
        return {"total": total, "images": rows, **place}

    def next(self, identity: str, queue: str, after: int | None, page: str = "") -> dict[str, Any]:
        """Return the next image of a queue that nobody has reviewed, and that no other page was just given.

        Args:
            identity: of the visit.
            queue: ``uncertain``, ``new``, ``random`` or ``ng``.
            after: key of the image in sight, which is not given again.
            page: word for the page that asks; "" takes no image from others.
        """
        self.desk.visit(identity)
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
        left = self.desk.database.number(f"SELECT COUNT(*) {where}", (identity,))
        with self._giving:
            held = self._let_go(identity, page)
            taken = [key for key, _ in held.values()]
            free = f"AND i.key NOT IN ({','.join('?' * len(taken))})"
            row = self.desk.database.row(
                f"SELECT i.key {where} AND i.key != ? {free} ORDER BY {orders[queue]} LIMIT 1",
                (identity, after or 0, *taken),
            )
            if row is not None and page and len(held) < MOST_HELD:
                held[page] = int(row["key"]), time.monotonic()
        return {"key": None if row is None else str(row["key"]), "left": left}

    def hold(self, identity: str, key: int, sent: dict[str, Any]) -> dict[str, Any]:
        """Note that a page has an image in sight, which no queue gives to another page then.

        Args:
            identity: of the visit.
            key: of the image.
            sent: ``page``, a word for the page.

        Raises:
            InputError: something else was sent.
        """
        only(sent, {"page"})
        page = sent.get("page")
        if not isinstance(page, str) or not 0 < len(page) <= LONGEST_PAGE:
            raise InputError(f"page: expected a word of up to {LONGEST_PAGE} letters")
        self.desk.row(identity, key)
        with self._giving:
            held = self._let_go(identity, page)
            if len(held) < MOST_HELD and all(other != key for other, _ in held.values()):
                held[page] = key, time.monotonic()
        return {}

    def _let_go(self, identity: str, page: str) -> dict[str, tuple[int, float]]:
        """Let go what one page of a visit holds, and what is held too long; return what the others hold."""
        now = time.monotonic()
        kept = {
            other: (key, since)
            for other, (key, since) in self._held.get(identity, {}).items()
            if other != page and now - since <= HELD_SECONDS
        }
        self._held[identity] = kept
        return kept

"""Lists of visits and images, filtered and sorted in the database, and the next image to review."""

import datetime
import json
from typing import Any

from utils.desk.desk import Desk
from utils.desk.image_table import FOUND, FROM, SAMPLE, SORTS, VERDICT, Filter
from utils.errors import InputError


class Listing:
    """Lists what a desk has."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

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

    def next(self, identity: str, queue: str, after: int | None) -> dict[str, Any]:
        """Return the next image of a queue that nobody has reviewed.

        Args:
            identity: of the visit.
            queue: ``uncertain``, ``new``, ``random`` or ``ng``.
            after: key of the image in sight, which is not given again.
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
        row = self.desk.database.row(
            f"SELECT i.key {where} AND i.key != ? ORDER BY {orders[queue]} LIMIT 1", (identity, after or 0)
        )
        return {"key": None if row is None else str(row["key"]), "left": left}

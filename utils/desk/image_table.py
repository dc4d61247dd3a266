"""The images of visits in the database: one row each, found by key, sorted and filtered there, never all in memory."""

import json
import sqlite3
import time
from dataclasses import dataclass
from typing import Any

from utils.desk.database import Database
from utils.desk.findings import Finding
from utils.desk.visits import Meta
from utils.errors import InputError
from utils.inference.inspected import Refused

UPLOAD, FOLDER, SAMPLE = "upload", "folder", "sample"
# What the list can be sorted by, best first.
SORTS = {
    "new": "i.key DESC",
    "old": "i.key",
    "name": "i.name COLLATE NOCASE, i.key",
    "area": "i.area DESC, i.key",
    "probability": "i.probability DESC, i.key",
    "uncertain": "i.uncertainty DESC, i.key",
}
_COLUMNS = (
    "i.key, i.name, i.sha256, i.source, i.added, i.meta, i.status, i.reason, i.settings, i.verdict, i.found, i.area,"
    " i.probability, i.uncertainty, i.width, i.height, i.seconds, i.unlike, r.state AS review_state, r.who AS review_who,"
    " r.time AS review_time, r.verdict AS review_verdict, r.found AS review_found"
)
FROM = "FROM images i LEFT JOIN reviews r ON r.sha256 = i.sha256"
REVIEWED = "('done', 'clean', 'unsure')"
# As people left an image, else as the network has it. What was refused was found by nobody.
VERDICT = "CASE WHEN i.status = 'done' THEN COALESCE(NULLIF(r.verdict, ''), i.verdict) END"
FOUND = "CASE WHEN i.status = 'done' THEN COALESCE(r.found, i.found) END"


@dataclass(frozen=True)
class Filter:
    """Which images of a visit are wanted.

    Attributes:
        found: name of a class that is there after the review, else that the network found; "" any.
        verdict: ``clean``, ``defective`` (after the review, else by the network) or ``refused``; "" any.
        review: ``open``, ``done`` or ``unsure``; "" any.
        words: part of the name; "" any.
        samples: whether sample strips, too.
    """

    found: str = ""
    verdict: str = ""
    review: str = ""
    words: str = ""
    samples: bool = True


@dataclass(frozen=True)
class Job:
    """An image that waits to be inspected or decided anew."""

    visit: str
    key: int
    name: str
    sha256: str
    status: str


class ImageTable:
    """The images of a database.

    Args:
        database: that holds them.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, visit: str, name: str, sha256: str, source: str, size: int, meta: Meta) -> tuple[int, str, bool]:
        """Take an image in; one of the same name and content is not taken twice, another of that name gets a number.

        Returns:
            Its key, its name, and whether it is new.
        """
        with self._database.writing() as connection:
            same = connection.execute(
                "SELECT key, name FROM images WHERE visit = ? AND sha256 = ?", (visit, sha256)
            ).fetchall()
            for old in same:
                if old["name"] == name or _is_numbered(old["name"], name):
                    return old["key"], old["name"], False
            shown = _free_name(connection, visit, name)
            connection.execute("UPDATE visits SET numbers = numbers + 1 WHERE id = ?", (visit,))
            row = connection.execute("SELECT numbers FROM visits WHERE id = ?", (visit,)).fetchone()
            if row is None:
                raise InputError("This visit is not there any more; load the page again.")
            key: int = row[0]
            connection.execute(
                "INSERT INTO images (visit, key, name, sha256, source, added, meta, bytes, status)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'waiting')",
                (visit, key, shown, sha256, source, time.time(), json.dumps(meta), size),
            )
        return key, shown, True

    def remove(self, visit: str, key: int) -> str | None:
        """Remove an image; returns its hash when no other visit has the image."""
        with self._database.writing() as connection:
            row = connection.execute("SELECT sha256 FROM images WHERE visit = ? AND key = ?", (visit, key)).fetchone()
            connection.execute("DELETE FROM images WHERE visit = ? AND key = ?", (visit, key))
            if row is None:
                return None
            left = connection.execute("SELECT 1 FROM images WHERE sha256 = ?", (row["sha256"],)).fetchone()
        return None if left else str(row["sha256"])

    def found(self, visit: str, key: int, finding: Finding, settings: str, unlike: str | None) -> bool:
        """Note what was found in an image; False when it is gone."""
        with self._database.writing() as connection:
            done = connection.execute(
                "UPDATE images SET status = 'done', reason = NULL, code = NULL, settings = ?, verdict = ?, found = ?,"
                " area = ?, probability = ?, uncertainty = ?, width = ?, height = ?, seconds = ?, unlike = ?"
                " WHERE visit = ? AND key = ?",
                (
                    settings,
                    finding.verdict,
                    json.dumps(finding.found),
                    finding.area,
                    finding.probability,
                    finding.uncertainty,
                    finding.width,
                    finding.height,
                    finding.seconds,
                    unlike,
                    visit,
                    key,
                ),
            )
            if done.rowcount:
                connection.execute(
                    "INSERT INTO findings (visit, key, result) VALUES (?, ?, ?)"
                    " ON CONFLICT (visit, key) DO UPDATE SET result = excluded.result",
                    (visit, key, finding.to_json()),
                )
            return done.rowcount > 0

    def refuse(self, visit: str, key: int, refused: Refused, settings: str) -> None:
        """Note why an image could not be inspected."""
        with self._database.writing() as connection:
            connection.execute(
                "UPDATE images SET status = 'refused', reason = ?, code = ?, settings = ?, verdict = NULL, found = NULL"
                " WHERE visit = ? AND key = ?",
                (refused.reason, refused.code, settings, visit, key),
            )
            connection.execute("DELETE FROM findings WHERE visit = ? AND key = ?", (visit, key))

    def waiting(self, visit: str, count: int, without: set[int]) -> list[Job]:
        """List the images of a visit that wait for the network, the first ones first."""
        rows = self._database.rows(
            "SELECT key, name, sha256, status FROM images WHERE visit = ? AND status = 'waiting' ORDER BY key LIMIT ?",
            (visit, count + len(without)),
        )
        return [Job(visit, *row) for row in rows if row["key"] not in without][:count]

    def behind(self, visit: str, settings: str, count: int, without: set[int]) -> list[Job]:
        """List images that were decided by other settings than these."""
        rows = self._database.rows(
            "SELECT key, name, sha256, status FROM images WHERE visit = ? AND status = 'done' AND settings != ?"
            " ORDER BY key LIMIT ?",
            (visit, settings, count + len(without)),
        )
        return [Job(visit, *row) for row in rows if row["key"] not in without][:count]

    def row(self, visit: str, key: int) -> dict[str, Any] | None:
        """Return what a list shows of an image; None without one."""
        row = self._database.row(f"SELECT {_COLUMNS} {FROM} WHERE i.visit = ? AND i.key = ?", (visit, key))
        return None if row is None else _row(row)

    def rows(self, visit: str, keys: list[int]) -> list[dict[str, Any]]:
        """Return what a list shows of some images."""
        marks = ",".join("?" * len(keys))
        query = f"SELECT {_COLUMNS} {FROM} WHERE i.visit = ? AND i.key IN ({marks}) ORDER BY i.key"
        return [_row(row) for row in self._database.rows(query, (visit, *keys))]

    def listed(
        self, visit: str, wanted: Filter, sort: str, limit: int, offset: int
    ) -> tuple[int, list[dict[str, Any]]]:
        """Return how many images pass a filter, and some of them in order."""
        where, values = _where(visit, wanted)
        total = self._database.number(f"SELECT COUNT(*) {FROM} WHERE {where}", values)
        query = f"SELECT {_COLUMNS} {FROM} WHERE {where} ORDER BY {SORTS[sort]} LIMIT ? OFFSET ?"
        return total, [_row(row) for row in self._database.rows(query, (*values, limit, offset))]

    def place(self, visit: str, wanted: Filter, sort: str, key: int) -> int | None:
        """Return where an image stands in a sorted list, from 0; None when it does not pass the filter."""
        where, values = _where(visit, wanted)
        row = self._database.row(
            f"SELECT place FROM (SELECT i.key AS key, ROW_NUMBER() OVER (ORDER BY {SORTS[sort]}) - 1 AS place {FROM}"
            f" WHERE {where}) WHERE key = ?",
            (*values, key),
        )
        return None if row is None else int(row["place"])

    def keys(self, visit: str, samples: bool = False) -> list[int]:
        """List the keys of a visit's images in the order that they came."""
        more = "" if samples else f" AND source != '{SAMPLE}'"
        rows = self._database.rows(f"SELECT key FROM images WHERE visit = ?{more} ORDER BY key", (visit,))
        return [row["key"] for row in rows]

    def finding(self, visit: str, key: int) -> tuple[Finding | None, str | None]:
        """Return what was found in an image and the settings it was decided by; None where it still waits."""
        row = self._database.row(
            "SELECT f.result, i.settings FROM findings f JOIN images i USING (visit, key) WHERE visit = ? AND key = ?",
            (visit, key),
        )
        if row is None:
            return None, None
        return Finding.from_json(row["result"]), row["settings"]

    def counts(self, visit: str, settings: str) -> dict[str, int]:
        """Count the images of a visit, samples left out."""
        row = self._database.row(
            f"SELECT COUNT(*) AS images, SUM(i.status = 'waiting') AS waiting, SUM(i.status = 'done') AS done,"
            f" SUM(i.status = 'refused') AS refused, SUM({VERDICT} = 'defective') AS defective,"
            f" SUM(r.state IN {REVIEWED}) AS reviewed, SUM(i.status = 'done' AND i.settings != ?) AS behind"
            f" {FROM} WHERE i.visit = ? AND i.source != '{SAMPLE}'",
            (settings, visit),
        )
        assert row is not None
        return {name: int(row[name] or 0) for name in row.keys()}  # noqa: SIM118, rows have no other way

    def restart(self, visit: str) -> None:
        """Let the network see all images of a visit again, those refused too."""
        with self._database.writing() as connection:
            connection.execute("UPDATE images SET status = 'waiting' WHERE visit = ? AND status = 'refused'", (visit,))

    def with_hash(self, sha256: str) -> list[tuple[str, int]]:
        """List the visits that have an image, and its key there."""
        rows = self._database.rows("SELECT visit, key FROM images WHERE sha256 = ?", (sha256,))
        return [(row["visit"], row["key"]) for row in rows]


def _free_name(connection: sqlite3.Connection, visit: str, name: str) -> str:
    """Return a name, or one with a number where it is taken; thousands of one name take a few looks each."""

    def taken(number: int) -> bool:
        row = connection.execute(
            "SELECT 1 FROM images WHERE visit = ? AND name = ?", (visit, _numbered(name, number))
        ).fetchone()
        return row is not None

    low, high = 0, 1  # taken, and to be looked at
    while taken(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if taken(middle) else (low, middle)
    return _numbered(name, high)


def _numbered(name: str, number: int) -> str:
    stem, dot, suffix = name.rpartition(".")
    if number == 1:
        return name
    return f"{stem} ({number}).{suffix}" if dot else f"{suffix} ({number})"


def _is_numbered(found: str, name: str) -> bool:
    """Check whether a name is another one with a number."""
    stem, dot, suffix = name.rpartition(".")
    begin, end = (f"{stem} (", f").{suffix}") if dot else (f"{suffix} (", ")")
    number = found.removeprefix(begin).removesuffix(end)
    return number.isdigit() and found == f"{begin}{number}{end}"


def _where(visit: str, wanted: Filter) -> tuple[str, list[Any]]:
    parts: list[str] = ["i.visit = ?"]
    values: list[Any] = [visit]
    if wanted.found:
        parts.append(f"EXISTS (SELECT 1 FROM json_each({FOUND}) WHERE json_each.value = ?)")
        values.append(wanted.found)
    if wanted.verdict == "refused":
        parts.append("i.status = 'refused'")
    elif wanted.verdict:
        parts.append(f"{VERDICT} = ?")
        values.append(wanted.verdict)
    if wanted.review == "open":
        parts.append(f"(r.state IS NULL OR r.state NOT IN {REVIEWED})")
    elif wanted.review == "done":
        parts.append("r.state IN ('done', 'clean')")
    elif wanted.review:
        parts.append("r.state = ?")
        values.append(wanted.review)
    if wanted.words:
        parts.append("instr(lower(i.name), lower(?)) > 0")
        values.append(wanted.words)
    if not wanted.samples:
        parts.append(f"i.source != '{SAMPLE}'")
    return " AND ".join(parts), values


def _row(row: sqlite3.Row) -> dict[str, Any]:
    review = None
    if row["review_state"] is not None:
        review = {
            "state": row["review_state"],
            "who": row["review_who"],
            "time": row["review_time"],
            "verdict": row["review_verdict"] or None,
            "found": json.loads(row["review_found"]) if row["review_found"] else None,
        }
    return {
        "key": str(row["key"]),
        "name": row["name"],
        "sha256": row["sha256"],
        "status": row["status"],
        "reason": row["reason"],
        "verdict": row["verdict"],
        "found": json.loads(row["found"]) if row["found"] else [],
        "area": row["area"],
        "probability": row["probability"],
        "uncertainty": row["uncertainty"],
        "sample": row["source"] == SAMPLE,
        "width": row["width"],
        "height": row["height"],
        "review": review,
        "added": row["added"],
        "meta": json.loads(row["meta"]),
        "seconds": row["seconds"],
        "unlike": row["unlike"],
        "settings": row["settings"],
    }

"""Visits: somebody's images and settings, found by an address; what of them is in the database."""

import dataclasses
import hashlib
import json
import secrets
import time
from dataclasses import dataclass
from typing import Any

from utils.decision.decision import Decision
from utils.desk.database import Database
from utils.errors import InputError
from utils.inspection.about import About

LONGEST_TITLE = 200  # letters
MOST_META = 32  # fields
LONGEST_FIELD, LONGEST_VALUE = 40, 200  # letters of a field's name and value
MOST_PIXELS = 10**12  # of an area
KNOWN_META = ("coil_id", "camera", "side", "position_m")

Meta = dict[str, str | float]


@dataclass(frozen=True)
class Visit:
    """A visit as it is in the database.

    Attributes:
        id: in its address; nobody can guess it.
        title: for people.
        created: seconds since 1970.
        about: the weights that are used.
        decision: the thresholds and areas that are used.
        settings: word for weights and decision; images with another one are decided anew.
        compare: name of the second weights; None without.
        meta: context of all its images.
        stopped: whether what waits is left.
    """

    id: str
    title: str
    created: float
    about: About
    decision: Decision
    settings: str
    compare: str | None
    meta: Meta
    stopped: bool


def settings_of(about: About, decision: Decision) -> str:
    """Return a word for weights and thresholds."""
    words = json.dumps([about.file, about.sha8, decision.to_dict(), about.label_thresholds])
    return hashlib.sha256(words.encode()).hexdigest()[:16]


def check_meta(sent: Any) -> Meta:
    """Check the context that somebody sent with an image or a visit.

    Raises:
        InputError: it is no short list of short fields.
    """
    if not isinstance(sent, dict) or len(sent) > MOST_META:
        raise InputError(f"meta: expected up to {MOST_META} fields with their values")
    checked: Meta = {}
    for name, value in sent.items():
        plain = isinstance(name, str) and 0 < len(name) <= LONGEST_FIELD and name.replace("_", "").isalnum()
        if not plain or not name.isascii():
            raise InputError(f"meta: {str(name)[:40]!r} is no name of a field; use letters, digits and _")
        number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e15
        if not number and not (isinstance(value, str) and len(value) <= LONGEST_VALUE and _is_shown(value)):
            raise InputError(f"meta.{name}: expected a number, or a text of up to {LONGEST_VALUE} letters on one line")
        checked[name] = value
    return checked


def _is_shown(text: str) -> bool:
    return all(letter.isprintable() for letter in text)


def check_title(sent: Any) -> str:
    """Check a title that somebody sent; raises ``InputError``."""
    if not isinstance(sent, str) or len(sent) > LONGEST_TITLE or not _is_shown(sent):
        raise InputError(f"title: expected up to {LONGEST_TITLE} letters on one line")
    return sent.strip()


def check_decision(sent: Any, about: About) -> Decision:
    """Check thresholds and areas that a browser sent, one entry for each class; what an entry lacks is the weights' own.

    Raises:
        InputError: another form, or a number out of its range.
    """
    own = about.decision.per_class
    if not isinstance(sent, list) or len(sent) != len(own) or not all(isinstance(one, dict) for one in sent):
        raise InputError(f"decision: expected a list of {len(own)} entries, one for each class; load the page again")
    fields = {field.name for field in dataclasses.fields(own[0])} if own else set()
    classes = []
    for one, entry in zip(own, sent, strict=True):
        if unknown := sorted(set(entry) - fields):
            raise InputError(f"decision: {unknown[0][:40]!r} is unknown; known are {', '.join(sorted(fields))}")
        for name, value in entry.items():
            none = value is None and name == "max_area"
            whole = name in ("min_area", "max_area")
            if not none and type(value) not in ((int,) if whole else (int, float)):
                raise InputError(f"decision: {name}: expected {'whole pixels' if whole else 'a probability 0..1'}")
            if not none and abs(value) > MOST_PIXELS:
                raise InputError(f"decision: {name}: the number is out of all bounds")
        classes.append(dataclasses.replace(one, **entry))
    try:
        decision = Decision.of_classes(classes)
        decision.check_areas(about.class_names)
    except ValueError as error:
        raise InputError(f"decision: {error}") from None
    return decision


class VisitTable:
    """The visits of a database.

    Args:
        database: that holds them.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin(self, about: About, title: str, meta: Meta) -> Visit:
        """Make a visit that uses some weights with their own thresholds."""
        identity, now = secrets.token_urlsafe(18), time.time()
        visit = Visit(
            identity, title, now, about, about.decision, settings_of(about, about.decision), None, meta, False
        )
        with self._database.writing() as connection:
            connection.execute(
                "INSERT INTO visits (id, title, created, used, about, decision, settings, meta)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    identity,
                    title,
                    now,
                    now,
                    _about_text(about),
                    json.dumps(about.decision.to_dict()),
                    visit.settings,
                    json.dumps(meta),
                ),
            )
        return visit

    def find(self, identity: str) -> Visit | None:
        """Return a visit; None without one."""
        row = self._database.row("SELECT * FROM visits WHERE id = ?", (identity,))
        if row is None:
            return None
        return Visit(
            row["id"],
            row["title"],
            row["created"],
            _about(row["about"]),
            Decision.from_dict(json.loads(row["decision"])),
            row["settings"],
            row["compare"],
            json.loads(row["meta"]),
            bool(row["stopped"]),
        )

    def change(self, visit: Visit) -> Visit:
        """Write a changed visit; its settings follow from weights and decision."""
        visit = dataclasses.replace(visit, settings=settings_of(visit.about, visit.decision))
        with self._database.writing() as connection:
            connection.execute(
                "UPDATE visits SET title = ?, used = ?, about = ?, decision = ?, settings = ?, compare = ?, meta = ?,"
                " stopped = ? WHERE id = ?",
                (
                    visit.title,
                    time.time(),
                    _about_text(visit.about),
                    json.dumps(visit.decision.to_dict()),
                    visit.settings,
                    visit.compare,
                    json.dumps(visit.meta),
                    int(visit.stopped),
                    visit.id,
                ),
            )
        return visit

    def forget(self, identity: str) -> list[str]:
        """Remove a visit; returns the hashes of images that no other visit has."""
        with self._database.writing() as connection:
            hashes = [
                row[0]
                for row in connection.execute(
                    "SELECT DISTINCT sha256 FROM images a WHERE visit = ? AND NOT EXISTS"
                    " (SELECT 1 FROM images b WHERE b.sha256 = a.sha256 AND b.visit != a.visit)",
                    (identity,),
                )
            ]
            connection.execute("DELETE FROM visits WHERE id = ?", (identity,))
        return hashes

    def used(self, identity: str) -> None:
        """Note that a visit was looked at."""
        with self._database.writing() as connection:
            connection.execute("UPDATE visits SET used = ? WHERE id = ?", (time.time(), identity))

    def forget_empty(self) -> None:
        """Remove visits without images that began more than a day ago."""
        with self._database.writing() as connection:
            connection.execute(
                "DELETE FROM visits WHERE used < ? AND NOT EXISTS (SELECT 1 FROM images WHERE visit = visits.id)",
                (time.time() - 86_400,),
            )

    def oldest(self, keep: int) -> list[str]:
        """List the visits beyond the ``keep`` that were used last."""
        rows = self._database.rows("SELECT id FROM visits ORDER BY used DESC LIMIT -1 OFFSET ?", (keep,))
        return [row["id"] for row in rows]


def _about_text(about: About) -> str:
    """Write what is needed of the weights to show and hand over results when they are not there any more."""
    kept = {
        field.name: getattr(about, field.name)
        for field in dataclasses.fields(about)
        if field.name not in ("gate", "decision", "card", "scores")
    }
    return json.dumps({**kept, "decision": about.decision.to_dict()})


def _about(text: str) -> About:
    content = {"sha8": "", **json.loads(text)}
    for name in ("class_names", "label_names", "label_thresholds"):
        content[name] = tuple(content[name])
    return About(**{**content, "decision": Decision.from_dict(content["decision"]), "card": None, "scores": {}})

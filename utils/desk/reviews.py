"""The reviews in the database, by the sha256 of the image: every action is on the disk before it is answered."""

import json
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from utils.desk.actions import Action, check_actions
from utils.desk.database import Database
from utils.desk.naming import Naming
from utils.desk.review import Base, Review
from utils.errors import InputError

MOST_IN_MEMORY = 64  # reviews whose defects need not be computed anew


class Reviews:
    """The reviews of a database.

    Args:
        database: that holds them.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._known: OrderedDict[str, Review] = OrderedDict()

    def find(self, sha256: str) -> Review | None:
        """Return the review of an image as it is now, whatever comes later; None when nobody has said anything."""
        with self._lock:
            review = self._find(sha256)
            return None if review is None else review.copy()

    def describe(self, sha256: str, naming: Naming | None = None) -> dict[str, Any] | None:
        """Return the review of an image as a browser gets it, with the numbers of a visit's classes."""
        with self._lock:
            review = self._find(sha256)
            return None if review is None else _told(review, naming)

    def complete(self) -> None:
        """Note the verdicts of reviews that an earlier version of the program kept."""
        rows = self._database.rows("SELECT sha256 FROM reviews WHERE verdict IS NULL")
        for row in rows:
            review = self.find(row["sha256"])
            assert review is not None
            with self._database.writing() as connection:
                connection.execute(
                    "UPDATE reviews SET verdict = ?, found = ? WHERE sha256 = ?", (*_outcome(review), row["sha256"])
                )

    def act(
        self,
        sha256: str,
        visit: str,
        who: str,
        sent: Any,
        propose: Callable[[], Base],
        naming: Naming | None = None,
    ) -> tuple[dict[str, Any], bool]:
        """Take actions in, and keep them.

        Args:
            sha256: of the image.
            visit: where it was reviewed.
            who: did it.
            sent: the actions as a browser sent them; those known by their id are not done again.
            propose: makes the base of a review that begins.
            naming: the visit's classes; a review that began with others gets these, too. None: those of the base.

        Returns:
            The review as a browser gets it, and whether something was new.

        Raises:
            InputError: the actions are no such.
        """
        with self._lock:
            review = self._find(sha256)
            base = propose() if review is None else review.base
            if naming is not None:
                base = naming.widened(base)
                sent = naming.meant(base, sent)
            now = time.time()
            actions = check_actions(sent, base, who, now)
            marks = ",".join("?" * len(actions))
            rows = self._database.rows(
                f"SELECT id, sha256, content FROM actions WHERE id IN ({marks})", [action.id for action in actions]
            )
            known = {row["id"]: (row["sha256"], _as_sent(json.loads(row["content"]))) for row in rows}
            stored = set(known)
            new: list[Action] = []
            for action in actions:
                meant = sha256, _as_sent({"kind": action.kind, **action.content})
                if known.setdefault(action.id, meant) != meant:
                    raise InputError(f"id: {action.id} is that of another action; give each its own")
                if action.id not in stored and all(one.id != action.id for one in new):
                    new.append(action)
            if not new:
                return _told(review or Review.begin(base), naming), False
            self._known.pop(sha256, None)  # should something fail below, it is read again
            if review is None or any(action.kind == "undo" for action in new):
                review = Review.replay(base, [*self._actions(sha256), *new])
            else:
                review.base = base
                for action in new:
                    review.apply(action)
                review.revision += len(new)
            with self._database.writing(safe=True) as connection:
                connection.executemany(
                    "INSERT INTO actions (id, sha256, visit, who, time, content) VALUES (?, ?, ?, ?, ?, ?)",
                    [(a.id, sha256, visit, a.who, a.time, a.to_json()) for a in new],
                )
                connection.execute(
                    "INSERT INTO reviews (sha256, state, verdict, found, who, time, base) VALUES (?, ?, ?, ?, ?, ?, ?)"
                    " ON CONFLICT (sha256) DO UPDATE SET state = excluded.state, verdict = excluded.verdict,"
                    " found = excluded.found, who = excluded.who, time = excluded.time, base = excluded.base",
                    (sha256, review.state, *_outcome(review), who, now, base.to_json()),
                )
            self._remember(sha256, review)
            return _told(review, naming), True

    def _find(self, sha256: str) -> Review | None:
        if sha256 in self._known:
            self._known.move_to_end(sha256)
            return self._known[sha256]
        row = self._database.row("SELECT base FROM reviews WHERE sha256 = ?", (sha256,))
        if row is None:
            return None
        review = Review.replay(Base.from_json(row["base"]), self._actions(sha256))
        self._remember(sha256, review)
        return review

    def _remember(self, sha256: str, review: Review) -> None:
        self._known[sha256] = review
        while len(self._known) > MOST_IN_MEMORY:
            self._known.popitem(last=False)

    def _actions(self, sha256: str) -> list[Action]:
        rows = self._database.rows(
            "SELECT id, who, time, content FROM actions WHERE sha256 = ? ORDER BY number", (sha256,)
        )
        actions = []
        for row in rows:
            content = json.loads(row["content"])
            actions.append(Action(row["id"], content.pop("kind"), content, row["who"], row["time"]))
        return actions


def _told(review: Review, naming: Naming | None) -> dict[str, Any]:
    told = review.to_dict()
    return told if naming is None else naming.told(review.base, told)


def _outcome(review: Review) -> tuple[str, str | None]:
    """Return verdict and classes as the database has them; "" and None where the network's hold."""
    return review.verdict or "", None if review.found is None else json.dumps(review.found)


def _as_sent(content: dict[str, Any]) -> dict[str, Any]:
    """Return what an action says without the number that its defect was given."""
    return {name: value for name, value in content.items() if name != "number"}

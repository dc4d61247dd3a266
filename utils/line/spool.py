"""Every event on disk before any sink sees it: one SQLite database, with a place in it for each sink.

Events of frames are written with ``synchronous=FULL``: when ``append`` returns, the event survives a power cut, and so a
frame may be acknowledged to whoever sent it. That costs an fsync, which all events share that wait at that moment
(``extend``). What only saves work, the places of the sinks, goes with the next one: after a power cut a sink may get some
events again, which receivers drop by their ids.

Age counts by a clock of the spool that only runs while the service does, so that a wrong clock of the machine drops nothing.
"""

import contextlib
import dataclasses
import logging
import os
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from utils.errors import InputError
from utils.files import make_folder
from utils.line.event import Event, EventError, from_json, with_seq

FILE = "spool.db"
VERSION = 1
REMEMBERED = 5_000_000  # ids of frames that are kept so that none is inspected twice: some 300 MB

log = logging.getLogger("steel.line")

_Run = Callable[..., sqlite3.Cursor]  # execute of the database


class SpoolError(Exception):
    """The disk does not take events now, as when it is full; one line for people."""


@dataclasses.dataclass(frozen=True)
class Limits:
    """How much may wait.

    Attributes:
        age: seconds of service after which an event is dropped, whoever has not had it.
        size: bytes of the database, beyond which the oldest events are dropped.
        remembered: ids that are kept.
    """

    age: float = 7 * 86_400.0
    size: int = 2_000_000_000
    remembered: int = REMEMBERED


# Bytes kept free beside the database: on a full disk not even deleting works without some.
SPARE = 8 * 1024**2
SPARE_FILE = "spare"
_TABLES = """
CREATE TABLE IF NOT EXISTS about (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS events (seq INTEGER PRIMARY KEY AUTOINCREMENT, clock REAL NOT NULL, text TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS ids (seq INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS sinks (
    name TEXT PRIMARY KEY, place INTEGER NOT NULL, dropped INTEGER NOT NULL, malformed INTEGER NOT NULL
) WITHOUT ROWID;
"""


class Spool:
    """Events that wait for their sinks; thread-safe.

    Args:
        folder: of the database; made if missing.
        sinks: names of those that get events. What waited for others is no longer kept for them.
        limits: how much may wait.
        spare: bytes kept free for deleting on a full disk.

    Raises:
        InputError: another service uses the spool, it is damaged, or of a later version, or cannot be written.
    """

    def __init__(self, folder: Path, sinks: Iterable[str] = (), limits: Limits = Limits(), spare: int = SPARE) -> None:
        self.path = make_folder(folder, "-spool") / FILE
        self.limits = limits
        self._spare, self._spare_bytes = self.path.parent / SPARE_FILE, spare
        self.events = 0  # that were appended since it was opened
        self._lock = threading.RLock()
        self._arrived = threading.Condition(self._lock)
        self._opened = time.monotonic()
        try:
            # The lock of the database itself keeps a second service out, on every system.
            self._database = sqlite3.connect(self.path, timeout=0, isolation_level=None, check_same_thread=False)
            self._prepare(list(dict.fromkeys(sinks)))
        except sqlite3.OperationalError as error:
            if "locked" in str(error):
                raise InputError(
                    f"-spool {folder}: another Watch_line.py uses it; stop that one, or name another folder"
                ) from None
            raise InputError(f"-spool {folder}: {error}; free some space, or name another folder") from None
        except sqlite3.DatabaseError as error:
            raise InputError(f"{self.path}: {error}; move the file away to begin anew without its events") from None

    def _prepare(self, sinks: Sequence[str]) -> None:
        run = self._database.execute
        run("PRAGMA locking_mode=EXCLUSIVE")
        run("PRAGMA journal_mode=WAL")
        run("PRAGMA synchronous=FULL")
        run("BEGIN EXCLUSIVE")
        try:
            version = run("PRAGMA user_version").fetchone()[0]
            if version > VERSION:
                raise InputError(
                    f"{self.path}: written by a later version of this program; use that, or another -spool"
                )
            for table in _TABLES.split(";"):
                run(table)
            run(f"PRAGMA user_version={VERSION}")
            run("INSERT OR IGNORE INTO about VALUES ('clock', 0.0)")
            self._clock = float(run("SELECT value FROM about WHERE name='clock'").fetchone()[0])
            for name in sinks:
                run(
                    "INSERT OR IGNORE INTO sinks VALUES (?, (SELECT coalesce(min(seq), 1) - 1 FROM events), 0, 0)",
                    (name,),
                )
            for name, place in run("SELECT name, place FROM sinks").fetchall():
                if name not in sinks:
                    (missed,) = run("SELECT count(*) FROM events WHERE seq > ?", (place,)).fetchone()
                    if missed:
                        log.warning("%s is no longer among -sinks: %d events will not reach it", name, missed)
                    run("DELETE FROM sinks WHERE name=?", (name,))
            run("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                run("ROLLBACK")
            self._database.close()
            raise
        self._keep_spare()
        places = run("SELECT name, place, dropped, malformed FROM sinks").fetchall()
        self._places = {name: place for name, place, _, _ in places}
        self._dropped = {name: dropped for name, _, dropped, _ in places}
        self._malformed = {name: malformed for name, _, _, malformed in places}
        self._last = int((run("SELECT seq FROM sqlite_sequence WHERE name='events'").fetchone() or (0,))[0])

    @property
    def clock(self) -> float:
        """Seconds that services have run on this spool, all runs together."""
        return self._clock + time.monotonic() - self._opened

    @property
    def last(self) -> int:
        """Place of the newest event; 0: there was none yet."""
        return self._last

    def append(self, event: Event) -> int:
        """Write an event, and return its place; see ``extend``."""
        return self.extend([event])[0]

    def extend(self, events: Sequence[Event]) -> list[int]:
        """Write events, all or none, and return their places; they are on disk when it returns.

        An event whose id was there before is not written again: its place is that of the first.

        Raises:
            SpoolError: the disk does not take them now.
        """
        with self._arrived:
            with self._transaction() as run:
                places, last = [], self._last
                for event in events:
                    name = _stored_id(event.id)
                    known = run("SELECT seq FROM ids WHERE id=?", (name,)).fetchone()
                    if known is None:
                        row = (self.clock, event.to_json())
                        last = int(run("INSERT INTO events (clock, text) VALUES (?, ?)", row).lastrowid or 0)
                        run("INSERT INTO ids VALUES (?, ?)", (last, name))
                        known = (last,)
                        self.events += 1
                    places.append(int(known[0]))
                self._note(run)
            self._last = last
            self._arrived.notify_all()
        return places

    def knows(self, event_id: str) -> bool:
        """Check whether there was an event of this id."""
        with self._lock:
            found = self._database.execute("SELECT 1 FROM ids WHERE id=?", (_stored_id(event_id),)).fetchone()
        return found is not None

    def read(self, sink: str, limit: int) -> list[tuple[int, Event]]:
        """Return the oldest events that a sink has not acknowledged, each with its place; at most ``limit``.

        An event that cannot be read is deleted, and counted as malformed for all that have not had it.
        """
        with self._lock:
            while True:
                found: list[tuple[int, Event]] = []
                rows = self._database.execute(
                    "SELECT seq, text FROM events WHERE seq > ? ORDER BY seq LIMIT ?", (self._places[sink], limit)
                ).fetchall()
                for seq, text in rows:
                    try:
                        found.append((seq, with_seq(from_json(text), seq)))
                    except EventError as error:
                        log.error("spool: event %d is left out: %s", seq, error)
                        self._leave_out(seq)
                if not rows:  # whatever was there has been deleted
                    self._places[sink] = self._last
                if found or not rows:
                    return found

    def _leave_out(self, seq: int) -> None:
        for name, place in self._places.items():
            self._malformed[name] += place < seq
        self._database.execute("DELETE FROM events WHERE seq=?", (seq,))

    def wait(self, sink: str, timeout: float) -> bool:
        """Wait until there is an event for a sink; False when the time is up before."""
        with self._arrived:
            return self._arrived.wait_for(lambda: self._last > self._places[sink], timeout)

    def wake(self) -> None:
        """Let all that wait look around, as before the end."""
        with self._arrived:
            self._arrived.notify_all()

    def acknowledge(self, sink: str, seq: int) -> None:
        """Note that a sink has everything up to a place; what all sinks have is deleted from time to time."""
        with self._lock:
            self._places[sink] = max(self._places[sink], seq)

    def depth(self, sink: str) -> int:
        """Count what waits for a sink."""
        with self._lock:
            return max(0, self._last - self._places[sink])

    def dropped(self, sink: str) -> int:
        """Count the events that the limits took from a sink before it had them, in all runs."""
        with self._lock:
            return self._dropped[sink]

    def malformed(self, sink: str) -> int:
        """Count the events that could not be read for a sink, in all runs."""
        with self._lock:
            return self._malformed[sink]

    @property
    def size(self) -> int:
        """Bytes of the database that are in use."""
        with self._lock:
            pages, free, bytes_of_one = (
                int(self._database.execute(f"PRAGMA {name}").fetchone()[0])
                for name in ("page_count", "freelist_count", "page_size")
            )
        return (pages - free) * bytes_of_one

    def hold(self, note: str, seq: int) -> None:
        """Keep all events from a place on, though all sinks have them, and a note beside them, over restarts.

        Args:
            note: in words, see ``held``.
            seq: the place; 0: nothing is kept.

        Raises:
            SpoolError: the disk does not take it now.
        """
        with self._lock, self._transaction() as run:
            run("INSERT OR REPLACE INTO about VALUES ('note', ?), ('held', ?)", (note, seq))

    @property
    def held(self) -> tuple[str, int]:
        """The note and the place of ``hold``; "" and 0: nothing is kept."""
        with self._lock:
            found = dict(self._database.execute("SELECT name, value FROM about WHERE name IN ('note', 'held')"))
        return str(found.get("note", "")), int(found.get("held", 0))

    def since(self, seq: int) -> Iterator[Event]:
        """Give all events from a place on that are still there, in their order; those that cannot be read are left out.

        Raises:
            SpoolError: the disk does not give them now.
        """
        while True:
            try:
                with self._lock:
                    rows = self._database.execute(
                        "SELECT seq, text FROM events WHERE seq >= ? ORDER BY seq LIMIT 500", (seq,)
                    ).fetchall()
            except sqlite3.Error as error:
                raise SpoolError(f"{self.path}: {error}") from None
            for place, text in rows:
                with contextlib.suppress(EventError):
                    yield with_seq(from_json(text), place)
            if not rows:
                return
            seq = rows[-1][0] + 1

    def tidy(self) -> int:
        """Delete what all sinks have, and what is too old or too much; return how many events sinks lost by that.

        Where the disk is full it gives up the spare bytes for that, and takes new ones afterwards.

        Raises:
            SpoolError: the disk does not take it now.
        """
        with self._lock:
            try:
                lost = self._tidied()
            except SpoolError:
                # Only for what is done with: else new events would take the spare bytes, too.
                if not self._spare.exists() or not self._anything_done():
                    raise
                self._spare.unlink(missing_ok=True)
                lost = self._tidied()
                with contextlib.suppress(sqlite3.Error):  # into the pages that are free now, so that its log is empty
                    self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            self._keep_spare()
        return lost

    def _keep_spare(self) -> None:
        """Take the spare bytes that are missing; where the disk has fewer, four fifths of what it has."""
        # Events that were written meanwhile may have taken a part: the database never becomes smaller.
        there = self._spare.stat().st_size if self._spare.exists() else 0
        wanted = min(self._spare_bytes, (there + shutil.disk_usage(self.path.parent).free) * 4 // 5)
        if wanted <= there or wanted < self._spare_bytes // 8:
            return
        try:
            with open(self._spare, "wb") as file:
                if hasattr(os, "posix_fallocate"):  # at once
                    os.posix_fallocate(file.fileno(), 0, wanted)
                else:
                    file.write(b"\0" * wanted)
        except OSError:
            self._spare.unlink(missing_ok=True)

    def _done(self) -> int:
        """Return the place up to which nobody needs events any more."""
        done = min(self._places.values(), default=self._last)
        held = self.held[1]
        return min(done, held - 1) if held else done

    def _anything_done(self) -> bool:
        return (
            self._database.execute("SELECT 1 FROM events WHERE seq <= ? LIMIT 1", (self._done(),)).fetchone()
            is not None
        )

    def _tidied(self) -> int:
        with self._transaction() as run:
            self._note(run)
            run("DELETE FROM events WHERE seq <= ?", (self._done(),))
            (old,) = run("SELECT max(seq) FROM events WHERE clock < ?", (self.clock - self.limits.age,)).fetchone()
            lost = self._drop(run, old or 0)
            # Ids first: there are many of them, and each of them saves less than an event.
            run("DELETE FROM ids WHERE seq <= ?", (self._last - self.limits.remembered,))
            while self.size > self.limits.size:
                (first,) = run("SELECT min(seq) FROM events").fetchone()
                if first is None:
                    break
                (count,) = run("SELECT count(*) FROM events").fetchone()
                lost += self._drop(run, first + max(1, count // 20))
        return lost

    def _drop(self, run: _Run, seq: int) -> int:
        """Delete all events up to a place; return how many sinks had not got, one for each of them."""
        lost = 0
        for name, place in self._places.items():
            (missed,) = run("SELECT count(*) FROM events WHERE seq > ? AND seq <= ?", (place, seq)).fetchone()
            if missed:
                self._dropped[name] += missed
                self._places[name] = seq
                lost += missed
                log.error("spool: %d events were dropped that %s has not got", missed, name)
        run("DELETE FROM events WHERE seq <= ?", (seq,))
        self._note(run)
        return lost

    def _note(self, run: _Run) -> None:
        """Write the clock and the places of the sinks."""
        run("UPDATE about SET value=? WHERE name='clock'", (self.clock,))
        for name, place in self._places.items():
            row = (place, self._dropped[name], self._malformed[name], name)
            run("UPDATE sinks SET place=?, dropped=?, malformed=? WHERE name=?", row)

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[_Run]:
        """Begin, and commit or take back; errors of the disk become ``SpoolError``."""
        run = self._database.execute
        before = dict(self._places), dict(self._dropped), dict(self._malformed), self.events
        try:
            run("BEGIN IMMEDIATE")
            yield run
            run("COMMIT")
        except BaseException as error:
            self._places, self._dropped, self._malformed, self.events = before
            with contextlib.suppress(sqlite3.Error):
                run("ROLLBACK")
            if isinstance(error, sqlite3.Error):
                raise SpoolError(f"{self.path}: {error}") from None
            raise

    def close(self) -> None:
        """Write what is known and let go of the database."""
        with self._lock:
            with contextlib.suppress(SpoolError):
                self.tidy()
            self._database.close()

    def __enter__(self) -> "Spool":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def _stored_id(event_id: str) -> bytes:
    """Return an id as the database keeps it: half as long, where it is one of ``event_id``."""
    try:
        return bytes.fromhex(event_id)
    except ValueError:
        return event_id.encode("utf-8", "surrogatepass")

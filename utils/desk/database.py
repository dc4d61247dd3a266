"""The desk's SQLite file: its tables, one lock for all threads, and one process at a time."""

import contextlib
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from filelock import FileLock, Timeout

from utils.errors import InputError

FILE, LOCK = "desk.sqlite", "desk.lock"
VERSION = 2  # of the tables; 1 had no verdicts of reviews
# What is long stands in tables of its own or last in its row, so that lists and counts need not read over it.
BUSY_SECONDS = 10.0
MOST_CHECKED = 256 * 2**20  # bytes of a file that is read whole at the start, which takes a second or two
# What is at fault outside of the program: the disk is full or broken, the file is locked or may not be written.
_CANNOT = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN,
           sqlite3.SQLITE_BUSY)  # fmt: skip

_TABLES = """
CREATE TABLE IF NOT EXISTS visits (
    id TEXT PRIMARY KEY, title TEXT NOT NULL, created REAL NOT NULL, used REAL NOT NULL, about TEXT NOT NULL,
    decision TEXT NOT NULL, settings TEXT NOT NULL, compare TEXT, meta TEXT NOT NULL, stopped INTEGER NOT NULL DEFAULT 0,
    numbers INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS images (
    visit TEXT NOT NULL REFERENCES visits(id) ON DELETE CASCADE, key INTEGER NOT NULL, name TEXT NOT NULL,
    sha256 TEXT NOT NULL, source TEXT NOT NULL, added REAL NOT NULL, meta TEXT NOT NULL, bytes INTEGER NOT NULL,
    status TEXT NOT NULL, reason TEXT, code TEXT, settings TEXT, verdict TEXT, found TEXT, area INTEGER, probability REAL,
    uncertainty REAL, width INTEGER, height INTEGER, seconds REAL, unlike TEXT,
    PRIMARY KEY (visit, key)
);
CREATE TABLE IF NOT EXISTS findings (
    visit TEXT NOT NULL, key INTEGER NOT NULL, result TEXT NOT NULL, PRIMARY KEY (visit, key),
    FOREIGN KEY (visit, key) REFERENCES images(visit, key) ON DELETE CASCADE
);
CREATE INDEX IF NOT EXISTS images_by_counts ON images (visit, source, status, verdict, settings, sha256);
CREATE INDEX IF NOT EXISTS images_by_status ON images (visit, status, settings);
CREATE INDEX IF NOT EXISTS images_by_hash ON images (sha256);
CREATE UNIQUE INDEX IF NOT EXISTS images_by_name ON images (visit, name);
CREATE TABLE IF NOT EXISTS reviews (
    sha256 TEXT PRIMARY KEY, state TEXT NOT NULL, verdict TEXT, found TEXT, who TEXT NOT NULL, time REAL NOT NULL,
    base TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS actions (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, sha256 TEXT NOT NULL, visit TEXT, who TEXT NOT NULL,
    time REAL NOT NULL, content TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS jobs (
    visit TEXT PRIMARY KEY REFERENCES visits(id) ON DELETE CASCADE, callback TEXT, expected INTEGER, told INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS actions_by_hash ON actions (sha256, number);
"""


# A column that is added comes last, behind the long one; so the table is written anew.
_FROM_1 = (
    "ALTER TABLE reviews RENAME TO old_reviews;",
    "INSERT INTO reviews (sha256, state, who, time, base) SELECT sha256, state, who, time, base FROM old_reviews;"
    " DROP TABLE old_reviews;",
)


class CannotKeep(Exception):
    """Nothing can be written now, as on a full disk; it is worth trying again later."""


class Database:
    """One SQLite file in WAL mode, used by many threads of one process.

    Args:
        folder: that holds it; made if missing.
        read_only: look beside a server that may use it.

    Raises:
        InputError: another process uses the folder, or the file is no database of the desk.
    """

    def __init__(self, folder: Path, read_only: bool = False) -> None:
        self.path = folder / FILE
        self._lock = threading.RLock()
        self._alone: FileLock | None = None
        if read_only:
            self._open_to_read(folder)
            return
        folder.mkdir(parents=True, exist_ok=True)
        self._alone = _alone_in(folder)
        try:
            self._plain = self._open("NORMAL")
            # A power cut may take the last results, which are computed again; never what a person decided.
            self._safe = self._open("FULL")
            self._check()
        except sqlite3.OperationalError as error:
            self._alone.release()
            raise InputError(f"-save {self.path}: {error}; look at the disk and at who may write there") from None
        except sqlite3.DatabaseError as error:
            self._alone.release()
            raise InputError(f"-save {self.path}: is no database of the desk ({error}); move it away") from None
        except InputError:
            self._alone.release()
            raise

    def _open_to_read(self, folder: Path) -> None:
        """Open beside a server that may be running."""
        if not self.path.is_file():
            raise InputError(f"-review {folder}: holds no {FILE}; name the folder of Serve.py -save")
        try:
            address = f"file:{quote(str(self.path.resolve()))}?mode=ro"
            self._plain = self._safe = sqlite3.connect(address, BUSY_SECONDS, uri=True, check_same_thread=False)
            self._plain.row_factory = sqlite3.Row
            version = self._plain.execute("PRAGMA user_version").fetchone()[0]
        except sqlite3.DatabaseError as error:
            raise InputError(f"-review {self.path}: is no database of the desk ({error})") from None
        if not 1 <= version <= VERSION:
            raise InputError(f"-review {self.path}: version {version}, this program reads {VERSION}")

    def _open(self, synchronous: str) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, BUSY_SECONDS, check_same_thread=False, isolation_level=None)
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(f"PRAGMA synchronous={synchronous}")
        connection.execute("PRAGMA foreign_keys=ON")
        return connection

    def _check(self) -> None:
        version = self._plain.execute("PRAGMA user_version").fetchone()[0]
        if version > VERSION:
            raise InputError(f"-save {self.path}: version {version}, this program reads {VERSION}; update the program")
        made = self._plain.execute("SELECT 1 FROM sqlite_master").fetchone() is not None
        if not (1 <= version <= VERSION if made else version == 0):
            raise InputError(f"-save {self.path}: is the database of something else; move it away")
        if self.path.stat().st_size <= MOST_CHECKED:
            found = self._plain.execute("PRAGMA quick_check(1)").fetchone()[0]
            if found != "ok":
                first = str(found).splitlines()[-1][:120]
                raise InputError(f"-save {self.path}: is damaged ({first}); move it away, or put a copy of it back")
        # All at once: a start that is killed in the middle leaves nothing.
        before, after = _FROM_1 if version == 1 else ("", "")
        self._plain.executescript(f"BEGIN; {before} {_TABLES} {after} PRAGMA user_version={VERSION}; COMMIT;")

    def rows(self, query: str, values: Sequence[Any] = ()) -> list[sqlite3.Row]:
        """Return the rows of a query."""
        with self._lock:
            return self._plain.execute(query, values).fetchall()

    def row(self, query: str, values: Sequence[Any] = ()) -> sqlite3.Row | None:
        """Return the first row of a query; None without one."""
        with self._lock:
            found: sqlite3.Row | None = self._plain.execute(query, values).fetchone()
            return found

    def number(self, query: str, values: Sequence[Any] = ()) -> int:
        """Return the one number of a query."""
        row = self.row(query, values)
        return int(row[0] or 0) if row is not None else 0

    @contextlib.contextmanager
    def writing(self, safe: bool = False) -> Iterator[sqlite3.Connection]:
        """Yield a connection in a transaction: all of the block is written, or nothing.

        Args:
            safe: it is on the disk when the block ends.

        Raises:
            CannotKeep: the disk is full or the like; nothing is written.
        """
        connection = self._safe if safe else self._plain
        with self._lock:
            try:
                connection.execute("BEGIN IMMEDIATE")
                yield connection
                connection.execute("COMMIT")
            except BaseException as error:
                if connection.in_transaction:  # where the disk is full SQLite may have ended it by itself
                    connection.execute("ROLLBACK")
                if isinstance(error, sqlite3.Error) and (getattr(error, "sqlite_errorcode", 0) or 0) & 255 in _CANNOT:
                    raise CannotKeep(f"The server cannot keep anything now ({error}); it is tried again.") from None
                raise

    def close(self) -> None:
        """Close the file, and let other processes have it."""
        with self._lock:
            self._plain.close()
            self._safe.close()
        if self._alone is not None:
            self._alone.release()


def check_free(folder: Path) -> None:
    """Raise ``InputError`` where another process uses a folder, before anything is loaded for it."""
    if (folder / LOCK).exists():
        _alone_in(folder).release()


def _alone_in(folder: Path) -> FileLock:
    """Hold a folder against other processes; raises ``InputError`` where one of them holds it."""
    lock = FileLock(folder / LOCK, thread_local=False)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise InputError(f"-save {folder}: another server uses this folder; name another one") from None
    except OSError as error:
        raise InputError(f"-save {folder}: {error.strerror}; name another folder") from None
    return lock

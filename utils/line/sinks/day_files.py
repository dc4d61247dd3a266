"""``csv://FOLDER`` and ``parquet://FOLDER``: a row for each event, in files of a day (UTC).

CSV: ``frames-2026-03-01.csv`` grows line by line, is synced to the disk, and a line that a kill cut off is removed when it is
opened again. Parquet: a file of a few minutes each, ``frames-2026-03-01/000000000001-0f3c9a21-000000002048.parquet``, written whole; the events of
a file are acknowledged when it is there. A second time the same event is not written: the files say how far they go.
"""

import csv
import io
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from utils.files import replacing
from utils.line.address import Address
from utils.line.event import CoilEvent, Event, FrameEvent
from utils.line.extras import extra
from utils.line.sinks.sink import AT_ONCE, Portion, SinkError, SinkOptions
from utils.line.state import LineState

COLUMNS = (
    "seq",
    "id",
    "time",
    "kind",
    "source",
    "frame",
    "coil_id",
    "position_m",
    "camera",
    "side",
    "verdict",
    "reason",
    "defects",
    "grade",
    "counts",
    "model",
    "thresholds",
    "ms",
)
# Bytes of a file's end that are read to see how far it goes: all events of a call, with as many defects as events hold.
_TAIL = 1 << 24


def row_of(event: Event) -> dict[str, Any]:
    """Return an event as a row; lists and tables become JSON."""
    row = {name: getattr(event, name, None) for name in COLUMNS} | {"kind": event.kind}
    if isinstance(event, FrameEvent):
        row["defects"] = json.dumps([one.as_dict() for one in event.defects], ensure_ascii=False)
        row["ms"] = json.dumps(event.ms)
    elif isinstance(event, CoilEvent):
        row["reason"] = "; ".join(event.reasons) or None
        row["counts"] = json.dumps(event.counts, ensure_ascii=False)
    else:
        row["frame"], row["reason"] = ", ".join(event.frames), event.message
    return row


class CsvSink:
    """Appends lines."""

    gather = AT_ONCE

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.name = f"csv://{folder.resolve()}"
        self._known: dict[Path, set[str]] = {}  # ids at the end of each file

    def open(self) -> None:
        """Make the folder, and forget what is known of its files: somebody may have moved them."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SinkError(f"{self._folder}: {error.strerror}") from None
        self._known = {}

    def send(self, events: Sequence[tuple[int, Event]]) -> None:
        """Append the events that their files do not hold yet, and sync."""
        days: dict[Path, list[tuple[int, Event]]] = {}
        for seq, event in events:
            days.setdefault(self._folder / f"frames-{event.time[:10]}.csv", []).append((seq, event))
        for path, those in days.items():
            try:
                known = self._known.get(path)
                known = mend(path) if known is None else known
                self._append(path, [one for one in those if one[1].id not in known])
            except OSError as error:
                self._known.pop(path, None)  # half a line may be there; it is mended next time
                raise SinkError(f"{path}: {error.strerror or error}") from None
            # What is sent again after an error or a kill are the last ones, and their file is then opened anew.
            self._known = {path: {event.id for _, event in those}}

    def _append(self, path: Path, events: Sequence[tuple[int, Event]]) -> None:
        if not events:
            return
        text = io.StringIO()
        table = csv.DictWriter(text, COLUMNS, lineterminator="\n")
        if not path.exists() or not path.stat().st_size:
            table.writeheader()
        for _, event in events:
            # A line of the file is a row: what a stranger named may hold line breaks, and formulas of a spreadsheet.
            table.writerow({name: _cell(value) for name, value in row_of(event).items()})
        with open(path, "ab") as file:
            file.write(text.getvalue().encode("utf-8", "backslashreplace"))
            file.flush()
            os.fsync(file.fileno())

    def heartbeat(self, state: LineState) -> None:
        """Nobody watches a folder."""

    def close(self) -> None:
        """Nothing is open."""


def mend(path: Path) -> set[str]:
    """Remove half a line from the end of a file; return the ids of the last events in it, more than a call has."""
    if not path.exists():
        return set()
    size = path.stat().st_size
    with open(path, "rb+") as file:
        begin = max(0, size - _TAIL)
        file.seek(begin)
        tail = file.read()
        whole = tail.rfind(b"\n") + 1
        if whole < len(tail):
            file.truncate(begin + whole)
        lines = tail[:whole].splitlines()
    words = (line.split(b",", 2) for line in lines)
    return {found[1].decode("ascii", "replace") for found in words if len(found) == 3}


def _cell(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    plain = " ".join(value.splitlines()) if "\n" in value or "\r" in value else value
    return f"'{plain}" if plain[:1] in ("=", "+", "-", "@", "\t") else plain


class ParquetSink:
    """Writes a file whenever enough rows are there, or enough time has gone by.

    Args:
        arrow: the library.
        parquet: that of its files.
        folder: of the days.
        rows: of a file, at most.
        seconds: after which what is there is written.
    """

    def __init__(self, arrow: Any, parquet: Any, folder: Path, rows: int, seconds: float) -> None:
        self._arrow, self._parquet = arrow, parquet
        self._folder, self._most, self._seconds = folder, rows, seconds
        self.name = f"parquet://{folder.resolve()}"
        self.gather = Portion(seconds, rows)  # the spool holds the events until a file is full

    def open(self) -> None:
        """Make the folder."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SinkError(f"{self._folder}: {error.strerror}") from None

    def send(self, events: Sequence[tuple[int, Event]]) -> None:
        """Write a file for each day; one of the same first event is replaced by the same rows and what follows them."""
        days: dict[str, list[Event]] = {}
        for _, event in events:
            days.setdefault(event.time[:10], []).append(event)
        for day, those in days.items():
            place = self._folder / f"frames-{day}"
            first, last = those[0].seq, those[-1].seq
            begin = f"{first:012d}-{those[0].id[:8]}"
            path = place / f"{begin}-{last:012d}.parquet"
            try:
                with replacing(path) as temporary:
                    self._parquet.write_table(self._table(those), temporary, compression="zstd")
                for other in place.glob(f"{begin}-*.parquet"):  # a kill came between writing and acknowledging
                    if other != path:
                        other.unlink()
            except OSError as error:
                raise SinkError(f"{path}: {error.strerror or error}") from None

    def _table(self, events: Sequence[Event]) -> Any:
        arrow = self._arrow
        kinds = {"seq": arrow.int64(), "position_m": arrow.float64()}
        schema = arrow.schema([(name, kinds.get(name, arrow.string())) for name in COLUMNS])
        return arrow.Table.from_pylist([row_of(event) for event in events], schema=schema)

    def heartbeat(self, state: LineState) -> None:
        """Nobody watches a folder."""

    def close(self) -> None:
        """Nothing is open."""


def make(address: Address, options: SinkOptions) -> CsvSink | ParquetSink:
    """Return the sink of an address."""
    if address.scheme == "csv":
        address.only()
        return CsvSink(address.folder)
    address.only("rows", "seconds")
    rows = int(address.number("rows", 20_000, 1, 1_000_000))
    seconds = address.number("seconds", 300.0, 0.1, 86_400)
    arrow, parquet = extra(address, "pyarrow"), extra(address, "pyarrow.parquet")
    return ParquetSink(arrow, parquet, address.folder, rows, seconds)

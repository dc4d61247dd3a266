"""Jobs: visits that a program begins and asks about, with a call to an address when all is inspected."""

import json
import logging
import threading
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from utils.data.rle import encode_part
from utils.desk.adding import Adding
from utils.desk.desk import Desk, NotHere, only
from utils.desk.findings import Finding
from utils.desk.looking import Looking
from utils.errors import InputError
from utils.inspection.about import About
from utils.inspection.failures import one_line

log = logging.getLogger("steel.web")

LOOK_SECONDS = 0.5  # between two looks whether a job is done
CALL_SECONDS = 10.0  # that a callback may take
TRIES = (0.0, 2.0, 10.0, 60.0)  # seconds before each try of a callback
MOST_EXPECTED = 1_000_000
LONGEST_ADDRESS = 500


class Jobs:
    """The jobs of a desk.

    Args:
        desk: that does them.
        adding: takes images in.
        looking: knows what was found.
        allowed: origins that may be called back, as ``https://mes.example.com``.
    """

    def __init__(self, desk: Desk, adding: Adding, looking: Looking, allowed: tuple[str, ...]) -> None:
        self.desk, self.adding, self.looking, self.allowed = desk, adding, looking, allowed
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="jobs", daemon=True)

    def start(self) -> None:
        """Watch for jobs that are done, those of an earlier run too."""
        if self.allowed:
            self._thread.start()

    def close(self) -> None:
        """End the watch."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join(CALL_SECONDS)

    def begin(self, sent: dict[str, Any]) -> dict[str, Any]:
        """Begin a job.

        Args:
            sent: ``title``, ``weights``, ``meta``, ``decision`` as of a visit; ``words`` or ``names`` of images of
                ``-dir``; ``expected``, how many images will be sent; ``callback``, an address.

        Raises:
            InputError: something else was sent.
        """
        only(sent, {"title", "weights", "meta", "decision", "words", "names", "expected", "callback"})
        words, names, expected = sent.get("words"), sent.get("names"), sent.get("expected")
        if not (words is None or isinstance(words, str)):
            raise InputError("words: expected a text")
        if not (names is None or (isinstance(names, list) and all(isinstance(name, str) for name in names))):
            raise InputError("names: expected a list of texts")
        if not (expected is None or (type(expected) is int and 0 < expected <= MOST_EXPECTED)):
            raise InputError(f"expected: expected a number 1..{MOST_EXPECTED}")
        callback = self._check_callback(sent.get("callback"))
        described = self.desk.begin({name: sent[name] for name in ("title", "weights", "meta") if name in sent})
        identity = described["id"]
        if sent.get("decision") is not None:
            self.desk.change(identity, {"decision": sent["decision"]})
        with self.desk.database.writing(safe=True) as connection:
            connection.execute(
                "INSERT INTO jobs (visit, callback, expected, told) VALUES (?, ?, ?, 0)", (identity, callback, expected)
            )
        if words is not None or names is not None:
            taken = self.adding.add_folder(identity, words or "", names)
            return {**self.status(identity), "left_out": taken["refused"]}
        return self.status(identity)

    def _check_callback(self, sent: Any) -> str | None:
        if sent is None:
            return None
        if not isinstance(sent, str) or len(sent) > LONGEST_ADDRESS or not sent.isascii() or not sent.isprintable():
            raise InputError("callback: expected an address")
        try:
            parts = urlsplit(sent)
            origin = f"{parts.scheme}://{parts.netloc}".lower()
        except ValueError:
            origin = ""
        if origin not in self.allowed:
            raise InputError("callback: this server calls only the addresses that -callbacks names")
        return sent

    def _row(self, identity: str) -> Any:
        row = self.desk.database.row("SELECT * FROM jobs WHERE visit = ?", (identity,))
        if row is None:
            raise NotHere("There is no such job.", "no_job")
        return row

    def status(self, identity: str) -> dict[str, Any]:
        """Return how far a job is; raises ``NotHere``."""
        row, visit = self._row(identity), self.desk.visit(identity)
        counts = self.desk.images.counts(identity, visit.settings)
        done = self._is_done(counts, row["expected"])
        return {
            "id": identity,
            "state": "done" if done else "stopped" if visit.stopped else "running",
            "counts": counts,
            "expected": row["expected"],
            "weights": visit.about.file,
            "settings": visit.settings,
            "meta": visit.meta,
            "called_back": bool(row["told"]),
        }

    @staticmethod
    def _is_done(counts: dict[str, int], expected: int | None) -> bool:
        finished = counts["done"] + counts["refused"]
        return not counts["waiting"] + counts["behind"] and finished >= (1 if expected is None else expected)

    def results(self, identity: str) -> Iterator[bytes]:
        """Yield a line of JSON for each image that is inspected or refused, in the order that they came."""
        self._row(identity)
        visit = self.desk.visit(identity)
        return self._lines(identity, visit.about)

    def _lines(self, identity: str, about: About) -> Iterator[bytes]:
        visit = self.desk.visit(identity)
        for key in self.desk.images.keys(identity):
            row = self.desk.images.row(identity, key)
            if row is None or row["status"] == "waiting":
                continue
            told = {"name": row["name"], "sha256": row["sha256"], "meta": row["meta"]}
            finding = self.looking.current(visit, row) if row["status"] == "done" else None
            told |= {"error": row["reason"]} if finding is None else {**_found(finding, about), "error": None}
            yield json.dumps(told, ensure_ascii=False).encode() + b"\n"

    def _watch(self) -> None:
        tries: dict[str, tuple[int, float]] = {}  # job -> tries so far, and when the next one is due
        failing = False
        while not self._ended.wait(LOOK_SECONDS):
            try:
                rows = self.desk.database.rows("SELECT visit FROM jobs WHERE told = 0 AND callback IS NOT NULL")
            except Exception as error:  # as of a disk that is away for a moment: all are told later
                if not failing:
                    log.error("error at the watch over jobs: %s", one_line(error))
                failing = True
                continue
            failing = False
            for row in rows:
                try:
                    self._tell(row["visit"], tries)
                except NotHere:  # it was deleted meanwhile
                    continue
                except Exception as error:  # the jobs that follow are told all the same
                    log.error("error at the callback of job %s: %s", row["visit"], one_line(error))

    def _tell(self, identity: str, tries: dict[str, tuple[int, float]]) -> None:
        """Call the address of a job that is done, and note that, where a try is due."""
        count, due = tries.get(identity, (0, 0.0))
        if time.monotonic() < due or self.status(identity)["state"] != "done":
            return
        count += 1
        tries[identity] = count, time.monotonic() + TRIES[min(count, len(TRIES) - 1)]
        if self._call(identity) or count >= len(TRIES):
            with self.desk.database.writing(safe=True) as connection:
                connection.execute("UPDATE jobs SET told = 1 WHERE visit = ?", (identity,))
            tries.pop(identity, None)

    def _call(self, identity: str) -> bool:
        """Send the status of a job to its address; whether that was taken."""
        import requests

        address = self._row(identity)["callback"]
        try:
            # No redirect is followed: it could lead to any address of the plant's network.
            answer = requests.post(
                address, json=self.status(identity), timeout=CALL_SECONDS, allow_redirects=False, stream=True
            )
            answer.close()
        except requests.RequestException as error:
            log.warning("callback of job %s failed: %s", identity, type(error).__name__)
            return False
        if answer.status_code >= 300:
            log.warning("callback of job %s was answered with %d", identity, answer.status_code)
        return answer.status_code < 300


def _found(finding: Finding, about: About) -> dict[str, Any]:
    """Return what was found in an image in the words of the API."""
    labels = None
    if finding.labels is not None:
        labels = {name: round(float(p), 4) for name, p in zip(about.label_names, finding.labels, strict=True)}
    rows = finding.defects.tolist()
    return {
        "verdict": finding.verdict,
        "classes": list(finding.found),
        "width": finding.width,
        "height": finding.height,
        "defects": [
            {
                "class_id": about.first_class + mask - 1,
                "name": about.class_names[mask - 1],
                "area_px": area,
                "box": {"x": x, "y": y, "width": w, "height": h},
                "mean_probability": round(probability, 4),
                "rle": encode_part(shape, x, y, finding.height),
            }
            for (mask, area, x, y, w, h, probability), shape in zip(rows, finding.shapes(), strict=True)
        ],
        "labels": labels,
        "doubt": about.doubt(finding.labels, finding.found),
        "seconds": round(finding.seconds, 4),
    }

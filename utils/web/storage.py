"""What ``-save`` keeps: each request's images and its answer, under names of ours."""

import datetime
import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from config import VERSION
from utils.decision.decision import Decision
from utils.desk.image_files import suffix_of
from utils.files import replacing, write_text
from utils.inspection.about import About
from utils.inspection.upload import Upload

log = logging.getLogger("steel.web")


def record_of(about: About, decision: Decision, meta: Mapping[str, Any], user: str) -> dict[str, Any]:
    """Return what a record says besides the images and the answer: when, by what, for whom.

    Args:
        about: the weights.
        decision: the thresholds and areas.
        meta: context of the images.
        user: who asked; "" where nobody said.
    """
    return {
        "time": datetime.datetime.now().astimezone().isoformat(timespec="milliseconds"),
        "version": VERSION,
        "weights": about.file,
        "sha8": about.sha8,
        "backend": about.backend,
        "decision": decision.to_dict(about.class_names),
        "user": user,
        "meta": dict(meta),
    }


def save_request(
    folder: Path, number: str, uploads: Sequence[Upload], answer: bytes, record: Mapping[str, Any] | None = None
) -> None:
    """Write ``FOLDER/DATE/NUMBER/0.jpg, 1.png, ..., answer.json, record.json``; a failure is logged, and the caller gets
    the answer.

    Args:
        folder: of ``-save``.
        number: of the request.
        uploads: the images as they came.
        answer: the JSON that is sent.
        record: see ``record_of``; None: none is written.
    """
    place = folder / datetime.date.today().isoformat() / number
    try:
        for index, upload in enumerate(uploads):
            assert isinstance(upload.data, bytes)
            suffix = suffix_of(upload.data)
            with replacing(place / f"{index}{suffix}") as temporary:
                temporary.write_bytes(upload.data)
        with replacing(place / "answer.json") as temporary:
            temporary.write_text(json.dumps(json.loads(answer), indent=1, ensure_ascii=False), encoding="utf-8")
        if record is not None:
            hashes = [hashlib.sha256(upload.data).hexdigest() for upload in uploads if isinstance(upload.data, bytes)]
            write_text(place / "record.json", json.dumps({**record, "sha256": hashes}, indent=1, ensure_ascii=False))
    except OSError as error:
        log.error("request %s is not saved: %s: %s", number, error.filename, error.strerror)

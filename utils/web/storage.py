"""What ``-save`` keeps: each request's images and its answer, under names of ours."""

import datetime
import json
import logging
from collections.abc import Sequence
from pathlib import Path

from utils.files import replacing
from utils.inspection.upload import Upload

log = logging.getLogger("steel.web")

# By the first bytes, since the name that came with the image is not to be trusted.
SUFFIXES = ((b"\xff\xd8\xff", ".jpg"), (b"\x89PNG", ".png"), (b"BM", ".bmp"), (b"II*\0", ".tif"), (b"MM\0*", ".tif"))


def save_request(folder: Path, number: str, uploads: Sequence[Upload], answer: bytes) -> None:
    """Write ``FOLDER/DATE/NUMBER/0.jpg, 1.png, ..., answer.json``; a failure is logged, and the caller gets the answer.

    Args:
        folder: of ``-save``.
        number: of the request.
        uploads: the images as they came.
        answer: the JSON that is sent.
    """
    place = folder / datetime.date.today().isoformat() / number
    try:
        for index, upload in enumerate(uploads):
            assert isinstance(upload.data, bytes)
            suffix = next((suffix for start, suffix in SUFFIXES if upload.data.startswith(start)), ".bin")
            with replacing(place / f"{index}{suffix}") as temporary:
                temporary.write_bytes(upload.data)
        with replacing(place / "answer.json") as temporary:
            temporary.write_text(json.dumps(json.loads(answer), indent=1, ensure_ascii=False), encoding="utf-8")
    except OSError as error:
        log.error("request %s is not saved: %s: %s", number, error.filename, error.strerror)

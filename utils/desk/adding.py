"""Images on their way into a visit: files, zips, the folder of ``-dir``, drawn strips; and out of it."""

from collections.abc import Sequence
from typing import Any

from utils.desk import archives
from utils.desk.desk import Desk
from utils.desk.image_table import FOLDER, SAMPLE, UPLOAD
from utils.desk.sources import Part
from utils.desk.visits import Meta, Visit, check_meta
from utils.errors import InputError
from utils.inspection.upload import Upload

LONGEST_NAME = 255  # letters


class Adding:
    """Takes images in."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    def add(self, identity: str, name: str, data: bytes, meta: Meta | None = None) -> dict[str, Any]:
        """Take a file in: an image, or a zip of images.

        Args:
            identity: of the visit.
            name: of the file, with the folders that it was dropped in.
            data: its bytes.
            meta: context of its own.

        Returns:
            ``added`` and ``refused``.

        Raises:
            InputError: the meta is none.
            NotHere: no such visit.
        """
        visit = self.desk.visit(identity)
        checked = check_meta({**visit.meta, **(meta or {})})
        added: list[dict[str, Any]] = []
        refused: list[dict[str, str]] = []

        def take(one: str, content: bytes) -> None:
            shown = plain_path(one) or "image"
            looked = self.desk.inspectors.served.look(Upload(shown, content))
            if looked is not None:
                refused.append({"name": shown, "reason": looked.reason})
                return
            try:
                key, called, new = self._add(visit, shown, content, UPLOAD, checked)
            except InputError as error:
                refused.append({"name": shown, "reason": str(error)})
                return
            added.append({"key": str(key), "name": called, "new": new})

        if archives.is_zip(data):
            try:
                for one, content in archives.unpack(data, self.desk.most_bytes):
                    if isinstance(content, str):
                        refused.append({"name": plain_path(one) or "file", "reason": content})
                    else:
                        take(one, content)
            except InputError as error:
                refused.append({"name": plain_path(name) or "archive", "reason": str(error)})
        else:
            take(name, data)
        if added:
            self.desk.work.wake(identity)
            self.desk.news.tell(identity)
        return {"added": added, "refused": refused}

    def add_folder(self, identity: str, words: str = "", names: Sequence[str] | None = None) -> dict[str, Any]:
        """Take images of the folder of ``-dir`` in.

        Args:
            identity: of the visit.
            words: part of their names.
            names: those of the list; None: all that match.

        Returns:
            ``added``, how many are new, and ``refused`` with the name and the reason of each that cannot be read.
        """
        visit, count = self.desk.visit(identity), 0
        refused: list[dict[str, str]] = []
        wanted = None if names is None else set(names)
        for part in self.desk.parts:
            for name in part.matching(words):
                full = self._in_folder(part, name)
                if wanted is not None and full not in wanted:
                    continue
                try:
                    _, _, new = self._add(visit, full, part.read(name), FOLDER, visit.meta)
                except InputError as error:
                    refused.append({"name": full, "reason": str(error)})
                    continue
                count += new
                if count % 50 == 1:
                    self.desk.work.wake(identity)
                    self.desk.news.tell(identity)
        self.desk.work.wake(identity)
        self.desk.news.tell(identity)
        return {"added": count, "refused": refused}

    def folder(self, words: str, offset: int, limit: int) -> dict[str, Any]:
        """List the images of the folder of ``-dir`` by name."""
        names = [self._in_folder(part, name) for part in self.desk.parts for name in part.matching(words)]
        return {"total": len(names), "names": names[offset : offset + limit]}

    def _in_folder(self, part: Part, name: str) -> str:
        return name if len(self.desk.parts) == 1 else f"{part.title}/{name}"

    def add_samples(self, identity: str) -> int:
        """Take the drawn strips in."""
        visit = self.desk.visit(identity)
        for sample in self.desk.samples:
            self._add(visit, sample.name, sample.content, SAMPLE, {})
        self.desk.work.wake(identity)
        self.desk.news.tell(identity)
        return len(self.desk.samples)

    def _add(self, visit: Visit, name: str, data: bytes, source: str, meta: Meta) -> tuple[int, str, bool]:
        with self.desk.placing:
            sha256 = self.desk.files.add(data)
            key, called, new = self.desk.images.add(visit.id, name, sha256, source, len(data), meta)
        if new:
            self.desk.news.tell(visit.id, key)
        return key, called, new

    def remove(self, identity: str, key: int) -> None:
        """Remove an image from a visit."""
        self.desk.row(identity, key)
        if (sha256 := self.desk.images.remove(identity, key)) is not None:
            self.desk.forget_image(sha256)
        self.desk.news.tell(identity, key, "removed")


def plain_path(name: str) -> str:
    """Return a file's name with its folders as text that can be shown; it is never used as a path on the disk."""
    printable = "".join(letter for letter in name.replace("\\", "/") if letter.isprintable())
    for _ in range(2):  # again after the cut, which may lay bare a part that is ".."
        parts = [part.strip() for part in printable.split("/")]
        printable = "/".join(part for part in parts if part not in ("", ".", ".."))[-LONGEST_NAME:]
    return printable

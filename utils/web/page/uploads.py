"""Uploads on their way from a browser into memory; Gradio lays them into a folder, and a browser names them by path.

That path may be anything: Gradio compares it with its folder only in servers that it started itself. So every event is
looked at before Gradio sees it, and nothing but an upload that lies in the folder passes.
"""

import asyncio
import json
import stat
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from utils.errors import InputError
from utils.web.page.sources import Uploaded

LONGEST_EVENT = 4 * 2**20  # bytes; the largest names the files of an upload, some 500 bytes each
GONE = "An upload is not there any more; send it again."


class Taken(NamedTuple):
    """What came of an upload: at most as many images as are inspected at once, and how many files there were."""

    images: list[Uploaded]
    files: int


class Uploads:
    """The files that were sent and that nobody has taken into memory yet.

    Args:
        place: folder that Gradio lays them into.
        most_files: that are taken at once.
        most_bytes: of them together.
    """

    def __init__(self, place: Path, most_files: int, most_bytes: int) -> None:
        self.place = place.resolve()
        self.most_files, self.most_bytes = most_files, most_bytes
        # The same file of two visitors is one file here: it stays until both have taken it.
        self._awaited: Counter[str] = Counter()
        self._lock = threading.Lock()

    def came(self, paths: Sequence[str]) -> None:
        """Note files that Gradio has just laid down, a path for each that was sent."""
        with self._lock:
            for path in [path for path in self._awaited if not Path(path).exists()]:  # cleared away unused
                del self._awaited[path]
            self._awaited.update(paths)

    def check(self, event: Any) -> None:
        """Look at what a browser sent with an event.

        Args:
            event: JSON.

        Raises:
            InputError: it names something else than uploads, or more than may be sent at once.
        """
        for path in _paths(event):
            self._size(path)
        if isinstance(event, dict):
            self._check_sum(list(_paths(event.get("data"))))

    def take(self, sent: Sequence[tuple[str, str]]) -> Taken:
        """Take uploads into memory and remove their files.

        Args:
            sent: path and name of each.

        Raises:
            InputError: they are no uploads, not there any more, or too large together.
        """
        names = dict(reversed(sent))
        wanted = list(dict.fromkeys(path for path, _ in sent))[: self.most_files]
        try:
            self._check_sum(wanted)
            images = [Uploaded(names[path], Path(path).read_bytes()) for path in wanted]
        except OSError:
            raise InputError(GONE) from None
        finally:
            self._remove([path for path, _ in sent])
        return Taken(images, len(names))

    def _remove(self, paths: Sequence[str]) -> None:
        with self._lock:
            for path, count in Counter(paths).items():
                self._awaited[path] -= count
                if self._awaited[path] <= 0:
                    del self._awaited[path]
                    if self._is_ours(path):
                        Path(path).unlink(missing_ok=True)

    def _check_sum(self, paths: Sequence[str]) -> None:
        if sum(map(self._size, paths)) > self.most_bytes:
            raise InputError(f"These files have more than {self.most_bytes / 1e6:g} MB together; send them in parts.")

    def _is_ours(self, path: Any) -> bool:
        try:
            self._size(path)
        except InputError:
            return False
        return True

    def _size(self, path: Any) -> int:
        """Return the size of an upload, bytes; whatever else is named gets one answer that tells nothing about it."""
        try:
            # Not by its letters: "http://x/../../place/file" would be inside, and fetched.
            if isinstance(path, str) and Path(path).is_absolute():
                real = Path(path).resolve(strict=True)
                found = real.stat()
                if real.is_relative_to(self.place) and stat.S_ISREG(found.st_mode):
                    return found.st_size
        except (OSError, ValueError, RuntimeError):  # a zero byte, a ring of links
            pass
        raise InputError(GONE)


class Watched:
    """Gradio's application, of which every event is looked at first.

    Args:
        inside: Gradio's application.
        uploads: what events may name.
    """

    def __init__(self, inside: ASGIApp, uploads: Uploads) -> None:
        self.inside, self.uploads = inside, uploads

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["path"].endswith("/queue/join"):
            await self._join(scope, receive, send)
        elif scope["path"].endswith("/upload"):
            await self._upload(scope, receive, send)
        else:
            await self.inside(scope, receive, send)

    async def _join(self, scope: Scope, receive: Receive, send: Send) -> None:
        body, more = bytearray(), True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            if len(body) > LONGEST_EVENT:
                await _refusal(413, "The event is too long; send fewer files.")(scope, receive, send)
                return
            more = message.get("more_body", False)
        try:
            event = json.loads(body)
            await asyncio.to_thread(self.uploads.check, event)
        except (ValueError, RecursionError):
            await _refusal(400, "The event cannot be read; load the page again.")(scope, receive, send)
            return
        except InputError as error:
            await _refusal(422, str(error))(scope, receive, send)
            return
        # Written anew: what Gradio reads is what was looked at, also where two parsers would read bytes differently.
        checked: list[bytes] = [json.dumps(event).encode()]

        async def receiving() -> Message:
            return {"type": "http.request", "body": checked.pop()} if checked else await receive()

        length = (b"content-length", b"%d" % len(checked[0]))
        await self.inside({**scope, "headers": [*_without(scope, b"content-length"), length]}, receiving, send)

    async def _upload(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Note what Gradio laid down, before the browser learns of it."""
        answer, status = bytearray(), 0

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            elif message["type"] == "http.response.body":
                answer.extend(message.get("body", b""))
                if status == 200 and not message.get("more_body"):
                    self.uploads.came(json.loads(answer))
            await send(message)

        # An answer that is packed could not be read here.
        await self.inside({**scope, "headers": _without(scope, b"accept-encoding")}, receive, sending)


def _paths(event: Any) -> Iterator[Any]:
    """Return whatever Gradio could take for the path of a file, at any depth."""
    waiting = [event]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            if "path" in one:
                yield one["path"]
            waiting.extend(one.values())
        elif isinstance(one, list):
            waiting.extend(one)


def _refusal(status: int, sentence: str) -> JSONResponse:
    """Answer as Gradio does, whose page shows the sentence."""
    return JSONResponse({"detail": sentence}, status)


def _without(scope: Scope, header: bytes) -> list[tuple[bytes, bytes]]:
    return [(name, value) for name, value in scope["headers"] if name != header]

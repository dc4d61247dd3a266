"""Uploads on their way from a browser into memory; Gradio lays them into a folder, and a browser names them by path.

That path may be anything: Gradio compares it with its folder only in servers that it started itself. So every event is
looked at before Gradio sees it, and nothing but an upload that lies in the folder passes.
"""

import asyncio
import contextlib
import json
import logging
import stat
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from starlette.formparsers import MultiPartException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from utils.desk.sources import Uploaded
from utils.errors import InputError
from utils.inspection.failures import one_line, plain
from utils.web.limits import SILENT_SECONDS, Problem

log = logging.getLogger("steel.web")

LONGEST_EVENT = 4 * 2**20  # bytes; the largest names the files of an upload, some 500 bytes each
MOST_WAITING = 8  # bytes on the disk that nobody has taken yet, in units of the largest upload
MOST_OF_CLIENT = 4  # of them from one address
SMALLEST = 65_536  # bytes that a file counts at least: empty ones take room, too
TAKEN_WITHIN = 600.0  # seconds after which an upload that nobody has taken is removed
TAKEN_SOON = 60.0  # the same where room is wanting; a page takes its upload at once
FULL = "Too many uploads wait to be inspected; send it again in a minute."
GONE = "An upload is not there any more; send it again."


class Taken(NamedTuple):
    """What came of an upload: at most as many images as are inspected at once, and how many files there were."""

    images: list[Uploaded]
    files: int


@dataclass
class _Waiting:
    """A file on the disk: how often it is awaited, its bytes, from whom it came, and when it came last."""

    count: int
    size: int
    client: str
    since: float = field(default_factory=time.monotonic)


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
        self._awaited: dict[str, _Waiting] = {}
        self._held: Counter[str] = Counter()  # bytes on the disk by client: awaited, on their way, and lost
        self._lost: deque[tuple[float, str, int]] = deque()
        self._lock = threading.Lock()

    def come(self, client: str, count: int) -> bool:
        """Hold room for bytes that are on their way; ``left`` gives it back.

        Args:
            client: address that sends them.
            count: of them.

        Returns:
            False when too many bytes of this client or of all lie on the disk.
        """
        with self._lock:
            of_client, of_all = self._held[client] + count, self._held.total() + count
            if of_client > MOST_OF_CLIENT * self.most_bytes or of_all > MOST_WAITING * self.most_bytes:
                return False
            self._held[client] += count
            return True

    def left(self, client: str, count: int, lost: bool) -> None:
        """Give back the room of bytes that were on their way.

        Args:
            client: address that sent them.
            count: of them.
            lost: nobody knows what became of them: Gradio leaves what it could not use where it lies.
        """
        with self._lock:
            if lost:
                self._lost.append((time.monotonic(), client, count))
            else:
                self._release(client, count)

    def came(self, paths: Sequence[str], client: str = "") -> None:
        """Note files that Gradio has just laid down, a path for each that was sent."""
        with self._lock:
            for path, count in Counter(paths).items():
                with contextlib.suppress(OSError):
                    size = max(SMALLEST, Path(path).stat().st_size)
                    if before := self._awaited.get(path):
                        count += before.count
                        self._release(before.client, before.size)
                    self._awaited[path] = _Waiting(count, size, client)
                    self._held[client] += size

    def clear(self, seconds: float = TAKEN_WITHIN) -> None:
        """Remove what has lain there for so long, taken by nobody or lost."""
        with self._lock:
            until = time.monotonic() - seconds
            for path in [path for path, waiting in self._awaited.items() if waiting.since <= until]:
                self._forget(path)
            # What is still on its way is written to every some seconds, or given up.
            written = time.time() - max(seconds, 2 * SILENT_SECONDS)
            for left in self.place.iterdir():
                with contextlib.suppress(OSError):
                    if left.is_file() and str(left) not in self._awaited and left.stat().st_mtime <= written:
                        left.unlink()
            while self._lost and self._lost[0][0] <= time.monotonic() - max(seconds, 2 * SILENT_SECONDS):
                _, client, count = self._lost.popleft()
                self._release(client, count)

    def _release(self, client: str, count: int) -> None:
        self._held[client] -= count
        if self._held[client] <= 0:
            del self._held[client]

    def _forget(self, path: str) -> None:
        """Remove an upload, and the folder that Gradio made for it."""
        if waiting := self._awaited.pop(path, None):
            self._release(waiting.client, waiting.size)
        if self._is_ours(path):
            Path(path).unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # another of the same content under another name
                if Path(path).resolve().parent != self.place:
                    Path(path).parent.rmdir()

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
                waiting = self._awaited.get(path)
                if waiting is not None:
                    waiting.count -= count
                if waiting is None or waiting.count <= 0:
                    self._forget(path)

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
            await self._answer(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let Gradio answer; where that fails the request is to blame, since our own events catch what is ours."""
        begun = ended = failed = False

        async def sending(message: Message) -> None:
            nonlocal begun, ended, failed
            if message["type"] == "http.response.start":
                failed = message["status"] >= 500
                begun = not failed
            ended = begun and message["type"] == "http.response.body" and not message.get("more_body", False)
            if not failed:
                await send(message)

        try:
            await self.inside(scope, receive, sending)
        except Problem:
            raise
        except Exception as error:
            log.warning("page refused %s %s: %s", scope["method"], plain(scope["path"]), one_line(error))
            failed = True
        if begun and not ended:
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        elif failed and not begun:
            await _refusal(400, "The request cannot be read; load the page again.")(scope, receive, send)

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
            # Half of a character would be no text any more: Gradio never answers to that.
            written = json.dumps(event, ensure_ascii=False).encode()
            await asyncio.to_thread(self.uploads.check, event)
        except (ValueError, RecursionError):
            await _refusal(400, "The event cannot be read; load the page again.")(scope, receive, send)
            return
        except InputError as error:
            await _refusal(422, str(error))(scope, receive, send)
            return
        # Written anew: what Gradio reads is what was looked at, also where two parsers would read bytes differently.
        checked: list[bytes] = [written]

        async def receiving() -> Message:
            return {"type": "http.request", "body": checked.pop()} if checked else await receive()

        length = (b"content-length", b"%d" % len(checked[0]))
        await self._answer({**scope, "headers": [*_without(scope, b"content-length"), length]}, receiving, send)

    async def _upload(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Bound what comes, and note what Gradio laid down, before the browser learns of it."""
        answer, status, taken = bytearray(), 0, 0
        client = str((scope.get("client") or ("",))[0])

        async def receiving() -> Message:
            nonlocal taken
            try:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise MultiPartException("The upload broke off.")
                count = len(message.get("body", b""))
                if not self.uploads.come(client, count):
                    await asyncio.to_thread(self.uploads.clear, TAKEN_SOON)
                    if not self.uploads.come(client, count):
                        raise MultiPartException(FULL)
                taken += count
            except Problem as error:
                # The one exception after which Gradio removes what it has written so far.
                raise MultiPartException(str(error)) from None
            return message

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            elif message["type"] == "http.response.body":
                answer.extend(message.get("body", b""))
                if status == 200 and not message.get("more_body"):
                    await asyncio.to_thread(self.uploads.came, json.loads(answer), client)
            await send(message)

        try:
            # An answer that is packed could not be read here.
            await self._answer({**scope, "headers": _without(scope, b"accept-encoding")}, receiving, sending)
        finally:
            self.uploads.left(client, taken, lost=status != 200)


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

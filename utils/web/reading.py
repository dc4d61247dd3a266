"""From the body of a request to its images, in memory alone and within bounds; nothing is written to disk."""

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from utils.inspection.upload import Upload
from utils.web.limits import Limits, Problem, Traffic, closing_problem

FIELD = "images"
META = "meta."  # begins the names of fields with context
LONGEST_NAME = 255  # letters that are kept of a file's name
MOST_FIELDS, LONGEST_TEXT = 64, 2000  # fields of text in a form, bytes of one


@dataclass
class Sent:
    """What a form has.

    Attributes:
        uploads: its files, in their order.
        fields: its fields of text.
    """

    uploads: list[Upload]
    fields: dict[str, str]


async def read_uploads(request: Request, limits: Limits, traffic: Traffic, deadline: float) -> list[Upload]:
    """Read the images of a request, see ``read_form``."""
    return (await read_form(request, limits, traffic, deadline)).uploads


async def read_form(
    request: Request,
    limits: Limits,
    traffic: Traffic,
    deadline: float,
    field: str = FIELD,
    texts: Callable[[str], bool] = lambda name: False,
    name: str = "",
) -> Sent:
    """Read the images of a request, and the texts beside them.

    Args:
        request: ``multipart/form-data`` with a file for each image.
        limits: of a request.
        traffic: counts the bytes of all requests.
        deadline: until when, in the event loop's time.
        field: that the files are in.
        texts: says of the name of a field whether it may be there as text.
        name: of an image that is the whole body, with a Content-Type of ``image/...``; "" where none may be.

    Raises:
        Problem: malformed, too many, too slow, or cut short by the shutdown.
    """
    kind, options = parse_options_header(request.headers.get("content-type"))
    if name and kind.startswith(b"image/"):
        return Sent([Upload(name, await _read_body(request, limits, traffic, deadline))], {})
    if kind != b"multipart/form-data":
        raise Problem(415, "not_multipart", f"Send multipart/form-data with the images in fields named {field!r}.")
    if not options.get(b"boundary"):
        raise Problem(400, "malformed", "The Content-Type names no boundary.")
    try:
        form = _Form(options[b"boundary"], limits, field, texts)
        await _take(request, limits, traffic, deadline, form.write)
        return form.finish()
    except FormParserError as error:
        raise Problem(400, "malformed", f"The form is malformed: {_first_line(error)}.", close=True) from None


async def _read_body(request: Request, limits: Limits, traffic: Traffic, deadline: float) -> bytes:
    pieces: list[bytes] = []
    await _take(request, limits, traffic, deadline, pieces.append)
    return b"".join(pieces)


async def _take(
    request: Request, limits: Limits, traffic: Traffic, deadline: float, write: Callable[[bytes], None]
) -> None:
    """Pass on the body, piece by piece, within the bounds of time and of memory."""
    taken = 0
    try:
        async with asyncio.timeout_at(deadline) as timeout:
            traffic.reading.add(timeout)
            try:
                async for chunk in request.stream():  # the guard bounds its length
                    traffic.take(len(chunk))
                    taken += len(chunk)
                    write(chunk)
            finally:
                traffic.reading.discard(timeout)
    except TimeoutError:
        if traffic.closing:
            raise closing_problem() from None
        raise Problem(
            408, "timeout", f"The request took longer than {limits.seconds:g} s to arrive; send less.", close=True
        ) from None
    except ClientDisconnect:
        raise Problem(400, "disconnected", "The request broke off.", close=True) from None
    finally:
        # What the images take from here on is bounded by the queue.
        traffic.bytes -= taken


class _Form:
    """Takes a form apart.

    Args:
        boundary: between its parts.
        limits: of a request.
        field: that the files are in.
        texts: says of the name of a field whether it may be there as text.
    """

    def __init__(self, boundary: bytes, limits: Limits, field: str, texts: Callable[[str], bool]) -> None:
        self._limits, self._field, self._texts = limits, field, texts
        self._uploads: list[Upload] = []
        self._fields: dict[str, str] = {}
        self._text: str | None = None  # name of the field of text that is being read
        self._taken = 0
        self._headers: dict[bytes, bytes] = {}
        self._header, self._value = bytearray(), bytearray()
        self._data: list[bytes] = []
        self._name = ""
        self._ended = False
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_field": lambda data, start, end: self._header.extend(data[start:end]),
                "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
                "on_header_end": self._end_header,
                "on_headers_finished": self._start_data,
                "on_part_data": self._take_data,
                "on_part_end": self._end_part,
                "on_end": self._end,
            },
        )

    def write(self, chunk: bytes) -> None:
        """Take the next piece of the body."""
        self._parser.write(chunk)

    def finish(self) -> Sent:
        """Return the images, in the order of the form, and the texts."""
        self._parser.finalize()
        if not self._ended:
            raise Problem(400, "malformed", "The form has no end; check its Content-Length and boundary.")
        if not self._uploads:
            raise Problem(422, "no_images", f"There is no image; send a file in a field named {self._field!r}.")
        return Sent(self._uploads, self._fields)

    def _begin(self) -> None:
        self._headers = {}
        self._data = []
        self._text, self._taken = None, 0

    def _check_count(self) -> None:
        if len(self._uploads) >= self._limits.images:
            raise Problem(
                413,
                "too_many_images",
                f"The request has more than {self._limits.images} images; send them in several requests.",
                close=True,
            )

    def _end_header(self) -> None:
        self._headers[bytes(self._header).lower()] = bytes(self._value)
        self._header.clear()
        self._value.clear()

    def _start_data(self) -> None:
        kind, options = parse_options_header(self._headers.get(b"content-disposition"))
        field = options.get(b"name", b"")
        name = field.decode("utf-8", "replace")
        if kind == b"form-data" and b"filename" not in options and self._texts(name):
            if len(self._fields) >= MOST_FIELDS or name in self._fields:
                raise Problem(422, "unknown_field", "The form has too many fields, or one twice.", close=True)
            self._text = name
            return
        if kind != b"form-data" or field != self._field.encode() or b"filename" not in options:
            raise Problem(
                422, "unknown_field", f"The form has another field than {self._field!r} with a file name.", close=True
            )
        self._check_count()
        self._name = plain_name(options[b"filename"]) or f"image {len(self._uploads) + 1}"

    def _take_data(self, data: bytes, start: int, end: int) -> None:
        self._taken += end - start
        if self._text is not None and self._taken > LONGEST_TEXT:
            raise Problem(413, "too_many_bytes", f"A field of text has more than {LONGEST_TEXT} bytes.", close=True)
        self._data.append(data[start:end])

    def _end_part(self) -> None:
        if self._text is not None:
            self._fields[self._text] = b"".join(self._data).decode("utf-8", "replace")
            self._data = []
            return
        self._uploads.append(Upload(self._name, b"".join(self._data)))
        self._data = []

    def _end(self) -> None:
        self._ended = True


def plain_name(raw: bytes) -> str:
    """Return the last part of a file's name as text that can be shown; it is for the answer, never for a path."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    last = re.split(r"[/\\]", text)[-1]
    shown = "".join(letter for letter in last if letter.isprintable()).strip()
    return "" if shown in (".", "..") else shown[:LONGEST_NAME]


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0].rstrip(".")[:200] if str(error) else "it cannot be read"

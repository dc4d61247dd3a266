"""What the routes of the desk share: work in threads, JSON within bounds, and errors as everywhere."""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from fastapi import Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse
from starlette.requests import ClientDisconnect

from utils.desk.database import CannotKeep
from utils.desk.desk import Desk, NotHere
from utils.desk.services import Services
from utils.errors import InputError
from utils.web.limits import Limits, Problem, Traffic

T = TypeVar("T")

PREFIX = "/desk/v1"
LONGEST_JSON = 8 * 2**20  # bytes
MOST_LISTED = 500  # entries of an answer
HEADERS = {"Cache-Control": "private, no-store"}


@dataclass(frozen=True)
class Serving:
    """What the routes need.

    Attributes:
        services: of the desk.
        limits: of a request.
        traffic: what is under way.
        coil: whether the server shows the page of a coil.
    """

    services: Services
    limits: Limits
    traffic: Traffic
    coil: bool = False

    @property
    def desk(self) -> Desk:
        """The desk itself."""
        return self.services.desk

    async def run(self, work: Callable[[], T]) -> T:
        """Do some work of the desk in a thread; what it refuses is answered as everywhere."""
        try:
            return await run_in_threadpool(work)
        except CannotKeep as error:
            raise Problem(503, "cannot_keep", str(error), retry_after=10) from None
        except NotHere as error:
            raise Problem(404, error.code, str(error)) from None
        except InputError as error:
            raise Problem(422, "wrong_value", f"{str(error).rstrip('.')}.") from None

    async def read_json(self, request: Request) -> dict[str, Any]:
        """Read an object from the body; an empty body is an empty object.

        Raises:
            Problem: it is none, or too long.
        """
        taken, pieces = 0, []
        try:
            async for chunk in request.stream():
                self.traffic.take(len(chunk))
                taken += len(chunk)
                if taken > LONGEST_JSON:
                    raise Problem(413, "too_many_bytes", f"The body has more than {LONGEST_JSON} bytes.", close=True)
                pieces.append(chunk)
        except ClientDisconnect:
            raise Problem(400, "disconnected", "The request broke off.", close=True) from None
        finally:
            self.traffic.bytes -= taken
        body = b"".join(pieces)
        if not body:
            return {}
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            raise Problem(415, "not_json", "Send JSON with the header Content-Type: application/json.")
        try:
            sent = json.loads(body, parse_constant=_refuse_constant)
        except (ValueError, RecursionError):
            raise Problem(400, "malformed", "The body is not JSON.") from None
        if not isinstance(sent, dict):
            raise Problem(422, "wrong_value", "Expected an object of JSON.")
        return sent


def _refuse_constant(word: str) -> float:
    raise ValueError(word)


def answer(content: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Return an answer of JSON that no browser keeps."""
    return JSONResponse(content, status, {**HEADERS, **(headers or {})})


def key_of(word: str) -> int:
    """Return the key of an image as a number; raises ``Problem`` for any other word."""
    if not (word.isascii() and word.isdigit() and len(word) < 16):
        raise Problem(404, "not_found", "There is no such image in this visit.")
    return int(word)


def query_of(request: Request, *names: str) -> dict[str, str]:
    """Return the query; raises ``Problem`` for a parameter of another name, or one given twice."""
    found: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if name not in names:
            known = f"known are {', '.join(names)}" if names else "there are none here"
            raise Problem(422, "unknown_parameter", f"The parameter {name[:40]!r} is unknown; {known}.")
        if name in found:
            raise Problem(422, "wrong_value", f"The parameter {name!r} is there twice.")
        found[name] = value
    return found


def number_of(query: dict[str, str], name: str, default: int, low: int = 0, high: int = 2**31) -> int:
    """Return a whole number of the query."""
    word = query.get(name)
    if word is None:
        return default
    number = int(word) if word.isascii() and word.isdigit() and len(word) < 12 else math.nan
    if not low <= number <= high:
        raise Problem(422, "wrong_value", f"{name}: expected a whole number {low}..{high}.")
    return int(number)


def choice_of(query: dict[str, str], name: str, default: str, choices: tuple[str, ...]) -> str:
    """Return a word of the query that is one of some."""
    word = query.get(name) or default
    if word not in choices and word != default:
        raise Problem(422, "wrong_value", f"{name}: expected one of {', '.join(choices)}.")
    return word

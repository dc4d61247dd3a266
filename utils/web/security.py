"""Who may come in: the guard stands before the API and the page, and sees every request first."""

import asyncio
import base64
import binascii
import contextlib
import hashlib
import hmac
import ipaddress
import json
import logging
import os
import re
import time
import uuid
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from starlette.requests import Request

from config import ServeConfig
from utils.errors import InputError
from utils.inspection.failures import one_line, plain
from utils.web.limits import BODY_SECONDS, HEAD_BYTES, SILENT_SECONDS, Problem, Traffic, closing_problem
from utils.web.metrics import Metrics
from utils.web.places import API, Places
from utils.web.proxies import Proxies, below, read_root

log = logging.getLogger("steel.web")

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

SHORTEST_TOKEN = 16
TOKEN_VARIABLE = "STEEL_SERVE_TOKEN"
OPEN = frozenset({"/healthz", "/readyz"})  # a supervisor asks without a token
# A program's requests carry a bearer token; browsers can send one only for pages that ask for a password.
PROGRAMS = API
# What pages of allowed origins may read of an answer's head.
EXPOSED = ("X-Request-Id", "Retry-After")
HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"SAMEORIGIN"),
    (b"content-security-policy", b"frame-ancestors 'self'"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)


class Policy:
    """Who may come in, by the flags.

    Args:
        config: the flags of ``Serve.py``.

    Raises:
        InputError: the flags would open the server to everybody by accident, or an origin or a proxy is none.
    """

    def __init__(self, config: ServeConfig) -> None:
        token = config.token or os.environ.get(TOKEN_VARIABLE) or None
        if token is not None and (len(token) < SHORTEST_TOKEN or not token.isascii() or re.search(r"\s", token)):
            raise InputError(
                f"-token: expected {SHORTEST_TOKEN} or more letters and digits without spaces; make one with"
                " python -c 'import secrets; print(secrets.token_urlsafe())'"
            )
        self.local = is_local(config.host)
        if not self.local and token is None and not config.insecure:
            raise InputError(
                f"-host {config.host}: other computers could send images; give -token WORD, or -insecure to let"
                " everybody in"
            )
        self._token = None if token is None else hashlib.sha256(token.encode()).digest()
        self.proxies = Proxies(config.proxies or ())
        self.root = read_root(config.root_path)
        self.origins = origins_of(config.origins or (), "-origins")
        names = {"localhost", "127.0.0.1", "::1", config.host, *(urlsplit(origin).hostname for origin in self.origins)}
        # Without this a page of any web site could have its own name lead here, and read the answers.
        self.hosts = frozenset(name.lower() for name in names if name) if self.local else None

    @property
    def needs_token(self) -> bool:
        """Whether callers have to send a token."""
        return self._token is not None

    def is_token(self, word: str) -> bool:
        """Compare in a time that does not depend on how much of it is right."""
        assert self._token is not None
        return hmac.compare_digest(hashlib.sha256(word.encode("utf-8", "replace")).digest(), self._token)

    def check(self, method: str, path: str, headers: dict[bytes, bytes]) -> None:
        """Let a request pass or raise the ``Problem`` that it is answered with."""
        host = headers.get(b"host", b"").decode("latin-1")
        if self.hosts is not None and _name(host) not in self.hosts:
            raise Problem(421, "wrong_host", "This server does not answer to that host name.")
        origin = headers.get(b"origin", b"").decode("latin-1")
        foreign = bool(origin) and urlsplit_netloc(origin) != host.lower()
        if foreign and origin.lower() not in self.origins:
            raise Problem(403, "foreign_origin", "Pages of other origins may not call this server; see -origins.")
        if not self.needs_token or path in OPEN:
            return
        if foreign and is_preflight(method, headers):
            return  # a browser sends no token with that
        scheme, _, word = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
        program = path.startswith(PROGRAMS)
        if scheme.lower() == "bearer" and self.is_token(word.strip()):
            return
        # Not for programs' paths: a browser sends a password by itself, also where another site makes it ask.
        if scheme.lower() == "basic" and not program and self.is_token(_password(word)):
            return
        ask = "Bearer" if program else 'Basic realm="the token as password, any user name", charset="UTF-8"'
        message = "Send the header Authorization: Bearer TOKEN with the server's token."
        raise Problem(401, "no_token" if not scheme else "wrong_token", message, headers={"WWW-Authenticate": ask})


class Guard:
    """Wraps an application: checks, counts and limits every request, and gives every answer an id.

    Args:
        app: the API and the page.
        policy: who may come in.
        traffic: what is under way.
        places: for requests.
        metrics: to count with.
        most_bytes: of the body of any request.
    """

    def __init__(
        self, app: App, policy: Policy, traffic: Traffic, places: Places, metrics: Metrics, most_bytes: int
    ) -> None:
        self.app, self.policy, self.traffic, self.places, self.metrics = app, policy, traffic, places, metrics
        self.most_bytes = most_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        read = below(self.policy.proxies.read(scope), self.policy.root)
        await _GuardedRequest(self, read, receive, send).answer()


class _GuardedRequest:
    """One request on its way through the guard."""

    def __init__(self, guard: Guard, scope: Scope, receive: Receive, send: Send) -> None:
        self.guard, self.scope, self._receive, self._send = guard, scope, receive, send
        self.number = uuid.uuid4().hex[:16]
        self.start = time.monotonic()
        self.status = 0
        self.bytes = 0
        self.done = False
        self.whole = False  # the body has come to its end

    async def answer(self) -> None:
        guard, scope = self.guard, self.scope
        scope.setdefault("state", {})["number"] = self.number
        scope["state"]["start"] = self.start
        try:
            headers = dict(scope["headers"])
            always = self._admit(headers)
            with contextlib.nullcontext() if always else guard.places.taken(scope):
                await guard.app(scope, self.receive, self.send)
        except Problem as problem:
            await self._refuse(problem)
        except asyncio.CancelledError:
            if not guard.traffic.closing:
                raise
            await self._refuse(closing_problem())
        except Exception as error:
            # What is wrong with us is for the log; the client gets the number under which it stands there.
            log.error("error %s at %s %s: %s", self.number, scope["method"], plain(scope["path"]), one_line(error))
            await self._refuse(bug_problem(self.number))
        finally:
            guard.metrics.answered(scope["path"], self.status or 499, time.monotonic() - self.start)

    def _admit(self, headers: dict[bytes, bytes]) -> bool:
        """Raise the ``Problem`` that a request is turned away with; returns whether it needs no place."""
        guard, path = self.guard, self.scope["path"]
        head = sum(len(name) + len(value) + 4 for name, value in self.scope["headers"])
        if head + len(self.scope.get("raw_path", b"")) + len(self.scope["query_string"]) > HEAD_BYTES:
            raise Problem(
                431, "too_long_head", f"The head of the request has more than {HEAD_BYTES} bytes.", close=True
            )
        if b"transfer-encoding" in headers and b"content-length" in headers:
            # Where one ends the body by the length and another by the chunks, a second request hides in the first.
            raise Problem(400, "malformed", "The request has a length and chunks; send one of them.", close=True)
        method = self.scope["method"]
        guard.policy.check(method, path, headers)
        # A browser tells its page nothing of a refused preflight; the request that follows it is told to come again.
        always = path in OPEN or (bool(guard.policy.origins) and is_preflight(method, headers))
        if guard.traffic.closing and not always:
            raise closing_problem()
        declared = headers.get(b"content-length", b"0")
        if declared.isdigit() and len(declared) < 20 and int(declared) > guard.most_bytes:
            raise self._too_long()
        return always

    def _too_long(self) -> Problem:
        megabytes = self.guard.most_bytes / 1e6
        return Problem(413, "too_many_bytes", f"The request has more than {megabytes:.0f} MB; send less.", close=True)

    async def receive(self) -> Message:
        """Return the next piece of the body to the application."""
        message = await self._next()
        self.whole = not message.get("more_body", False)
        self.bytes += len(message.get("body", b""))
        if self.bytes > self.guard.most_bytes:
            raise self._too_long()
        return message

    async def _next(self) -> Message:
        """Wait for the next piece; the API has its own time for a request, and a page's wait for nothing has no end."""
        if self.whole or self.scope["path"].startswith(PROGRAMS):
            return await self._receive()
        left = min(SILENT_SECONDS, self.start + BODY_SECONDS - time.monotonic())
        try:
            return await asyncio.wait_for(self._receive(), max(0.0, left))
        except TimeoutError:
            raise Problem(408, "timeout", "The request took too long to arrive.", close=True) from None

    async def send(self, message: Message) -> None:
        """Send a piece of the answer, with the headers that all answers have."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            have = {name.lower() for name, _ in message.get("headers", ())}
            more = [(name, value) for name, value in HEADERS if name not in have]
            if self.scope["path"].startswith(PROGRAMS) and b"cache-control" not in have:
                more.append((b"cache-control", b"no-store"))
            if self.guard.traffic.closing and b"connection" not in have:
                more.append((b"connection", b"close"))
            more += [] if b"access-control-allow-origin" in have else self._for_other_origins()
            more.append((b"x-request-id", self.number.encode()))
            message = {**message, "headers": [*message.get("headers", ()), *more]}
        elif message["type"] == "http.response.body" and not message.get("more_body"):
            self.done = True
        await self._send(message)

    def _for_other_origins(self) -> list[tuple[bytes, bytes]]:
        """Let a page of an allowed origin read also what is answered here, or it would see a broken connection."""
        origin = dict(self.scope["headers"]).get(b"origin", b"")
        if origin.decode("latin-1").lower() not in self.guard.policy.origins:
            return []
        exposed = ", ".join(EXPOSED).encode()
        return [
            (b"access-control-allow-origin", origin),
            (b"access-control-expose-headers", exposed),
            (b"vary", b"Origin"),
        ]

    async def _refuse(self, problem: Problem) -> None:
        """Answer with a problem; an answer that has begun is left as it is, and ends."""
        if self.done:
            return
        if self.status:
            await self.send({"type": "http.response.body", "body": b"", "more_body": False})
            return
        body = json.dumps(problem.body(self.number)).encode()
        headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in problem.headers.items()]
        headers += [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        await self.send({"type": "http.response.start", "status": problem.status, "headers": headers})
        await self.send({"type": "http.response.body", "body": body})


def user_of(request: Request) -> str:
    """Return the user name that came with a password, shortened to a piece of a line; "" without one."""
    scheme, _, word = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return ""
    try:
        return plain(base64.b64decode(word, validate=True).decode("utf-8", "replace").partition(":")[0])[:60]
    except (binascii.Error, ValueError):
        return ""


def bug_problem(number: str) -> Problem:
    """Return the answer to a request that we failed at."""
    return Problem(500, "failed", f"The server made an error, {number} in its log.")


def is_preflight(method: str, headers: dict[bytes, bytes]) -> bool:
    """Check whether a browser asks what a page of another origin may send, before it sends that."""
    return method == "OPTIONS" and b"origin" in headers and b"access-control-request-method" in headers


def is_local(host: str) -> bool:
    """Check whether only this computer can reach an address."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def urlsplit_netloc(origin: str) -> str:
    """Return host and port of an origin in small letters; nothing for ``null`` and what cannot be read."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


def _name(host: str) -> str:
    """Return the name of a ``Host`` header without the port."""
    name = host[: host.find("]") + 1] if host.startswith("[") else host.partition(":")[0]
    return name.strip("[]").lower()


def origins_of(words: Sequence[str], flag: str) -> tuple[str, ...]:
    """Return the origins that a flag names, in small letters; raises ``InputError`` for a word that is none."""
    return tuple(_origin(word, flag) for word in words)


def _origin(word: str, flag: str) -> str:
    parts = urlsplit(word)
    if parts.scheme not in ("http", "https") or not parts.netloc or parts.path not in ("", "/") or parts.query:
        raise InputError(f"{flag} {word}: expected https://NAME or http://NAME:PORT")
    return f"{parts.scheme}://{parts.netloc}".lower()


def _password(word: str) -> str:
    try:
        return base64.b64decode(word, validate=True).decode("utf-8", "replace").partition(":")[2]
    except (binascii.Error, ValueError):
        return ""

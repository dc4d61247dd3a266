"""Webhook: events as signed JSON, posted to one address, as the Standard Webhooks specification has it.

https://www.standardwebhooks.com: headers ``webhook-id``, ``webhook-timestamp`` and ``webhook-signature``; libraries of many
languages check them.
"""

import base64
import binascii
import hashlib
import hmac
import json
import logging
import time
import urllib.parse
from collections.abc import Sequence
from typing import Any

from utils.line.event import Event, utc
from utils.line.extras import extra
from utils.line.sinks.credentials import file_of, secret
from utils.line.sinks.sink import AT_ONCE, Address, Sink, SinkError, SinkOptions
from utils.line.state import LineState

BATCH = 100  # events of a request
STATE_EVERY = 10.0  # seconds
MOST_ANSWER = 64 * 1024  # bytes of an answer that are read, so that the connection can be used again
SETTINGS = ("secret_file", "token_file", "ca", "cert", "key", "batch", "state")

log = logging.getLogger("steel.line")


def make(address: Address, options: SinkOptions) -> Sink:
    """Return the sink of ``http://`` and ``https://``; raises ``InputError`` for an address that makes no sense."""
    extra(address, "requests")
    address.only(*SETTINGS)
    if not address.host or address.user is not None:
        raise address.error(f"expected {address.scheme}://HOST/PATH, without a user")
    key = secret(address, "secret_file", "STEEL_WEBHOOK_SECRET")
    if key is None:
        raise address.error("no secret to sign with; secret_file=FILE, or the variable STEEL_WEBHOOK_SECRET")
    ca, cert, private = (file_of(address, name) for name in ("ca", "cert", "key"))
    return WebhookSink(
        address.text,
        key_of(key, address),
        options,
        token=secret(address, "token_file", "STEEL_WEBHOOK_TOKEN"),
        ca=ca,
        cert=(cert, private) if cert and private else cert,
        batch=int(address.number("batch", BATCH, 1, 10_000)),
        state_every=address.number("state", STATE_EVERY, 1, 86_400),
    )


def key_of(text: str, address: Address) -> bytes:
    """Return the bytes that sign: of ``whsec_BASE64`` what it encodes, of another text the text itself.

    Raises:
        InputError: it is too short to be a secret.
    """
    try:
        key = (
            base64.b64decode(text.removeprefix("whsec_"), validate=True) if text.startswith("whsec_") else text.encode()
        )
    except binascii.Error:
        raise address.error("the secret begins with whsec_ and goes on with no base64") from None
    if len(key) < 16:
        raise address.error(f"the secret has {len(key)} bytes; use 24 or more: openssl rand -base64 32")
    return key


def signature(key: bytes, delivery: str, timestamp: int, body: bytes) -> str:
    """Compute ``webhook-signature``: ``v1,`` and base64 of HMAC-SHA256 over ``ID.TIMESTAMP.BODY``."""
    digest = hmac.new(key, f"{delivery}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"


class WebhookSink:
    """Posts events; the answer of the receiver to a post acknowledges all events in it.

    Args:
        name: of the sink, the address to post to.
        key: bytes that sign.
        options: of the service.
        token: of ``Authorization: Bearer``; None: no such header.
        ca: file of certificates to trust; None: the usual ones.
        cert: file of our own certificate, or that and its key; None: none.
        batch: events of a request, at most.
        state_every: seconds between two posts of the state.
    """

    gather = AT_ONCE

    def __init__(
        self,
        name: str,
        key: bytes,
        options: SinkOptions,
        token: str | None = None,
        ca: str | None = None,
        cert: Any = None,
        batch: int = BATCH,
        state_every: float = STATE_EVERY,
    ) -> None:
        self.name = name
        self._key, self._options, self._token, self._ca, self._cert = key, options, token, ca, cert
        self._batch, self._state_every = batch, state_every
        self._session: Any = None
        self._told = float("-inf")
        self._condition = ""
        self._accepted = 0  # place in the spool up to which the receiver has everything

    def open(self) -> None:
        """Begin a new session; the connection is made by the first post."""
        import requests

        self._let_go()
        session = requests.Session()
        session.trust_env = False  # neither a password of .netrc nor a proxy that nobody named here
        session.verify = self._ca or True
        session.cert = self._cert
        session.headers.update({"Content-Type": "application/json", "User-Agent": "steel-defects"})
        if self._token:
            session.headers["Authorization"] = f"Bearer {self._token}"
        self._session = session
        self._told = float("-inf")

    def send(self, events: Sequence[tuple[int, Event]]) -> None:
        """Post events in order, in as many requests as it takes; raises ``SinkError``.

        What was accepted before an error is not posted again, so a slow receiver gets on in any case.
        """
        until = time.monotonic() + self._options.timeout
        waiting = [(seq, event) for seq, event in events if seq > self._accepted]
        size = self._batch
        while waiting:
            batch = waiting[:size]
            delivery = delivery_of([event.id for _, event in batch])
            body = '{"schema": "1", "events": [' + ", ".join(event.to_json() for _, event in batch) + "]}"
            status = self._post(delivery, body.encode(), until)
            if status == 413 and len(batch) > 1:
                size = max(1, len(batch) // 2)
                continue
            self._check(status)
            self._accepted = batch[-1][0]
            waiting = waiting[len(batch) :]

    def heartbeat(self, state: LineState) -> None:
        """Post the state, now and then, and at once when it has changed; raises ``SinkError``."""
        due = time.monotonic() - self._told >= self._state_every
        if not due and state.condition == self._condition:
            return
        self._post_state(state.as_dict(), self._options.timeout)
        self._told, self._condition = time.monotonic(), state.condition

    def close(self) -> None:
        """Post that the service is away."""
        if self._session is not None:
            try:
                self._post_state({"condition": "offline", "healthy": False}, min(2.0, self._options.timeout))
            except SinkError as error:
                log.info("%s: no goodbye: %s", self.name, error)
        self._let_go()

    def _post_state(self, values: dict[str, Any], seconds: float) -> None:
        now = utc(time.time())
        shown = {"schema": "1", "state": {"time": now, "line": self._options.line} | values}
        self._check(self._post(f"state-{now}", json.dumps(shown).encode(), time.monotonic() + seconds))

    def _post(self, delivery: str, body: bytes, until: float) -> int:
        """Post, and return the status of the answer."""
        import requests

        if self._session is None:
            raise SinkError("not open")
        left = until - time.monotonic()
        if left <= 0.05:
            raise SinkError(f"has not taken all events within {self._options.timeout:.0f} s")
        now = int(time.time())
        headers = {
            "webhook-id": delivery,
            "webhook-timestamp": str(now),
            "webhook-signature": signature(self._key, delivery, now, body),
        }
        try:
            with self._session.post(
                self.name,
                data=body,
                headers=headers,
                timeout=(min(3.05, left), left),
                allow_redirects=False,  # whoever answers with one could have the events sent anywhere
                stream=True,
            ) as answer:
                self._read(answer, until)
                if 300 <= answer.status_code < 400:
                    place = urllib.parse.urlsplit(answer.headers.get("Location", ""))
                    raise SinkError(
                        f"answers with a redirect to {place.netloc[:80]}{place.path[:80]}; give the right address"
                    )
                return int(answer.status_code)
        except requests.RequestException as error:
            raise SinkError(_why(error)) from None

    @staticmethod
    def _read(answer: Any, until: float) -> None:
        """Read a short answer, so that its connection can be used again; let go of one that has no end."""
        read = 0
        for part in answer.iter_content(4096):
            read += len(part)
            if read > MOST_ANSWER or time.monotonic() > until:
                break

    @staticmethod
    def _check(status: int) -> None:
        if not 200 <= status < 300:
            words = {401: "; is the secret or the token right?", 403: "; is the secret or the token right?"}
            raise SinkError(f"answers {status}{words.get(status, '')}")

    def _let_go(self) -> None:
        if self._session is not None:
            self._session.close()
            self._session = None


def delivery_of(ids: Sequence[str]) -> str:
    """Return the id of a post: of one event its own, of several 32 hex digits, the same for the same events."""
    return ids[0] if len(ids) == 1 else hashlib.sha256("\n".join(ids).encode()).hexdigest()[:32]


def _why(error: Exception) -> str:
    """Say what went wrong, without the nested texts of requests, which hold the whole address."""
    import requests

    match error:
        case requests.exceptions.ConnectTimeout():
            return "does not answer"
        case requests.exceptions.Timeout():
            return "hangs: no answer in time"
        case requests.exceptions.SSLError():
            return "its certificate is not one that we trust; name its authority with ca=FILE"
        case requests.exceptions.ConnectionError():
            text = str(error)
            known = ("Connection refused", "Name or service not known", "Network is unreachable", "Connection reset")
            return next((word.lower() for word in known if word in text), "the connection has ended")
        case requests.exceptions.ChunkedEncodingError():
            return "the connection has ended in the middle of the answer"
    return type(error).__name__

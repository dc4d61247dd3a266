"""One file over HTTP, however badly the server or the line behaves: resumed, retried, or refused in one line."""

import os
import re
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, cast
from urllib.parse import urlsplit

import requests
from urllib3.exceptions import HTTPError, NameResolutionError, NewConnectionError

from utils.weights.index import MOST_BYTES

# Seconds to wait before each further try of what may pass by itself; one more try than there are waits.
WAITS = (0.5, 1.0, 2.0, 4.0)
LONGEST_WAIT = 30.0
# Seconds to connect, and of silence in the middle.
TIMEOUTS = (10.0, 30.0)
MOST_REDIRECTS = 10
# What is lost when the line breaks in the middle of a piece.
CHUNK = 1 << 13
# Bytes a second that are waited for, on average over so many seconds; a line that brings less never ends.
SLOWEST, WINDOW = 1000, 60.0
# Seconds until the answer begins, whatever comes before it: redirects, and heads that come letter by letter.
HEAD_TIMEOUT = 60.0
KEPT = "what came so far is kept, run the command again to go on"

_SECRETS = re.compile(r"([a-z][a-z0-9+.-]*://)[^/?#]*@", re.IGNORECASE)

Moved = Callable[[int], None]


class TransferError(Exception):
    """This address cannot give the file; the message is part of a line and says why and what to do."""


class _Passing(Exception):
    """It failed in a way that may pass by itself.

    Args:
        reason: for the message, should it not pass.
        wait: seconds that the server asks to be left alone for.
    """

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.wait = wait


def fetch_from_web(url: str, part: Path, size: int | None, moved: Moved) -> None:
    """Bring ``part`` to the full length of the file at ``url``, from wherever an earlier attempt left it.

    Args:
        url: ``https://`` or ``http://``.
        part: file to append to; made if missing. It stays when the line breaks, so that the next call goes on.
        size: bytes that the file should have; None when unknown, as it is for an index.
        moved: called with the bytes that are there.

    Raises:
        TransferError: not to be had from there.
        OSError: the disk's fault.
    """
    furthest, failures = _length(part), 0
    with requests.Session() as session:
        session.max_redirects = MOST_REDIRECTS
        session.headers["Accept-Encoding"] = "identity"  # a range of compressed bytes would be of no use
        while True:
            try:
                return _go_on(session, url, part, size, moved)
            except _Passing as error:
                # A line that breaks often but brings the file on is followed to its end.
                failures = failures + 1 if _length(part) <= furthest else 1
                furthest = max(furthest, _length(part))
                if failures > len(WAITS):
                    kept = f"; {KEPT}" if furthest else ""
                    raise TransferError(f"{host(url)}: {error}{kept}") from None
                time.sleep(min(max(error.wait, WAITS[failures - 1]), LONGEST_WAIT))


def without_secrets(url: str) -> str:
    """Return an address as it may be shown: without a name and password in it, and without what stands behind ``?``."""
    return _SECRETS.sub(r"\1", url).partition("?")[0] if "://" in url else url


def host(url: str) -> str:
    """Name the server of an address, without any password in it."""
    parts = urlsplit(url)
    return parts.netloc.rpartition("@")[2] or without_secrets(url)


def _length(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _go_on(session: requests.Session, url: str, part: Path, size: int | None, moved: Moved) -> None:
    """Ask once for what is missing and append it."""
    have = _length(part)
    if size is not None and have == size:
        return
    if size is None or have > size:
        part.unlink(missing_ok=True)
        have = 0
    try:
        with _answer(session, url, {"Range": f"bytes={have}-"} if have else {}) as answer:
            have = _first_byte(answer, part, have, size, url)
            with open_part(part, "ab" if have else "wb") as file:
                for chunk in _chunks(answer, url):
                    have += len(chunk)
                    if size is not None and have > size:
                        raise TransferError(f"{host(url)}: sends more than the {size} bytes that the index promises")
                    if size is None and have > MOST_BYTES:
                        part.unlink()
                        raise TransferError(f"{host(url)}: {_ENDLESS}")
                    file.write(chunk)
                    moved(have)
    except requests.RequestException as error:
        raise _explain(error, url) from None
    except HTTPError as error:  # of urllib3, which requests translates only where it reads itself
        if isinstance(error, ValueError):  # an address that cannot be one
            raise
        raise _explain(requests.ConnectionError(error), url) from None
    except OSError:
        # A full disk: what lies there is of no use to anybody, and its space is wanted.
        part.unlink(missing_ok=True)
        raise
    if size is not None and have < size:
        raise _Passing(f"the connection ends after {have} of {size} bytes")


_ENDLESS = f"sends more than {MOST_BYTES >> 20} MB, which is no index of weights; correct the address"


def _answer(session: requests.Session, url: str, headers: dict[str, str]) -> requests.Response:
    """Ask, and wait for the head of the answer, but not for ever: ``timeout`` begins anew with every byte that comes."""
    got: list[requests.Response | BaseException] = []

    def ask() -> None:
        try:
            got.append(session.get(url, headers=headers, stream=True, timeout=TIMEOUTS))
        except BaseException as error:
            got.append(error)

    thread = threading.Thread(target=ask, daemon=True)  # one that nobody waits for ends with the program
    thread.start()
    thread.join(HEAD_TIMEOUT)
    if not got:
        raise TransferError(f"{host(url)}: no answer within {HEAD_TIMEOUT:g} seconds; take another -index")
    if isinstance(got[0], BaseException):
        raise got[0]
    return got[0]


def open_part(part: Path, mode: str) -> BinaryIO:
    """Open a file that is being fetched, never through a link, which could lead to anything of the user's."""
    if part.is_symlink():
        part.unlink()
    follow = getattr(os, "O_NOFOLLOW", 0)
    return cast(BinaryIO, open(part, mode, opener=lambda name, flags: os.open(name, flags | follow, 0o666)))


def _first_byte(answer: requests.Response, part: Path, have: int, size: int | None, url: str) -> int:
    """Look at the answer's head: from which byte of the file on does it go?"""
    code, server, shown = answer.status_code, host(url), without_secrets(url)
    if code in (408, 425, 429, 500, 502, 503, 504):
        after = answer.headers.get("Retry-After", "")
        raise _Passing(f"the server answers {code} {answer.reason}", float(after) if after.isdecimal() else 0.0)
    if code == 416 and have:
        part.unlink()
        raise _Passing("the server refuses to go on from where the download broke off")
    if code == 404:
        raise TransferError(f"{server}: has no such file (404): {shown}; correct the address or take another -index")
    if code in (401, 403, 407):
        raise TransferError(f"{server}: refuses ({code}): {shown}; it needs a permission that you do not have")
    if code not in (200, 206):
        raise TransferError(f"{server}: answers {code} {answer.reason} for {shown}; take another -index")
    length = answer.headers.get("Content-Length", "")
    whole, start = int(length) if length.isdecimal() else None, 0
    if code == 206:
        match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", answer.headers.get("Content-Range", "").strip())
        if not match or int(match[1]) != have:
            part.unlink(missing_ok=True)
            raise _Passing("the server sends another part of the file than was asked for")
        start, whole = have, None if match[2] == "*" else int(match[2])
    if size is None and whole is not None and whole > MOST_BYTES:
        raise TransferError(f"{server}: {_ENDLESS}")
    if size is not None and whole is not None and whole != size:
        raise TransferError(
            f"{server}: its file has {whole} bytes where the index promises {size}; it is another file: {shown}"
        )
    return start


def _chunks(answer: requests.Response, url: str) -> Iterator[bytes]:
    """Give what comes when it comes; raise ``TransferError`` when it comes too slowly to ever end."""
    began, brought = time.monotonic(), 0
    while chunk := answer.raw.read1(CHUNK, decode_content=True):
        yield chunk
        brought += len(chunk)
        seconds = time.monotonic() - began
        if seconds >= WINDOW:
            if brought < SLOWEST * seconds:
                raise TransferError(
                    f"{host(url)}: sends {brought / seconds:.0f} bytes a second, which takes for ever; {KEPT}"
                )
            began, brought = time.monotonic(), 0


def _explain(error: requests.RequestException, url: str) -> Exception:
    """Return what a failed request means: to be tried again, or not."""
    server, shown = host(url), without_secrets(url)
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return TransferError(f"{server}: {_certificate(cause)}")
    if isinstance(error, requests.exceptions.TooManyRedirects):
        return TransferError(f"{server}: sends from one address to the next in a circle: {shown}; take another -index")
    if isinstance(error, requests.exceptions.ProxyError):
        return TransferError(f"{server}: the proxy cannot be reached; check HTTPS_PROXY of the environment")
    if isinstance(error, requests.exceptions.SSLError):
        return TransferError(f"{server}: no secure connection ({_words(error)}); check the address")
    if isinstance(error, ValueError):  # InvalidURL, MissingSchema, InvalidSchema
        return TransferError(f"{shown}: not an address that files can be fetched from; correct it")
    if any(isinstance(cause, NameResolutionError) for cause in causes):
        return TransferError(f"{server}: this name is not known here; check the network connection or the address")
    if any(isinstance(cause, NewConnectionError) for cause in causes):
        return TransferError(f"{server}: cannot be reached; check the network connection or the address")
    if isinstance(error, requests.Timeout) or "timed out" in str(error).lower():
        return _Passing(f"no answer for {TIMEOUTS[1]:g} seconds; check the network connection")
    return _Passing("the connection was cut")


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Go through everything that an exception was made from."""
    seen: list[BaseException] = []
    waiting: list[object] = [error]
    while waiting:
        one = waiting.pop()
        if isinstance(one, BaseException) and one not in seen:
            seen.append(one)
            waiting += [one.__cause__, one.__context__, getattr(one, "reason", None), *one.args]
    return iter(seen)


def _certificate(error: ssl.SSLCertVerificationError) -> str:
    # The numbers are OpenSSL's X509_V_ERR_*.
    if error.verify_code == 10:
        return "its certificate has expired; check the date of this computer, else take another -index"
    if error.verify_code == 9:
        return "its certificate is not valid yet; check the date of this computer"
    if error.verify_code == 62 or "mismatch" in error.verify_message.lower():
        return "its certificate is for another name; correct the address"
    return (
        "its certificate is signed by nobody that this computer trusts; if it is your own, name its file in"
        " REQUESTS_CA_BUNDLE of the environment"
    )


def _words(error: Exception) -> str:
    return " ".join(str(error).split())[:120]

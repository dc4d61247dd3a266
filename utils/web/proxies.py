"""What a request claims of itself by headers that only a proxy should set, and who is believed."""

import ipaddress
import re
from collections.abc import MutableMapping, Sequence
from typing import Any

from utils.errors import InputError

Scope = MutableMapping[str, Any]

# Beginnings of their names.
CLAIMS = (b"x-forwarded", b"forwarded", b"x-real-ip", b"x-host", b"x-original-", b"x-rewrite-")
PROTOCOL = b"x-forwarded-proto"


class Proxies:
    """The proxies before the server.

    Args:
        words: addresses (``10.0.0.5``) and networks (``10.0.0.0/24``) of ``-proxies``.

    Raises:
        InputError: a word is neither.
    """

    def __init__(self, words: Sequence[str]) -> None:
        self._networks = [_network(word) for word in words]

    def read(self, scope: Scope) -> Scope:
        """Return a request as the client sent it to the proxy; claims of anybody else are left out.

        One claim is harmless and stays: that the same host is reached by ``http`` or ``https``.

        Args:
            scope: of ASGI.
        """
        headers = [(name, value) for name, value in scope["headers"] if not name.startswith(CLAIMS)]
        claims = {name: value for name, value in scope["headers"] if name.startswith(CLAIMS)}
        scheme = _last(claims.get(PROTOCOL, b"")).lower()
        if scheme in (b"http", b"https"):
            headers.append((PROTOCOL, scheme))
        read = {**scope, "headers": headers}
        if not self._believes(scope):
            return read
        # The last one is what the proxy itself has added.
        if host := _last(claims.get(b"x-forwarded-host", b"")):
            read["headers"] = [*((name, value) for name, value in headers if name != b"host"), (b"host", host)]
        if scheme in (b"http", b"https"):
            read["scheme"] = scheme.decode()
        if client := _last(claims.get(b"x-forwarded-for", b"")):
            read["client"] = (client.decode("latin-1"), 0)
        return read

    def _believes(self, scope: Scope) -> bool:
        try:
            address = ipaddress.ip_address((scope.get("client") or ("",))[0])
        except ValueError:
            return False
        return any(address in network for network in self._networks)


def read_root(word: str | None) -> str:
    """Return the path of ``-root_path``, "" where there is none.

    Raises:
        InputError: it is no path.
    """
    if not word or word == "/":
        return ""
    if not re.fullmatch(r"(/[A-Za-z0-9._~-]+)+", word.rstrip("/")) or "/." in word:
        raise InputError(f"-root_path {word}: expected a path as /steel")
    return word.rstrip("/")


def below(scope: Scope, root: str) -> Scope:
    """Return a request as if the server lay at ``/``; one that a proxy has made so already is returned as it is.

    Args:
        scope: of ASGI.
        root: path of ``-root_path``; "" where there is none.
    """
    path: str = scope["path"]
    if not root or not (path == root or path.startswith(f"{root}/")):
        return scope
    raw: bytes = scope.get("raw_path") or path.encode()
    return {**scope, "path": path[len(root) :] or "/", "raw_path": raw[len(root.encode()) :] or b"/"}


def _network(word: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    try:
        return ipaddress.ip_network(word, strict=False)
    except ValueError:
        raise InputError(f"-proxies {word}: expected an address as 10.0.0.5 or a network as 10.0.0.0/24") from None


def _last(value: bytes) -> bytes:
    return value.rpartition(b",")[2].strip()

"""Addresses of sources and sinks: SCHEME://PLACE?SETTING=VALUE."""

import urllib.parse
from dataclasses import dataclass
from pathlib import Path

from utils.errors import InputError


@dataclass(frozen=True)
class Address:
    """An address of a sink or a source, taken apart.

    Attributes:
        scheme: before ``://``, small letters.
        host: or camera, bus address; may be empty.
        port: None: the usual one.
        path: after the host, with its slash; of a folder as it was given, relative or absolute.
        user: before ``@``; None: none. A password there is refused: lists of processes show it.
        query: what follows ``?``.
        text: all of it but the query: the name by which the spool keeps a sink's place.
        flag: that it was given with, for messages.
    """

    scheme: str
    host: str
    port: int | None
    path: str
    user: str | None
    query: dict[str, str]
    text: str
    flag: str

    @classmethod
    def parse(cls, text: str, flag: str) -> "Address":
        """Take an address apart.

        Raises:
            InputError: it is none, or has a password in it; names the flag.
        """
        scheme, mark, rest = text.partition("://")
        if not mark or not scheme:
            raise InputError(f"{flag} {text}: expected SCHEME://PLACE, as folder://inbox or mqtt://127.0.0.1:1883/line")
        place, _, query = rest.partition("?")
        found = urllib.parse.urlsplit(f"x://{place}")
        try:
            port, password = found.port, found.password
            values = dict(urllib.parse.parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query)))
        except ValueError as error:
            raise InputError(f"{flag} {text}: {error}") from None
        shown = f"{scheme.lower()}://{place}"
        if password is not None:
            raise InputError(f"{flag} {scheme}://...: no password in an address; put it into a file or the environment")
        return cls(scheme.lower(), found.hostname or "", port, place, found.username, values, shown, flag)

    @property
    def folder(self) -> Path:
        """Return the folder that ``csv://FOLDER`` and the like name."""
        return Path(urllib.parse.unquote(self.path)).expanduser()

    @property
    def url_path(self) -> str:
        """Return what follows the host, with its slash; empty: nothing does."""
        return urllib.parse.urlsplit(f"x://{self.path}").path

    def error(self, what: str) -> InputError:
        """Return the error that tells what is wrong with the address, to be raised."""
        return InputError(f"{self.flag} {self.text}: {what}")

    def only(self, *known: str) -> None:
        """Check that the query has no other names than these.

        Raises:
            InputError: it has one.
        """
        for name in self.query:
            if name not in known:
                listed = f"this one has {', '.join(known)}" if known else "this one has none"
                raise self.error(f"no setting {name}; {listed}")

    def number(self, name: str, default: float, low: float, high: float) -> float:
        """Return a number of the query.

        Raises:
            InputError: it is none, or not within ``low`` and ``high``.
        """
        text = self.query.get(name)
        if text is None:
            return default
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not low <= value <= high:
            raise self.error(f"{name}={text}; expected a number from {low:g} to {high:g}")
        return value
